/* metrics_fixture.h - handles, and what a collector would read of metrics. */
#ifndef TASKFORGE_TESTS_UNIT_CLIENT_METRICS_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_CLIENT_METRICS_FIXTURE_H

#include "tests/unit/client/client_fixture.h"

#include <math.h>

static const struct tf_label mail[] __attribute__((unused)) = { { "queue", "mail" } };

static inline tf_metric *handle(tf_client *client, int kind, const char *name) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric = NULL;
    if (tf_metric_register(client, &definition, &metric) != 0)
        fail_msg("%s: %s", name, tf_last_error());
    return metric;
}

static inline void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("no %s in %s", part, text);
}

/* What a collector would read of metrics now; taken out. */
static inline struct drain look(const struct fixture *fixture) {
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    return drain;
}

static inline void assert_cells(const struct fixture *fixture, const char *expected) {
    struct drain drain = look(fixture);
    assert_string_equal(drain.cells.data, expected);
    drain_finish(&drain);
}

static inline double own(tf_metric *metric) {
    struct tf_metric_value value;
    assert_int_equal(tf_metric_get_own(metric, &value, sizeof(value)), 0);
    return value.value;
}

static inline void assert_own_spread(tf_metric *metric, uint64_t count, double sum) {
    struct tf_metric_value value;
    assert_int_equal(tf_metric_get_own(metric, &value, sizeof(value)), 0);
    assert_int_equal(value.count, count);
    assert_true(fabs(value.sum - sum) <= fabs(sum) * 1e-12);
}

#define REFUSED(call, error_number, sentence)                                                                          \
    do {                                                                                                               \
        assert_int_equal(call, error_number);                                                                          \
        assert_contains(tf_last_error(), sentence);                                                                    \
    } while (0)

/* One of each kind, and a few updates for each. */
static inline void update_all(tf_metric *const metrics[4]) {
    assert_int_equal(tf_counter_add(metrics[0], 3), 0);
    assert_int_equal(tf_gauge_set(metrics[1], 2), 0);
    assert_int_equal(tf_gauge_add(metrics[1], 0.5), 0);
    for (double value = 0x1p-12; value < 0x1p12; value *= 3)
        assert_int_equal(tf_histogram_observe(metrics[2], value), 0);
    assert_int_equal(tf_timer_observe(metrics[3], 0), 0);
}

static inline void register_all(tf_client *client, tf_metric *metrics[4]) {
    static const char *const names[] = { "c_jobs", "c_depth", "c_size", "c_work" };
    for (int i = 0; i < 4; i++)
        metrics[i] = handle(client, i + 1, names[i]);
}

#endif
