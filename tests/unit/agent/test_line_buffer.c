/* Lines of a stream, in any pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "agent/inputs/input.h"
#include "agent/inputs/line_buffer.h"

static void add(struct line_buffer *lines, const char *data, size_t length) {
    memcpy(line_buffer_room(lines), data, length);
    line_buffer_added(lines, length);
}

static bool next(struct line_buffer *lines, bool at_end, struct text *ret, bool *ret_cut) {
    size_t behind;
    struct text again;
    if (!line_buffer_next(lines, at_end, ret, ret_cut, &behind))
        return false;
    assert_true(line_buffer_next(lines, at_end, &again, ret_cut, &behind)); /* asked again it is the same */
    assert_true(text_equal(*ret, again));
    line_buffer_take(lines, behind);
    return true;
}

static void gives_the_same_lines_however_they_arrive(void **state) {
    (void)state;
    static const char bytes[] = "one\n\ntwo\r\nlast";
    static const char *const expected[] = { "one", "", "two\r", "last" };
    for (size_t piece = 1; piece < sizeof(bytes); piece++) {
        struct line_buffer lines;
        struct text line;
        bool cut;
        size_t count = 0;
        assert_int_equal(line_buffer_init(&lines), 0);
        for (size_t at = 0; at < sizeof(bytes) - 1; at += piece) {
            size_t length = sizeof(bytes) - 1 - at < piece ? sizeof(bytes) - 1 - at : piece;
            add(&lines, bytes + at, length);
            while (next(&lines, false, &line, &cut))
                assert_true(text_is(line, expected[count++]) && !cut);
        }
        assert_int_equal(count, 3);
        assert_true(next(&lines, true, &line, &cut) && text_is(line, "last"));
        assert_false(next(&lines, true, &line, &cut));
        line_buffer_finish(&lines);
    }
}

static void keeps_both_ends_of_a_line_that_is_too_long(void **state) {
    (void)state;
    static char chunk[LINE_BUFFER_READ];
    static const size_t sizes[] = { INPUT_LINE_MAX, INPUT_LINE_MAX + 1, 3 * INPUT_LINE_MAX + 7 };
    for (size_t i = 0; i < 3; i++) {
        struct line_buffer lines;
        struct text line;
        bool cut;
        assert_int_equal(line_buffer_init(&lines), 0);
        for (size_t written = 0; written < sizes[i];) {
            size_t length = sizes[i] - written < sizeof(chunk) ? sizes[i] - written : sizeof(chunk);
            memset(chunk, 'x', length);
            if (written == 0)
                chunk[0] = 'A';
            written += length;
            if (written == sizes[i])
                chunk[length - 1] = 'Z';
            add(&lines, chunk, length);
            assert_false(next(&lines, false, &line, &cut));
        }
        add(&lines, "\nnext\n", 6);
        assert_true(next(&lines, false, &line, &cut));
        assert_int_equal(cut, sizes[i] > INPUT_LINE_MAX);
        assert_true(line.data[0] == 'A' && line.data[line.length - 1] == 'Z');
        assert_in_range(line.length, INPUT_LINE_MAX, INPUT_LINE_MAX + 64);
        assert_int_equal(memmem(line.data, line.length, "bytes cut", 9) != NULL, cut);
        assert_true(next(&lines, false, &line, &cut) && text_is(line, "next") && !cut);
        line_buffer_finish(&lines);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_same_lines_however_they_arrive),
        cmocka_unit_test(keeps_both_ends_of_a_line_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
