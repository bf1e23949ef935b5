/* Borrowed strings, buffers, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "common/base/text.h"

#define T TEXT_LITERAL
#define I TEXT_INITIALIZER

static void compares_texts(void **state) {
    (void)state;
    assert_true(text_equal(TEXT_EMPTY, T("")));
    assert_true(text_is(T("abc"), "abc"));
    assert_false(text_is(T("abc"), "abd"));
    assert_true(text_equal_ignoring_case(T("WaRn"), T("warN")));
    assert_false(text_equal_ignoring_case(T("warn"), T("warm")));
    assert_false(text_equal_ignoring_case(T("\xc3\xa9"), T("\xc3\x89"))); /* ASCII only */
    assert_true(text_starts_with(T("abc"), T("ab")));
    assert_true(text_starts_with(T("abc"), TEXT_EMPTY));
    assert_false(text_starts_with(T("ab"), T("abc")));
    assert_true(text_compare(T("a"), T("b")) < 0);
    assert_true(text_compare(T("ab"), T("a")) > 0);
    assert_true(text_compare(T("\x80"), T("a")) > 0);
    assert_int_equal(text_compare(TEXT_EMPTY, TEXT_EMPTY), 0);
    assert_true(text_is(text_trim(T(" \t\r\nx y\v\f ")), "x y"));
    assert_int_equal(text_trim(T("  ")).length, 0);
    assert_int_equal(text_of(NULL).length, 0);
}

static void measures_near_misses(void **state) {
    (void)state;
    assert_int_equal(text_distance(T("interval"), T("interval")), 0);
    assert_int_equal(text_distance(T("intervall"), T("interval")), 1);
    assert_int_equal(text_distance(T("intreval"), T("interval")), 1);
    assert_int_equal(text_distance(T("kitten"), T("sitting")), 3);
    assert_int_equal(text_distance(T("kitten"), T("painting")), 4);
    assert_int_equal(text_distance(T("abcdef"), T("uvwxyz")), 4);
    assert_int_equal(text_distance(T(""), T("abc")), 3);
    assert_int_equal(text_distance(T(""), T("abcd")), 4);
}

static void grows_a_buffer(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer buffer = BUFFER_EMPTY;
    for (int i = 0; i < 1000; i++)
        buffer_append_format(&buffer, "%d,", i);
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, 10 * 2 + 90 * 3 + 900 * 4);
    buffer_consume(&buffer, buffer.length - 4);
    assert_true(text_is(buffer_text(&buffer), "999,"));
    buffer_consume(&buffer, 100);
    assert_int_equal(buffer.length, 0);
    buffer_append(&buffer, NULL, 0);
    buffer_append_text(&buffer, TEXT_EMPTY);
    buffer_append_string(&buffer, "a");
    buffer_append_char(&buffer, 'b');
    assert_true(text_is(buffer_text(&buffer), "ab"));
}

static void formats_more_than_fits_at_first(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer buffer = BUFFER_EMPTY;
    buffer_append_format(&buffer, "%0*d", 5000, 7);
    assert_int_equal(buffer.length, 5000);
    assert_int_equal(buffer.data[4999], '7');
}

static void stays_failed_once_memory_was_short(void **state) {
    (void)state;
    struct buffer buffer = BUFFER_EMPTY;
    buffer_append_string(&buffer, "x");
    assert_false(buffer_reserve(&buffer, SIZE_MAX - 5));
    assert_true(buffer.failed);
    buffer_append_string(&buffer, "y");
    assert_int_equal(buffer.length, 1);
    buffer_clear(&buffer);
    buffer_append_string(&buffer, "y");
    assert_true(text_is(buffer_text(&buffer), "y"));
    buffer_finish(&buffer);
    assert_null(buffer.data);
    buffer_finish(&buffer);
}

static const struct {
    struct text text;
    bool valid;
    struct text repaired;
} sequences[] = {
    { I(""), true, I("") },
    { I("plain ASCII of more than eight bytes"), true, I("plain ASCII of more than eight bytes") },
    { I("nul \0 inside"), true, I("nul \0 inside") },
    { I("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true, I("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") },
    { I("\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf"), true, I("\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf") },
    { I("\xc0\xaf"), false, I("\xef\xbf\xbd\xef\xbf\xbd") },                                 /* overlong */
    { I("\xe0\x80\xaf"), false, I("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") },                 /* overlong */
    { I("\xf0\x80\x80\xaf"), false, I("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") }, /* overlong */
    { I("\xed\xa0\x80"), false, I("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") },                 /* surrogate */
    { I("\xf4\x90\x80\x80"), false, I("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") }, /* above 10FFFF */
    { I("\xf5\x80"), false, I("\xef\xbf\xbd\xef\xbf\xbd") },
    { I("\x80"), false, I("\xef\xbf\xbd") },
    { I("12345678\xe2\x82"), false, I("12345678\xef\xbf\xbd") }, /* cut: one mark */
    { I("a\xf0\x9f\x98"
        "b"),
      false,
      I("a\xef\xbf\xbd"
        "b") },
    { I("\xc3"
        "ABCDEFGHIJ"),
      false,
      I("\xef\xbf\xbd"
        "ABCDEFGHIJ") },
    { I("\xff\xfe"), false, I("\xef\xbf\xbd\xef\xbf\xbd") },
};

static void knows_valid_utf8_and_repairs_the_rest(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
        _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
        assert_int_equal(text_utf8_valid(sequences[i].text), sequences[i].valid);
        assert_int_equal(text_utf8_repair(sequences[i].text, &out), !sequences[i].valid);
        assert_true(text_equal(buffer_text(&out), sequences[i].repaired));
        assert_true(text_utf8_valid(buffer_text(&out)));
    }
}

/* Every code point at every offset in a word, against the definition. */
static void accepts_exactly_the_code_points(void **state) {
    (void)state;
    char bytes[16];
    for (uint32_t c = 0; c < 0x120000; c += c < 0x11000 ? 1 : 61) {
        size_t offset = c % 9, size;
        memset(bytes, 'x', sizeof(bytes));
        unsigned char *p = (unsigned char *)bytes + offset;
        if (c < 0x80) {
            p[0] = (unsigned char)c;
            size = 1;
        } else if (c < 0x800) {
            p[0] = (unsigned char)(0xc0 | c >> 6);
            p[1] = (unsigned char)(0x80 | (c & 0x3f));
            size = 2;
        } else if (c < 0x10000) {
            p[0] = (unsigned char)(0xe0 | c >> 12);
            p[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
            p[2] = (unsigned char)(0x80 | (c & 0x3f));
            size = 3;
        } else {
            p[0] = (unsigned char)(0xf0 | c >> 18);
            p[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
            p[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
            p[3] = (unsigned char)(0x80 | (c & 0x3f));
            size = 4;
        }
        bool valid = c < 0x110000 && !(c >= 0xd800 && c < 0xe000);
        struct text text = { bytes, sizeof(bytes) };
        assert_int_equal(text_utf8_valid(text), valid);
        if (valid)
            assert_int_equal(text_utf8_count(text), sizeof(bytes) - size + 1);
    }
}

static void knows_plain_ascii_at_every_offset(void **state) {
    (void)state;
    static const char bad[] = { 0, (char)0x80, (char)0xff };
    char bytes[20];
    for (size_t length = 0; length <= sizeof(bytes); length++)
        for (size_t at = 0; at < length; at++) {
            memset(bytes, at % 2 ? 0x7f : 1, sizeof(bytes));
            assert_true(text_is_ascii((struct text) { bytes, length }));
            for (size_t i = 0; i < sizeof(bad); i++) {
                bytes[at] = bad[i];
                assert_false(text_is_ascii((struct text) { bytes, length }));
            }
        }
    assert_true(text_is_ascii(TEXT_EMPTY));
}

static void shows_what_would_act_on_a_terminal(void **state) {
    (void)state;
    static const struct {
        struct text in, out;
        bool keep;
    } cases[] = {
        { I("a\nb\tc\rd"), I("a\\nb\\tc\\rd"), false },
        { I("a\nb\tc\rd"), I("a\nb\tc\\rd"), true },
        { I("\x1b[31m\x7f"), I("\\x1b[31m\\x7f"), false },
        { I("\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xd8\x9c"), I("\\u009b\\u202e\\u2028\\u061c"), false },
        { I("\xc3\xa9 \xf0\x9f\x98\x80 fine"), I("\xc3\xa9 \xf0\x9f\x98\x80 fine"), false },
        { I("stray \x9b"), I("stray \\x9b"), false },
        { I("nul\0"), I("nul\\x00"), false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
        text_append_printable(&out, cases[i].in, cases[i].keep);
        assert_true(text_equal(buffer_text(&out), cases[i].out));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_texts),
        cmocka_unit_test(measures_near_misses),
        cmocka_unit_test(grows_a_buffer),
        cmocka_unit_test(formats_more_than_fits_at_first),
        cmocka_unit_test(stays_failed_once_memory_was_short),
        cmocka_unit_test(knows_valid_utf8_and_repairs_the_rest),
        cmocka_unit_test(accepts_exactly_the_code_points),
        cmocka_unit_test(knows_plain_ascii_at_every_offset),
        cmocka_unit_test(shows_what_would_act_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
