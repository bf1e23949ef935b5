#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/metric.h"

#define LABEL(name, value)                                                                                             \
    { TEXT_INITIALIZER(name), TEXT_INITIALIZER(value) }

/* --- names --- */

static void takes_names_of_letters_digits_underscores_and_colons(void **state) {
    (void)state;
    struct error error = { "" };
    char large[METRIC_NAME_BYTES + 1];
    memset(large, 'x', sizeof(large));
    assert_int_equal(metric_name_check(TEXT_LITERAL("a:B_9"), NULL), 0);
    assert_int_equal(metric_name_check(TEXT_LITERAL("_"), NULL), 0);
    assert_int_equal(metric_name_check(TEXT_LITERAL("__name__"), NULL), 0);
    assert_int_equal(metric_name_check((struct text) { large, METRIC_NAME_BYTES }, NULL), 0);
    assert_int_equal(metric_name_check((struct text) { large, METRIC_NAME_BYTES + 1 }, &error), -EINVAL);
    assert_non_null(strstr(error.text, "200 bytes"));
    assert_int_equal(metric_name_check(TEXT_EMPTY, NULL), -EINVAL);
    assert_int_equal(metric_name_check(TEXT_LITERAL("9a"), NULL), -EINVAL);
    assert_int_equal(metric_name_check(TEXT_LITERAL("a-b"), &error), -EINVAL);
    assert_non_null(strstr(error.text, "byte 2 of \"a\""));
    assert_int_equal(metric_name_check(TEXT_LITERAL("a\0b"), NULL), -EINVAL);
    assert_int_equal(metric_name_check(TEXT_LITERAL("\xc3\xa4"), NULL), -EINVAL);
    assert_int_equal(metric_family_check((struct text) { large, METRIC_NAME_BYTES + 1 }), 0);
    assert_int_equal(metric_family_check(TEXT_EMPTY), -EINVAL);
    assert_int_equal(metric_family_check(TEXT_LITERAL("a b")), -EINVAL);
}

static void names_come_out_as_the_contract_says(void **state) {
    (void)state;
    static const struct {
        enum metric_kind kind;
        enum metric_naming naming;
        const char *name, *family;
    } cases[] = {
        { METRIC_COUNTER, METRIC_NAMING_APP, "jobs", "taskforge_jobs" },
        { METRIC_COUNTER, METRIC_NAMING_APP, "jobs_total", "taskforge_jobs" },
        { METRIC_COUNTER, METRIC_NAMING_APP, "_total", "taskforge__total" },
        { METRIC_COUNTER, METRIC_NAMING_APP, "jobs_total_total", "taskforge_jobs" },
        { METRIC_TIMER, METRIC_NAMING_APP, "run_seconds_seconds", "taskforge_run_seconds" },
        { METRIC_GAUGE, METRIC_NAMING_APP, "depth", "taskforge_depth_gauge" },
        { METRIC_HISTOGRAM, METRIC_NAMING_APP, "size", "taskforge_size" },
        { METRIC_TIMER, METRIC_NAMING_APP, "run", "taskforge_run_seconds" },
        { METRIC_TIMER, METRIC_NAMING_APP, "run_seconds", "taskforge_run_seconds" },
        { METRIC_UNKNOWN, METRIC_NAMING_APP, "x", "taskforge_x" },
        { METRIC_GAUGE, METRIC_NAMING_PREFIXED, "queue_count", "taskforge_queue_count" },
        { METRIC_COUNTER, METRIC_NAMING_PREFIXED, "ring_dropped_total", "taskforge_ring_dropped" },
        { METRIC_TIMER, METRIC_NAMING_PREFIXED, "store_commit_seconds", "taskforge_store_commit_seconds" },
        { METRIC_GAUGE, METRIC_NAMING_VERBATIM, "node_load1", "node_load1" },
        { METRIC_COUNTER, METRIC_NAMING_VERBATIM, "node_cpu_seconds_total", "node_cpu_seconds" },
        { METRIC_TIMER, METRIC_NAMING_VERBATIM, "http", "http_seconds" },
    };
    const struct metric_scheme scheme = { "taskforge", "_gauge" }, plain = { "tf", "" };
    char out[METRIC_FAMILY_BYTES];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t length = metric_family(&scheme, cases[i].kind, cases[i].naming, text_of(cases[i].name), out);
        assert_string_equal(out, cases[i].family);
        assert_int_equal(length, strlen(out));
    }
    metric_family(&plain, METRIC_GAUGE, METRIC_NAMING_APP, TEXT_LITERAL("depth"), out);
    assert_string_equal(out, "tf_depth");
    for (unsigned kind = METRIC_COUNTER; kind < METRIC_KIND_END; kind++)
        assert_true(strlen(metric_kind_name(kind)) > 0);
}

/* --- labels --- */

static void labels_become_canonical(void **state) {
    (void)state;
    const struct metric_label list[] = { LABEL("queue", "mail"), LABEL("b", ""), LABEL("a", "\xc3\xa4\n\""),
                                         LABEL("A", "x"), LABEL("aa", "1") };
    static const char *const names[] = { "A", "a", "aa", "queue" };
    char one[METRIC_LABELS_BYTES], two[METRIC_LABELS_BYTES];
    struct text labels, other;
    struct metric_label label;
    size_t at = 0, count = 0;
    assert_int_equal(metric_labels_pack(list, COUNT_OF(list), one, &labels, NULL), 0);
    while (metric_labels_next(labels, &at, &label)) {
        assert_true(text_is(label.name, names[count]));
        count++;
    }
    assert_int_equal(count, COUNT_OF(names));
    assert_true(text_is(metric_labels_find(labels, TEXT_LITERAL("a")), "\xc3\xa4\n\""));
    assert_int_equal(metric_labels_find(labels, TEXT_LITERAL("b")).length, 0);
    assert_int_equal(metric_labels_check(labels), 0);
    const struct metric_label turned[] = { list[4], list[3], list[2], list[0] };
    assert_int_equal(metric_labels_pack(turned, COUNT_OF(turned), two, &other, NULL), 0);
    assert_true(text_equal(labels, other));
    assert_int_equal(metric_labels_pack(&list[1], 1, two, &other, NULL), 0); /* only an empty one: none */
    assert_int_equal(other.length, 0);
    assert_int_equal(metric_labels_check(TEXT_EMPTY), 0);
    at = 0;
    assert_false(metric_labels_next(TEXT_EMPTY, &at, &label));
    assert_int_equal(metric_labels_find(TEXT_EMPTY, TEXT_LITERAL("a")).length, 0);
}

static int pack_one(struct text name, struct text value, struct error *error) {
    char room[METRIC_LABELS_BYTES];
    struct text labels;
    return metric_labels_pack(&(struct metric_label) { name, value }, 1, room, &labels, error);
}

static void refuses_labels_that_break_the_rules(void **state) {
    (void)state;
    struct error error = { "" };
    static char large[METRIC_LABEL_VALUE_BYTES + 1];
    char room[METRIC_LABELS_BYTES];
    struct text labels, one = TEXT_LITERAL("1");
    memset(large, 'x', sizeof(large));
    assert_int_equal(pack_one(TEXT_EMPTY, one, NULL), -EINVAL);
    assert_int_equal(pack_one(TEXT_LITERAL("9"), one, NULL), -EINVAL);
    assert_int_equal(pack_one(TEXT_LITERAL("a:b"), one, NULL), -EINVAL);
    assert_int_equal(pack_one(TEXT_LITERAL("__a"), one, NULL), -EINVAL);
    assert_int_equal(pack_one(TEXT_LITERAL("le"), one, &error), -EINVAL);
    assert_non_null(strstr(error.text, "called le"));
    assert_int_equal(pack_one(TEXT_LITERAL("quantile"), one, NULL), -EINVAL);
    assert_int_equal(pack_one((struct text) { large, METRIC_LABEL_NAME_BYTES }, one, NULL), 0);
    assert_int_equal(pack_one((struct text) { large, METRIC_LABEL_NAME_BYTES + 1 }, one, NULL), -EINVAL);
    assert_int_equal(pack_one(TEXT_LITERAL("a"), (struct text) { large, METRIC_LABEL_VALUE_BYTES }, NULL), 0);
    assert_int_equal(pack_one(TEXT_LITERAL("a"), (struct text) { large, METRIC_LABEL_VALUE_BYTES + 1 }, NULL), -E2BIG);
    assert_int_equal(pack_one(TEXT_LITERAL("a"), TEXT_LITERAL("\xff"), NULL), -EINVAL);
    assert_int_equal(pack_one(TEXT_LITERAL("a"), TEXT_LITERAL("x\0y"), NULL), -EINVAL);

    const struct metric_label twice[] = { LABEL("a", "1"), LABEL("b", "1"), LABEL("a", "2") };
    assert_int_equal(metric_labels_pack(twice, 3, room, &labels, &error), -EINVAL);
    assert_non_null(strstr(error.text, "label a is given twice"));
    struct metric_label many[METRIC_LABELS_MAX + 1];
    char names[METRIC_LABELS_MAX + 1][8];
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        size_t length = (size_t)snprintf(names[i], sizeof(names[i]), "n%zu", i);
        many[i] = (struct metric_label) { { names[i], length }, { large, 100 } };
    }
    assert_int_equal(metric_labels_pack(many, METRIC_LABELS_MAX, room, &labels, NULL), 0);
    assert_int_equal(metric_labels_pack(many, METRIC_LABELS_MAX + 1, room, &labels, NULL), -E2BIG);
    for (size_t i = 0; i < COUNT_OF(many); i++)
        many[i].value.length = 200;
    assert_int_equal(metric_labels_pack(many, METRIC_LABELS_MAX, room, &labels, NULL), -E2BIG);
    assert_int_equal(pack_one(TEXT_LITERAL("overflow"), TEXT_LITERAL("true"), NULL), 0);
    const struct metric_label overflow = LABEL("overflow", "true");
    assert_int_equal(metric_labels_pack(&overflow, 1, room, &labels, NULL), 0);
    assert_true(text_equal(labels, metric_overflow_labels));
}

static void only_canonical_bytes_are_labels(void **state) {
    (void)state;
    static const struct text bad[] = {
        TEXT_INITIALIZER("\x80"),   /* an empty map */
        TEXT_INITIALIZER("\x81\xa1" /* cut */
                         "a"),
        TEXT_INITIALIZER("\x82\xa1"
                         "b\xa1"
                         "1\xa1"
                         "a\xa1"
                         "1"), /* not sorted */
        TEXT_INITIALIZER("\x82\xa1"
                         "a\xa1"
                         "1\xa1"
                         "a\xa1"
                         "1"), /* twice */
        TEXT_INITIALIZER("\x81\xa1"
                         "a\xa0"), /* an empty value */
        TEXT_INITIALIZER("\x81\xa1"
                         "a\x01"), /* not a string */
        TEXT_INITIALIZER("\x81\xa2"
                         "le\xa1"
                         "1"),
        TEXT_INITIALIZER("\x81\xd9\x01"
                         "a\xa1"
                         "1"), /* longer than it must be */
        TEXT_INITIALIZER("\xde\x00\x01\xa1"
                         "a\xa1"
                         "1"),
        TEXT_INITIALIZER("\x81\xa1"
                         "a\xa1"
                         "1\xc0"), /* something behind */
        TEXT_INITIALIZER("\x91\xa1"
                         "a"),
        TEXT_INITIALIZER("\xdf\xff\xff\xff\xff"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (metric_labels_check(bad[i]) != -EINVAL)
            fail_msg("case %zu", i);
    assert_int_equal(metric_labels_check(TEXT_LITERAL("\x82\xa1"
                                                      "a\xa1"
                                                      "1\xa1"
                                                      "b\xa1"
                                                      "1")),
                     0);
    static char large[METRIC_LABELS_BYTES + 1] = { (char)0x81 };
    assert_int_equal(metric_labels_check((struct text) { large, sizeof(large) }), -EINVAL);
}

/* --- definitions --- */

static void bounds_ascend_and_are_finite(void **state) {
    (void)state;
    double many[METRIC_BOUNDS_MAX + 1], back[METRIC_BOUNDS_MAX];
    char room[METRIC_BOUNDS_BYTES];
    struct text bounds;
    for (size_t i = 0; i < COUNT_OF(many); i++)
        many[i] = (double)i * 0.1 - 3;
    assert_int_equal(metric_bounds_pack(many, METRIC_BOUNDS_MAX, room, &bounds, NULL), 0);
    assert_int_equal(metric_bounds_read(bounds, back), METRIC_BOUNDS_MAX);
    assert_memory_equal(many, back, sizeof(back));
    assert_int_equal(metric_bounds_pack(many, METRIC_BOUNDS_MAX + 1, room, &bounds, NULL), -EINVAL);
    assert_int_equal(metric_bounds_pack((const double[]) { 1, 1 }, 2, room, &bounds, NULL), -EINVAL);
    assert_int_equal(metric_bounds_pack((const double[]) { 1, INFINITY }, 2, room, &bounds, NULL), -EINVAL);
    assert_int_equal(metric_bounds_pack((const double[]) { NAN }, 1, room, &bounds, NULL), -EINVAL);
    assert_int_equal(metric_bounds_pack(many, 0, room, &bounds, NULL), 0);
    assert_int_equal(bounds.length, 0);
    assert_int_equal(metric_bounds_read(bounds, back), 0);
}

static void judges_a_definition_from_outside(void **state) {
    (void)state;
    static char large[METRIC_HELP_BYTES + 1];
    memset(large, 'x', sizeof(large));
    const struct metric_definition good = { .kind = METRIC_HISTOGRAM,
                                            .name = TEXT_LITERAL("size"),
                                            .unit = TEXT_LITERAL("bytes"),
                                            .help = { large, METRIC_HELP_BYTES } };
    struct metric_definition bad[11];
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        bad[i] = good;
    bad[0].kind = 0;
    bad[1].kind = METRIC_KIND_END;
    bad[2].naming = METRIC_NAMING_END;
    bad[3].name = TEXT_EMPTY;
    bad[4].labels = TEXT_LITERAL("\x80");
    bad[5].unit = TEXT_LITERAL("a b");
    bad[6].unit = (struct text) { large, METRIC_UNIT_BYTES + 1 };
    bad[7].help = (struct text) { large, METRIC_HELP_BYTES + 1 };
    bad[8].help = TEXT_LITERAL("\xc3");
    bad[10].help = TEXT_LITERAL("a\0b");
    bad[9].bounds = TEXT_LITERAL("\x91\x01"); /* not a double */
    assert_int_equal(metric_definition_check(&good, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error error = { "" };
        if (metric_definition_check(&bad[i], &error) != -EINVAL || !error.text[0])
            fail_msg("case %zu", i);
    }
}

/* --- families --- */

static int claim(struct metric_families *families, enum metric_kind kind, const char *family, struct error *error) {
    return metric_families_add(families, kind, text_of(family), error);
}

static void a_family_has_one_kind_and_its_names_for_itself(void **state) {
    (void)state;
    struct metric_families families = METRIC_FAMILIES_EMPTY;
    struct error error = { "" };
    assert_int_equal(claim(&families, METRIC_COUNTER, "jobs", NULL), 0);
    assert_int_equal(claim(&families, METRIC_COUNTER, "jobs", NULL), 0);
    assert_int_equal(claim(&families, METRIC_GAUGE, "jobs", &error), -EEXIST);
    assert_string_equal(error.text, "jobs is a counter already and cannot be a gauge too");
    assert_int_equal(claim(&families, METRIC_GAUGE, "jobs_total", &error), -EEXIST);
    assert_string_equal(error.text, "the gauge jobs_total would collide with jobs_total of the counter jobs");
    assert_int_equal(claim(&families, METRIC_GAUGE, "jobs_created", NULL), -EEXIST);
    assert_int_equal(claim(&families, METRIC_GAUGE, "jobs_sum", NULL), 0);
    assert_int_equal(claim(&families, METRIC_HISTOGRAM, "jobs", NULL), -EEXIST);
    assert_int_equal(claim(&families, METRIC_COUNTER, "jobs_total", NULL), -EEXIST);
    /* the other way round: the plain name was there first, and nothing of the refused family stays */
    assert_int_equal(claim(&families, METRIC_UNKNOWN, "size_count", NULL), 0);
    assert_int_equal(claim(&families, METRIC_HISTOGRAM, "size", &error), -EEXIST);
    assert_string_equal(error.text, "the histogram size would collide with size_count of the unknown size_count");
    assert_int_equal(claim(&families, METRIC_GAUGE, "size", NULL), 0);
    assert_int_equal(claim(&families, METRIC_GAUGE, "size_bucket", NULL), 0);
    assert_int_equal(claim(&families, METRIC_TIMER, "run_seconds", NULL), 0);
    assert_int_equal(claim(&families, METRIC_COUNTER, "run_seconds_bucket", NULL), -EEXIST);
    assert_int_equal(claim(&families, METRIC_GAUGE, "", NULL), -EINVAL);
    metric_families_finish(&families);
}

static void thousands_of_families_are_all_remembered(void **state) {
    (void)state;
    struct metric_families families = METRIC_FAMILIES_EMPTY;
    char name[32];
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 3000; i++) {
            snprintf(name, sizeof(name), "family_%d", i);
            assert_int_equal(claim(&families, i % 2 ? METRIC_TIMER : METRIC_COUNTER, name, NULL), 0);
        }
    assert_int_equal(families.count, 1500 * 3 + 1500 * 5);
    assert_int_equal(claim(&families, METRIC_GAUGE, "family_2998_total", NULL), -EEXIST);
    metric_families_finish(&families);
    assert_int_equal(claim(&families, METRIC_GAUGE, "family_2998_total", NULL), 0);
    metric_families_finish(&families);
}

static void labels_are_printed_and_read_back_exactly(void **state) {
    (void)state;
    const struct metric_label list[] = { { TEXT_LITERAL("a"), TEXT_LITERAL("\"\\\n") },
                                         { TEXT_LITERAL("b"), TEXT_LITERAL("x,y=\"{}\t\xc3\xa4\r") },
                                         { TEXT_LITERAL("c"), TEXT_LITERAL("mail") } };
    char packed[METRIC_LABELS_BYTES], again[METRIC_LABELS_BYTES];
    struct buffer out = BUFFER_EMPTY;
    struct text labels, back;
    assert_int_equal(metric_labels_pack(list, 3, packed, &labels, NULL), 0);
    metric_labels_print(labels, &out);
    assert_true(text_is(buffer_text(&out), "a=\"\\\"\\\\\\n\",b=\"x,y=\\\"{}\t\xc3\xa4\r\",c=\"mail\""));
    assert_int_equal(metric_labels_parse(buffer_text(&out), again, &back), 0);
    assert_true(text_equal(labels, back));
    buffer_clear(&out);
    metric_labels_print(TEXT_EMPTY, &out);
    assert_int_equal(out.length, 0);
    assert_int_equal(metric_labels_parse(TEXT_EMPTY, again, &back), 0);
    assert_int_equal(back.length, 0);
    static const char *const bad[] = {
        "a",          "a=",       "a=\"",           "a=\"x",           "=\"x\"",     "a=\"\"",          "a=\"x\",",
        "a=\"x\" ",   ",a=\"x\"", "a=\"x\"b=\"y\"", "b=\"x\",a=\"y\"", "a=\"x\\",    "a=\"x\\t\"",      "a=\"x\ny\"",
        "a=\"x\"y\"", "le=\"1\"", "__a=\"x\"",      "1=\"x\"",         "a=\"\xff\"", "a=\"x\",a=\"y\"",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (metric_labels_parse(text_of(bad[i]), again, &back) != -EINVAL)
            fail_msg("%s", bad[i]);
    assert_int_equal(metric_labels_parse(TEXT_LITERAL("a=\"x\0\""), again, &back), -EINVAL);
    buffer_finish(&out);
}

static void the_largest_labels_fit_when_printed(void **state) {
    (void)state;
    static char quotes[METRIC_LABEL_VALUE_BYTES];
    struct metric_label list[METRIC_LABELS_MAX];
    char packed[METRIC_LABELS_BYTES], again[METRIC_LABELS_BYTES], names[METRIC_LABELS_MAX][2];
    struct buffer out = BUFFER_EMPTY;
    struct text labels, back;
    memset(quotes, '"', sizeof(quotes));
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
        names[i][0] = (char)(i < 26 ? 'a' + i : 'A' + i - 26);
        list[i] = (struct metric_label) { { names[i], 1 }, { quotes, i < 3 ? sizeof(quotes) : 27 } };
    }
    assert_int_equal(metric_labels_pack(list, METRIC_LABELS_MAX, packed, &labels, NULL), 0);
    metric_labels_print(labels, &out);
    assert_true(out.length > 2 * 3900 && out.length <= METRIC_PRINTED_BYTES);
    assert_int_equal(metric_labels_parse(buffer_text(&out), again, &back), 0);
    assert_true(text_equal(labels, back));
    buffer_append_string(&out, ",z0=\"y\"");
    assert_int_equal(metric_labels_parse(buffer_text(&out), again, &back), -EINVAL); /* one too many */
    buffer_finish(&out);
}

static void only_gauges_have_a_rule(void **state) {
    (void)state;
    struct metric_definition definition = { .kind = METRIC_GAUGE,
                                            .combine = METRIC_COMBINE_MAX,
                                            .name = TEXT_LITERAL("x") };
    struct error error = { "" };
    assert_int_equal(metric_definition_check(&definition, &error), 0);
    definition.combine = METRIC_COMBINE_END;
    assert_int_equal(metric_definition_check(&definition, &error), -EINVAL);
    assert_non_null(strstr(error.text, "sum"));
    definition.kind = METRIC_COUNTER;
    definition.combine = METRIC_COMBINE_SUM;
    assert_int_equal(metric_definition_check(&definition, &error), -EINVAL);
}

static void a_series_has_as_many_exemplars_as_buckets(void **state) {
    (void)state;
    const double bounds[] = { 1, 2 };
    char packed[METRIC_BOUNDS_BYTES];
    struct text text;
    struct metric_exemplar exemplar = { .value = 1, .length = 2, .trace_id = "ab" };
    assert_int_equal(metric_bounds_pack(bounds, 2, packed, &text, NULL), 0);
    assert_int_equal(metric_exemplar_count(METRIC_HISTOGRAM, text), 3);
    assert_int_equal(metric_exemplar_count(METRIC_TIMER, TEXT_EMPTY), 17);
    assert_int_equal(metric_exemplar_count(METRIC_COUNTER, TEXT_EMPTY), 1);
    assert_int_equal(metric_exemplar_count(METRIC_GAUGE, TEXT_EMPTY), 0);
    assert_true(metric_exemplar_is_valid(&exemplar));
    exemplar.length = 3; /* with the NUL */
    assert_false(metric_exemplar_is_valid(&exemplar));
    exemplar.length = METRIC_TRACE_ID_BYTES + 1;
    assert_false(metric_exemplar_is_valid(&exemplar));
    exemplar.length = 0;
    assert_false(metric_exemplar_is_valid(&exemplar));
    exemplar = (struct metric_exemplar) { .value = NAN, .length = 1, .trace_id = "a" };
    assert_false(metric_exemplar_is_valid(&exemplar));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_printed_and_read_back_exactly),
        cmocka_unit_test(the_largest_labels_fit_when_printed),
        cmocka_unit_test(only_gauges_have_a_rule),
        cmocka_unit_test(a_series_has_as_many_exemplars_as_buckets),
        cmocka_unit_test(takes_names_of_letters_digits_underscores_and_colons),
        cmocka_unit_test(names_come_out_as_the_contract_says),
        cmocka_unit_test(labels_become_canonical),
        cmocka_unit_test(refuses_labels_that_break_the_rules),
        cmocka_unit_test(only_canonical_bytes_are_labels),
        cmocka_unit_test(bounds_ascend_and_are_finite),
        cmocka_unit_test(judges_a_definition_from_outside),
        cmocka_unit_test(a_family_has_one_kind_and_its_names_for_itself),
        cmocka_unit_test(thousands_of_families_are_all_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
