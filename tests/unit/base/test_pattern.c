#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/base/pattern.h"

static int matches(const char *source, bool anchored, const char *text) {
    struct pattern *pattern;
    struct error error;
    assert_int_equal(pattern_compile(text_of(source), anchored, &pattern, &error), 0);
    int found = pattern_match(pattern, text_of(text), &error);
    pattern_destroy(pattern);
    return found;
}

static void finds_an_expression_anywhere(void **state) {
    (void)state;
    assert_int_equal(matches("id=[0-9]+", false, "job id=17 failed"), 1);
    assert_int_equal(matches("id=[0-9]+", false, "job id=x failed"), 0);
    assert_int_equal(matches("(?i)TimeOut", false, "a timeout"), 1);
    assert_int_equal(matches("^a", false, "b\na"), 0);
    assert_int_equal(matches("b$", false, "b\n"), 0);
    assert_int_equal(matches("", false, ""), 1);
    assert_int_equal(matches("^gr.n$", false, "grün"), 1);
}

static void anchors_a_matchers_expression_at_both_ends(void **state) {
    (void)state;
    assert_int_equal(matches("error|critical", true, "critical"), 1);
    assert_int_equal(matches("err", true, "error"), 0);
    assert_int_equal(matches("a|ab", true, "ab"), 1);
    assert_int_equal(matches("a.b", true, "a\nb"), 1);
    assert_int_equal(matches("", true, "x"), 0);
}

static void takes_bytes_that_are_no_utf8(void **state) {
    (void)state;
    assert_int_equal(matches("b.d", false,
                             "\xff b\xc3\xa4"
                             "d \xfe"),
                     1);
    assert_int_equal(matches("x", false, "\xc3"), 0);
}

static void says_where_an_expression_is_wrong(void **state) {
    (void)state;
    struct pattern *pattern;
    struct error error;
    assert_int_equal(pattern_compile(TEXT_LITERAL("a(b"), false, &pattern, &error), -EINVAL);
    assert_non_null(strstr(error.text, "character 4"));
    assert_non_null(strstr(error.text, "parenthesis"));
    assert_int_equal(pattern_compile(TEXT_LITERAL("a\\Cb"), false, &pattern, &error), -EINVAL);
    assert_int_equal(pattern_compile(TEXT_LITERAL("(*NO_JIT)a"), false, &pattern, &error), -EINVAL);
    char *much = calloc(1, PATTERN_LENGTH_MAX + 1);
    memset(much, 'a', PATTERN_LENGTH_MAX + 1);
    assert_int_equal(pattern_compile((struct text) { much, PATTERN_LENGTH_MAX + 1 }, false, &pattern, &error), -EINVAL);
    free(much);
}

static void gives_up_on_an_expression_that_backtracks_without_end(void **state) {
    (void)state;
    char text[10001];
    struct pattern *pattern;
    struct error error;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 2] = 'b';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(pattern_compile(TEXT_LITERAL("(a+)+$"), false, &pattern, &error), 0);
    assert_int_equal(pattern_match(pattern, text_of(text), &error), -E2BIG);
    assert_non_null(strstr(error.text, "too many steps"));
    pattern_destroy(pattern);
}

static void knows_the_literal_an_expression_needs(void **state) {
    (void)state;
    static const struct {
        const char *source, *literal;
        bool whole;
    } cases[] = {
        { "timeout", "timeout", true },
        { "a\\.b", "a.b", true },
        { "id=[0-9]+", "id=", false },
        { "timeouts?", "timeout", false },
        { "ab*cde", "cde", false },
        { "ab+", "ab", false },
        { "abc{0,3}de", "ab", false },
        { "abc{2}de", "ab", false },
        { "x(abc)y", "x", false },
        { "(abc|d)longer", "longer", false },
        { "error|critical", "", false },
        { "(?i)error", "", false },
        { "a(?i)bc", "", false },
        { "(?:a|b)cd", "cd", false },
        { "[]a]bc", "bc", false },
        { "[^]a]bc", "bc", false },
        { "[[:alpha:]]bc", "bc", false },
        { "[\\]x]bc", "bc", false },
        { "abc\\x41", "", false },
        { "\\Qa.b\\E", "", false },
        { "\\bword\\b", "word", false },
        { "\\d+ms", "ms", false },
        { "^abc$", "abc", false },
        { "gr\xc3\xbc*n", "gr", false },
        { "a{x}bcd", "x}bcd", false },
        { "(a(b)c", "", false },
        { "a)", "", false },
        { "", "", false },
        { "abc(?=x)", "", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char literal[PATTERN_LITERAL_MAX + 1] = "";
        bool whole;
        size_t length = pattern_required_literal(text_of(cases[i].source), literal, &whole);
        literal[length] = '\0';
        assert_string_equal(literal, cases[i].literal);
        assert_int_equal(whole, cases[i].whole);
    }
}

/* Whatever expression matches, its literal stands in the text: tried over made-up expressions. */
static void never_needs_a_literal_that_a_match_lacks(void **state) {
    (void)state;
    static const char *const pieces[] = { "a",   "b",      "ab",     "a?",   "b*",    "(a|b)", "[ab]",
                                          ".",   "a{0,1}", "b{1,2}", "\\.",  "|",     "^",     "(?:ab)?",
                                          "\\w", "$",      "ba+",    "[]a]", "a{,2}", "{",     "}" };
    static const char alphabet[] = "ab.{}";
    unsigned random = 1;
    for (int round = 0; round < 20000; round++) {
        char source[64] = "", text[9] = "";
        for (int i = 0; i < 4; i++) {
            random = random * 1103515245 + 12345;
            strcat(source, pieces[(random >> 8) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        for (int i = 0; i < 8; i++) {
            random = random * 1103515245 + 12345;
            text[i] = alphabet[(random >> 8) % (sizeof(alphabet) - 1)];
        }
        struct pattern *pattern;
        if (pattern_compile(text_of(source), false, &pattern, NULL) < 0)
            continue;
        int found = pattern_match(pattern, text_of(text), NULL);
        bool there = pattern_find(text_of(text), pattern_literal(pattern)) != NULL;
        if (found == 1 && !there)
            fail_msg("%s matches %s without its literal", source, text);
        if (pattern_is_literal(pattern) && found != there)
            fail_msg("%s is no literal on %s", source, text);
        pattern_destroy(pattern);
    }
}

static bool may_match(const char *source, const char *text) {
    struct pattern *pattern;
    assert_int_equal(pattern_compile(text_of(source), false, &pattern, NULL), 0);
    bool may = pattern_may_match(pattern, text_of(text));
    pattern_destroy(pattern);
    return may;
}

static void sees_runs_that_every_match_begins_with(void **state) {
    static const struct {
        const char *source;
        size_t run;
    } rows[] = { { "\\b\\d{16}\\b", 16 },
                 { "^[0-9a-f]{4,}x", 4 },
                 { "\\d{3}-\\d{2}", 3 },
                 { "[]a]{2}", 2 },
                 { "\\d{4}|x", 0 },
                 { "\\d+", 0 },
                 { "(?i)\\d{4}", 0 },
                 { "\\d{4", 0 },
                 { "x\\d{4}", 0 },
                 { "\\d", 0 },
                 { "", 0 },
                 { "\\d{,4}", 0 } };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(pattern_required_run(text_of(rows[i].source)), rows[i].run);
    assert_false(may_match("\\b\\d{16}\\b", "job 48213 of 153 ms 411111111111111 x"));
    assert_true(may_match("\\b\\d{16}\\b", "job 4111111111111111"));
    assert_true(may_match("\\b\\d{16}\\b", "4111111111111111"));
    assert_true(may_match("[[:digit:]]{3}", "12 345"));
    assert_false(may_match("[0-9]{3}", "12 45 8"));
}

/* What may not match, does not: all texts of a small alphabet. */
static void never_denies_a_match(void **state) {
    static const char *const sources[] = { "\\d{2}",  "\\b\\d{3}\\b", "[a1]{2}b", "a{2}",   "^\\d{2}",
                                           "\\d{0}a", "\\d{0,2}b",    "(a|1){2}", "\\w{3}", "[^a]{2}" };
    static const char alphabet[] = "a1b ";
    char text[7];
    (void)state;
    for (size_t s = 0; s < sizeof(sources) / sizeof(sources[0]); s++) {
        struct pattern *pattern;
        assert_int_equal(pattern_compile(text_of(sources[s]), false, &pattern, NULL), 0);
        for (unsigned n = 0; n < 1u << 12; n++)
            for (size_t length = 0; length <= 6; length++) {
                for (size_t i = 0; i < length; i++)
                    text[i] = alphabet[n >> 2 * i & 3];
                struct text given = { text, length };
                if (pattern_match(pattern, given, NULL) == 1)
                    assert_true(pattern_may_match(pattern, given));
            }
        pattern_destroy(pattern);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_an_expression_anywhere),
        cmocka_unit_test(anchors_a_matchers_expression_at_both_ends),
        cmocka_unit_test(takes_bytes_that_are_no_utf8),
        cmocka_unit_test(says_where_an_expression_is_wrong),
        cmocka_unit_test(gives_up_on_an_expression_that_backtracks_without_end),
        cmocka_unit_test(knows_the_literal_an_expression_needs),
        cmocka_unit_test(never_needs_a_literal_that_a_match_lacks),
        cmocka_unit_test(sees_runs_that_every_match_begins_with),
        cmocka_unit_test(never_denies_a_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
