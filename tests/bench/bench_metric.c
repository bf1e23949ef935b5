/* What an update costs its thread, ns each: by handle against a bare relaxed atomic add, and by name with two labels. The best of some
 * rounds, since only disturbances make it slower; the loop's own cost is in all of them. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "tests/lib/drain.h"

enum { ROUNDS = 50, UPDATES = 20000, BY_NAME = 500 };

struct bench {
    tf_client *client;
    tf_metric *counter, *gauge, *histogram;
    struct drain drain;
    _Atomic uint64_t bare;
};

static void bare(struct bench *bench, int i) {
    (void)i;
    atomic_fetch_add_explicit(&bench->bare, 1, memory_order_relaxed);
}

static void counter(struct bench *bench, int i) {
    (void)i;
    tf_counter_add(bench->counter, 1);
}

static void gauge(struct bench *bench, int i) {
    tf_gauge_set(bench->gauge, i);
}

static void histogram(struct bench *bench, int i) {
    tf_histogram_observe(bench->histogram, 0.001 * (1 + i % 1000));
}

static void by_name(struct bench *bench, int i) {
    static const struct tf_label labels[] = { { "queue", "mail" }, { "outcome", "ok" } };
    (void)i;
    check(tf_metric_count(bench->client, "bench_jobs", 1, labels, 2) == 0);
}

static void measure(struct bench *bench, const char *what, void (*update)(struct bench *bench, int i), int count) {
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        drain_read(&bench->drain, true); /* the collector's part, off the clock */
        uint64_t start = clock_monotonic_ns();
        for (int i = 0; i < count; i++)
            update(bench, i);
        uint64_t took = clock_monotonic_ns() - start;
        best = took < best ? took : best;
    }
    printf("%-44s %6.1f ns\n", what, (double)best / count);
}

static tf_metric *registered(tf_client *client, int kind, const char *name) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric;
    check(tf_metric_register(client, &definition, &metric) == 0);
    return metric;
}

int main(void) {
    char folder[] = "/dev/shm/tf-bench-XXXXXX", command[64];
    struct tf_options options = TF_OPTIONS_INIT;
    static struct bench bench;
    check(mkdtemp(folder));
    options.runtime_dir = folder;
    check(tf_open("bench", &options, &bench.client) == 0 && tf_prepare(bench.client) == 0);
    bench.counter = registered(bench.client, TF_COUNTER, "bench_done");
    bench.gauge = registered(bench.client, TF_GAUGE, "bench_depth");
    bench.histogram = registered(bench.client, TF_HISTOGRAM, "bench_size");
    drain_open(&bench.drain, folder);
    measure(&bench, "a bare relaxed atomic add", bare, UPDATES);
    measure(&bench, "counter by handle", counter, UPDATES);
    measure(&bench, "gauge by handle (with the clock)", gauge, UPDATES);
    measure(&bench, "histogram by handle", histogram, UPDATES);
    measure(&bench, "counter by name, two labels", by_name, BY_NAME);
    drain_close(&bench.drain);
    tf_close(bench.client);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}
