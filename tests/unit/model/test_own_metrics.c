/* The table of our own metrics: each row is one that may be, under the rules of names that Prometheus' users go by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/model/own_metrics.h"

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && strcmp(name + length - end_length, end) == 0;
}

static void every_row_is_a_metric_that_may_be(void **state) {
    (void)state;
    const struct text values[OWN_METRIC_LABELS_MAX] = { TEXT_LITERAL("a"), TEXT_LITERAL("b"), TEXT_LITERAL("c") };
    for (int i = 0; i < OWN_METRIC_COUNT; i++) {
        const struct own_metric_row *row = own_metric_row((enum own_metric)i);
        struct metric_definition definition;
        struct error error = { "" };
        char room[METRIC_LABELS_BYTES];
        if (own_metric_define((enum own_metric)i, values, room, &definition, &error) < 0 ||
            metric_definition_check(&definition, &error) < 0)
            fail_msg("%s: %s", row->name, error.text);
        assert_int_equal(definition.naming, METRIC_NAMING_PREFIXED);
        assert_true(row->help[0] != '\0' && ends_with(row->help, "."));
        assert_int_equal(ends_with(row->name, "_total"), row->kind == METRIC_COUNTER);
        assert_true(row->kind != METRIC_TIMER || ends_with(row->name, "_seconds"));
    }
}

static void no_name_takes_anothers_names(void **state) {
    (void)state;
    const struct metric_scheme scheme = { "taskforge", "_gauge" };
    struct metric_families families = METRIC_FAMILIES_EMPTY;
    for (int i = 0; i < OWN_METRIC_COUNT; i++) {
        const struct own_metric_row *row = own_metric_row((enum own_metric)i);
        char family[METRIC_FAMILY_BYTES];
        struct error error = { "" };
        size_t length = metric_family(&scheme, row->kind, METRIC_NAMING_PREFIXED, text_of(row->name), family);
        struct text text = { family, length };
        assert_int_equal(metric_families_check(&families, row->kind, text, &error),
                         0); /* not 1: no row is there twice */
        if (metric_families_add(&families, row->kind, text, &error) < 0)
            fail_msg("%s", error.text);
    }
    metric_families_finish(&families);
}

static void a_series_has_its_values_as_labels(void **state) {
    (void)state;
    const struct text values[] = { TEXT_LITERAL("api"), TEXT_LITERAL("warn"), TEXT_LITERAL("lane_full") };
    struct metric_definition definition;
    char room[METRIC_LABELS_BYTES];
    assert_int_equal(own_metric_define(OWN_RING_DROPPED, values, room, &definition, NULL), 0);
    assert_int_equal(definition.kind, METRIC_COUNTER);
    assert_true(text_is(definition.name, "ring_dropped_total"));
    assert_true(text_is(metric_labels_find(definition.labels, TEXT_LITERAL("service")), "api"));
    assert_true(text_is(metric_labels_find(definition.labels, TEXT_LITERAL("level")), "warn"));
    assert_true(text_is(metric_labels_find(definition.labels, TEXT_LITERAL("reason")), "lane_full"));
    assert_int_equal(own_metric_define(OWN_RING_RINGS, NULL, room, &definition, NULL), 0);
    assert_int_equal(definition.labels.length, 0);
}

static void an_empty_value_leaves_its_label_out(void **state) {
    (void)state;
    const struct text values[] = { TEXT_EMPTY, TEXT_LITERAL("damaged") };
    struct metric_definition definition;
    struct metric_label label;
    char room[METRIC_LABELS_BYTES];
    size_t at = 0;
    assert_int_equal(own_metric_define(OWN_ALERTER_NOTIFICATIONS, values, room, &definition, NULL), 0);
    assert_true(metric_labels_next(definition.labels, &at, &label));
    assert_true(text_is(label.name, "outcome") && text_is(label.value, "damaged"));
    assert_false(metric_labels_next(definition.labels, &at, &label));
}

static void a_value_that_no_label_may_have_is_refused(void **state) {
    (void)state;
    const struct text bad[] = { TEXT_LITERAL("\xff"), TEXT_LITERAL("utf8") };
    struct metric_definition definition = { .kind = METRIC_TIMER };
    struct error error = { "" };
    char room[METRIC_LABELS_BYTES];
    assert_int_equal(own_metric_define(OWN_INPUT_REPAIRED, bad, room, &definition, &error), -EINVAL);
    assert_non_null(strstr(error.text, "input"));
    assert_int_equal(definition.kind, METRIC_TIMER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_a_metric_that_may_be),
        cmocka_unit_test(no_name_takes_anothers_names),
        cmocka_unit_test(a_series_has_its_values_as_labels),
        cmocka_unit_test(an_empty_value_leaves_its_label_out),
        cmocka_unit_test(a_value_that_no_label_may_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
