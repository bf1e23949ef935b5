/* Updates into totals: by name, by handle, over discarded batches and restarts; and what readers of the segment see. */
#include "tests/unit/collector/fold_fixture.h"

static void adds_and_sets_by_name(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 10);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 3, 11);
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 7, 20);
    update(&setup, METRIC_GAUGE, METRIC_SET, "depth", 9, 19); /* made earlier: the later one's holds */
    assert_true(isnan(value_of(*state, "taskforge_jobs")));   /* nothing is shown before the commit */
    commit(&setup);
    assert_true(value_of(*state, "taskforge_jobs") == 5);
    assert_true(value_of(*state, "taskforge_depth_gauge") == 7);
    update(&setup, METRIC_GAUGE, METRIC_ADD, "depth", -2, 30);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_depth_gauge") == 5);
    setup_close(&setup);
}

static void a_discarded_batch_is_as_if_it_had_not_been(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 10);
    discard(&setup);
    assert_true(isnan(value_of(*state, "taskforge_jobs")));
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 10);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_jobs") == 2);
    setup_close(&setup);
}

static void totals_go_on_after_a_restart(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs_total", 2, 10);
    update(&setup, METRIC_TIMER, METRIC_ADD, "work", 0.5, 10);
    commit(&setup);
    finish_fold(&setup);
    setup_fold(*state, &setup);
    assert_true(value_of(*state, "taskforge_jobs") == 2);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs_total", 5, 12);
    update(&setup, METRIC_TIMER, METRIC_ADD, "work", 0.5, 12);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_jobs") == 7);
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    assert_true(look(*state, "taskforge_work_seconds", &sample));
    assert_int_equal(histogram_count(&sample.histogram), 2);
    assert_true(sample.histogram.sum == 1);
    segment_sample_finish(&sample);
    setup_close(&setup);
}

static void folds_what_cells_have_grown_by(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    uint32_t counter = register_metric(&setup, METRIC_COUNTER, "done");
    uint32_t gauge = register_metric(&setup, METRIC_GAUGE, "level");
    uint32_t timer = register_metric(&setup, METRIC_TIMER, "took");
    assert_true(cells_are_waiting(&setup.rings));
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 0); /* shown from its registration on */
    assert_true(isnan(value_of(*state, "taskforge_level_gauge")));
    assert_false(cells_are_waiting(&setup.rings));
    slot_counter_add(setup.claim.slot, counter, 40);
    slot_gauge_set(setup.claim.slot, gauge, 2.5, 500);
    assert_int_equal(slot_histogram_observe(setup.claim.slot, timer, 0.25), 0);
    assert_true(cells_are_waiting(&setup.rings));
    discard(&setup);
    assert_true(value_of(*state, "taskforge_done") == 0);
    slot_counter_add(setup.claim.slot, counter, 2);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 42);
    assert_true(value_of(*state, "taskforge_level_gauge") == 2.5);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 42); /* reading twice does no harm */
    assert_false(cells_are_waiting(&setup.rings));
    setup_close(&setup);
}

static void cells_are_folded_once_over_a_restart(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    uint32_t counter = register_metric(&setup, METRIC_COUNTER, "done");
    uint32_t timer = register_metric(&setup, METRIC_TIMER, "took");
    slot_counter_add(setup.claim.slot, counter, 40);
    assert_int_equal(slot_histogram_observe(setup.claim.slot, timer, 0.25), 0);
    commit(&setup);
    slot_counter_add(setup.claim.slot, counter, 2);
    assert_int_equal(slot_histogram_observe(setup.claim.slot, timer, 3), 0);
    gather(&setup); /* and then the collector is killed: nothing of it is in the state */
    batch_clear(&setup.batch);
    finish_fold(&setup);
    setup_fold(*state, &setup);
    assert_true(cells_are_waiting(&setup.rings));
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 42);
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    assert_true(look(*state, "taskforge_took_seconds", &sample));
    assert_int_equal(histogram_count(&sample.histogram), 2);
    assert_true(sample.histogram.sum == 3.25);
    segment_sample_finish(&sample);
    setup_close(&setup);
}

static void one_name_has_one_kind(void **state) {
    struct setup setup;
    struct error error = { "" };
    setup_open(*state, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 10);
    update(&setup, METRIC_GAUGE, METRIC_SET, "x", 1, 10);
    update(&setup, METRIC_HISTOGRAM, METRIC_ADD, "jobs", 2, 10);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_COLLISION], 1);
    assert_int_equal(setup.fold.telling_count, 1);
    assert_string_equal(setup.fold.tellings[0].text,
                        "metric jobs is refused: jobs is a counter already and cannot be a histogram too");
    update(&setup, METRIC_HISTOGRAM, METRIC_ADD, "jobs", 2, 10);
    assert_int_equal(setup.fold.telling_count, 1); /* told once */
    commit(&setup);
    assert_int_equal(setup.fold.telling_count, 0);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_COLLISION], 2);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs_total", 3, 10); /* the same counter */
    commit(&setup);
    assert_true(value_of(*state, "taskforge_jobs") == 5);
    assert_int_equal(fold_judge(&setup.fold, METRIC_TIMER, METRIC_NAMING_APP, TEXT_LITERAL("jobs"), &error), -EEXIST);
    assert_string_equal(error.text, "jobs is a counter already and cannot be a timer too");
    assert_int_equal(fold_judge(&setup.fold, METRIC_TIMER, METRIC_NAMING_PREFIXED, TEXT_LITERAL("jobs"), &error), 0);
    assert_int_equal(fold_judge(&setup.fold, METRIC_GAUGE, METRIC_NAMING_PREFIXED, TEXT_LITERAL("jobs"), &error),
                     -EEXIST);
    assert_int_equal(fold_judge(&setup.fold, METRIC_HISTOGRAM, METRIC_NAMING_APP, TEXT_LITERAL("jobs"), &error),
                     -EEXIST);
    assert_int_equal(fold_judge(&setup.fold, METRIC_COUNTER, METRIC_NAMING_APP, TEXT_LITERAL("jobs_total"), &error), 0);
    assert_int_equal(fold_judge(&setup.fold, METRIC_COUNTER, METRIC_NAMING_APP, TEXT_LITERAL("4"), &error), -EINVAL);
    setup_close(&setup);
}

static void what_cannot_be_is_refused_and_counted(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", -1, 10);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", INFINITY, 10);
    update(&setup, METRIC_HISTOGRAM, METRIC_ADD, "sizes", NAN, 10);
    update(&setup, (enum metric_kind)77, METRIC_ADD, "odd", 1, 10);
    update(&setup, METRIC_COUNTER, (enum metric_operation)9, "odd", 1, 10);
    update(&setup, METRIC_GAUGE, METRIC_SET, "bad name", 1, 10);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_INVALID], 6);
    update(&setup, METRIC_GAUGE, METRIC_SET, "none", NAN, 10); /* a gauge may be anything */
    commit(&setup);
    assert_int_equal(setup.fold.table.count, 1);
    discard(&setup);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_INVALID], 6);
    setup_close(&setup);
}

static void a_segment_that_went_is_written_anew(void **state) {
    const struct ring_fixture *f = *state;
    struct setup setup;
    char path[256];
    setup_open(f, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 10);
    commit(&setup);
    snprintf(path, sizeof(path), "%s/metrics", f->runtime_dir);
    assert_int_equal(unlink(path), 0);
    fold_maintain(&setup.fold, 1, 1);
    assert_true(value_of(f, "taskforge_jobs") == 2);
    setup_close(&setup);
}

static void totals_are_taken_from_the_segment_where_the_store_has_none(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    uint32_t counter = register_metric(&setup, METRIC_COUNTER, "done");
    slot_counter_add(setup.claim.slot, counter, 40);
    update(&setup, METRIC_TIMER, METRIC_ADD, "work", 0.5, 10);
    commit(&setup);
    finish_fold(&setup);
    state_map_finish(&setup.state); /* the store was damaged and begun anew */
    setup_fold(*state, &setup);
    assert_true(setup.fold.adopted);
    assert_true(value_of(*state, "taskforge_done") == 40);
    setup.rings.starting = false;
    commit(&setup);
    slot_counter_add(setup.claim.slot, counter, 2);
    commit(&setup);
    assert_true(value_of(*state, "taskforge_done") == 42);
    finish_fold(&setup);
    setup_fold(*state, &setup); /* and now the state has them */
    assert_false(setup.fold.adopted);
    assert_true(value_of(*state, "taskforge_done") == 42);
    setup_close(&setup);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(adds_and_sets_by_name, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_discarded_batch_is_as_if_it_had_not_been, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(totals_go_on_after_a_restart, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(folds_what_cells_have_grown_by, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cells_are_folded_once_over_a_restart, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(one_name_has_one_kind, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_and_counted, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_went_is_written_anew, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(totals_are_taken_from_the_segment_where_the_store_has_none, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
