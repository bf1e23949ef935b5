#include "alerter/window_count.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

enum { SEQUENCES = 2000000 };

struct log {
    uint64_t counted; /* sequences that were looked at */
    uint64_t fail_at; /* 0: never */
};

static bool matches(uint64_t sequence) {
    return sequence * UINT64_C(0x9e3779b97f4a7c15) >> 60 == 3;
}

static int count(void *argument, uint64_t from, uint64_t to, uint64_t *ret) {
    struct log *log = argument;
    assert_true(from < to);
    if (log->fail_at != 0 && log->fail_at >= from && log->fail_at < to)
        return -EIO;
    log->counted += to - from;
    *ret = 0;
    for (uint64_t i = from; i < to; i++)
        *ret += matches(i);
    return 0;
}

static uint64_t naive(uint64_t from, uint64_t end) {
    struct log log = { 0 };
    uint64_t total = 0;
    if (from < end)
        assert_int_equal(count(&log, from, end, &total), 0);
    return total;
}

static void each_window_has_its_count(void **state) {
    struct window_count window = { 0 };
    struct log log = { 0 };
    uint32_t random = 1;
    uint64_t from = 0, end = 0, total;
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        random = random * 1664525 + 1013904223;
        end += i % 100 == 0 ? 30000 : random >> 26; /* usually few, now and then many */
        if (i % 500 == 499)
            from -= from > 5000 ? 5000 : 0; /* back */
        else if (i > 50)
            from += random >> 25;
        from = from > end ? end : from;
        assert_int_equal(window_count_move(&window, from, end, count, &log, &total), 0);
        assert_int_equal(total, naive(from, end));
        assert_true(window.count <= WINDOW_PIECES_MAX);
    }
    window_count_finish(&window);
}

static void what_was_counted_is_not_counted_again(void **state) {
    struct window_count window = { 0 };
    struct log log = { 0 };
    uint64_t total;
    (void)state;
    assert_int_equal(window_count_move(&window, 0, 1000000, count, &log, &total), 0);
    assert_int_equal(log.counted, 1000000);
    log.counted = 0;
    for (unsigned i = 1; i <= 1000; i++)
        assert_int_equal(window_count_move(&window, i * 1000, 1000000 + i * 1000, count, &log, &total), 0);
    assert_int_equal(total, naive(1000000, SEQUENCES));
    /* a million new ones, and at each step the rest of the piece that was cut: a 64th of the window at most */
    assert_true(log.counted < 1000000 + 1000 * (1000000 / WINDOW_PIECES_AT_ONCE + 1));
    window_count_finish(&window);
}

static void a_failure_keeps_what_was_counted(void **state) {
    struct window_count window = { 0 };
    struct log log = { .fail_at = 50000 };
    uint64_t total;
    (void)state;
    assert_int_equal(window_count_move(&window, 1, 60000, count, &log, &total), -EIO);
    log = (struct log) { 0 };
    assert_int_equal(window_count_move(&window, 1, 60000, count, &log, &total), 0);
    assert_int_equal(total, naive(1, 60000));
    assert_true(log.counted < 20000);
    window_count_finish(&window);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_window_has_its_count),
        cmocka_unit_test(what_was_counted_is_not_counted_again),
        cmocka_unit_test(a_failure_keeps_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
