/* Positions: the list, and asking a collector that is late, silent or confused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/inputs/positions.h"
#include "common/base/clock.h"
#include "common/process/control.h"

static void reads_an_answer(void **state) {
    (void)state;
    struct positions positions = POSITIONS_EMPTY;
    assert_int_equal(positions_parse(TEXT_LITERAL("6b31 7631\n6B32 \n"), &positions), 0);
    assert_int_equal(positions.count, 2);
    assert_true(text_is(positions_find(&positions, TEXT_LITERAL("k1")), "v1"));
    assert_int_equal(positions_find(&positions, TEXT_LITERAL("k2")).length, 0);
    assert_int_equal(positions_find(&positions, TEXT_LITERAL("k3")).length, 0);
    positions_finish(&positions);
    assert_int_equal(positions_parse(TEXT_EMPTY, &positions), 0);
}

static void refuses_an_answer_that_makes_no_sense(void **state) {
    (void)state;
    static const char *const answers[] = { "6b31\n", "6b3 76\n", "xx 76\n", "6b 7g\n", "6b 76\nno\n" };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct positions positions = POSITIONS_EMPTY;
        assert_int_equal(positions_parse(text_of(answers[i]), &positions), -EBADMSG);
        assert_int_equal(positions.count, 0);
    }
}

struct asked {
    unsigned calls, answers;
    size_t count;
    pid_t peer;
};

static void on_question(struct control_call *call, struct text arguments, void *context) {
    struct asked *asked = context;
    assert_true(text_is(control_word(&arguments), "t"));
    if (asked->calls++ == 0) { /* the first time it cannot */
        control_fail(call, "not now");
        return;
    }
    control_add(call, "6b31 7631");
    control_done(call);
}

static void on_answer(const struct positions *known, pid_t peer, void *context) {
    struct asked *asked = context;
    asked->answers++;
    asked->count = known->count;
    asked->peer = peer;
}

static void asks_until_the_collector_has_answered(void **state) {
    (void)state;
    static const struct control_verb verbs[] = { { "positions", "INPUT", on_question } };
    char folder[] = "/tmp/taskforge-positions-XXXXXX", path[64];
    struct asked asked = { 0 };
    struct loop *loop;
    struct control *control = NULL;
    struct positions_request *request;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    assert_int_equal(loop_create(&loop, NULL), 0);
    assert_int_equal(positions_ask(loop, path, "t", on_answer, &asked, &request, NULL), 0);
    loop_run_once(loop, CLOCK_SECOND); /* nobody is there */
    assert_int_equal(control_listen(loop, path, 0600, verbs, 1, &asked, &control, NULL), 0);
    uint64_t end_ns = clock_monotonic_ns() + 10 * CLOCK_SECOND;
    while (asked.answers == 0 && clock_monotonic_ns() < end_ns)
        loop_run_once(loop, CLOCK_SECOND);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.calls, 2);
    assert_int_equal(asked.count, 1);
    assert_int_equal(asked.peer, getpid());
    positions_request_destroy(request);
    control_destroy(control);
    loop_destroy(loop);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_answer),
        cmocka_unit_test(refuses_an_answer_that_makes_no_sense),
        cmocka_unit_test(asks_until_the_collector_has_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
