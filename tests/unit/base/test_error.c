/* The sentence that goes up with an error code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/text.h"

static void carries_the_sentence_and_returns_the_code(void **state) {
    (void)state;
    struct error error = { "" };
    assert_int_equal(error_set(&error, -ENOENT, "cannot open %s", "/x"), -ENOENT);
    assert_string_equal(error.text, "cannot open /x");
    assert_int_equal(error_set(NULL, -ENOENT, "cannot open %s", "/x"), -ENOENT);
}

static void keeps_one_line_without_controls(void **state) {
    (void)state;
    struct error error = { "" };
    error_set(&error, -1, "%s", "a\nb\x1b[1mc\x7f \xc2\x9b \xc3\xa9");
    assert_string_equal(error.text, "a?b?[1mc? ?? \xc3\xa9");
}

static void puts_the_place_before(void **state) {
    (void)state;
    struct error error = { "" };
    error_set(&error, -1, "no such key");
    assert_int_equal(error_prefix(&error, -EINVAL, "file:%d", 3), -EINVAL);
    assert_string_equal(error.text, "file:3: no such key");
    error_set(&error, -1, "again: %s", error.text); /* its own text as an argument */
    assert_string_equal(error.text, "again: file:3: no such key");
}

static void is_cut_between_characters(void **state) {
    (void)state;
    char long_text[2 * ERROR_TEXT_SIZE + 1];
    for (size_t i = 0; i < sizeof(long_text) - 1; i += 2)
        memcpy(long_text + i, "\xc3\xa9", 2);
    long_text[sizeof(long_text) - 1] = '\0';
    struct error error;
    error_set(&error, -1, "%s", long_text);
    assert_int_equal(strlen(error.text), ERROR_TEXT_SIZE - 2);
    assert_true(text_utf8_valid(text_of(error.text)));
    error_prefix(&error, -1, "x");
    assert_true(text_utf8_valid(text_of(error.text)));
    error_prefix(&error, -1, "%s", long_text);
    assert_true(strlen(error.text) < ERROR_TEXT_SIZE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_the_sentence_and_returns_the_code),
        cmocka_unit_test(keeps_one_line_without_controls),
        cmocka_unit_test(puts_the_place_before),
        cmocka_unit_test(is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
