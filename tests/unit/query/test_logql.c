#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/query/logql_parser.h"

static int parse(const char *source, struct filter *filter, struct error *error) {
    filter_init(filter);
    return logql_parse(text_of(source), filter, error);
}

static void reads_the_contracts_example(void **state) {
    (void)state;
    struct filter filter;
    assert_int_equal(parse("{service=\"queue\",level=~\"error|critical\"} |= \"timeout\" != \"retry\" |~ \"id=[0-9]+\"",
                           &filter, NULL),
                     0);
    assert_int_equal(filter.matcher_count, 1);
    assert_int_equal(filter.matchers[0].field, FILTER_SERVICE);
    assert_true(text_is(filter.matchers[0].value, "queue"));
    assert_int_equal(filter.levels, 1 << LEVEL_ERROR | 1 << LEVEL_CRITICAL);
    assert_int_equal(filter.line_count, 3);
    assert_false(filter.lines[0].negated || filter.lines[0].regex);
    assert_true(filter.lines[1].negated && !filter.lines[1].regex);
    assert_true(filter.lines[2].regex);
    assert_true(text_is(filter.lines[2].alternatives[0].bytes, "id="));
    filter_finish(&filter);
}

static void reads_every_operator_and_label(void **state) {
    (void)state;
    struct filter filter;
    assert_int_equal(parse("{ module != \"x\" , operation=~\"a.*\", host!~`b`, queue.name=\"mail\", \"a key\"=\"v\", "
                           "metadata.service=\"s\", pid=\"17\",}  # all\n !~ `x\\d` |= \"a\" or \"b\" or `c`",
                           &filter, NULL),
                     0);
    assert_int_equal(filter.matcher_count, 7);
    assert_int_equal(filter.matchers[0].op, FILTER_NOT_EQUAL);
    assert_int_equal(filter.matchers[1].op, FILTER_MATCH);
    assert_int_equal(filter.matchers[2].op, FILTER_NOT_MATCH);
    assert_int_equal(filter.matchers[3].field, FILTER_METADATA);
    assert_true(text_is(filter.matchers[3].key, "queue.name"));
    assert_true(text_is(filter.matchers[4].key, "a key"));
    assert_int_equal(filter.matchers[5].field, FILTER_METADATA);
    assert_true(text_is(filter.matchers[5].key, "service"));
    assert_int_equal(filter.line_count, 2);
    assert_true(filter.lines[0].negated && filter.lines[0].regex);
    assert_int_equal(filter.lines[1].alternative_count, 3);
    assert_true(text_is(filter.lines[1].alternatives[2].bytes, "c"));
    filter_finish(&filter);
}

static void takes_empty_braces_and_missing_ones(void **state) {
    (void)state;
    static const char *const everything[] = { "", "  ", "{}", "{ }", "# nothing" };
    struct filter filter;
    for (size_t i = 0; i < sizeof(everything) / sizeof(everything[0]); i++) {
        assert_int_equal(parse(everything[i], &filter, NULL), 0);
        assert_int_equal(filter.matcher_count + filter.line_count, 0);
        filter_finish(&filter);
    }
    assert_int_equal(parse("|= \"timeout\"", &filter, NULL), 0);
    assert_int_equal(filter.line_count, 1);
    filter_finish(&filter);
    assert_int_equal(parse("!= \"timeout\"", &filter, NULL), 0);
    assert_true(filter.lines[0].negated);
    filter_finish(&filter);
}

static void reads_escapes_in_quotes_and_none_in_backquotes(void **state) {
    (void)state;
    struct filter filter;
    assert_int_equal(parse("{} |= \"a\\n\\t\\\"\\\\\\x41\\101\\u00e9\\U0001f600\" |= `\\n\"`", &filter, NULL), 0);
    assert_true(text_is(filter.lines[0].alternatives[0].bytes, "a\n\t\"\\AA\xc3\xa9\xf0\x9f\x98\x80"));
    assert_true(text_is(filter.lines[1].alternatives[0].bytes, "\\n\""));
    filter_finish(&filter);
}

static void says_where_and_what_was_expected(void **state) {
    (void)state;
    static const struct {
        const char *source, *sentence;
    } cases[] = {
        { "{service=}", "character 10: expected a value in quotes, found }" },
        { "{service \"queue\"}", "character 10: expected = != =~ or !~, found \"queue\"" },
        { "{service=\"a\" level=\"b\"}", "character 14: expected a comma or }, found level" },
        { "{service=\"a\"", "character 13: expected a comma or }, found the end" },
        { "{,}", "character 2: expected a label such as service or level, or }, found ," },
        { "{service=\"a\"} timeout",
          "character 15: expected a line filter |= != |~ !~, a label filter behind |, or the end, found timeout" },
        { "timeout", "character 1: expected { or a line filter |= != |~ !~, found timeout" },
        { "{} |= timeout", "character 7: expected a text in quotes, found timeout" },
        { "{} | line_format \"x\"",
          "character 6: the stage line_format is not taken: expected json, logfmt, or a label" },
        { "{} | drop != \"x\"", "character 6: the stage drop is not taken" },
        { "{} | json a=\"b\"", "character 11: json takes no parameters here" },
        { "{} |", "character 5: expected a field such as service, a key of metadata, or (, found the end" },
        { "| a > \"3\"", "character 7: expected a number such as 3, 12ms or 5KB, found \"3\"" },
        { "| a = b", "character 7: expected a value in quotes or a number, found b" },
        { "| a =~ 3", "character 8: expected a value in quotes, found 3" },
        { "| a > 3x", "character 3: \"3x\" is no number" },
        { "| level > 3", "character 3: level is compared by = != =~ !~" },
        { "| (a=\"b\" or c=\"d\"", "character 18: expected and, or, a comma or ), found the end" },
        { "| a=\"b\" c=\"d\"", "character 9: expected a line filter |= != |~ !~, a label filter behind |, or the end" },
        { "{service=\"a}", "character 10: this string has no closing \"" },
        { "{service='a'}", "character 10: a string stands between" },
        { "{} |~ \"\\d\"", "character 8: unknown escape \\d in a string: write \\\\d" },
        { "{} |= \"\\x4\"", "character 8: \\x is not followed by the digits it needs" },
        { "{} |= \"\\ud800\"", "character 8: \\u is not followed" },
        { "{level=\"loud\"}", "character 2: level \"loud\" is unknown: expected trace, debug, info" },
        { "{user_id=\"me\"}", "character 2: user_id \"me\" is no UUID" },
        { "{} |~ \"a(\"", "character 4: regular expression \"a(\", character 3" },
        { "{\"\"=\"x\"}", "character 2: a label may not be empty" },
        { "\xc3\xa4\xc3\xa4 ?", "character 1: \"\xc3\xa4\" has no meaning here" },
        { "{service=~\"(\"}", "character 2: regular expression" },
        { "{a=\"b\",,}", "character 8: expected a label" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct filter filter;
        struct error error = { "" };
        assert_int_equal(parse(cases[i].source, &filter, &error), -EINVAL);
        if (!strstr(error.text, cases[i].sentence))
            fail_msg("%s: said \"%s\", not \"%s\"", cases[i].source, error.text, cases[i].sentence);
        filter_finish(&filter);
    }
}

/* What all must pass is a matcher like any other; what stands beside `or` is a tree. */
static void reads_label_filters_behind_a_pipe(void **state) {
    (void)state;
    struct filter filter;
    assert_int_equal(
        parse("{service=\"queue\"} | json | queue=\"mail\" | attempt > 3, took <= 1.5s |= \"x\" | size >= 5KiB",
              &filter, NULL),
        0);
    assert_int_equal(filter.matcher_count, 5);
    assert_int_equal(filter.line_count, 1);
    assert_int_equal(filter.tree_count, 0);
    assert_int_equal(filter.matchers[2].op, FILTER_GREATER);
    assert_true(text_is(filter.matchers[2].key, "attempt"));
    assert_int_equal(filter.matchers[3].number.kind, FILTER_DURATION);
    assert_true(filter.matchers[4].number.value > 5119 && filter.matchers[4].number.value < 5121);
    filter_finish(&filter);
    assert_int_equal(
        parse("| logfmt | level=\"error\" and (a=\"b\" or c==-2 and level!=`info`) | json != \"line\"", &filter, NULL),
        0);
    assert_int_equal(filter.levels, 1 << LEVEL_ERROR);
    assert_int_equal(filter.matcher_count, 0);
    assert_int_equal(filter.line_count, 1);
    assert_int_equal(filter.tree_count, 1);
    assert_int_equal(filter.trees[0].count, 5);
    filter_finish(&filter);
}

static void compares_numbers_of_one_kind_only(void **state) {
    (void)state;
    static const struct {
        const char *value, *condition;
        bool passes;
    } cases[] = {
        { "4", "| v > 3", true },        { "3", "| v > 3", false },
        { "-4", "| v < -3.5", true },    { "1e3", "| v == 1000", true },
        { "abc", "| v != 3", false },    { "", "| v != 3", false },
        { "12ms", "| v > 3", false },    { "12ms", "| v > 0.01s", true },
        { "1h30m", "| v = 90m", true },  { "5KB", "| v < 5KiB", true },
        { "5kb", "| v == 5000B", true }, { "0x10", "| v > 1", false },
        { "nan", "| v != 1", false },    { "3 ", "| v == 3", false },
        { "1.2.3", "| v > 1", false },   { "2\xc2\xb5s", "| v == 2us", true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct filter filter;
        assert_int_equal(parse(cases[i].condition, &filter, NULL), 0);
        if (filter_matcher_text(&filter.matchers[0], text_of(cases[i].value), NULL) != cases[i].passes)
            fail_msg("%s against %s", cases[i].value, cases[i].condition);
        filter_finish(&filter);
    }
}

static void refuses_more_than_its_limits(void **state) {
    (void)state;
    struct filter filter;
    struct buffer source = BUFFER_EMPTY;
    for (int i = 0; i < FILTER_CONDITIONS_MAX + 1; i++)
        buffer_append_string(&source, "|= \"a\" ");
    filter_init(&filter);
    assert_int_equal(logql_parse(buffer_text(&source), &filter, NULL), -E2BIG);
    filter_finish(&filter);
    buffer_clear(&source);
    buffer_append_string(&source, "|= \"a\"");
    for (int i = 0; i < FILTER_CONDITIONS_MAX; i++)
        buffer_append_string(&source, " or \"a\"");
    assert_int_equal(logql_parse(buffer_text(&source), &filter, NULL), -E2BIG);
    filter_finish(&filter);
    buffer_clear(&source);
    buffer_append_string(&source, "| ");
    for (int i = 0; i < FILTER_DEPTH_MAX + 1; i++)
        buffer_append_char(&source, '(');
    assert_int_equal(logql_parse(buffer_text(&source), &filter, NULL), -E2BIG);
    filter_finish(&filter);
    buffer_clear(&source);
    buffer_append_string(&source, "| a=1");
    for (int i = 0; i < FILTER_NODES_MAX; i++)
        buffer_append_string(&source, " or a=1");
    assert_int_equal(logql_parse(buffer_text(&source), &filter, NULL), -E2BIG);
    filter_finish(&filter);
    buffer_finish(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_contracts_example),
        cmocka_unit_test(reads_every_operator_and_label),
        cmocka_unit_test(takes_empty_braces_and_missing_ones),
        cmocka_unit_test(reads_escapes_in_quotes_and_none_in_backquotes),
        cmocka_unit_test(says_where_and_what_was_expected),
        cmocka_unit_test(reads_label_filters_behind_a_pipe),
        cmocka_unit_test(compares_numbers_of_one_kind_only),
        cmocka_unit_test(refuses_more_than_its_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
