#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/tools/lines.h"

struct taken {
    struct buffer all; /* each line in brackets */
    size_t longest;
};

static void take(void *argument, struct text line) {
    struct taken *taken = argument;
    buffer_append_char(&taken->all, '[');
    buffer_append_text(&taken->all, line);
    buffer_append_char(&taken->all, ']');
    taken->longest = line.length > taken->longest ? line.length : taken->longest;
}

/* Feed `input` in pieces of `step` bytes. */
static void cut(struct text input, size_t step, struct taken *taken) {
    struct lines lines;
    *taken = (struct taken) { .all = BUFFER_EMPTY };
    lines_init(&lines, take, taken);
    for (size_t at = 0; at < input.length; at += step)
        assert_int_equal(lines_feed(&lines, input.data + at, input.length - at < step ? input.length - at : step), 0);
    lines_end(&lines);
    lines_finish(&lines);
}

static void assert_lines(struct text input, const char *expected) {
    for (size_t step = 1; step <= input.length + 1; step++) {
        struct taken taken;
        cut(input, step, &taken);
        assert_true(text_is(buffer_text(&taken.all), expected));
        buffer_finish(&taken.all);
    }
}

static void cuts_at_newlines_however_the_bytes_come(void **state) {
    (void)state;
    assert_lines(TEXT_LITERAL("one\ntwo\r\n\nthree\n"), "[one][two][][three]");
}

static void takes_a_last_line_without_newline(void **state) {
    (void)state;
    assert_lines(TEXT_LITERAL("one\ntwo"), "[one][two]");
    assert_lines(TEXT_EMPTY, "");
}

static void keeps_nul_and_bytes_that_are_no_utf_8(void **state) {
    (void)state;
    struct taken taken;
    cut(TEXT_LITERAL("a\0b\n\xff\n"), 1, &taken);
    assert_true(text_equal(buffer_text(&taken.all), TEXT_LITERAL("[a\0b][\xff]")));
    buffer_finish(&taken.all);
}

static void keeps_head_and_tail_of_an_endless_line_and_the_next_whole(void **state) {
    (void)state;
    enum { SIZE = 5 * 1024 * 1024 };
    char *endless = malloc(SIZE);
    assert_non_null(endless);
    memset(endless, 'x', SIZE);
    memcpy(endless, "HEAD", 4);
    memcpy(endless + SIZE - 10, "TAIL\nnext\n", 10);
    struct taken taken;
    cut((struct text) { endless, SIZE }, 4096, &taken);
    assert_true(taken.longest <= 2 * (size_t)LINES_KEEP_BYTES + 4096);
    assert_true(text_starts_with(buffer_text(&taken.all), TEXT_LITERAL("[HEADxxx")));
    struct text end = TEXT_LITERAL("xxTAIL][next]");
    assert_memory_equal(taken.all.data + taken.all.length - end.length, end.data, end.length);
    buffer_finish(&taken.all);
    free(endless);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_at_newlines_however_the_bytes_come),
        cmocka_unit_test(takes_a_last_line_without_newline),
        cmocka_unit_test(keeps_nul_and_bytes_that_are_no_utf_8),
        cmocka_unit_test(keeps_head_and_tail_of_an_endless_line_and_the_next_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
