/* Times and durations, as text and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"

#define NOW UINT64_C(1795457704123456789) /* 2026-11-23T18:15:04.123456789Z */

static void formats_nanoseconds_in_full(void **state) {
    (void)state;
    char out[CLOCK_RFC3339_SIZE];
    assert_int_equal(clock_format(NOW, out), 30);
    assert_string_equal(out, "2026-11-23T18:15:04.123456789Z");
    clock_format(0, out);
    assert_string_equal(out, "1970-01-01T00:00:00.000000000Z");
    clock_format(UINT64_MAX, out);
    assert_string_equal(out, "2554-07-21T23:34:33.709551615Z");
}

static void agrees_with_libc_on_every_day(void **state) {
    (void)state;
    for (int64_t day = 0; day < 106751; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm utc;
        char expected[64], out[CLOCK_RFC3339_SIZE];
        uint64_t back;
        gmtime_r(&seconds, &utc);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000007Z", &utc);
        size_t length = clock_format((uint64_t)seconds * CLOCK_SECOND + 7, out);
        assert_string_equal(out, expected);
        assert_int_equal(clock_parse(out, length, &back), 0);
        assert_true(back == (uint64_t)seconds * CLOCK_SECOND + 7);
    }
}

static void parses_the_forms_of_rfc3339(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        { "2026-11-23T18:15:04.123456789Z", NOW },
        { "2026-11-23 18:15:04.123456789z", NOW },
        { "2026-11-24T01:15:04.1234567899999+07:00", NOW },
        { "2026-11-23t14:45:04.123456789-0330", NOW },
        { "2026-11-23T18:15:04Z", NOW / CLOCK_SECOND * CLOCK_SECOND },
        { "2026-11-23T18:15:04.5Z", NOW / CLOCK_SECOND * CLOCK_SECOND + 500000000 },
        { "1970-01-01T00:00:00Z", 0 },
        { "1969-12-31T19:00:00-05:00", 0 },
        { "2016-12-31T23:59:60Z", UINT64_C(1483228800) * CLOCK_SECOND },
        { "2024-02-29T00:00:00Z", UINT64_C(1709164800) * CLOCK_SECOND },
        { "2262-04-11T23:47:15.999999999Z", UINT64_C(9223372035999999999) },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns = 1;
        assert_int_equal(clock_parse(cases[i].text, strlen(cases[i].text), &ns), 0);
        assert_true(ns == cases[i].ns);
    }
}

static void refuses_what_is_no_time(void **state) {
    (void)state;
    static const char *const bad[] = { "",
                                       "2026",
                                       "2026-11-23",
                                       "2026-11-23T18:15:04",
                                       "2026-11-23T18:15Z",
                                       "2026-13-23T18:15:04Z",
                                       "2026-00-23T18:15:04Z",
                                       "2026-02-29T18:15:04Z",
                                       "2026-11-31T18:15:04Z",
                                       "2026-11-00T18:15:04Z",
                                       "2026-11-23T24:15:04Z",
                                       "2026-11-23T18:60:04Z",
                                       "2026-11-23T18:15:61Z",
                                       "2026-11-23T18:15:04.Z",
                                       "2026-11-23T18:15:04Zx",
                                       "2026-11-23T18:15:04+24:00",
                                       "2026-11-23T18:15:04+7:00",
                                       "2026-11-23T18:15:04+07",
                                       "1969-12-31T23:59:59Z",
                                       "1970-01-01T00:00:00+00:01",
                                       "2263-01-01T00:00:00Z",
                                       "2262-04-12T00:00:00Z",
                                       "+026-11-23T18:15:04Z",
                                       "2026-11-23_18:15:04Z" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns = 42;
        assert_int_equal(clock_parse(bad[i], strlen(bad[i]), &ns), -EINVAL);
        assert_true(ns == 42);
    }
}

static void reads_what_people_type(void **state) {
    (void)state;
    setenv("TZ", "XYZ-7", 1); /* seven hours east: it is 01:15:04 on the 24th there */
    tzset();
    static const struct {
        const char *text;
        const char *utc;
    } cases[] = {
        { "2026-11-23T18:15:04Z", "2026-11-23T18:15:04.000000000Z" },
        { "2026-11-23 15:04:05", "2026-11-23T08:04:05.000000000Z" },
        { "2026-11-23T15:04:05.25", "2026-11-23T08:04:05.250000000Z" },
        { "2026-11-23 15:04", "2026-11-23T08:04:00.000000000Z" },
        { "2026-11-23 15", "2026-11-23T08:00:00.000000000Z" },
        { "2026-11-23", "2026-11-22T17:00:00.000000000Z" },
        { "2026-11", "2026-10-31T17:00:00.000000000Z" },
        { "2026", "2025-12-31T17:00:00.000000000Z" },
        { "15:04", "2026-11-24T08:04:00.000000000Z" },
        { "15:04:05", "2026-11-24T08:04:05.000000000Z" },
        { "today", "2026-11-23T17:00:00.000000000Z" },
        { "yesterday", "2026-11-22T17:00:00.000000000Z" },
        { "yesterday 15:04", "2026-11-23T08:04:00.000000000Z" },
        { "now", "2026-11-23T18:15:04.123456789Z" },
        { "90s", "2026-11-23T18:13:34.123456789Z" },
        { "15m", "2026-11-23T18:00:04.123456789Z" },
        { "2h", "2026-11-23T16:15:04.123456789Z" },
        { "7d", "2026-11-16T18:15:04.123456789Z" },
        { "1795457704", "2026-11-23T18:15:04.000000000Z" },
        { "1795457704.5", "2026-11-23T18:15:04.500000000Z" },
        { "0", "1970-01-01T00:00:00.000000000Z" },
        { "99999d", "1970-01-01T00:00:00.000000000Z" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns;
        char out[CLOCK_RFC3339_SIZE];
        assert_int_equal(clock_parse_human(cases[i].text, NOW, &ns), 0);
        clock_format(ns, out);
        assert_string_equal(out, cases[i].utc);
    }
    static const char *const bad[] = { "",
                                       " ",
                                       "soon",
                                       "2026-02-30",
                                       "2026-13-01",
                                       "2026-11-23 25:00",
                                       "25:00",
                                       "12:60",
                                       "7x",
                                       "today 5",
                                       "todayx",
                                       "-5",
                                       "1.2.3",
                                       "99999999999999999999",
                                       "2026-11-23 15:04:05 ",
                                       "15",
                                       "2026-11-23 " };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns = 42;
        int rc = clock_parse_human(bad[i], NOW, &ns);
        if (strcmp(bad[i], "15") == 0) {
            assert_int_equal(rc, 0); /* Unix seconds */
            assert_true(ns == 15 * CLOCK_SECOND);
        } else {
            assert_int_equal(rc, -EINVAL);
            assert_true(ns == 42);
        }
    }
}

static void finds_yesterday_where_clocks_change(void **state) {
    (void)state;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    uint64_t ns;
    char out[CLOCK_RFC3339_SIZE];
    /* Sunday 2026-10-25 has 25 hours; seen from Monday 00:30 local (23:30 UTC of Sunday) */
    assert_int_equal(clock_parse("2026-10-25T23:30:00Z", 20, &ns), 0);
    assert_int_equal(clock_parse_human("yesterday", ns, &ns), 0);
    clock_format(ns, out);
    assert_string_equal(out, "2026-10-24T22:00:00.000000000Z");
}

static void parses_durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        { "500ms", 500 * CLOCK_MILLISECOND },
        { "10s", 10 * CLOCK_SECOND },
        { "5m", 300 * CLOCK_SECOND },
        { "2h", 7200 * CLOCK_SECOND },
        { "7d", 604800 * CLOCK_SECOND },
        { "1.5s", 1500 * CLOCK_MILLISECOND },
        { "7us", 7000 },
        { "3ns", 3 },
        { "0s", 0 },
        { "1h30m", 5400 * CLOCK_SECOND },
        { "0.000000001s", 1 },
        { "213503d", UINT64_C(18446659200) * CLOCK_SECOND },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns = 1;
        assert_int_equal(clock_parse_duration(cases[i].text, strlen(cases[i].text), &ns), 0);
        assert_true(ns == cases[i].ns);
    }
    static const char *const bad[] = { "",           "5",     "s",   "-5s",     "+5s",
                                       " 5s",        "5 s",   "5S",  "5w",      "1.s",
                                       ".5s",        "1..5s", "5s3", "213504d", "99999999999999999999ns",
                                       "213503.99d", "1e3s" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns = 42;
        assert_int_equal(clock_parse_duration(bad[i], strlen(bad[i]), &ns), -EINVAL);
        assert_true(ns == 42);
    }
}

static void stands_still_for_a_test(void **state) {
    (void)state;
    clock_set_for_test(17);
    assert_true(clock_real_ns() == 17 && clock_monotonic_ns() == 17);
    clock_set_for_test(0);
    assert_true(clock_real_ns() > UINT64_C(1500000000) * CLOCK_SECOND);
    uint64_t before = clock_monotonic_ns();
    assert_true(clock_monotonic_ns() >= before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_nanoseconds_in_full),
        cmocka_unit_test(agrees_with_libc_on_every_day),
        cmocka_unit_test(parses_the_forms_of_rfc3339),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(reads_what_people_type),
        cmocka_unit_test(finds_yesterday_where_clocks_change),
        cmocka_unit_test(parses_durations),
        cmocka_unit_test(stands_still_for_a_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
