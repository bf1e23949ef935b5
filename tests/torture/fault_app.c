/* fault_app.c - an app that passes every fault point (common/shm/fault.h), and keeps an account.
 *
 *   fault_app victim SERVICE ACCOUNT_FILE     all of it once: attach, log in every way, threads, a child, losses, metrics, close
 *   fault_app survivor SERVICE ACCOUNT_FILE   for each byte on stdin a round of calls, each timed, and a byte on stdout
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "tests/torture/fault_app.h"
#include "tests/torture/fault_names.h"

enum { LAP_BYTES = 600 * 1024, LONG_BYTES = 9000, LARGE_BYTES = 60000, THREADS = 8, LOSSES_TRIED = 200 };

static struct fault_account *account;
static tf_client *client;
static tf_metric *counter, *gauge, *histogram;
static char filling[LARGE_BYTES + 1];
static int survives;

static void fail(const char *what) {
    fprintf(stderr, "fault_app: %s: %s\n", what, tf_last_error());
    _exit(3);
}

/* --- how long a call took, without the time that it only waited for a processor --- */

struct watch {
    uint64_t begun, waited;
};

static uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t waited_ns(void) {
    unsigned long long ran, waited = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file && fscanf(file, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    if (file)
        fclose(file);
    return waited;
}

static struct watch watch_begin(void) {
    return survives ? (struct watch) { .waited = waited_ns(), .begun = monotonic_ns() } : (struct watch) { 0 };
}

static void watch_end(struct watch watch) {
    if (!survives)
        return;
    uint64_t took = monotonic_ns() - watch.begun, waited = waited_ns() - watch.waited;
    took = took > waited ? took - waited : 0;
    uint64_t worst = atomic_load(&account->worst_ns);
    while (took > worst && !atomic_compare_exchange_weak(&account->worst_ns, &worst, took))
        ;
}

/* --- entries --- */

enum way { DEFERRED, PLAIN, LARGE };

static uint64_t lost(void) {
    struct tf_loss_counts losses;
    if (tf_losses(client, &losses, sizeof(losses)) < 0)
        fail("losses");
    return losses.total;
}

static int call(enum way way, int level, int stream, uint64_t number, const char *rest) {
    char message[LONG_BYTES + 64];
    struct tf_field field = tf_str("blob", filling);
    if (way == DEFERRED) {
        uint64_t before = lost();
        TF_LOG_TO(client, TF_LEVEL_INFO, "deferred", "%d %llu %s", stream, (unsigned long long)number, rest);
        return lost() == before ? 0 : -EAGAIN;
    }
    snprintf(message, sizeof(message), "%d %llu %s", stream, (unsigned long long)number, rest);
    return way == PLAIN ? tf_log(client, level, NULL, "plain", message)
                        : tf_log_with_metadata(client, level, NULL, "large", message, &field, 1);
}

static int log_one(enum way way, int level, int stream, const char *rest) {
    uint64_t number = atomic_load(&account->streams[stream].accepted) + 1;
    struct watch watch = watch_begin();
    int result = call(way, level, stream, number, rest);
    watch_end(watch);
    if (result != 0 && result != -EAGAIN)
        fail("log");
    atomic_fetch_add(result == 0 ? &account->streams[stream].accepted : &account->streams[stream].refused, 1);
    return result;
}

static void log_each_way(int stream) {
    log_one(DEFERRED, TF_LEVEL_INFO, stream, "");
    log_one(PLAIN, TF_LEVEL_WARN, stream, "x");
    log_one(LARGE, TF_LEVEL_ERROR, stream, filling + LARGE_BYTES - LONG_BYTES);
}

/* A span with an entry within; one that finds no room at its end is lost as an entry is. */
static void trace_one(int stream) {
    struct tf_span span;
    struct watch watch = watch_begin();
    if (tf_span_start(client, "traced", &span) < 0)
        fail("span");
    log_one(DEFERRED, TF_LEVEL_INFO, stream, "");
    int result = tf_span_end(&span, 0);
    watch_end(watch);
    if (result != 0 && result != -EAGAIN)
        fail("span");
    if (result == -EAGAIN)
        atomic_fetch_add(&account->streams[stream].refused, 1);
}

static void *log_on_a_thread(void *argument) {
    log_one(DEFERRED, TF_LEVEL_INFO, STREAM_THREADS, "");
    return argument;
}

static void log_on_threads(int count) {
    pthread_t thread;
    for (int i = 0; i < count; i++)
        if (pthread_create(&thread, NULL, log_on_a_thread, NULL) != 0 || pthread_join(thread, NULL) != 0)
            fail("thread");
}

static void log_in_a_child(void) {
    pid_t child = fork();
    int status;
    if (child == 0) {
        log_each_way(STREAM_CHILDREN);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail("fork");
}

/* More than a lap of the lane, then more of the lowest level than it takes. */
static void log_much(void) {
    const char *rest = filling + LARGE_BYTES - LONG_BYTES;
    for (int bytes = 0; bytes < LAP_BYTES;) {
        if (log_one(PLAIN, TF_LEVEL_ERROR, STREAM_MAIN, rest) == 0)
            bytes += LONG_BYTES;
        else
            nanosleep(&(struct timespec) { 0, 1000000 }, NULL);
    }
    for (int i = 0; i < LOSSES_TRIED && log_one(PLAIN, TF_LEVEL_TRACE, STREAM_MAIN, rest) == 0; i++)
        ;
}

/* --- metrics --- */

static tf_metric *handle(int kind, const char *name, const char *service) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    struct tf_label label = { "app", service };
    tf_metric *metric;
    definition.labels = &label;
    definition.label_count = 1;
    if (tf_metric_register(client, &definition, &metric) < 0)
        fail("register");
    return metric;
}

static void count_each_way(const char *service) {
    struct watch watch = watch_begin();
    if (!counter)
        counter = handle(TF_COUNTER, "fault_counted", service);
    if (tf_counter_add(counter, 1) < 0)
        fail("counter");
    atomic_fetch_add(&account->counted, 1);
    if (!gauge)
        gauge = handle(TF_GAUGE, "fault_level", service);
    if (tf_gauge_set(gauge, 1.5) < 0)
        fail("gauge");
    if (!histogram)
        histogram = handle(TF_HISTOGRAM, "fault_sizes", service);
    if (tf_histogram_observe(histogram, 3.25) < 0)
        fail("histogram");
    atomic_fetch_add(&account->observed, 1);
    watch_end(watch);
}

/* --- the two lives --- */

static void be_victim(const char *service) {
    log_each_way(STREAM_MAIN);
    count_each_way(service);
    trace_one(STREAM_MAIN);
    log_on_threads(THREADS);
    log_in_a_child();
    log_much();
    log_each_way(STREAM_MAIN);
    tf_close(client);
    if (*getenv("TASKFORGE_FAULT_COUNT"))
        printf("%lu\n", fault_passed());
}

static void be_survivor(const char *service) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        log_each_way(STREAM_MAIN);
        count_each_way(service);
        trace_one(STREAM_MAIN);
        log_on_threads(2);
        log_in_a_child();
        if (write(STDOUT_FILENO, &byte, 1) != 1)
            fail("stdout");
    }
    tf_close(client);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    int fd = open(argv[3], O_RDWR | O_CLOEXEC);
    account = mmap(NULL, sizeof(*account), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (account == MAP_FAILED)
        return 1;
    memset(filling, '.', LARGE_BYTES);
    survives = strcmp(argv[1], "survivor") == 0;
    struct watch watch = watch_begin();
    if (tf_open(argv[2], NULL, &client) < 0)
        fail("open");
    watch_end(watch);
    if (survives)
        be_survivor(argv[2]);
    else
        be_victim(argv[2]);
    return 0;
}
