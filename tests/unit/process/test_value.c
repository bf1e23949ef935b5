#include "common/process/config_value.h"

#include "common/base/check.h"
#include "common/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void sizes_need_a_unit_and_know_two_kinds(void **state) {
    uint64_t size = 0;

    (void)state;
    assert_int_equal(config_parse_size(text_of("64KiB"), &size), 0);
    assert_int_equal(size, 65536);
    assert_int_equal(config_parse_size(text_of("1 GiB"), &size), 0);
    assert_int_equal(size, 1 << 30);
    assert_int_equal(config_parse_size(text_of("2MB"), &size), 0);
    assert_int_equal(size, 2000000);
    assert_int_equal(config_parse_size(text_of("3kB"), &size), 0);
    assert_int_equal(size, 3000);
    assert_int_equal(config_parse_size(text_of("0B"), &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(config_parse_size(text_of("64"), &size), -EINVAL);
    assert_int_equal(config_parse_size(text_of("MiB"), &size), -EINVAL);
    assert_int_equal(config_parse_size(text_of("-1MiB"), &size), -EINVAL);
    assert_int_equal(config_parse_size(text_of("1.5MiB"), &size), -EINVAL);
    assert_int_equal(config_parse_size(text_of(""), &size), -EINVAL);
    assert_int_equal(config_parse_size(text_of("99999999TiB"), &size), -ERANGE);
    assert_int_equal(config_parse_size(text_of("99999999999999999999999B"), &size), -ERANGE);
    assert_int_equal(size, 0);
}

static void counts_are_digits_alone(void **state) {
    uint64_t count = 0;

    (void)state;
    assert_int_equal(config_parse_count(text_of("18446744073709551615"), &count), 0);
    assert_true(count == UINT64_MAX);
    assert_int_equal(config_parse_count(text_of("18446744073709551616"), &count), -ERANGE);
    assert_int_equal(config_parse_count(text_of("1e3"), &count), -EINVAL);
    assert_int_equal(config_parse_count(text_of("0x10"), &count), -EINVAL);
    assert_int_equal(config_parse_count(text_of(" 1"), &count), -EINVAL);
}

static void percentages_end_with_their_sign(void **state) {
    unsigned percent = 7;

    (void)state;
    assert_int_equal(config_parse_percent(text_of("15%"), &percent), 0);
    assert_int_equal(percent, 15);
    assert_int_equal(config_parse_percent(text_of("101%"), &percent), -ERANGE);
    assert_int_equal(config_parse_percent(text_of("15"), &percent), -EINVAL);
    assert_int_equal(config_parse_percent(text_of("%"), &percent), -EINVAL);
    assert_int_equal(percent, 15);
}

static void shares_are_numbers_up_to_one(void **state) {
    static const char *const bad[] = { "", ".5", "01", "1.", "0x1", "nan", "1e", "50%", " 0.5", "0.5 " };
    double share = 7;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(config_parse_share(text_of(bad[i]), &share), -EINVAL);
    assert_int_equal(config_parse_share(text_of("1.01"), &share), -ERANGE);
    assert_int_equal(config_parse_share(text_of("-0.1"), &share), -ERANGE);
    assert_int_equal(config_parse_share(text_of("1e999"), &share), -ERANGE);
    assert_true(share == 7);
    assert_int_equal(config_parse_share(text_of("0.25"), &share), 0);
    assert_true(share == 0.25);
    assert_int_equal(config_parse_share(text_of("5e-1"), &share), 0);
    assert_true(share == 0.5);
    assert_int_equal(config_parse_share(text_of("1"), &share), 0);
    assert_true(share == 1);
}

static void addresses_have_a_long_and_a_short_form(void **state) {
    struct config_address address;

    (void)state;
    assert_int_equal(config_parse_address(text_of("unixgram:///run/s"), &address), 0);
    assert_int_equal(address.kind, CONFIG_ADDRESS_UNIXGRAM);
    assert_true(text_is(address.place, "/run/s"));
    assert_int_equal(config_parse_address(text_of("unix:/run/s"), &address), 0);
    assert_int_equal(address.kind, CONFIG_ADDRESS_UNIX);
    assert_int_equal(config_parse_address(text_of("udp://[::1]:514"), &address), 0);
    assert_true(text_is(address.place, "[::1]:514"));
    assert_int_equal(config_parse_address(text_of("tcp:localhost:514"), &address), 0);
    assert_int_equal(address.kind, CONFIG_ADDRESS_TCP);
    assert_int_equal(config_parse_address(text_of("unix://relative"), &address), -EINVAL);
    assert_int_equal(config_parse_address(text_of("unixgram://"), &address), -EINVAL);
    assert_int_equal(config_parse_address(text_of("udp://nowhere"), &address), -EINVAL);
    assert_int_equal(config_parse_address(text_of("http://x:1"), &address), -EINVAL);
    assert_int_equal(config_parse_address(text_of(""), &address), -EINVAL);
}

static void limits_are_shown_in_their_largest_even_unit(void **state) {
    char out[CONFIG_VALUE_SIZE];

    (void)state;
    assert_string_equal(config_format_size(UINT64_C(64) << 20, out), "64MiB");
    assert_string_equal(config_format_size(1000, out), "1KB");
    assert_string_equal(config_format_size(7, out), "7B");
    assert_string_equal(config_format_duration(100 * CLOCK_MILLISECOND, out), "100ms");
    assert_string_equal(config_format_duration(86400 * CLOCK_SECOND, out), "1d");
    assert_string_equal(config_format_duration(90 * CLOCK_SECOND, out), "90s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_need_a_unit_and_know_two_kinds),
        cmocka_unit_test(counts_are_digits_alone),
        cmocka_unit_test(percentages_end_with_their_sign),
        cmocka_unit_test(shares_are_numbers_up_to_one),
        cmocka_unit_test(addresses_have_a_long_and_a_short_form),
        cmocka_unit_test(limits_are_shown_in_their_largest_even_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
