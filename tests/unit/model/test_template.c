/* A call's arguments, kept now and formatted later, read as printf would have written them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/template.h"

#define T TEXT_LITERAL

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static char captured[4096];

static int capture(const char *format, size_t string_max, size_t capacity, ...) {
    struct template_types types;
    va_list arguments;
    assert_int_equal(template_parse(format, &types), 0);
    va_start(arguments, capacity);
    int length = template_capture(&types, format, arguments, string_max, captured, capacity);
    va_end(arguments);
    return length;
}

/* What libc makes of it, and what deferred formatting makes of it. */
static void assert_as_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void assert_as_printf(const char *format, ...) {
    struct template_types types;
    char expected[16384];
    va_list arguments;
    va_start(arguments, format);
    int expected_length = vsnprintf(expected, sizeof(expected), format, arguments);
    va_end(arguments);
    if (template_parse(format, &types) < 0)
        fail_msg("\"%s\" is not deferrable", format);
    va_start(arguments, format);
    int length = template_capture(&types, format, arguments, 1000, captured, sizeof(captured));
    va_end(arguments);
    assert_true(length >= 0);
    char *exact = malloc((size_t)length + 1); /* for the sanitizer */
    memcpy(exact, captured, (size_t)length);
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    assert_int_equal(template_format(text_of(format), (struct text) { exact, (size_t)length }, &out), 0);
    free(exact);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    assert_int_equal(out.length - 1, expected_length);
}

static void formats_integers_as_printf(void **state) {
    (void)state;
    assert_as_printf("plain text, 100%%");
    assert_as_printf("%d %i %u %x %X %o", -5, 7, 4000000000u, 255, 255, 8);
    assert_as_printf("%ld %lu %lld %llu", -5L, 5UL, INT64_MIN + 0LL, UINT64_MAX + 0ULL);
    assert_as_printf("%zu %zd %td %jd %ju", (size_t)7, (ssize_t)-7, (ptrdiff_t)-9, INTMAX_MIN, UINTMAX_MAX);
    assert_as_printf("%hhd %hhu %hd %hu", (signed char)-3, (unsigned char)250, (short)-300, (unsigned short)65000);
    assert_as_printf("%5d|%-5d|%05d|%+d|% d|%#x|%#o|%.3d|%8.3d|%-8.3x|", 42, 42, 42, 42, 42, 42, 42, 42, 42, 42);
    assert_as_printf("%*d|%-*d|%.*d|%*.*d", 6, 1, 6, 2, 3, 4, -8, 3, 5);
    assert_as_printf("%c%c|%3c|%-3c|", 'a', 'b', 'c', 'd');
    assert_as_printf("%x %lx %d", (unsigned)-1, -1L, INT32_MIN);
}

static void formats_doubles_as_printf(void **state) {
    (void)state;
    assert_as_printf("%f %e %g %G %a %F", 1.5, 12345.678, 1e-7, 1e20, 0.5, -0.0);
    assert_as_printf("%.2f|%10.3f|%-10.1f|%+.0f|%#.0f|%010.2f|%lf", 3.14159, 3.14159, 3.14159, 2.5, 2.0, -3.14159, 1.0);
    assert_as_printf("%.*f %*.*g", 3, 2.0 / 3, 12, 4, 2.0 / 3);
    assert_as_printf("%g %f %.100f", 1.0 / 0.0, -1.0 / 0.0, 1e300);
}

static void formats_strings_and_pointers_as_printf(void **state) {
    (void)state;
    assert_as_printf("%s and %s", "one", "");
    assert_as_printf("%10s|%-10s|%.2s|%.0s|%.*s|%*s|%-*.*s|", "abc", "abc", "abc", "abc", 2, "abc", 6, "abc", 6, 1,
                     "abc");
    assert_as_printf("%.*s", -1, "negative precision is none");
    assert_as_printf("%p %20p %p", (void *)0x1234, (void *)captured, NULL);
    const char *nothing = NULL;
    char expected[64];
    snprintf(expected, sizeof(expected), "%s %.3s", "(null)", "");
    int length = capture("%s %.3s", 100, sizeof(captured), nothing, nothing);
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    assert_int_equal(template_format(T("%s %.3s"), (struct text) { captured, (size_t)length }, &out), 0);
    assert_true(text_is(buffer_text(&out), expected));
}

static void reads_an_unterminated_string_no_further_than_its_precision(void **state) {
    (void)state;
    char *bytes = malloc(3);
    memcpy(bytes, "abc", 3);
    assert_as_printf("%.3s", bytes);
    assert_as_printf("%.*s", 3, bytes);
    assert_as_printf("%*.*s", 5, 2, bytes);
    free(bytes);
}

static void names_the_types(void **state) {
    (void)state;
    static const struct {
        const char *format, *types;
    } cases[] = {
        { "", "" },
        { "100%%", "" },
        { "%d%hd%hhu%c", "iiii" },
        { "%ld%lld%jd%zu%td", "lqqzz" },
        { "%f%lg%a", "ddd" },
        { "%s%.3s%.*s%*s%*.*s", "sSwSwswwS" },
        { "%p", "p" },
        { "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", "iiiiiiiiiiiiiiii" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct template_types types;
        assert_int_equal(template_parse(cases[i].format, &types), 0);
        assert_string_equal(types.types, cases[i].types);
    }
}

static void leaves_to_printf_what_it_cannot_defer(void **state) {
    (void)state;
    static const char *const formats[] = {
        "%n", "%m",  "%Lf", "%1$d", "%ls", "%lc",   "%S",
        "%C", "%'d", "%Id", "%",    "%l",  "%5",    "%.",
        "%k", "%hs", "%hf", "%lp",  "% %", "%*1$d", "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d"
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct template_types types = { "x" };
        assert_int_equal(template_parse(formats[i], &types), -ENOTSUP);
        assert_string_equal(types.types, "x");
    }
}

static void says_when_arguments_do_not_fit(void **state) {
    (void)state;
    assert_int_equal(capture("%d %s", 100, sizeof(captured), 1, "four"), 8 + 4 + 4);
    for (size_t capacity = 0; capacity < 16; capacity++) {
        memset(captured, 0x77, 32);
        assert_int_equal(capture("%d %s", 100, capacity, 1, "four"), -ENOSPC);
        assert_int_equal(captured[capacity], 0x77);
    }
}

static void cuts_long_strings_between_characters(void **state) {
    (void)state;
    assert_int_equal(capture("%s", 5, sizeof(captured), "abcdefgh"), 4 + 5);
    assert_int_equal(capture("%s", 5, sizeof(captured), "abcd\xc3\xa9"), 4 + 4);
    assert_int_equal(capture("%s", 6, sizeof(captured), "abcd\xc3\xa9"), 4 + 6);
    assert_int_equal(capture("%.7s", 5, sizeof(captured), "abcdefgh"), 4 + 5);
    assert_int_equal(capture("%.3s", 5, sizeof(captured), "abcdefgh"), 4 + 3);
}

static void tells_when_arguments_and_format_disagree(void **state) {
    (void)state;
    static const struct {
        struct text format, arguments;
        const char *appended;
    } cases[] = {
        { TEXT_INITIALIZER("a %d b"), TEXT_INITIALIZER("\1\0\0"), "a " },
        { TEXT_INITIALIZER("a %s b"),
          TEXT_INITIALIZER("\xff\xff\xff\xff"
                           "x"),
          "a " },
        { TEXT_INITIALIZER("a %s b"), TEXT_INITIALIZER("\2\0\0"), "a " },
        { TEXT_INITIALIZER("a %d b"), TEXT_INITIALIZER("\1\0\0\0\0\0\0\0x"), "a 1 b" },
        { TEXT_INITIALIZER("a %n b"), TEXT_INITIALIZER("\1\0\0\0\0\0\0\0"), "a " },
        { TEXT_INITIALIZER("a %*d"), TEXT_INITIALIZER("\1\0\0\0\0\0\0\0"), "a " },
        { TEXT_INITIALIZER("a %"), TEXT_INITIALIZER(""), "a " },
        { TEXT_INITIALIZER(""), TEXT_INITIALIZER("x"), "" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
        assert_int_equal(template_format(cases[i].format, cases[i].arguments, &out), -EBADMSG);
        assert_true(text_is(buffer_text(&out), cases[i].appended));
    }
}

static void bounds_widths_and_precisions(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    assert_int_equal(template_format(T("%99999999999d"), T("\1\0\0\0\0\0\0\0"), &out), 0);
    assert_int_equal(out.length, 10000);
    buffer_clear(&out);
    assert_int_equal(template_format(T("%.99999999999d"), T("\1\0\0\0\0\0\0\0"), &out), 0);
    assert_int_equal(out.length, 10000);
    buffer_clear(&out);
    char many[17 * 8] = { 0 }, format[17 * 2];
    for (int i = 0; i < 17; i++)
        memcpy(format + 2 * i, "%d", 2);
    assert_int_equal(template_format((struct text) { format, 32 }, (struct text) { many, 128 }, &out), 0);
    assert_int_equal(template_format((struct text) { format, 34 }, (struct text) { many, 136 }, &out), -EBADMSG);
    buffer_clear(&out);
    /* a width that no int could hold counts as the int it is cut to */
    assert_int_equal(template_format(T("%*s"), T("\2\0\0\0\1\0\0\0\0\0\0\0"), &out), 0);
    assert_int_equal(out.length, 2);
    buffer_clear(&out);
    assert_int_equal(template_format(T("%*s"), T("\0\0\0\x80\0\0\0\0\0\0\0\0"), &out), 0); /* INT_MIN */
    assert_int_equal(out.length, 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_integers_as_printf),
        cmocka_unit_test(formats_doubles_as_printf),
        cmocka_unit_test(formats_strings_and_pointers_as_printf),
        cmocka_unit_test(reads_an_unterminated_string_no_further_than_its_precision),
        cmocka_unit_test(names_the_types),
        cmocka_unit_test(leaves_to_printf_what_it_cannot_defer),
        cmocka_unit_test(says_when_arguments_do_not_fit),
        cmocka_unit_test(cuts_long_strings_between_characters),
        cmocka_unit_test(tells_when_arguments_and_format_disagree),
        cmocka_unit_test(bounds_widths_and_precisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
