/* What must not become of totals: times from the future, clocks set back, numbers that are none, a store begun anew. */
#include <stdlib.h>

#include "tests/unit/collector/fold_fixture.h"

static void times_from_the_future_hold_nothing_up(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    setup.fold.now_ns = 1000;
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 1, UINT64_C(1) << 62);
    commit(&setup);
    setup.fold.now_ns = 1001;
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 2, 1001);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_depth_gauge") == 2);
    setup_close(&setup);
}

static void a_clock_set_back_holds_no_gauge_up(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    uint32_t gauge = register_metric(&setup, METRIC_GAUGE, "level");
    setup.fold.now_ns = 1000;
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 1, 1000);
    slot_gauge_set(setup.claim.slot, gauge, 1, 1000);
    commit(&setup);
    setup.fold.now_ns = 500;
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 2, 500);
    slot_gauge_set(setup.claim.slot, gauge, 2, 500);
    assert_true(cells_are_waiting(&setup.rings));
    gather_at(&setup, 500);
    settle(&setup);
    assert_true(value_of(*state, "taskforge_depth_gauge") == 2);
    assert_true(value_of(*state, "taskforge_level_gauge") == 2);
    setup_close(&setup);
}

static void a_gauge_set_again_to_what_it_was_makes_no_commit(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    uint32_t gauge = register_metric(&setup, METRIC_GAUGE, "level");
    slot_gauge_set(setup.claim.slot, gauge, 1, 1000);
    commit(&setup);
    slot_gauge_set(setup.claim.slot, gauge, 1, 1000 + CLOCK_SECOND);
    assert_false(cells_are_waiting(&setup.rings));
    assert_true(cells_are_unfolded(&setup.rings, setup.rings.items[0], setup.claim.index));
    slot_gauge_set(setup.claim.slot, gauge, 1, 1000 + SELF_NS); /* but that it was set is told some time */
    assert_true(cells_are_waiting(&setup.rings));
    slot_gauge_set(setup.claim.slot, gauge, 2, 1001);
    assert_true(cells_are_waiting(&setup.rings));
    setup_close(&setup);
}

static void no_sum_stops_being_a_number(void **state) {
    struct setup setup;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    setup_open(*state, &setup);
    uint32_t timer = register_metric(&setup, METRIC_TIMER, "took");
    update(&setup, METRIC_COUNTER, METRIC_ADD, "bytes", 1.7e308, 10);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "bytes", 1.7e308, 10);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_INVALID], 1);
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 4, 10);
    update(&setup, METRIC_GAUGE, METRIC_ADD, "depth", NAN, 10);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_INVALID], 2);
    update(&setup, METRIC_HISTOGRAM, METRIC_ADD, "sizes", INFINITY, 10);
    update(&setup, METRIC_HISTOGRAM, METRIC_ADD, "sizes", -INFINITY, 10);
    assert_int_equal(slot_histogram_observe(setup.claim.slot, timer, 2), 0);
    commit(&setup);
    assert_int_equal(slot_histogram_observe(setup.claim.slot, timer, 1), 0);
    slot_histogram_add_rest(setup.claim.slot, timer, 0, NAN); /* scribbled */
    commit(&setup);
    assert_true(value_of(*state, "taskforge_bytes") == 1.7e308);
    assert_true(value_of(*state, "taskforge_depth_gauge") == 4);
    assert_true(look(*state, "taskforge_sizes", &sample));
    assert_true(isinf(sample.histogram.sum));
    assert_int_equal(histogram_count(&sample.histogram), 2);
    assert_true(look(*state, "taskforge_took_seconds", &sample));
    assert_true(sample.histogram.sum == 2);
    assert_int_equal(histogram_count(&sample.histogram), 2);
    segment_sample_finish(&sample);
    setup_close(&setup);
}

/* The collector may read between an observation's count and its sum. */
static void a_sum_that_comes_behind_its_count_is_folded(void **state) {
    struct setup setup;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    setup_open(*state, &setup);
    uint32_t timer = register_metric(&setup, METRIC_TIMER, "took");
    uint64_t counts[HISTOGRAM_BUCKETS] = { 1 };
    assert_int_equal(slot_histogram_add_octave(setup.claim.slot, timer, 30, counts), 0);
    commit(&setup);
    slot_histogram_add_rest(setup.claim.slot, timer, 0, 1.5);
    assert_true(cells_are_waiting(&setup.rings));
    commit(&setup);
    assert_false(cells_are_waiting(&setup.rings));
    assert_true(look(*state, "taskforge_took_seconds", &sample));
    assert_true(sample.histogram.sum == 1.5);
    segment_sample_finish(&sample);
    setup_close(&setup);
}

/* The store was damaged, its totals came from the segment; then a kill before the cells grew again. */
static void what_the_segment_held_is_not_counted_twice_after_a_kill(void **state) {
    struct setup setup;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    setup_open(*state, &setup);
    uint32_t counter = register_metric(&setup, METRIC_COUNTER, "done");
    uint32_t timer = register_metric(&setup, METRIC_TIMER, "took");
    slot_counter_add(setup.claim.slot, counter, 40);
    assert_int_equal(slot_histogram_observe(setup.claim.slot, timer, 2), 0);
    commit(&setup);
    uint32_t fresh = register_metric(&setup, METRIC_COUNTER, "fresh");
    slot_counter_add(setup.claim.slot, fresh, 7); /* nothing of it was ever committed */
    finish_fold(&setup);
    state_map_finish(&setup.state);
    setup_fold(*state, &setup);
    assert_true(setup.fold.adopted);
    setup.rings.starting = false;
    discard(&setup);
    uint32_t later = register_metric(&setup, METRIC_COUNTER, "later");
    slot_counter_add(setup.claim.slot, later, 3); /* of a handle that the segment never knew */
    commit(&setup);
    assert_true(value_of(*state, "taskforge_later") == 3);
    finish_fold(&setup);
    setup_fold(*state, &setup);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 40);
    assert_true(value_of(*state, "taskforge_fresh") == 7);
    assert_true(look(*state, "taskforge_took_seconds", &sample));
    assert_int_equal(histogram_count(&sample.histogram), 1);
    segment_sample_finish(&sample);
    setup_close(&setup);
}

/* A process that used nothing of its slot gives it back itself: the next one there is not taken for it. */
static void a_slot_taken_anew_since_the_last_look_is_not_counted_twice(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    commit(&setup);
    ring_slot_release(&setup.producer, &setup.claim, true);
    assert_int_equal(ring_slot_claim(&setup.producer, TEXT_LITERAL("other"), 0, &setup.claim), 0);
    uint32_t counter = register_metric(&setup, METRIC_COUNTER, "done");
    slot_counter_add(setup.claim.slot, counter, 3);
    commit(&setup); /* before the slots are looked at again */
    rings_slot_refresh(&setup.rings, setup.rings.items[0], setup.claim.index);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 3);
    setup_close(&setup);
}

enum { SERIES_MAX = 4000 };

/* Names of series until one finds no room but as an overflow series; how many did before. */
static int use_up_series(struct setup *setup) {
    char name[32];
    int count = 0;
    for (; count < 2 * SERIES_MAX && !setup->fold.names.overflowing; count++) {
        snprintf(name, sizeof(name), "u%u_%d", (unsigned)setup->fold.user, count);
        update(setup, METRIC_GAUGE, METRIC_SET, name, 1, 10);
    }
    discard(setup);
    return count - 1;
}

static void no_user_takes_all_series(void **state) {
    const struct fold_limits limits = { SERIES_MAX, SERIES_MAX, 0 };
    struct setup setup;
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    setup.fold.user = 4001;
    assert_int_equal(use_up_series(&setup), SERIES_MAX / 2);
    setup.fold.user = 4002;
    assert_true(abs(use_up_series(&setup) - SERIES_MAX / 4) <= 3); /* and the overflow series */
    setup.fold.user = 0;
    assert_true(abs(use_up_series(&setup) - SERIES_MAX / 4) <= 3);
    setup.fold.user = SHARES_SELF;
    size_t count = setup.fold.table.count;
    fold_add(&setup.fold, OWN_RING_RINGS, NULL, 1, 10, &setup.batch);
    assert_int_equal(setup.fold.table.count, count + 1);
    setup_close(&setup);
}

/* Histograms with all their octaves: the segment does not become full, and others have room. */
static void no_user_takes_all_memory(void **state) {
    struct setup setup;
    char name[32];
    bool discarded = false;
    const struct fold_limits limits = { 20000, 20000, 0 }; /* some 40 MB */
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    setup.fold.user = 4001;
    for (int i = 0; i < 10000 && !setup.fold.names.overflowing; i++) {
        snprintf(name, sizeof(name), "h%d", i);
        for (int o = 0; o < HISTOGRAM_OCTAVES; o++)
            update(&setup, METRIC_HISTOGRAM, METRIC_ADD, name, ldexp(1.5, o + HISTOGRAM_OCTAVE_MIN), 10);
        if (i == 99 && !discarded) {
            discard(&setup);
            discarded = true;
            i = -1;
        } else if (i % 100 == 99) {
            commit(&setup);
        }
    }
    assert_true(setup.fold.names.overflowing != NULL);
    commit(&setup);
    setup.fold.user = 4002;
    size_t count = setup.fold.table.count;
    update(&setup, METRIC_HISTOGRAM, METRIC_ADD, "other", 2, 10);
    commit(&setup);
    assert_int_equal(setup.fold.table.count, count + 1);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_LIMIT], 0);
    assert_non_null(setup.fold.segment);
    uint64_t bytes = setup.fold.shares.bytes, series = setup.fold.shares.series;
    const uint64_t most = 20000 * FOLD_SERIES_BYTES;
    assert_true(bytes > most / 2 - most / 10 && bytes <= most / 2 + FOLD_BYTES_OVERFLOW);
    finish_fold(&setup);
    setup_fold(*state, &setup); /* as the state has it */
    assert_int_equal(setup.fold.shares.series, series);
    assert_int_equal(setup.fold.shares.bytes, bytes);
    setup_close(&setup);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(times_from_the_future_hold_nothing_up, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_clock_set_back_holds_no_gauge_up, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_gauge_set_again_to_what_it_was_makes_no_commit, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(no_sum_stops_being_a_number, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_sum_that_comes_behind_its_count_is_folded, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_the_segment_held_is_not_counted_twice_after_a_kill, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_slot_taken_anew_since_the_last_look_is_not_counted_twice, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(no_user_takes_all_series, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(no_user_takes_all_memory, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
