#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/decimal.h"

/* A few hundred thousand doubles in CI; hundreds of millions with TASKFORGE_LONG. */
static uint64_t turns(uint64_t few) {
    const char *all = getenv("TASKFORGE_LONG");
    return all && all[0] ? few * 2000 : few;
}

static uint64_t next_random(uint64_t *seed) { /* splitmix64 */
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double of_bits(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

static const char *text_of_number(double number) {
    static char text[DECIMAL_TEXT_MAX + 1];
    size_t length = decimal_write(number, text);
    assert_true(length <= DECIMAL_TEXT_MAX);
    text[length] = '\0';
    return text;
}

static void writes_numbers_as_printf_does(void **state) {
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { -0.0, "-0" },
        { 5, "5" },
        { -17, "-17" },
        { 0.1, "0.1" },
        { -0.25, "-0.25" },
        { 1.0 / 3, "0.3333333333333333" },
        { 2.0 / 3, "0.6666666666666666" },
        { 0.0001, "0.0001" },
        { 0.00012345678901234567, "0.00012345678901234567" },
        { 0.00001, "1e-05" },
        { 1.5e-7, "1.5e-07" },
        { 999999999.999999, "999999999.999999" },
        { 1234567890.125, "1234567890.125" },
        { 999999999999999.0, "999999999999999" },
        { 1e15, "1e+15" },
        { 1234567890123456.0, "1234567890123456" },
        { 12345678901234568.0, "12345678901234568" },
        { 1.2345678901234568e17, "1.2345678901234568e+17" },
        { 9007199254740993.0, "9007199254740992" },
        { 1e22, "1e+22" },
        { 1e23, "1e+23" },
        { 1e100, "1e+100" },
        { 5e-324, "5e-324" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" },
        { 2.225073858507201e-308, "2.225073858507201e-308" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 123456.5, "123456.5" },
        { 100000000.000001, "100000000.000001" },
        { 9.5367431640625e-07, "9.5367431640625e-07" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(text_of_number(cases[i].number), cases[i].text);
}

/* Reads back the same; no text of fewer digits does; and it is the one "%.*g" gives with so many digits, but for a power of two, whose neighbours
 * are at different distances, where the nearest of so many digits may lie outside. */
static void assert_shortest(double number) {
    char expected[336], digits[DECIMAL_DIGITS_MAX];
    int point;
    unsigned count = decimal_digits(number, digits, &point);
    const char *text = text_of_number(number);
    if (strtod(text, NULL) != number || signbit(strtod(text, NULL)) != signbit(number))
        fail_msg("%s is not %a", text, number);
    if (number != 0 && (digits[0] == '0' || (count > 1 && digits[count - 1] == '0')))
        fail_msg("%s has zeros at its ends", text);
    if (count > 1) {
        snprintf(expected, sizeof(expected), "%.*g", (int)count - 1, number);
        if (strtod(expected, NULL) == number)
            fail_msg("%s is not the shortest: %s", text, expected);
    }
    snprintf(expected, sizeof(expected), "%.*g", count > 15 || fabs(number) < 1e-300 ? (int)count : 15, number);
    int exponent;
    if (strcmp(expected, text) != 0 && fabs(frexp(number, &exponent)) != 0.5)
        fail_msg("%s is not %s", text, expected);
}

static void gives_the_shortest_that_reads_back(void **state) {
    (void)state;
    uint64_t seed = 42;
    for (uint64_t i = 0, end = turns(100000); i < end; i++) {
        uint64_t bits = next_random(&seed);
        double number = of_bits(i % 8 == 0 ? bits & UINT64_C(0x800fffffffffffff) : bits); /* subnormal */
        if (i % 8 == 1)
            number = (double)(int64_t)(bits % 2000000000) / 1000.0;
        if (i % 8 == 2)
            number = (double)(bits >> 20) / 65536;
        if (i % 8 == 3)
            number = of_bits((bits & ((UINT64_C(1) << 52) - 1)) | (UINT64_C(1023) + bits % 64 - 32) << 52);
        if (isfinite(number))
            assert_shortest(number);
    }
}

static void is_right_around_every_power_of_two_and_of_ten(void **state) {
    (void)state;
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double power = ldexp(1, exponent);
        assert_shortest(power);
        assert_shortest(nextafter(power, INFINITY));
        if (power > 5e-324)
            assert_shortest(nextafter(power, 0));
    }
    for (int exponent = -323; exponent <= 308; exponent++) {
        char text[16];
        snprintf(text, sizeof(text), "1e%d", exponent);
        double power = strtod(text, NULL);
        assert_shortest(power);
        assert_shortest(nextafter(power, 1e300));
        assert_shortest(nextafter(power, 0));
    }
}

/* Also where there is a short cut, and at its ends. */
static void decimals_of_few_digits_come_out_as_they_are(void **state) {
    (void)state;
    static const char *const formats[] = { "%llu.%01llu", "%llu.%02llu", "%llu.%03llu", "%llu.%04llu",
                                           "%llu.%05llu", "%llu.%06llu", "%llu.%07llu" };
    uint64_t seed = 7, ten = 10;
    for (size_t digits = 0; digits < COUNT_OF(formats); digits++, ten *= 10)
        for (uint64_t i = 0, end = turns(2000); i < end; i++) {
            char text[48];
            uint64_t whole = next_random(&seed) >> (34 + i % 30), fraction = next_random(&seed) % ten;
            if (fraction % 10 == 0 || (whole == 0 && fraction * 10000 < ten))
                continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof(text), formats[digits],
                     (unsigned long long)(whole % 1000000000 / (digits > 5 ? 10 : 1)), (unsigned long long)fraction);
#pragma GCC diagnostic pop
            if (strtod(text, NULL) >= 1e-4)
                assert_string_equal(text_of_number(strtod(text, NULL)), text);
        }
}

static void whole_numbers(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t number = i < 64 ? (i < 63 ? UINT64_C(1) << i : UINT64_MAX) : next_random(&seed) >> i % 64;
        char expected[24], text[DECIMAL_UINT_MAX + 1];
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)number);
        text[decimal_write_uint(number, text)] = '\0';
        assert_string_equal(text, expected);
    }
    for (uint64_t ten = 1; ten < UINT64_C(10000000000000000000); ten *= 10) {
        char expected[24], text[DECIMAL_UINT_MAX + 1];
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)ten - 1);
        text[decimal_write_uint(ten - 1, text)] = '\0';
        assert_string_equal(text, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_numbers_as_printf_does),
        cmocka_unit_test(gives_the_shortest_that_reads_back),
        cmocka_unit_test(is_right_around_every_power_of_two_and_of_ten),
        cmocka_unit_test(decimals_of_few_digits_come_out_as_they_are),
        cmocka_unit_test(whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
