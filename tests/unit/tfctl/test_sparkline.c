/* Bars for numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "exporter/tfctl/sparkline.h"

static void drawn(const double *values, size_t count, size_t width, bool from_least, const char *expected) {
    struct buffer out = BUFFER_EMPTY;
    sparkline_append(&out, values, count, width, from_least);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_finish(&out);
}
#define DRAWN(width, from_least, expected, ...)                                                                        \
    do {                                                                                                               \
        static const double values[] = { __VA_ARGS__ };                                                                \
        drawn(values, COUNT_OF(values), width, from_least, expected);                                                  \
    } while (0)

static void each_value_is_a_bar_of_its_height(void **state) {
    (void)state;
    DRAWN(8, false, "▁▂▃▄▅▆▇█", 0, 1, 2, 3, 4, 5, 6, 7);
    DRAWN(3, true, "▁▅█", 100, 101, 102);
    DRAWN(3, false, "▇▇█", 100, 101, 130);
    DRAWN(2, true, "▁█", -5, 5);
}

static void many_are_averaged_and_few_are_stretched(void **state) {
    (void)state;
    DRAWN(2, false, "▂█", 0, 2, 7, 9);
    DRAWN(4, false, "▁▁██", 0, 5);
    DRAWN(3, false, "███", 5);
    DRAWN(3, true, "▅▅▅", 5);
}

static void what_is_not_there_is_blank(void **state) {
    (void)state;
    DRAWN(4, false, "█ █▁", 1, NAN, 1, 0);
    DRAWN(3, false, "  █", NAN, INFINITY, 1);
    DRAWN(2, true, "  ", NAN);
    drawn(NULL, 0, 2, false, "  ");
    drawn(NULL, 0, 0, false, "");
}

static void what_does_not_change_is_flat(void **state) {
    (void)state;
    DRAWN(3, true, "▅▅▅", 7, 7, 7);
    DRAWN(3, false, "▁▁▁", 0, 0, 0);
    DRAWN(2, true, "▁▁", 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_is_a_bar_of_its_height),
        cmocka_unit_test(many_are_averaged_and_few_are_stretched),
        cmocka_unit_test(what_is_not_there_is_blank),
        cmocka_unit_test(what_does_not_change_is_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
