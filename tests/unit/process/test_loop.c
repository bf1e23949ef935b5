#include "common/process/loop.h"

#include "common/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    struct loop *loop;
    struct loop_fd *other;
    struct loop_timer *timer;
    int calls;
    int stop_at;
};

static int make_loop(void **state) {
    struct seen *seen = calloc(1, sizeof(*seen));

    assert_int_equal(loop_create(&seen->loop, NULL), 0);
    *state = seen;
    return 0;
}

static int end_loop(void **state) {
    struct seen *seen = *state;

    loop_destroy(seen->loop);
    free(seen);
    return 0;
}

static void take_byte(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct seen *seen = context;
    char byte;

    (void)source;
    assert_true(events & EPOLLIN);
    assert_int_equal(read(fd, &byte, 1), 1);
    if (++seen->calls == seen->stop_at)
        loop_stop(seen->loop, 5);
}

static void runs_until_it_is_stopped_and_returns_its_code(void **state) {
    struct seen *seen = *state;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    seen->stop_at = 3;
    assert_int_equal(loop_add_fd(seen->loop, ends[0], EPOLLIN, take_byte, seen, NULL), 0);
    assert_int_equal(write(ends[1], "abcd", 4), 4);
    assert_int_equal(loop_run(seen->loop), 5);
    assert_int_equal(seen->calls, 3);
    close(ends[0]);
    close(ends[1]);
}

static void remove_other(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct seen *seen = context;

    (void)fd, (void)events;
    seen->calls++;
    loop_remove_fd(seen->other == source ? source : seen->other);
    seen->other = source;
}

static void a_removed_source_is_not_called_though_its_event_is_at_hand(void **state) {
    struct seen *seen = *state, second = { 0 };
    struct loop_fd *a, *b;
    int ends[2], more[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(more), 0);
    assert_int_equal(loop_add_fd(seen->loop, ends[0], EPOLLIN, remove_other, seen, &a), 0);
    assert_int_equal(loop_add_fd(seen->loop, more[0], EPOLLIN, remove_other, &second, &b), 0);
    seen->other = b;
    second.other = a;
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(write(more[1], "x", 1), 1);
    assert_int_equal(loop_run_once(seen->loop, CLOCK_SECOND), 1); /* whoever came first removed the other */
    assert_int_equal(seen->calls + second.calls, 1);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(more[i]);
    }
}

static void ring(struct loop_timer *timer, void *context) {
    struct seen *seen = context;

    if (++seen->calls == seen->stop_at)
        loop_stop(seen->loop, 0);
    else
        loop_set_timer(timer, CLOCK_MILLISECOND);
}

static void a_timer_fires_not_before_its_time(void **state) {
    struct seen *seen = *state;
    struct loop_timer *timer;
    uint64_t start = clock_monotonic_ns();

    seen->stop_at = 3;
    assert_int_equal(loop_add_timer(seen->loop, ring, seen, &timer), 0);
    loop_set_timer(timer, 5 * CLOCK_MILLISECOND);
    assert_int_equal(loop_run(seen->loop), 0);
    assert_true(clock_monotonic_ns() - start >= 7 * CLOCK_MILLISECOND);
}

static void a_timer_at_rest_and_a_removed_one_do_not_fire(void **state) {
    struct seen *seen = *state;
    struct loop_timer *rest, *removed;

    assert_int_equal(loop_add_timer(seen->loop, ring, seen, &rest), 0);
    assert_int_equal(loop_add_timer(seen->loop, ring, seen, &removed), 0);
    loop_set_timer(rest, 0);
    loop_set_timer(removed, 0);
    loop_rest_timer(rest);
    loop_remove_timer(removed);
    assert_int_equal(loop_run_once(seen->loop, 0), 0);
    assert_int_equal(seen->calls, 0);
}

static void remove_itself(struct loop_timer *timer, void *context) {
    struct seen *seen = context;

    seen->calls++;
    loop_remove_timer(timer);
}

static void a_timer_may_remove_itself(void **state) {
    struct seen *seen = *state;
    struct loop_timer *timer;

    assert_int_equal(loop_add_timer(seen->loop, remove_itself, seen, &timer), 0);
    loop_set_timer(timer, 0);
    assert_int_equal(loop_run_once(seen->loop, CLOCK_SECOND), 1);
    assert_int_equal(loop_run_once(seen->loop, 0), 0);
    assert_int_equal(seen->calls, 1);
}

static void set_again_at_once(struct loop_timer *timer, void *context) {
    struct seen *seen = context;

    seen->calls++;
    loop_set_timer(timer, 0);
}

static void a_timer_that_is_always_due_does_not_hold_the_round(void **state) {
    struct seen *seen = *state;
    struct loop_timer *timer;

    assert_int_equal(loop_add_timer(seen->loop, set_again_at_once, seen, &timer), 0);
    loop_set_timer(timer, 0);
    assert_int_equal(loop_run_once(seen->loop, CLOCK_SECOND), 1);
    assert_int_equal(loop_run_once(seen->loop, CLOCK_SECOND), 1);
}

static void note_signal(struct loop *loop, int number, void *context) {
    struct seen *seen = context;

    seen->calls = number;
    loop_stop(loop, 0);
}

static void a_signal_comes_through_the_loop(void **state) {
    struct seen *seen = *state;

    assert_int_equal(loop_add_signal(seen->loop, SIGUSR1, note_signal, seen), 0);
    assert_int_equal(loop_add_signal(seen->loop, SIGUSR2, note_signal, seen), 0);
    assert_int_equal(loop_add_signal(seen->loop, SIGUSR1, note_signal, seen), -EEXIST);
    assert_int_equal(kill(getpid(), SIGUSR2), 0);
    assert_int_equal(loop_run(seen->loop), 0);
    assert_int_equal(seen->calls, SIGUSR2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_until_it_is_stopped_and_returns_its_code, make_loop, end_loop),
        cmocka_unit_test_setup_teardown(a_removed_source_is_not_called_though_its_event_is_at_hand, make_loop,
                                        end_loop),
        cmocka_unit_test_setup_teardown(a_timer_fires_not_before_its_time, make_loop, end_loop),
        cmocka_unit_test_setup_teardown(a_timer_at_rest_and_a_removed_one_do_not_fire, make_loop, end_loop),
        cmocka_unit_test_setup_teardown(a_timer_may_remove_itself, make_loop, end_loop),
        cmocka_unit_test_setup_teardown(a_timer_that_is_always_due_does_not_hold_the_round, make_loop, end_loop),
        cmocka_unit_test_setup_teardown(a_signal_comes_through_the_loop, make_loop, end_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
