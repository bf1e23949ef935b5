/* worker - a job worker as it might be: threads that take jobs, each with a trace of its own, retries, errors that say why, and
 * metrics: jobs done by their outcome, how long they took, how the queues and jobs stand.
 *
 *     worker [JOBS [THREADS [SEED]]]
 *
 * Nothing is really done: outcomes follow from the job's number and the seed. One job in seven fails once and is
 * retried; one in fifty fails for good, with details. At the end the losses are told: 0 unless the ring was full.
 */
#include <inttypes.h>
#include <pthread.h>
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
};

static const char *const queues[] = { "mail", "thumbnails", "billing" };
static _Atomic unsigned next_job, jobs_failed;
static tf_metric *done_ok, *done_failed, *job_duration;
static unsigned job_count = JOBS_DEFAULT;
static uint64_t seed = 1;

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

static void begin_trace(const struct job *job) {
    char trace[33], span[17], order[32];
    snprintf(trace, sizeof(trace), "%016" PRIx64 "%016" PRIx64, mix(job->random), mix(job->random + 1));
    snprintf(span, sizeof(span), "%016" PRIx64, mix(job->random + 2));
    snprintf(order, sizeof(order), "order-%u", job->number);
    tf_context_set(trace, span, order);
}

static void fail_for_good(const struct job *job) {
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

static void run_job(const struct job *job) {
    begin_trace(job);
    TF_DEBUG("take", "job %u from queue %s", job->number, job->queue);
    double milliseconds = (double)(job->random % 20000) / 1000;
    if (job->random % 7 == 0) {
        const struct tf_field fields[] = { tf_str("queue", job->queue), tf_int("attempt", 1) };
        tf_log_with_metadata(NULL, TF_LEVEL_WARN, TF_MODULE, "deliver", "timed out, will try again", fields, 2);
    }
    if (job->random % 50 == 0) {
        fail_for_good(job);
        tf_counter_add(done_failed, 1);
        atomic_fetch_add(&jobs_failed, 1);
    } else {
        TF_INFO("deliver", "job %u of queue %s done in %.3f ms", job->number, job->queue, milliseconds);
        tf_counter_add(done_ok, 1);
    }
    tf_timer_observe(job_duration, milliseconds / 1000);
    tf_context_clear();
}

static void *work(void *unused) {
    (void)unused;
    unsigned number;
    while ((number = atomic_fetch_add(&next_job, 1)) < job_count) {
        struct job job = { .number = number, .random = mix(seed * UINT64_C(1000003) + number) };
        job.queue = queues[job.random % (sizeof(queues) / sizeof(queues[0]))];
        run_job(&job);
    }
    return NULL;
}

int main(int argc, char **argv) {
    unsigned threads = THREADS_DEFAULT;
    pthread_t ids[THREADS_MAX];
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
    options.policy = TF_POLICY_WAIT; /* a worker would rather wait a little than lose its account */
    options.wait_ns = UINT64_C(500000000);
    if (tf_default_open("worker", &options) < 0) {
        fprintf(stderr, "worker: %s\n", tf_last_error());
        return 1;
    }
    register_metrics();
    tf_queue_stats(NULL, sizeof(queues) / sizeof(queues[0]), sizeof(queues) / sizeof(queues[0]), 0);
    tf_worker_stats(NULL, threads, threads, 0, 0);
    tf_job_stats(NULL, job_count, job_count, 0, 0, 0);
    TF_INFO("start", "%u jobs, %u threads", job_count, threads);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, NULL) != 0)
            abort();
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    TF_INFO("stop", "%u jobs done", job_count);
    tf_job_stats(NULL, job_count, 0, 0, job_count - jobs_failed, jobs_failed);
    tf_worker_stats(NULL, threads, 0, threads, 0);
    if (tf_flush(NULL, FLUSH_SECONDS * UINT64_C(1000000000)) < 0)
        fprintf(stderr, "worker: %s (no matter: what is in the ring stays)\n", tf_last_error());
    struct tf_loss_counts losses;
    tf_losses(NULL, &losses, sizeof(losses));
    printf("worker: %u jobs done, %" PRIu64 " entries lost\n", job_count, losses.total);
    return 0;
}
