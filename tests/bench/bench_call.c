/* bench_call - what a log call costs the application, in nanoseconds and in times a floor: the bytes of the bound call's
 * record copied into memory like a lane's, one reading of the clock and one release-store.
 *
 *     bench_call [PART]      PART: only the calls whose name contains it, and the floor
 *
 * How calls are timed: timing.h. Each twice, by who takes the records out (lanes.h): "emptied" between batches by the same
 * thread, so that it is the call alone; "beside" by a thread on another processor each millisecond, so that the
 * lines of the lane have to come back from there, as in a program whose collector runs. Nothing is lost but where that is what
 * is measured, and that is checked. Prints; judges nothing. run_calls.py puts the peers beside it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "tests/bench/lanes.h"
#include "tests/bench/timing.h"
#include "tests/torture/ring_lib.h"

static const char hundred[] =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
static const char trace[] = "4bf92f3577b34da6a3ce929d0e0e4736", span[] = "00f067aa0ba902b7";
static int null_fd;
static uint64_t expected_losses;

/* --- the calls; trace and span id stand in the thread's context --- */

static void call_bound(unsigned i) {
    TF_LOG(TF_LEVEL_INFO, "process", "job %d: %s", (int)i, hundred);
}

static void call_general(unsigned i) {
    struct tf_entry entry;
    (void)i;
    tf_entry_init(&entry, TF_LEVEL_INFO, "worker", "process", hundred);
    entry.service = "mailer";
    entry.trace_id = trace;
    entry.span_id = span;
    entry.correlation_id = "order-4711";
    tf_entry_write(NULL, &entry);
}

static void call_plain(unsigned i) {
    (void)i;
    tf_log(NULL, TF_LEVEL_INFO, "worker", "process", hundred);
}

static void call_fields(unsigned i) {
    struct tf_field fields[] = { tf_str("queue", "outgoing"), tf_int("job", (int)i), tf_bool("last", 0) };
    tf_log_with_metadata(NULL, TF_LEVEL_INFO, "worker", "process", hundred, fields, COUNT_OF(fields));
}

static void call_formatted(unsigned i) {
    tf_logf(NULL, TF_LEVEL_INFO, "worker", "process", "job %d: %s", (int)i, hundred);
}

static void call_unwanted(unsigned i) {
    TF_LOG(TF_LEVEL_TRACE, "process", "job %d: %s", (int)i, hundred);
}

static void call_by_hand(unsigned i) { /* what a simple logger does */
    char line[512];
    struct timespec time;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &time);
    gmtime_r(&time.tv_sec, &utc);
    int length = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ info %s %s job %d: %s\n",
                          utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                          time.tv_nsec, trace, span, (int)i, hundred);
    ssize_t written = write(null_fd, line, (size_t)length);
    (void)written;
}

/* --- a full lane --- */

static uint64_t losses(void) {
    struct tf_loss_counts counts;
    check(tf_losses(NULL, &counts, sizeof(counts)) == 0);
    return counts.total;
}

static void fill(void) {
    check(losses() == expected_losses);
    while (losses() == expected_losses)
        for (unsigned i = 0; i < 100; i++)
            call_bound(i);
    expected_losses = losses();
}

static void empty_full(void) {
    expected_losses += TIMED_TURN;
    check(losses() == expected_losses);
    lanes_empty();
}

/* --- the table: one more call is one line --- */

enum { EMPTIED = 1, BESIDE = 2 };

static const struct {
    const char *name;
    timed_call *call;
    unsigned variants;
    void (*before)(void);
    void (*after)(void); /* NULL: as the variant has it */
} calls[] = {
    { "floor: 176 bytes, a clock read, a release", lanes_floor_write, EMPTIED | BESIDE, NULL, NULL },
    { "bound: TF_LOG \"job %d: %s\", 2 ids", call_bound, EMPTIED | BESIDE, NULL, NULL },
    { "general: tf_entry_write, 7 strings", call_general, EMPTIED | BESIDE, NULL, NULL },
    { "plain: tf_log, 100 bytes, 2 ids", call_plain, EMPTIED | BESIDE, NULL, NULL },
    { "fields: tf_log_with_metadata, 3, 2 ids", call_fields, EMPTIED | BESIDE, NULL, NULL },
    { "formatted here: tf_logf, as bound", call_formatted, EMPTIED | BESIDE, NULL, NULL },
    { "not wanted: TF_LOG", call_unwanted, EMPTIED | BESIDE, NULL, NULL },
    { "dropped: TF_LOG, lane full", call_bound, EMPTIED, fill, empty_full },
    { "by hand: gmtime, snprintf, write(/dev/null)", call_by_hand, EMPTIED, NULL, NULL },
};

static double bytes_of(timed_call *call) {
    lanes_empty();
    for (unsigned i = 0; i < 100; i++)
        call(i);
    double bytes = (double)lanes_bytes() / 100;
    lanes_empty();
    return bytes;
}

static void run(unsigned variant, const char *name, void (*after)(void), const char *part) {
    struct timed rows[COUNT_OF(calls)];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        if (!(calls[i].variants & variant) || (i > 0 && part && !strstr(calls[i].name, part)))
            continue;
        rows[count++] = (struct timed) { .name = calls[i].name,
                                         .call = calls[i].call,
                                         .before = calls[i].before,
                                         .after = calls[i].after ? calls[i].after : after,
                                         .bytes = calls[i].before ? 0 : bytes_of(calls[i].call) };
    }
    if (variant == BESIDE)
        lanes_begin_beside();
    timed_run(rows, count, timed_rounds());
    if (variant == BESIDE)
        lanes_end_beside();
    timed_print(rows, count, name, rows[0].figures.mean);
}

int main(int argc, char **argv) {
    char folder[64];
    struct tf_options options = TF_OPTIONS_INIT;
    const char *part = argc > 1 ? argv[1] : NULL;
    torture_directory(folder);
    options.runtime_dir = folder;
    options.min_level = TF_LEVEL_DEBUG;
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    check(null_fd >= 0 && tf_default_open("bench", &options) == 0 && tf_prepare(NULL) == 0);
    check(tf_context_set(trace, span, NULL) == 0);
    lanes_open(folder);

    bool two = timed_pin(1);
    timed_print_head();
    run(EMPTIED, "emptied", lanes_empty, part);
    if (two)
        run(BESIDE, "beside", lanes_wait, part);
    else
        printf("only one processor: no lanes are drained beside\n");
    uint64_t lost = losses();
    printf("lost: %" PRIu64 ", as meant\n", lost);
    lanes_close();
    torture_remove(folder);
    return lost != expected_losses;
}
