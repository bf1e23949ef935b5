/* Descriptions of names: what is completed, when, and what stays as it was first said. */
#include "tests/unit/collector/fold_fixture.h"

static void describe(struct setup *setup, enum metric_kind kind, const char *name, const char *unit, const char *help,
                     struct text bounds) {
    struct metric_definition definition = {
        .kind = kind, .name = text_of(name), .unit = text_of(unit), .help = text_of(help), .bounds = bounds
    };
    fold_describe(&setup->fold, &definition, &setup->batch);
}

static void update_label(struct setup *setup, enum metric_kind kind, const char *name, const char *value) {
    char room[METRIC_LABELS_BYTES];
    struct metric_label label = { TEXT_LITERAL("queue"), text_of(value) };
    struct record_metric_update record = { .metric_kind = (uint8_t)kind, .value = 1.5, .name = text_of(name) };
    assert_int_equal(metric_labels_pack(&label, 1, room, &record.labels, NULL), 0);
    fold_update(&setup->fold, &record, 10, &setup->batch);
}

/* All series of the family that are shown: "LABELS unit help count-of-bounds value;". */
static void assert_family(const struct ring_fixture *f, const char *family, const char *expected) {
    struct segment *segment;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    char text[512] = "";
    size_t length = 0;
    assert_int_equal(segment_open(f->runtime_dir, &segment, NULL), 0);
    while (segment_next(segment, sample.position, &sample) == 1) {
        double bounds[METRIC_BOUNDS_MAX];
        if (!text_is(sample.family, family) || sample.hidden)
            continue;
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%.*s %.*s %.*s %zu %g;", TEXT_FORMAT(sample.labels),
                             TEXT_FORMAT(sample.definition.unit), TEXT_FORMAT(sample.definition.help),
                             metric_bounds_read(sample.definition.bounds, bounds),
                             metric_kind_is_histogram(sample.definition.kind) ? sample.histogram.sum : sample.value);
    }
    segment_sample_finish(&sample);
    segment_close(segment);
    assert_string_equal(text, expected);
}

static struct text two_bounds(void) {
    static char room[METRIC_BOUNDS_BYTES];
    static const double bounds[] = { 1, 2 };
    struct text packed;
    assert_int_equal(metric_bounds_pack(bounds, 2, room, &packed, NULL), 0);
    return packed;
}

static void what_comes_first_is_there_at_once(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    describe(&setup, METRIC_TIMER, "work_seconds", "seconds", "how long", two_bounds());
    update_label(&setup, METRIC_TIMER, "work", "a");
    commit(&setup);
    assert_family(*state, "taskforge_work_seconds", "queue=\"a\" seconds how long 2 1.5;");
    finish_fold(&setup); /* and for labels to come, over a restart */
    setup_fold(*state, &setup);
    update_label(&setup, METRIC_TIMER, "work", "b");
    commit(&setup);
    assert_family(*state, "taskforge_work_seconds",
                  "queue=\"a\" seconds how long 2 1.5;queue=\"b\" seconds how long 2 1.5;");
    setup_close(&setup);
}

static void what_comes_later_completes_with_the_next_update(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update_label(&setup, METRIC_HISTOGRAM, "size", "a");
    update_label(&setup, METRIC_COUNTER, "jobs", "a");
    commit(&setup);
    assert_family(*state, "taskforge_size", "queue=\"a\"   0 1.5;");
    describe(&setup, METRIC_HISTOGRAM, "size", "bytes", "how large", two_bounds());
    update_label(&setup, METRIC_HISTOGRAM, "size", "a");
    discard(&setup);
    assert_family(*state, "taskforge_size", "queue=\"a\"   0 1.5;");
    describe(&setup, METRIC_HISTOGRAM, "size", "bytes", "how large", two_bounds());
    update_label(&setup, METRIC_HISTOGRAM, "size", "a");
    describe(&setup, METRIC_COUNTER, "jobs_total", "", "done", TEXT_EMPTY);
    update_label(&setup, METRIC_COUNTER, "jobs", "a");
    commit(&setup);
    assert_family(*state, "taskforge_size", "queue=\"a\" bytes how large 2 3;");
    assert_family(*state, "taskforge_jobs", "queue=\"a\"  done 0 3;");
    finish_fold(&setup);
    setup_fold(*state, &setup);
    assert_family(*state, "taskforge_size", "queue=\"a\" bytes how large 2 3;");
    setup_close(&setup);
}

static void the_first_of_each_holds(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    describe(&setup, METRIC_COUNTER, "jobs", "", "first", TEXT_EMPTY);
    update_label(&setup, METRIC_COUNTER, "jobs", "a");
    describe(&setup, METRIC_COUNTER, "jobs", "pieces", "second", TEXT_EMPTY);
    commit(&setup);
    update_label(&setup, METRIC_COUNTER, "jobs", "a");
    commit(&setup);
    assert_family(*state, "taskforge_jobs", "queue=\"a\" pieces first 0 3;");
    describe(&setup, METRIC_COUNTER, "jobs", "pieces", "second", TEXT_EMPTY);
    assert_null(setup.fold.descriptions.unsafe); /* nothing new */
    setup_close(&setup);
}

static void a_handle_that_knows_more_completes(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    update(&setup, METRIC_COUNTER, METRIC_ADD, "jobs", 2, 10);
    commit(&setup);
    uint32_t place = register_metric(&setup, METRIC_COUNTER, "jobs"); /* with help "h" */
    slot_counter_add(setup.claim.slot, place, 5);
    commit(&setup);
    assert_family(*state, "taskforge_jobs", "  h 0 7;");
    setup_close(&setup);
}

static void exemplars_follow_the_bounds(void **state) {
    struct setup setup;
    struct record_metric_update record = {
        .metric_kind = METRIC_HISTOGRAM, .value = 1.5, .name = TEXT_LITERAL("size"), .trace_id = TEXT_LITERAL("t")
    };
    setup_open(*state, &setup);
    fold_update(&setup.fold, &record, 10, &setup.batch);
    commit(&setup);
    describe(&setup, METRIC_HISTOGRAM, "size", "", "", two_bounds());
    fold_update(&setup.fold, &record, 11, &setup.batch);
    commit(&setup);
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct segment *segment;
    assert_int_equal(segment_open(((struct ring_fixture *)*state)->runtime_dir, &segment, NULL), 0);
    while (segment_next(segment, sample.position, &sample) == 1)
        if (text_is(sample.family, "taskforge_size") && !sample.hidden)
            break;
    assert_int_equal(sample.exemplar_count, 3);
    assert_true(sample.exemplars[1].value == 1.5 && sample.exemplars[0].length == 0);
    segment_sample_finish(&sample);
    segment_close(segment);
    setup_close(&setup);
}

static void what_cannot_be_is_refused(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    describe(&setup, METRIC_COUNTER, "jobs", "no unit", "", TEXT_EMPTY);
    describe(&setup, METRIC_COUNTER, "jobs", "", "\xff", TEXT_EMPTY);
    describe(&setup, METRIC_COUNTER, "jobs", "", "", two_bounds());
    describe(&setup, METRIC_TIMER, "1st", "", "help", TEXT_EMPTY);
    describe(&setup, METRIC_KIND_END, "jobs", "", "help", TEXT_EMPTY);
    describe(&setup, METRIC_TIMER, "work", "", "", TEXT_LITERAL("\x91\xc0"));
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_INVALID], 6);
    assert_int_equal(setup.fold.descriptions.count, 0);
    setup.fold.user = 12345;
    setup.fold.shares.bytes_max = setup.fold.shares.bytes + 100;
    describe(&setup, METRIC_COUNTER, "jobs", "", "help", TEXT_EMPTY);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_LIMIT], 1);
    assert_int_equal(setup.fold.descriptions.count, 0);
    setup_close(&setup);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_comes_first_is_there_at_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_comes_later_completes_with_the_next_update, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(the_first_of_each_holds, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_handle_that_knows_more_completes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(exemplars_follow_the_bounds, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
