/* The six levels and what is taken for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/model/level.h"

static enum level parsed(const char *name) {
    enum level level = (enum level)99;
    return level_parse(text_of(name), &level) == 0 ? level : (enum level)99;
}

static void names_six_levels_and_takes_them_back(void **state) {
    (void)state;
    static const char *const names[] = { "trace", "debug", "info", "warn", "error", "critical" };
    for (int i = 0; i < LEVEL_COUNT; i++) {
        assert_string_equal(level_name((enum level)i), names[i]);
        assert_int_equal(parsed(names[i]), i);
    }
}

static void takes_the_names_of_others(void **state) {
    (void)state;
    assert_int_equal(parsed("WARNING"), LEVEL_WARN);
    assert_int_equal(parsed("Err"), LEVEL_ERROR);
    assert_int_equal(parsed("crit"), LEVEL_CRITICAL);
    assert_int_equal(parsed("FATAL"), LEVEL_CRITICAL);
    assert_int_equal(parsed("emerg"), LEVEL_CRITICAL);
    assert_int_equal(parsed("emergency"), LEVEL_CRITICAL);
    assert_int_equal(parsed("alert"), LEVEL_CRITICAL);
    assert_int_equal(parsed("panic"), LEVEL_CRITICAL);
    assert_int_equal(parsed("notice"), LEVEL_INFO);
    assert_int_equal(parsed("informational"), LEVEL_INFO);
    assert_int_equal(parsed("dbg"), LEVEL_DEBUG);
    assert_int_equal(parsed("verbose"), LEVEL_DEBUG);
    assert_int_equal(parsed("fine"), LEVEL_DEBUG);
    assert_int_equal(parsed("INFO2"), LEVEL_INFO);
    assert_int_equal(parsed("Error4"), LEVEL_ERROR);
    assert_int_equal(parsed("FATAL3"), LEVEL_CRITICAL);
}

static void refuses_the_rest(void **state) {
    (void)state;
    static const char *const bad[] = { "", "INFO5", "info0", "infos", "2", " info", "warning2", "level" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parsed(bad[i]), 99);
}

static void reads_numbers_of_three_scales(void **state) {
    (void)state;
    static const struct {
        int64_t number;
        int level; /* -1: refused */
    } cases[] = { { 0, 5 },  { 1, 5 },   { 2, 5 },   { 3, 4 },   { 4, 3 },          { 5, 2 },
                  { 6, 2 },  { 7, 1 },   { 8, 1 },   { 9, 2 },   { 10, 0 },         { 11, 2 },
                  { 12, 2 }, { 13, 3 },  { 16, 3 },  { 17, 4 },  { 19, 4 },         { 20, 1 },
                  { 21, 5 }, { 24, 5 },  { 25, -1 }, { 30, 2 },  { 40, 3 },         { 50, 4 },
                  { 60, 5 }, { 70, -1 }, { -1, -1 }, { 35, -1 }, { INT64_MAX, -1 }, { INT64_MIN, -1 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum level level = (enum level)99;
        int rc = level_of_number(cases[i].number, &level);
        assert_int_equal(rc, cases[i].level < 0 ? -EINVAL : 0);
        assert_int_equal(level, cases[i].level < 0 ? 99 : cases[i].level);
    }
    enum level level;
    assert_int_equal(level_of_syslog(8, &level), -EINVAL);
    assert_int_equal(level_of_otel(0, &level), -EINVAL);
    assert_int_equal(level_of_otel(25, &level), -EINVAL);
    assert_int_equal(level_of_otel(1, &level), 0);
    assert_int_equal(level, LEVEL_TRACE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_six_levels_and_takes_them_back),
        cmocka_unit_test(takes_the_names_of_others),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(reads_numbers_of_three_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
