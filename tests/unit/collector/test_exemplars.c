/* Exemplars: the newest of each classic bucket, shown behind the commit. */
#include "tests/unit/collector/fold_fixture.h"

static void update_traced(struct setup *setup, enum metric_kind kind, enum metric_operation operation, const char *name,
                          double value, uint64_t time_ns, const char *trace_id) {
    struct record_metric_update record = { .metric_kind = (uint8_t)kind,
                                           .operation = (uint8_t)operation,
                                           .value = value,
                                           .name = text_of(name),
                                           .trace_id = text_of(trace_id) };
    fold_update(&setup->fold, &record, time_ns, &setup->batch);
}

/* "bucket:value@time=trace ..." */
static void assert_exemplars(const struct ring_fixture *f, const char *family, const char *expected) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    char text[512] = "";
    size_t length = 0;
    assert_true(look(f, family, &sample));
    for (unsigned i = 0; i < sample.exemplar_count; i++) {
        const struct metric_exemplar *exemplar = &sample.exemplars[i];
        if (exemplar->length > 0)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%u:%g@%llu=%.*s ", i, exemplar->value,
                                       (unsigned long long)exemplar->time_ns, exemplar->length, exemplar->trace_id);
    }
    assert_string_equal(text, expected);
    segment_sample_finish(&sample);
}

static void the_newest_of_each_bucket_is_kept(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update_traced(&setup, METRIC_HISTOGRAM, METRIC_ADD, "size", 1, 10, "a");
    update_traced(&setup, METRIC_HISTOGRAM, METRIC_ADD, "size", 1, 30, "b");
    update_traced(&setup, METRIC_HISTOGRAM, METRIC_ADD, "size", 1, 20, "late");
    update_traced(&setup, METRIC_HISTOGRAM, METRIC_ADD, "size", 1e300, 20, "above all bounds");
    update_traced(&setup, METRIC_HISTOGRAM, METRIC_ADD, "size", -5, 20, "below");
    update_traced(&setup, METRIC_HISTOGRAM, METRIC_ADD, "size", 1, 40, ""); /* in no trace */
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 3, 20, "c");
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 4, 21, "d");
    update_traced(&setup, METRIC_GAUGE, METRIC_SET, "depth", 4, 21, "d");
    commit(&setup);
    double own[METRIC_BOUNDS_MAX];
    const double *bounds;
    char expected[256];
    unsigned bucket = 0, count = (unsigned)metric_classic_bounds(METRIC_HISTOGRAM, TEXT_EMPTY, own, &bounds);
    while (1 > bounds[bucket])
        bucket++;
    snprintf(expected, sizeof(expected), "0:-5@20=below %u:1@30=b %u:1e+300@20=above all bounds ", bucket, count);
    assert_exemplars(*state, "taskforge_size", expected);
    assert_exemplars(*state, "taskforge_jobs", "0:4@21=d ");
    assert_exemplars(*state, "taskforge_depth_gauge", "");
    setup_close(&setup);
}

static void what_cannot_be_one_is_left_out(void **state) {
    struct setup setup;
    char longest[METRIC_TRACE_ID_BYTES + 2] = { 0 };
    setup_open(*state, &setup);
    memset(longest, 'x', METRIC_TRACE_ID_BYTES + 1);
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 1, 20, longest);
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 1, 20, "\xff");
    commit(&setup);
    assert_exemplars(*state, "taskforge_jobs", "");
    assert_true(value_of(*state, "taskforge_jobs") == 2); /* they count all the same */
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", -1, 20, "refused");
    longest[METRIC_TRACE_ID_BYTES] = '\0';
    commit(&setup);
    assert_exemplars(*state, "taskforge_jobs", "");
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 1, 20, longest);
    commit(&setup);
    char expected[128];
    snprintf(expected, sizeof(expected), "0:1@20=%s ", longest);
    assert_exemplars(*state, "taskforge_jobs", expected);
    setup_close(&setup);
}

static void one_by_handle_counts_nothing(void **state) {
    struct setup setup;
    static const double bounds[] = { 1, 2 };
    char room[METRIC_BOUNDS_BYTES];
    struct metric_definition definition = { .kind = METRIC_TIMER, .name = TEXT_LITERAL("work") };
    uint32_t place;
    setup_open(*state, &setup);
    assert_int_equal(metric_bounds_pack(bounds, 2, room, &definition.bounds, NULL), 0);
    assert_int_equal(slot_metric_add(&setup.producer, &setup.claim, &definition, &place), 0);
    update_traced(&setup, METRIC_TIMER, METRIC_EXEMPLAR, "work", 1.5, 5, "early"); /* the series is not known yet */
    assert_int_equal(slot_histogram_observe(setup.claim.slot, place, 1.5), 0);
    commit(&setup);
    update_traced(&setup, METRIC_TIMER, METRIC_EXEMPLAR, "work", 1.5, 10, "a");
    update_traced(&setup, METRIC_TIMER, METRIC_EXEMPLAR, "work", 1, 10, "b");
    update_traced(&setup, METRIC_TIMER, METRIC_EXEMPLAR, "work", NAN, 10, "c");
    update_traced(&setup, METRIC_GAUGE, METRIC_EXEMPLAR, "depth", 1, 10, "d");
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_INVALID], 2);
    commit(&setup);
    assert_exemplars(*state, "taskforge_work_seconds", "0:1@10=b 1:1.5@10=a ");
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    assert_true(look(*state, "taskforge_work_seconds", &sample));
    assert_int_equal(histogram_count(&sample.histogram), 1);
    segment_sample_finish(&sample);
    setup_close(&setup);
}

static void they_are_shown_behind_the_commit_and_in_a_new_segment(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 1, 10, "a");
    commit(&setup);
    update_traced(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 20, "b");
    gather(&setup);
    assert_exemplars(*state, "taskforge_jobs", "0:1@10=a ");
    settle(&setup);
    assert_exemplars(*state, "taskforge_jobs", "0:2@20=b ");
    segment_destroy(setup.fold.segment);
    setup.fold.segment = NULL;
    fold_maintain(&setup.fold, 1, 1);
    assert_exemplars(*state, "taskforge_jobs", "0:2@20=b ");
    setup_close(&setup);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_of_each_bucket_is_kept, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_one_is_left_out, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(one_by_handle_counts_nothing, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(they_are_shown_behind_the_commit_and_in_a_new_segment, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
