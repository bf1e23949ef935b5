#include "tests/unit/shm/segment_fixture.h"

#include "common/base/check.h"
#include "common/shm/segment_find.h"

static struct segment_sample sample_of(enum metric_kind kind, enum metric_naming naming, const char *name,
                                       char family[METRIC_FAMILY_BYTES]) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    sample.definition = (struct metric_definition) { .kind = kind, .naming = naming, .name = text_of(name) };
    size_t length = metric_family(&fixture_scheme, kind, naming, text_of(name), family);
    sample.family = (struct text) { family, length };
    return sample;
}

static void a_series_is_found_by_each_of_its_names(void **state) {
    (void)state;
    static const struct {
        enum metric_kind kind;
        enum metric_naming naming;
        const char *name;
        const char *names[6], *others[6];
    } cases[] = {
        { METRIC_COUNTER,
          METRIC_NAMING_APP,
          "jobs",
          { "jobs", "jobs_total", "taskforge_jobs", "taskforge_jobs_total" },
          { "job", "jobs_", "total", "taskforge_jobs_total_total", "jobs_sum" } },
        { METRIC_COUNTER,
          METRIC_NAMING_VERBATIM,
          "node_cpu_seconds_total",
          { "node_cpu_seconds_total", "node_cpu_seconds" },
          { "node_cpu", "taskforge_node_cpu_seconds_total" } },
        { METRIC_GAUGE,
          METRIC_NAMING_APP,
          "depth",
          { "depth", "taskforge_depth_gauge" },
          { "depth_gauge", "taskforge_depth", "depth_total" } },
        { METRIC_TIMER,
          METRIC_NAMING_APP,
          "run_seconds",
          { "run", "run_seconds", "taskforge_run_seconds" },
          { "taskforge_run", "run_seconds_count", "run_seconds_sum" } },
        { METRIC_HISTOGRAM,
          METRIC_NAMING_APP,
          "size",
          { "size", "taskforge_size" },
          { "size_bucket", "size_count", "size_sum", "" } },
    };
    char family[METRIC_FAMILY_BYTES];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct segment_sample sample = sample_of(cases[i].kind, cases[i].naming, cases[i].name, family);
        for (size_t n = 0; cases[i].names[n]; n++)
            if (!segment_sample_is(&sample, text_of(cases[i].names[n])) ||
                !segment_sample_begins(&sample, text_of(cases[i].names[n])))
                fail_msg("%s", cases[i].names[n]);
        for (size_t n = 0; cases[i].others[n]; n++)
            if (segment_sample_is(&sample, text_of(cases[i].others[n])))
                fail_msg("%s", cases[i].others[n]);
    }
}

static void a_prefix_is_one_of_either_name(void **state) {
    (void)state;
    char family[METRIC_FAMILY_BYTES];
    struct segment_sample sample = sample_of(METRIC_GAUGE, METRIC_NAMING_APP, "queue_depth", family);
    assert_true(segment_sample_begins(&sample, TEXT_EMPTY));
    assert_true(segment_sample_begins(&sample, TEXT_LITERAL("queue_")));
    assert_true(segment_sample_begins(&sample, TEXT_LITERAL("taskforge_q")));
    assert_false(segment_sample_begins(&sample, TEXT_LITERAL("depth")));
    assert_false(segment_sample_begins(&sample, TEXT_LITERAL("queue_depth_")));
}

static void a_name_means_a_value(void **state) {
    (void)state;
    char family[METRIC_FAMILY_BYTES];
    double value = -1;
    struct segment_sample gauge = sample_of(METRIC_GAUGE, METRIC_NAMING_APP, "depth", family);
    gauge.value = 7;
    assert_true(segment_sample_value(&gauge, TEXT_LITERAL("depth"), &value));
    assert_true(value == 7);
    assert_false(segment_sample_value(&gauge, TEXT_LITERAL("depth_count"), &value));
    struct segment_sample timer = sample_of(METRIC_TIMER, METRIC_NAMING_APP, "run", family);
    assert_int_equal(histogram_add(&timer.histogram, 0.5, 4), 0);
    static const char *const counts[] = { "run_count", "run_seconds_count", "taskforge_run_seconds_count" };
    static const char *const sums[] = { "run_sum", "run_seconds_sum", "taskforge_run_seconds_sum" };
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        assert_true(segment_sample_value(&timer, text_of(counts[i]), &value));
        assert_true(value == 4);
        assert_true(segment_sample_value(&timer, text_of(sums[i]), &value));
        assert_true(value == 2);
    }
    assert_false(segment_sample_value(&timer, TEXT_LITERAL("run"), &value));
    assert_false(segment_sample_value(&timer, TEXT_LITERAL("taskforge_run_count"), &value));
    assert_false(segment_sample_value(&timer, TEXT_LITERAL("_count"), &value));
    segment_sample_finish(&timer);
}

static void finds_the_series_of_a_segment(void **state) {
    struct ring_fixture *fixture = *state;
    assert_int_equal(map_guard_install(NULL), 0);
    struct segment_writer *writer = fixture_published(fixture->runtime_dir);
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct metric_label mail = { TEXT_LITERAL("queue"), TEXT_LITERAL("mail") },
                        nothing = { TEXT_LITERAL("queue"), TEXT_EMPTY };
    segment_set_value(writer, fixture_add(writer, METRIC_COUNTER, "jobs", "mail"), 1, 1);
    segment_set_value(writer, fixture_add(writer, METRIC_GAUGE, "depth", "mail"), 2, 1);
    segment_set_value(writer, fixture_add(writer, METRIC_COUNTER, "jobs", ""), 3, 1);
    segment_set_hidden(writer, fixture_add(writer, METRIC_COUNTER, "jobs", "gone"), true);
    fixture_add(writer, METRIC_TIMER, "run", "");
    struct segment *segment = fixture_open(fixture->runtime_dir);
    assert_int_equal(segment_find(segment, TEXT_LITERAL("jobs"), NULL, 0, &sample), 1);
    assert_true(sample.value == 1);
    assert_int_equal(segment_find(segment, TEXT_LITERAL("jobs"), NULL, 0, &sample), 1);
    assert_true(sample.value == 3);
    assert_int_equal(segment_find(segment, TEXT_LITERAL("jobs"), NULL, 0, &sample), 0);
    sample.position = 0;
    assert_int_equal(segment_find(segment, TEXT_LITERAL("jobs"), &nothing, 1, &sample), 1);
    assert_true(sample.value == 3);
    sample.position = 0;
    assert_int_equal(segment_find(segment, TEXT_LITERAL("taskforge_jobs_total"), &mail, 1, &sample), 1);
    assert_true(sample.value == 1);
    assert_int_equal(segment_find(segment, TEXT_LITERAL("taskforge_jobs_total"), &mail, 1, &sample), 0);
    sample.position = 0;
    assert_int_equal(segment_find(segment, TEXT_LITERAL("run_count"), NULL, 0, &sample), 1);
    assert_int_equal(sample.definition.kind, METRIC_TIMER);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_is_found_by_each_of_its_names),
        cmocka_unit_test(a_prefix_is_one_of_either_name),
        cmocka_unit_test(a_name_means_a_value),
        cmocka_unit_test_setup_teardown(finds_the_series_of_a_segment, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
