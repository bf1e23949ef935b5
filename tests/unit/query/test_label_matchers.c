/* Selectors of series: what they take, what they refuse, whom they let pass. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/model/metric.h"
#include "common/query/label_matchers.h"

static void passes(const char *text, int expected) {
    static const struct metric_label labels[] = { { TEXT_INITIALIZER("queue"), TEXT_INITIALIZER("mail") },
                                                  { TEXT_INITIALIZER("state"), TEXT_INITIALIZER("do\"ne") } };
    char room[METRIC_LABELS_BYTES];
    struct text packed;
    struct label_matchers matchers;
    assert_int_equal(metric_labels_pack(labels, COUNT_OF(labels), room, &packed, NULL), 0);
    assert_int_equal(label_matchers_parse(text_of(text), &matchers, NULL), 0);
    assert_int_equal(label_matchers_judge(&matchers, packed, NULL), expected);
    label_matchers_finish(&matchers);
}

static void all_conditions_must_hold(void **state) {
    (void)state;
    passes("{}", 1);
    passes("{queue=\"mail\"}", 1);
    passes("{ queue = \"mail\", state=\"do\\\"ne\", }", 1);
    passes("{queue=\"mail\",state=\"open\"}", 0);
    passes("{queue=\"mai\"}", 0);
    passes("{queue!=\"mail\"}", 0);
    passes("{queue=~\"m.*\"}", 1);
    passes("{queue=~\"ai\"}", 0); /* the whole value */
    passes("{queue!~\"ai\"}", 1);
    passes("{host=\"\"}", 1); /* it has none */
    passes("{host!=\"\"}", 0);
    passes("{host=~\".*\"}", 1);
}

static void what_is_no_selector_is_refused_at_its_place(void **state) {
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        { "", "character 1: expected {, found the end" },
        { "queue=\"mail\"", "character 1: expected {, found queue" },
        { "{queue}", "character 7: expected = != =~ or !~, found }" },
        { "{queue=mail}", "character 8: expected a value in quotes, found mail" },
        { "{queue=\"a\" b=\"c\"}", "character 12: expected , or }, found b" },
        { "{queue=\"a\"} x", "character 13: expected the end, found x" },
        { "{=\"a\"}", "character 2: expected a label's name or }, found =" },
    };
    struct label_matchers matchers;
    struct error error;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(label_matchers_parse(text_of(cases[i].text), &matchers, &error), -EINVAL);
        assert_string_equal(error.text, cases[i].sentence);
    }
    assert_int_equal(label_matchers_parse(TEXT_LITERAL("{a.b=\"x\"}"), &matchers, &error), -EINVAL);
    assert_int_equal(label_matchers_parse(TEXT_LITERAL("{queue=~\"(\"}"), &matchers, &error), -EINVAL);
    assert_int_equal(label_matchers_parse(TEXT_LITERAL("{queue=\"a"), &matchers, &error), -EINVAL);
}

static void a_name_may_stand_before_it(void **state) {
    struct label_matchers matchers;
    struct text name;
    (void)state;
    assert_int_equal(label_matchers_parse_selector(TEXT_LITERAL("jobs_total"), &name, &matchers, NULL), 0);
    assert_true(text_is(name, "jobs_total") && matchers.count == 0);
    assert_int_equal(label_matchers_parse_selector(TEXT_LITERAL("jobs {a=\"b\"}"), &name, &matchers, NULL), 0);
    assert_true(text_is(name, "jobs") && matchers.count == 1);
    label_matchers_finish(&matchers);
    assert_int_equal(label_matchers_parse_selector(TEXT_EMPTY, &name, &matchers, NULL), 0);
    assert_true(name.length == 0 && matchers.count == 0);
    assert_int_equal(label_matchers_parse_selector(TEXT_LITERAL("jobs{"), &name, &matchers, NULL), -EINVAL);
}

static void too_many_are_refused(void **state) {
    char text[LABEL_MATCHERS_MAX * 16 + 64] = "{";
    struct label_matchers matchers;
    (void)state;
    for (int i = 0; i <= LABEL_MATCHERS_MAX; i++)
        strcat(text, "a=\"b\",");
    strcat(text, "}");
    assert_int_equal(label_matchers_parse(text_of(text), &matchers, NULL), -E2BIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_conditions_must_hold),
        cmocka_unit_test(what_is_no_selector_is_refused_at_its_place),
        cmocka_unit_test(a_name_may_stand_before_it),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
