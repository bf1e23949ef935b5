/* bench_metric - what an update of a metric costs its thread: by handle in times a bare relaxed atomic add in the same loop,
 * by name in nanoseconds.
 *
 * Loops of back-to-back updates by one thread, wall clock, the kinds in turn; the loop itself is in all of them. "best" is
 * the quickest loop of each kind, since only disturbances make it slower, and ratios are of these; "median" is of all loops. Between loops the lanes are
 * emptied, and at the end all totals are looked at. Prints; judges nothing but the totals. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "tests/bench/lanes.h"
#include "tests/bench/timing.h"
#include "tests/torture/ring_lib.h"

enum { ROUNDS = 200, UPDATES = 10000, BY_NAME = 500 };

static struct {
    _Atomic uint64_t bare;
    tf_metric *counter, *gauge, *histogram, *sampled, *timer;
} bench;

/* --- the loops --- */

static void loop_bare(int count) {
    for (int i = 0; i < count; i++)
        atomic_fetch_add_explicit(&bench.bare, 1, memory_order_relaxed);
}
static void loop_counter(int count) {
    for (int i = 0; i < count; i++)
        tf_counter_add(bench.counter, 1);
}
static void loop_gauge(int count) {
    for (int i = 0; i < count; i++)
        tf_gauge_set(bench.gauge, i);
}
static void loop_gauge_add(int count) {
    for (int i = 0; i < count; i++)
        tf_gauge_add(bench.gauge, 1);
}
static void loop_histogram(int count) {
    for (int i = 0; i < count; i++)
        tf_histogram_observe(bench.histogram, 0.001 * (1 + i % 1000));
}
static void loop_sampled(int count) {
    for (int i = 0; i < count; i++)
        tf_histogram_observe(bench.sampled, 0.001 * (1 + i % 1000));
}
static void loop_timer(int count) {
    for (int i = 0; i < count; i++)
        tf_timer_stop(bench.timer, tf_timer_start());
}
static const struct tf_label labels[] = { { "queue", "mail" }, { "outcome", "ok" } };
static void loop_by_name(int count) {
    for (int i = 0; i < count; i++)
        tf_metric_count(NULL, "bench_jobs", 1, labels, 2);
}
static void loop_by_name_record(int count) { /* fractions go into no cell */
    for (int i = 0; i < count; i++)
        tf_metric_count(NULL, "bench_seconds", 0.5, labels, 2);
}
static void loop_observe_by_name(int count) {
    for (int i = 0; i < count; i++)
        tf_metric_observe(NULL, "bench_took", 0.001 * (1 + i % 1000), labels, 2);
}

static const struct {
    const char *name;
    void (*loop)(int count);
    int count;
    const char *goal;
} kinds[] = {
    { "a bare relaxed atomic add", loop_bare, UPDATES, "" },
    { "counter by handle", loop_counter, UPDATES, "1.3 x" },
    { "histogram by handle", loop_histogram, UPDATES, "3.5 x" },
    { "the same, one in 100 of them", loop_sampled, UPDATES, "" },
    { "gauge by handle, set (with the clock)", loop_gauge, UPDATES, "" },
    { "gauge by handle, add (with the clock)", loop_gauge_add, UPDATES, "" },
    { "timer by handle, start and stop", loop_timer, UPDATES, "" },
    { "counter by name, two labels, its cell", loop_by_name, UPDATES, "25 ns" },
    { "histogram by name, two labels, its cell", loop_observe_by_name, UPDATES, "" },
    { "counter by name, two labels, a record", loop_by_name_record, BY_NAME, "45 ns" },
};
enum { KINDS = COUNT_OF(kinds) };

/* --- measuring --- */

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(void) {
    static uint64_t took[KINDS][ROUNDS];
    for (int round = -2; round < ROUNDS; round++) /* two that do not count */
        for (unsigned kind = 0; kind < KINDS; kind++) {
            uint64_t begin = clock_monotonic_ns();
            kinds[kind].loop(kinds[kind].count);
            uint64_t end = clock_monotonic_ns();
            lanes_empty();
            took[kind][round < 0 ? 0 : round] = end - begin;
        }
    printf("%-40s %8s %8s %8s   %s\n", "ns an update", "median", "best", "x bare", "goal");
    double bare = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        qsort(took[kind], ROUNDS, sizeof(uint64_t), ascending);
        double best = (double)took[kind][0] / kinds[kind].count;
        double median = (double)took[kind][ROUNDS / 2] / kinds[kind].count;
        bare = kind == 0 ? best : bare;
        printf("%-40s %8.1f %8.1f %8.2f   %s\n", kinds[kind].name, median, best, best / bare, kinds[kind].goal);
    }
}

static tf_metric *registered(int kind, const char *name, unsigned sample) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    definition.sample = sample;
    tf_metric *metric;
    check(tf_metric_register(NULL, &definition, &metric) == 0);
    return metric;
}

static void look_at_totals(void) {
    const double updates = (double)UPDATES * (ROUNDS + 2);
    struct tf_metric_value value;
    struct tf_loss_counts losses;
    check(tf_metric_get_own(bench.counter, &value, sizeof(value)) == 0 && value.value == updates);
    check(tf_metric_get_own(bench.histogram, &value, sizeof(value)) == 0 && value.count == updates);
    check(fabs(value.sum / (updates * 0.5005) - 1) < 1e-6);
    check(tf_losses(NULL, &losses, sizeof(losses)) == 0 && losses.total == 0);
}

int main(void) {
    char folder[64];
    struct tf_options options = TF_OPTIONS_INIT;
    torture_directory(folder);
    options.runtime_dir = folder;
    check(tf_default_open("bench", &options) == 0 && tf_prepare(NULL) == 0);
    bench.counter = registered(TF_COUNTER, "bench_done", 0);
    bench.gauge = registered(TF_GAUGE, "bench_depth", 0);
    bench.histogram = registered(TF_HISTOGRAM, "bench_size", 0);
    bench.sampled = registered(TF_HISTOGRAM, "bench_sampled", 100);
    bench.timer = registered(TF_TIMER, "bench_work", 0);
    lanes_open(folder);
    timed_pin(1);
    measure();
    look_at_totals();
    lanes_close();
    torture_remove(folder);
    return 0;
}
