/* worker - a job worker as it might be: threads that take jobs, each under the trace that it came with, spans for what is done, retries,
 * errors that say why, and metrics: jobs done by their outcome, how long they took, how queues and jobs stand.
 *
 *     worker [JOBS [THREADS [SEED]]]       JOBS 0: one after the other until SIGTERM or Ctrl-C, each in its time
 *
 * Nothing is really done: outcomes follow from the job's number and the seed. One job in seven fails once and is
 * retried; one in fifty fails for good, with details. At the end the losses are told: 0 unless the ring was full. Who
 * returns from main says goodbye by that; one that is killed has its last words in the log all the same.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TF_MODULE "worker"
#include <taskforge.h>

enum { JOBS_DEFAULT = 100, THREADS_DEFAULT = 4, THREADS_MAX = 64, FLUSH_SECONDS = 2 };

struct job {
    unsigned number;
    uint64_t random;
    const char *queue;
    char traceparent[TF_TRACEPARENT_SIZE]; /* of whoever put it into the queue */
};

static const char *const queues[] = { "mail", "thumbnails", "billing" };
static _Atomic unsigned next_job, jobs_done, jobs_failed;
static tf_metric *done_ok, *done_failed, *job_duration;
static unsigned job_count = JOBS_DEFAULT;
static int endless;
static uint64_t seed = 1;
static volatile sig_atomic_t stopping;

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Registered once, updated by handle: an increment is one atomic operation, and none is ever lost. */
static void register_metrics(void) {
    static const struct tf_label ok[] = { { "outcome", "ok" } }, failed[] = { { "outcome", "failed" } };
    struct tf_metric_definition done = TF_METRIC_INIT(TF_COUNTER, "jobs_done");
    struct tf_metric_definition duration = TF_METRIC_INIT(TF_TIMER, "job_duration");
    done.help = "jobs that came to an end";
    done.labels = ok;
    done.label_count = 1;
    duration.help = "how long a job took";
    if (tf_metric_register(NULL, &done, &done_ok) < 0 || tf_metric_register(NULL, &duration, &job_duration) < 0)
        fprintf(stderr, "worker: %s\n", tf_last_error()); /* updates will say -EINVAL then, and harm nothing */
    done.labels = failed;
    if (tf_metric_register(NULL, &done, &done_failed) < 0)
        fprintf(stderr, "worker: %s\n", tf_last_error());
}

static struct job take_job(unsigned number) {
    struct job job = { .number = number, .random = mix(seed * UINT64_C(1000003) + number) };
    job.queue = queues[job.random % (sizeof(queues) / sizeof(queues[0]))];
    snprintf(job.traceparent, sizeof(job.traceparent), "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-01",
             mix(job.random), mix(job.random + 1), mix(job.random + 2));
    return job;
}

/* What this thread logs from here on belongs to the job: under the trace it came with, or a new one. */
static void enter_context(const struct job *job) {
    struct tf_context context = { .has = 0 };
    char order[32];
    if (tf_context_from_traceparent(&context, job->traceparent) < 0)
        tf_context_new_trace(&context);
    snprintf(order, sizeof(order), "order-%u", job->number);
    tf_context_set_correlation(&context, order);
    tf_context_use(&context);
}

/* An entry with everything there is. */
static void log_refusal(const struct job *job) {
    struct tf_entry entry;
    char details[160];
    snprintf(details, sizeof(details), "{\"code\":\"E_REFUSED\",\"job\":%u,\"stack\":[\"run_job\",\"deliver\"]}",
             job->number);
    tf_entry_init(&entry, TF_LEVEL_ERROR, TF_MODULE, "deliver", "the other side refused the job for good");
    entry.user_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11";
    entry.error_details = details;
    tf_entry_add(&entry, tf_str("queue", job->queue));
    tf_entry_add(&entry, tf_int("job", job->number));
    tf_entry_add(&entry, tf_bool("retryable", 0));
    tf_entry_write(NULL, &entry);
}

/* One step of a job: a span under the job's own. Returns whether it went well. */
static int deliver(const struct job *job, int attempt, int refused) {
    struct tf_span span;
    char header[TF_TRACEPARENT_SIZE];
    tf_span_start(NULL, "deliver", &span);
    tf_context_to_traceparent(&span.context, header); /* what goes along with the request */
    TF_DEBUG("deliver", "job %u, attempt %d, traceparent %s", job->number, attempt, header);
    if (endless)
        nanosleep(&(struct timespec) { .tv_nsec = (long)(job->random % 20000) * 1000 }, NULL);
    if (refused) {
        log_refusal(job);
        tf_span_end_with(&span, "refused", NULL, 0);
        return 0;
    }
    if (attempt == 1 && job->random % 7 == 0) {
        TF_EVENT(TF_LEVEL_WARN, "deliver", "timed out, will try again", tf_str("queue", job->queue),
                 tf_int("attempt", attempt));
        tf_span_end_with(&span, "timed out", NULL, 0);
        return 0;
    }
    tf_span_end(&span, 0);
    return 1;
}

static void run_job(const struct job *job) {
    struct tf_span span;
    int refused = job->random % 50 == 0;
    double milliseconds = (double)(job->random % 20000) / 1000;
    enter_context(job);
    tf_span_start(NULL, "run_job", &span);
    TF_DEBUG("take", "job %u from queue %s", job->number, job->queue);
    int ok = deliver(job, 1, refused) || (!refused && deliver(job, 2, 0));
    if (ok)
        TF_INFO("deliver", "job %u of queue %s done in %.3f ms", job->number, job->queue, milliseconds);
    tf_span_end(&span, !ok);
    tf_counter_add(ok ? done_ok : done_failed, 1);
    tf_timer_observe(job_duration, milliseconds / 1000);
    atomic_fetch_add(ok ? &jobs_done : &jobs_failed, 1);
    tf_context_clear();
}

static void *work(void *unused) {
    (void)unused;
    unsigned number;
    while (!stopping && ((number = atomic_fetch_add(&next_job, 1)) < job_count || endless)) {
        struct job job = take_job(number);
        run_job(&job);
    }
    return NULL;
}

static void stop(int number) {
    (void)number;
    stopping = 1;
}

static void run(unsigned threads) {
    pthread_t ids[THREADS_MAX];
    const unsigned queue_count = sizeof(queues) / sizeof(queues[0]);
    tf_queue_stats(NULL, queue_count, queue_count, 0);
    tf_worker_stats(NULL, threads, threads, 0, 0);
    tf_job_stats(NULL, job_count, job_count, 0, 0, 0);
    TF_INFO("start", "%u jobs, %u threads", job_count, threads);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, NULL) != 0)
            abort();
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    unsigned all = jobs_done + jobs_failed;
    TF_INFO("stop", "%u jobs done", all);
    tf_job_stats(NULL, all, 0, 0, jobs_done, jobs_failed);
    tf_worker_stats(NULL, threads, 0, threads, 0);
}

int main(int argc, char **argv) {
    unsigned threads = THREADS_DEFAULT;
    struct tf_options options = TF_OPTIONS_INIT;
    if (argc > 1)
        job_count = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        threads = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        seed = strtoull(argv[3], NULL, 10);
    if (threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "worker: THREADS must be 1 to %d\n", THREADS_MAX);
        return 2;
    }
    endless = job_count == 0;
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    options.policy = TF_POLICY_WAIT; /* a worker would rather wait a little than lose its account */
    options.wait_ns = UINT64_C(500000000);
    if (tf_default_open("worker", &options) < 0) {
        fprintf(stderr, "worker: %s\n", tf_last_error());
        return 1;
    }
    register_metrics();
    run(threads);
    if (tf_flush(NULL, FLUSH_SECONDS * UINT64_C(1000000000)) < 0)
        fprintf(stderr, "worker: %s (no matter: what is in the ring stays)\n", tf_last_error());
    struct tf_loss_counts losses;
    tf_losses(NULL, &losses, sizeof(losses));
    printf("worker: %u jobs done, %" PRIu64 " entries lost\n", jobs_done + jobs_failed, losses.total);
    return 0;
}
