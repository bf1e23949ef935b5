/* A log call makes no system call and allocates nothing once its thread has made one of its kind: counted, not believed.
 *
 * The child makes the calls, COUNT of each kind; its malloc and friends are this file's, and count. The parent traces it and counts the
 * system calls between two marks, which are system calls that nobody makes. The reader is the child itself, which moves the lanes'
 * tails now and then: two stores. The clock is free of system calls where the kernel's clock source is; where it is not, calls of
 * clock_gettime are passed over. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/shm/geometry.h"
#include "tests/torture/ring_lib.h"

enum { COUNT = 100000, READ_EVERY = 200, SKIPPED = 77 };
#define MARK UINT64_C(0x7461736b666f7267)

/* --- allocations, of this thread --- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *old);
static _Thread_local uint64_t allocations;

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
    allocations++;
    return __libc_realloc(old, size);
}
void free(void *old) {
    allocations += old != NULL;
    __libc_free(old);
}

/* --- the calls --- */

static tf_client *client;
static tf_metric *counter, *gauge, *histogram, *timer;
static struct ring ring; /* the same file again: what a reader would see */
static char blob[60000];

static const struct tf_label labels[] = { { "queue", "mail" } };

static int no_argument(uint64_t i) {
    (void)i;
    TF_LOG_TO(client, TF_LEVEL_INFO, "quiet", "nothing but text");
    return 0;
}
static int deferred(uint64_t i) {
    TF_LOG_TO(client, TF_LEVEL_INFO, "quiet", "sent %llu mails to %s in %.1f ms", (unsigned long long)i,
              "a@example.org", 12.5);
    return 0;
}
static int formatted_here(uint64_t i) {
    TF_LOG_TO(client, TF_LEVEL_INFO, "quiet", "%.2Lf of %s", (long double)i, "a long double");
    return 0;
}
static int by_default(uint64_t i) {
    TF_WARN("quiet", "to the default client: %llu", (unsigned long long)i);
    return 0;
}
static int plain(uint64_t i) {
    (void)i;
    return tf_log(client, TF_LEVEL_INFO, "module", "quiet", "text as it is");
}
static int by_function(uint64_t i) {
    return tf_logf(client, TF_LEVEL_INFO, "module", "quiet", "%llu of %s", (unsigned long long)i, "many");
}
static int with_metadata(uint64_t i) {
    const struct tf_field fields[] = { tf_str("queue", "mail"), tf_int("attempt", (int64_t)i),
                                       tf_json("nested", "{\"a\":[1,2.5,null]}") };
    return tf_log_with_metadata(client, TF_LEVEL_INFO, "module", "quiet", "with metadata", fields, 3);
}
static int with_details(uint64_t i) {
    (void)i;
    return tf_log_error_with_details(client, "module", "quiet", "with details",
                                     "{\"code\":42,\"stack\":[\"a\",\"b\"]}");
}
static int every_field(uint64_t i) {
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, "module", "quiet", "every field");
    entry.timestamp_ns = 1 + i;
    entry.trace_id = "0af7651916cd43dd8448eb211c80319c";
    entry.span_id = "b7ad6b7169203331";
    entry.correlation_id = "order-7";
    entry.user_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11";
    entry.organization_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b12";
    entry.metadata = "{\"a\":1}";
    entry.error_details = "[1,2,3]";
    tf_entry_add(&entry, tf_bool("late", 1));
    tf_entry_add(&entry, tf_double("share", 0.25));
    return tf_entry_write(client, &entry);
}
static int checked_only(uint64_t i) {
    struct tf_entry entry;
    (void)i;
    tf_entry_init(&entry, TF_LEVEL_ERROR, "module", "quiet", "not written");
    return tf_entry_check(client, &entry);
}
static int in_context(uint64_t i) {
    char span[17];
    snprintf(span, sizeof(span), "%016llx", (unsigned long long)i + 1);
    int result = tf_context_set("0af7651916cd43dd8448eb211c80319c", span, "order-7");
    TF_LOG_TO(client, TF_LEVEL_INFO, "quiet", "in a context: %llu", (unsigned long long)i);
    tf_context_clear();
    return result;
}
static int below_the_level(uint64_t i) {
    TF_LOG_TO(client, TF_LEVEL_TRACE, "quiet", "not wanted: %llu", (unsigned long long)i);
    return tf_log(client, TF_LEVEL_TRACE, "module", "quiet", "not wanted");
}
static int refused(uint64_t i) {
    (void)i;
    return tf_log(client, TF_LEVEL_INFO, "module", "quiet", "") == -EINVAL ? 0 : -1;
}
static int large(uint64_t i) {
    (void)i;
    const struct tf_field field = tf_str("blob", blob);
    return tf_log_with_metadata(client, TF_LEVEL_ERROR, "module", "quiet", blob + sizeof(blob) - 9001, &field, 1);
}
static int add(uint64_t i) {
    return tf_counter_add(counter, (int64_t)i);
}
static int set(uint64_t i) {
    return tf_gauge_set(gauge, (double)i) | tf_gauge_add(gauge, 1);
}
static int observe(uint64_t i) {
    return tf_histogram_observe(histogram, (double)(i % 1000));
}
static int time_it(uint64_t i) {
    return tf_timer_observe(timer, (double)(i % 1000) / 1000) | tf_timer_stop(timer, tf_timer_start());
}
static int by_name(uint64_t i) {
    switch (i % 5) {
    case 0:
        return tf_metric_count(client, "quiet_counted", 1, labels, 1);
    case 1:
        return tf_metric_set(client, "quiet_level", (double)i, labels, 1);
    case 2:
        return tf_metric_add(client, "quiet_level", 1, labels, 1);
    case 3:
        return tf_metric_observe(client, "quiet_sizes", (double)i, labels, 1);
    default:
        return tf_metric_time(client, "quiet_times", 0.5, labels, 1);
    }
}
/* Of a gauge, whose updates go by name for ever. */
static int level_by_name(uint64_t i) {
    return i % 2 ? tf_metric_set(client, "quiet_level", (double)i, labels, 1)
                 : tf_metric_add(client, "quiet_level", 1, labels, 1);
}
static int statistics(uint64_t i) {
    return tf_queue_stats(client, i, 2, 1) | tf_worker_stats(client, i, 3, 2, 1) | tf_job_stats(client, i, 4, 3, 2, 1);
}

#ifdef TF_EVENT
static struct tf_context context;

static int in_given_context(uint64_t i) {
    TF_LOG_IN(client, &context, TF_LEVEL_INFO, "quiet", "in a given context: %llu", (unsigned long long)i);
    return 0;
}
static int event(uint64_t i) {
    TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "quiet", "with fields", tf_str("queue", "mail"), tf_int("n", (int64_t)i));
    return 0;
}
static int span(uint64_t i) {
    struct tf_span own;
    (void)i;
    int result = tf_span_start(client, "quiet", &own);
    TF_LOG_TO(client, TF_LEVEL_INFO, "quiet", "within a span");
    return result | tf_span_end(&own, 0);
}
static int passed_on(uint64_t i) {
    char header[TF_TRACEPARENT_SIZE];
    struct tf_context other = { .has = 0 };
    (void)i;
    return tf_context_from_traceparent(&other, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") |
           tf_context_use(&other) | tf_context_get(&context) | tf_context_to_traceparent(&context, header) |
           tf_context_use(NULL);
}
static int request(uint64_t i) {
    return tf_request(client, NULL, "quiet", 1000000 + i, 0);
}
#endif

enum room {
    READ,
    FULL
}; /* whether a reader makes room: then everything is accepted, else everything is lost, but the first ones */

static const struct kind {
    const char *name;
    int (*call)(uint64_t i);
    enum room room;
    unsigned warm; /* calls that go before, uncounted */
    unsigned entries;
} kinds[] = {
    { "a macro without arguments", no_argument, READ, 1, 1 },
    { "a macro with three", deferred, READ, 1, 1 },
    { "a macro that cannot be deferred", formatted_here, READ, 1, 1 },
    { "a macro of the default client", by_default, READ, 1, 0 },
    { "tf_log", plain, READ, 1, 1 },
    { "tf_logf", by_function, READ, 1, 1 },
    { "tf_log_with_metadata", with_metadata, READ, 1, 1 },
    { "tf_log_error_with_details", with_details, READ, 1, 1 },
    { "tf_entry_write, every field", every_field, READ, 1, 1 },
    { "tf_entry_check", checked_only, READ, 1, 0 },
    { "with a context set and cleared", in_context, READ, 1, 1 },
    { "of a level that is not wanted", below_the_level, READ, 1, 0 },
    { "refused", refused, READ, 1, 0 },
    { "too large for a lane", large, READ, 1, 1 },
    { "tf_counter_add", add, READ, 1, 0 },
    { "tf_gauge_set, tf_gauge_add", set, READ, 1, 0 },
    { "tf_histogram_observe", observe, READ, 1000, 0 },
    { "tf_timer_observe, tf_timer_stop", time_it, READ, 1000, 0 },
    { "metrics by name", by_name, READ, 10000, 1 }, /* so that those that are to have cells have them */
    { "statistics", statistics, READ, 1, 0 },
#ifdef TF_EVENT
    { "a context passed on", passed_on, READ, 1, 0 },
    { "a macro in a context", in_given_context, READ, 1, 1 },
    { "a macro with fields", event, READ, 1, 1 },
    { "a span and an entry within", span, READ, 1, 2 },
    { "a request served", request, READ, 10000, 2 }, /* likewise */
    { "a span and an entry, dropped", span, FULL, 10000, 2 },
#endif
    { "a macro, dropped", deferred, FULL, 10000, 1 },
    { "tf_log, dropped", plain, FULL, 10000, 1 },
    { "a metric by name, dropped", level_by_name, FULL, 10000, 1 },
    { "too large for a lane, dropped", large, FULL, 400, 1 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* --- the child --- */

static tf_metric *handle(int kind, const char *name) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric;
    require(tf_metric_register(client, &definition, &metric) == 0, "%s", tf_last_error());
    return metric;
}

static void read_all(void) {
    for (uint32_t lane = 0; lane < ring.lane_count; lane++) {
        struct lane_header *header = ring_lane_header(&ring, lane);
        atomic_store_explicit(&header->tail, atomic_load_explicit(&header->head, memory_order_acquire),
                              memory_order_release);
    }
}

static uint64_t lost(void) {
    struct tf_loss_counts losses;
    require(tf_losses(client, &losses, sizeof(losses)) == 0, "%s", tf_last_error());
    return losses.total;
}

static void mark(uint64_t kind, uint64_t value) {
    syscall(SYS_getppid, MARK, kind, value);
}

static void make_calls(uint64_t number, const struct kind *kind) {
    uint64_t failed = 0, lost_before, count = kind->call == large ? COUNT / 20 : COUNT;
    struct timespec begin, end;
    for (uint64_t i = 0; i < kind->warm; i++) {
        if (kind->room == READ)
            read_all();
        kind->call(i);
    }
    read_all();
    for (uint64_t i = 0; i < kind->warm && kind->room == FULL; i++)
        kind->call(i);
    lost_before = lost();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    allocations = 0;
    mark(number, 0);
    for (uint64_t i = 0; i < count; i++) {
        if (kind->room == READ && i % (kind->call == large ? 8 : READ_EVERY) == 0)
            read_all();
        failed += kind->call(i) != 0;
    }
    mark(number, 1);
    uint64_t allocated = allocations;
    clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t taken_ns =
        (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000 + (uint64_t)end.tv_nsec - (uint64_t)begin.tv_nsec;
    printf("%-34s %6llu calls %5llu ns each, %llu allocations\n", kind->name, (unsigned long long)count,
           (unsigned long long)(taken_ns / count), (unsigned long long)allocated);
    fflush(stdout);
    uint64_t lost_now = lost() - lost_before, wanted = kind->room == FULL ? count * kind->entries : 0;
    require(lost_now == wanted, "%llu were lost, not %llu", (unsigned long long)lost_now, (unsigned long long)wanted);
    require(failed == 0 || kind->room == FULL, "%llu calls failed: %s", (unsigned long long)failed, tf_last_error());
    require(allocated == 0, "%s allocates", kind->name);
}

static _Noreturn void be_child(const char *directory) {
    char path[128];
    struct error error = { "" };
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = directory;
    options.min_level = TF_LEVEL_DEBUG;
    memset(blob, 'b', sizeof(blob) - 1);
    require(tf_open("quiet", &options, &client) == 0 && tf_default_open("quiet-default", &options) == 0, "%s",
            tf_last_error());
    snprintf(path, sizeof(path), "%s/rings/%u", directory, (unsigned)geteuid());
    require(ring_map(open(path, O_RDWR | O_CLOEXEC), true, &ring, &error) == 0, "%s", error.text);
    counter = handle(TF_COUNTER, "quiet_added");
    gauge = handle(TF_GAUGE, "quiet_set");
    histogram = handle(TF_HISTOGRAM, "quiet_observed");
    timer = handle(TF_TIMER, "quiet_timed");
    require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "%s", strerror(errno));
    raise(SIGSTOP);
    struct timespec now;
    mark(KINDS, 0);
    for (int i = 0; i < 10; i++)
        clock_gettime(CLOCK_REALTIME, &now);
    mark(KINDS, 1);
    for (uint64_t i = 0; i < KINDS; i++)
        make_calls(i, &kinds[i]);
    exit(0);
}

/* --- the parent --- */

struct counts {
    uint64_t calls, clock, last; /* the last system call's number */
};

/* Until the next system call: false when the child has ended, well. */
static bool next_call(pid_t child, struct __ptrace_syscall_info *info) {
    int status, deliver = 0;
    for (;;) {
        require(ptrace(PTRACE_SYSCALL, child, NULL, (void *)(long)deliver) == 0, "%s", strerror(errno));
        require(waitpid(child, &status, 0) == child, "%s", strerror(errno));
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %x", status);
            return false;
        }
        deliver = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        if (deliver != 0)
            continue;
        require(ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof(*info), info) > 0, "%s", strerror(errno));
        if (info->op == PTRACE_SYSCALL_INFO_ENTRY)
            return true;
    }
}

static void trace(pid_t child) {
    struct __ptrace_syscall_info info;
    struct counts counts = { 0 }, clock = { 0 };
    unsigned ended = 0;
    while (next_call(child, &info)) {
        if (info.entry.nr != SYS_getppid || info.entry.args[0] != MARK) {
            counts.calls++;
            counts.clock += info.entry.nr == SYS_clock_gettime;
            counts.last = info.entry.nr;
        } else if (info.entry.args[2] == 0) {
            counts = (struct counts) { 0 };
        } else if (info.entry.args[1] == KINDS) {
            clock = counts;
        } else {
            uint64_t ours = counts.calls - (clock.clock > 0 ? counts.clock : 0);
            require(ours == 0, "%s: %llu system calls, the last of them number %llu", kinds[info.entry.args[1]].name,
                    (unsigned long long)ours, (unsigned long long)counts.last);
            ended++;
        }
    }
    require(ended == KINDS, "%u of %d kinds were counted", ended, KINDS);
    printf("no system calls in any of them%s\n",
           clock.clock > 0 ? ", but those of the clock, which needs one here" : "");
}

int main(void) {
    char directory[64];
    int status;
    torture_directory(directory);
    pid_t child = torture_fork();
    if (child == 0)
        be_child(directory);
    require(waitpid(child, &status, 0) == child, "%s", strerror(errno));
    bool traced = WIFSTOPPED(status) && ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_TRACESYSGOOD) == 0;
    if (traced)
        trace(child);
    else
        kill(child, SIGKILL);
    torture_remove(directory);
    return traced ? 0 : SKIPPED;
}
