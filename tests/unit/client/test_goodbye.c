/* How a process ends: who comes to exit(3), in whatever way, has said goodbye in each slot; who is ended has not. */
#include "tests/unit/client/client_fixture.h"

#include <signal.h>
#include <stdlib.h>

struct ending {
    const struct fixture *fixture;
    void (*end)(void);
};

/* The slots that are in use, and of how many of them the process has said goodbye. */
static void look(const struct fixture *fixture, unsigned *ret_active, unsigned *ret_goodbyes) {
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    *ret_active = *ret_goodbyes = 0;
    for (uint32_t i = 0; i < ring_reader_slots_used(&drain.ring); i++) {
        struct slot_info info;
        assert_int_equal(ring_reader_slot(&drain.ring, i, &info), 0);
        *ret_active += info.state == SLOT_ACTIVE;
        *ret_goodbyes += info.state == SLOT_ACTIVE && info.goodbye;
    }
    drain_close(&drain);
}

static void expect_slots(const struct fixture *fixture, unsigned active, unsigned goodbyes) {
    unsigned found_active, found_goodbyes;
    look(fixture, &found_active, &found_goodbyes);
    assert_int_equal(found_active, active);
    assert_int_equal(found_goodbyes, goodbyes);
}

static int open_two_and_end(void *argument) {
    const struct ending *ending = argument;
    tf_log(fixture_open(ending->fixture, TF_POLICY_DROP, 0), TF_LEVEL_INFO, NULL, "o", "text");
    fixture_open(ending->fixture, TF_POLICY_DROP, 0);
    ending->end();
    return 0; /* by _exit, as in_child does */
}

static int end_of(const struct fixture *fixture, void (*end)(void)) {
    return in_child(open_two_and_end, &(struct ending) { fixture, end });
}

static void by_exit(void) {
    exit(0);
}
static void by_quick_exit(void) {
    quick_exit(0);
}
static void by_return(void) {}
static void by_signal(void) {
    kill(getpid(), SIGKILL);
}

static void who_exits_says_goodbye_and_stays_attached(void **state) {
    assert_int_equal(end_of(*state, by_exit), 0);
    expect_slots(*state, 2, 2);
}

static void quick_exit_is_an_end_in_good_order(void **state) {
    assert_int_equal(end_of(*state, by_quick_exit), 0);
    expect_slots(*state, 2, 2);
}

static void who_is_killed_says_none(void **state) {
    assert_int_equal(end_of(*state, by_signal), 256 + SIGKILL);
    expect_slots(*state, 2, 0);
}

static void underscore_exit_says_none(void **state) {
    assert_int_equal(end_of(*state, by_return), 0);
    expect_slots(*state, 2, 0);
}

/* --- handlers that run behind ours: registered before the first client */

static const struct fixture *fixture_of_handler;
static tf_client *client_of_handler;

static void log_late(void) {
    if (tf_log(client_of_handler, TF_LEVEL_INFO, NULL, "o", "late") != 0)
        _exit(2);
    tf_client *another = fixture_open(fixture_of_handler, TF_POLICY_DROP, 0);
    if (tf_log(another, TF_LEVEL_INFO, NULL, "o", "later") != 0)
        _exit(3);
}

static int end_with_a_handler(void *fixture) {
    fixture_of_handler = fixture;
    if (at_quick_exit(log_late) != 0)
        return 1;
    client_of_handler = fixture_open(fixture, TF_POLICY_DROP, 0);
    quick_exit(0);
}

static void what_handlers_write_behind_it_is_there(void **state) {
    assert_int_equal(in_child(end_with_a_handler, *state), 0);
    expect_slots(*state, 2, 2);
    struct drain drain;
    const struct fixture *fixture = *state;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 2);
    drain_finish(&drain);
}

/* --- fork */

static int exit_in_child(void *client) {
    if (tf_log(client, TF_LEVEL_INFO, NULL, "o", "text") != 0)
        return 1;
    exit(0);
}

static int leave_in_child(void *client) {
    return tf_log(client, TF_LEVEL_INFO, NULL, "o", "text") != 0;
}

static void a_child_speaks_for_itself_alone(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "text"), 0);
    assert_int_equal(in_child(exit_in_child, client), 0);
    expect_slots(*state, 2, 1);
    assert_int_equal(in_child(leave_in_child, client), 0);
    expect_slots(*state, 3, 1);
    tf_close(client);
    expect_slots(*state, 2, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(who_exits_says_goodbye_and_stays_attached),
        fixture_test(quick_exit_is_an_end_in_good_order),
        fixture_test(who_is_killed_says_none),
        fixture_test(underscore_exit_says_none),
        fixture_test(what_handlers_write_behind_it_is_there),
        fixture_test(a_child_speaks_for_itself_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
