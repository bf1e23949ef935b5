#include "alerter/evaluate.h"

#include "common/base/check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct rule log_rule = { .kind = RULE_LOG, .log = { .count_threshold = 10 } };
static const struct rule silence_rule = { .kind = RULE_SILENCE };

static struct rule metric(int operator, double threshold) {
    return (struct rule) { .kind = RULE_METRIC, .metric = { .operator= operator, .threshold = threshold } };
}

static enum verdict of(const struct rule *rule, double value, bool firing) {
    return evaluate(rule, &(struct observation) { .value = value }, firing);
}

static void a_log_rule_fires_at_its_count(void **state) {
    (void)state;
    assert_int_equal(of(&log_rule, 9, false), VERDICT_OK);
    assert_int_equal(of(&log_rule, 10, false), VERDICT_FIRING);
    assert_int_equal(of(&log_rule, 9, true), VERDICT_OK);
    struct rule rule = log_rule;
    rule.has_resolve_threshold = true;
    rule.resolve_threshold = 5;
    assert_int_equal(of(&rule, 5, true), VERDICT_FIRING);
    assert_int_equal(of(&rule, 5, false), VERDICT_OK);
    assert_int_equal(of(&rule, 4, true), VERDICT_OK);
}

static void too_few_entries_prove_nothing_without_a_collector(void **state) {
    (void)state;
    const struct observation few = { .value = 3, .partial = true }, enough = { .value = 10, .partial = true };
    assert_int_equal(evaluate(&log_rule, &few, true), VERDICT_NO_DATA);
    assert_int_equal(evaluate(&log_rule, &enough, false), VERDICT_FIRING);
}

static void each_operator_compares(void **state) {
    static const struct {
        int operator;
        enum verdict below, at, above;
    } cases[] = {
        { RULE_GREATER, VERDICT_OK, VERDICT_OK, VERDICT_FIRING },
        { RULE_LESS, VERDICT_FIRING, VERDICT_OK, VERDICT_OK },
        { RULE_EQUAL, VERDICT_OK, VERDICT_FIRING, VERDICT_OK },
        { RULE_NOT_EQUAL, VERDICT_FIRING, VERDICT_OK, VERDICT_FIRING },
        { RULE_GREATER_OR_EQUAL, VERDICT_OK, VERDICT_FIRING, VERDICT_FIRING },
        { RULE_LESS_OR_EQUAL, VERDICT_FIRING, VERDICT_FIRING, VERDICT_OK },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct rule rule = metric(cases[i].operator, 100);
        assert_int_equal(of(&rule, 99, false), cases[i].below);
        assert_int_equal(of(&rule, 100, false), cases[i].at);
        assert_int_equal(of(&rule, 101, false), cases[i].above);
    }
}

static void equal_is_nearer_than_the_smallest_step_at_one(void **state) {
    (void)state;
    const struct rule rule = metric(RULE_EQUAL, 0.3);
    assert_int_equal(of(&rule, 0.1 + 0.2, false), VERDICT_FIRING);
    const struct rule infinite = metric(RULE_EQUAL, 1e308);
    assert_int_equal(of(&infinite, INFINITY, false), VERDICT_OK);
}

static void a_resolve_threshold_keeps_it_firing(void **state) {
    (void)state;
    struct rule rule = metric(RULE_GREATER, 100);
    rule.has_resolve_threshold = true;
    rule.resolve_threshold = 80;
    assert_int_equal(of(&rule, 90, false), VERDICT_OK);
    assert_int_equal(of(&rule, 90, true), VERDICT_FIRING);
    assert_int_equal(of(&rule, 80, true), VERDICT_FIRING);
    assert_int_equal(of(&rule, 79.9, true), VERDICT_OK);
    rule.metric.operator= RULE_LESS;
    rule.metric.threshold = 10;
    rule.resolve_threshold = 20;
    assert_int_equal(of(&rule, 15, true), VERDICT_FIRING);
    assert_int_equal(of(&rule, 20.1, true), VERDICT_OK);
}

static void no_value_is_no_verdict(void **state) {
    (void)state;
    const struct rule rule = metric(RULE_NOT_EQUAL, 1);
    assert_int_equal(evaluate(&rule, &(struct observation) { .missing = true }, true), VERDICT_NO_DATA);
    assert_int_equal(of(&rule, NAN, true), VERDICT_NO_DATA);
}

static void silence_is_no_entry_in_a_window_that_was_seen_whole(void **state) {
    (void)state;
    assert_int_equal(of(&silence_rule, 0, false), VERDICT_FIRING);
    assert_int_equal(of(&silence_rule, 1, true), VERDICT_OK);
    assert_int_equal(evaluate(&silence_rule, &(struct observation) { .partial = true }, false), VERDICT_NO_DATA);
    assert_int_equal(evaluate(&silence_rule, &(struct observation) { .value = 2, .partial = true }, false), VERDICT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_rule_fires_at_its_count),
        cmocka_unit_test(too_few_entries_prove_nothing_without_a_collector),
        cmocka_unit_test(each_operator_compares),
        cmocka_unit_test(equal_is_nearer_than_the_smallest_step_at_one),
        cmocka_unit_test(a_resolve_threshold_keeps_it_firing),
        cmocka_unit_test(no_value_is_no_verdict),
        cmocka_unit_test(silence_is_no_entry_in_a_window_that_was_seen_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
