/* One observation in N counts as N: without bias, whatever the value, the series, or what was taken before. Seeds are fixed, so each
 * run sees the same numbers; limits are five standard deviations. */
#include "tests/unit/client/metrics_fixture.h"

#include "agent/client/metric_sample.h"
#include "common/shm/slot_metrics.h"

static void assert_near(double seen, double expected, double deviation) {
    if (!(fabs(seen - expected) <= 5 * deviation))
        fail_msg("%g is not %g within five times %g", seen, expected, deviation);
}

/* --- which are taken --- */

static void one_in_n_is_taken(void **state) {
    (void)state;
    static const uint32_t samples[] = { 2, 3, 10, 100, 1000, METRIC_SAMPLE_MAX };
    enum { CALLS = 4000000 };
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        double p = 1.0 / samples[i], deviation = sqrt(CALLS * p * (1 - p));
        uint64_t step = sample_step(samples[i]);
        unsigned taken = 0, both = 0;
        bool last = false;
        sample_begin(i + 1);
        for (int call = 0; call < CALLS; call++) {
            bool takes = sample_takes(step);
            taken += takes;
            both += takes && last; /* the one before tells nothing */
            last = takes;
        }
        assert_near(taken, CALLS * p, deviation);
        assert_near(both, CALLS * p * p, sqrt(CALLS * p * p) + 1);
    }
}

static void the_first_are_as_likely_as_any(void **state) {
    (void)state;
    enum { THREADS = 20000, CALLS = 5, SAMPLE = 4 };
    unsigned taken[CALLS] = { 0 };
    uint64_t step = sample_step(SAMPLE);
    for (int thread = 0; thread < THREADS; thread++) {
        sample_begin((uint64_t)thread * 2654435761 + 1);
        for (int call = 0; call < CALLS; call++)
            taken[call] += sample_takes(step);
    }
    for (int call = 0; call < CALLS; call++)
        assert_near(taken[call], THREADS / (double)SAMPLE, sqrt(THREADS * 3 / 16.0));
}

static void series_of_every_n_share_a_distance(void **state) {
    (void)state;
    static const uint32_t samples[] = { 2, 50, 7 };
    enum { TURNS = 1000000 };
    unsigned taken[3] = { 0 };
    sample_begin(17);
    const uint64_t steps[] = { sample_step(samples[0]), sample_step(samples[1]), sample_step(samples[2]) };
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < 3; i++)
            taken[i] += sample_takes(steps[i]);
    for (int i = 0; i < 3; i++)
        assert_near(taken[i], (double)TURNS / samples[i], sqrt((double)TURNS / samples[i]));
}

/* --- what comes of it --- */

static tf_metric *sampled(tf_client *client, int kind, const char *name, unsigned sample) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric = NULL;
    definition.sample = sample;
    if (tf_metric_register(client, &definition, &metric) != 0)
        fail_msg("%s: %s", name, tf_last_error());
    return metric;
}

static void read_histogram(const struct fixture *fixture, struct histogram *ret) {
    static struct slot_metrics_view view;
    struct slot_metric_values values;
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    for (uint32_t slot = 0; slot < drain.ring.slot_count; slot++)
        if (ring_reader_metric_count(&drain.ring, slot) > 0) {
            assert_int_equal(ring_reader_metrics(&drain.ring, slot, &view), 0);
            assert_int_equal(slot_metrics_values(&view, 0, &values), 0);
            assert_int_equal(histogram_copy(&values.histogram, ret), 0);
        }
    drain_close(&drain);
    slot_metrics_view_finish(&view);
}

/* Count, sum and quantiles as they are without sampling; of values that rise with time, so that a fixed stride would do, too, and of some
 * that come every tenth time, where it would not. */
static void count_sum_and_quantiles_come_out(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    enum { MANY = 1000000, SAMPLE = 10 };
    tf_metric *metric = sampled(client, TF_HISTOGRAM, "s_size", SAMPLE);
    struct histogram all = HISTOGRAM_EMPTY, seen = HISTOGRAM_EMPTY;
    double squares = 0;
    sample_begin(4711);
    for (int i = 0; i < MANY; i++) {
        double value = i % 10 == 0 ? 1000 : 1 + i / (double)MANY * 9;
        assert_int_equal(tf_histogram_observe(metric, value), 0);
        assert_int_equal(histogram_add(&all, value, 1), 0);
        squares += value * value;
    }
    read_histogram(*state, &seen);
    assert_near((double)histogram_count(&seen), MANY, sqrt((double)MANY * (SAMPLE - 1)));
    assert_int_equal(histogram_count(&seen) % SAMPLE, 0);
    assert_near(seen.sum, all.sum, sqrt(squares * (SAMPLE - 1)));
    for (double q = 0.05; q < 1; q += 0.05)
        if (fabs(q - 0.9) > 0.02) /* where it leaps */
            assert_true(fabs(histogram_quantile(&seen, q) / histogram_quantile(&all, q) - 1) < 0.02);
    struct tf_metric_value value;
    assert_int_equal(tf_metric_get_own(metric, &value, sizeof(value)), 0);
    assert_true(value.count == histogram_count(&seen) && value.sum == seen.sum);
    histogram_finish(&all);
    histogram_finish(&seen);
    tf_close(client);
}

static void what_has_no_room_goes_by_name_as_many(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char name[20];
    for (int i = 0; i < SLOT_METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "s_jobs%d", i);
        handle(client, TF_COUNTER, name);
    }
    tf_metric *work = sampled(client, TF_TIMER, "s_work", 2);
    sample_begin(1);
    for (int i = 0; i < 20; i++)
        assert_int_equal(tf_timer_observe(work, 0.25), 0);
    struct drain drain = look(*state);
    assert_in_range(drain.update_count, 1, 19);
    assert_contains(drain.updates.data, "timer app add s_work{} 0.25x2 \n");
    assert_own_spread(work, 2 * drain.update_count, 0.5 * drain.update_count);
    drain_finish(&drain);
    tf_close(client);
}

static void what_cannot_be_is_refused(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "s_jobs");
    tf_metric *metric;
    definition.sample = 10;
    REFUSED(tf_metric_register(client, &definition, &metric), -EINVAL, "only histograms and timers can be sampled");
    definition.kind = TF_HISTOGRAM;
    definition.sample = METRIC_SAMPLE_MAX + 1;
    REFUSED(tf_metric_register(client, &definition, &metric), -EINVAL, "in at most 1000000");
    metric = sampled(client, TF_TIMER, "s_time", METRIC_SAMPLE_MAX);
    for (int i = 0; i < 3; i++) { /* although hardly any would be taken */
        REFUSED(tf_timer_observe(metric, -1), -EINVAL, "takes no duration below 0");
        REFUSED(tf_timer_observe(metric, NAN), -EINVAL, "takes no NaN");
        REFUSED(tf_histogram_observe(metric, 1), -EINVAL, "is a timer, not a histogram");
    }
    metric = sampled(client, TF_HISTOGRAM, "s_all", 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tf_histogram_observe(metric, 1), 0);
    assert_own_spread(metric, 100, 100);
    assert_ptr_equal(sampled(client, TF_HISTOGRAM, "s_all", 1000), metric); /* what was said first holds */
    assert_int_equal(tf_histogram_observe(metric, 1), 0);
    assert_own_spread(metric, 101, 101);
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_in_n_is_taken),
        cmocka_unit_test(the_first_are_as_likely_as_any),
        cmocka_unit_test(series_of_every_n_share_a_distance),
        fixture_test(count_sum_and_quantiles_come_out),
        fixture_test(what_has_no_room_goes_by_name_as_many),
        fixture_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
