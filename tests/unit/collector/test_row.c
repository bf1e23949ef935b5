/* A thread that goes on in further lanes when one is full (agent/client/row.c): its order holds, whatever the collector sees of it. */
#include "tests/unit/collector/drain_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "agent/client/producer.h"

static unsigned entries_wanted(void) {
    return getenv("TASKFORGE_LONG") ? 5000000 : 60000;
}

/* A ring that has some lanes to spare: who attaches later takes it as it is. */
static void open_large(const struct ring_fixture *f, struct setup *s) {
    struct ring ring;
    struct error error = { "" };
    assert_int_equal(ring_attach(f->runtime_dir, UINT64_C(16) << 20, &ring, &error), 0);
    setup_open(f, s);
    ring_finish(&ring);
}

static struct producer *open_producer(const struct ring_fixture *f, bool rows) {
    struct producer *producer = NULL;
    struct error error = { "" };
    assert_int_equal(producer_open(f->runtime_dir, "agent", &producer, &error), 0);
    if (rows)
        producer_take_rows(producer);
    return producer;
}

static int write_number(struct producer *producer, unsigned number, enum level level) {
    char message[32];
    snprintf(message, sizeof(message), "%u", number);
    struct record_entry record = { .entry = { .level = level,
                                              .service = TEXT_LITERAL("s"),
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o"),
                                              .message = text_of(message) } };
    return producer_write(producer, &record, 0);
}

/* Until there is no room: how many. */
static unsigned fill(struct producer *producer, unsigned first) {
    unsigned number = first;
    while (write_number(producer, number, LEVEL_INFO) == 0)
        number++;
    return number - first;
}

static unsigned owned_lanes(const struct setup *s) {
    unsigned owned = 0;
    for (uint32_t i = 0; i < s->rings.items[0]->ring.lane_count; i++)
        owned += s->rings.items[0]->lanes[i].state.owner != 0;
    return owned;
}

/* What the batch has goes on from *number. */
static void expect_numbers(const struct setup *s, unsigned *number) {
    char expected[32];
    for (size_t i = 0; i < s->batch.entry_count; i++) {
        snprintf(expected, sizeof(expected), "%u", (*number)++);
        if (!text_is(s->batch.entries[i].message, expected))
            fail_msg("\"%.*s\" is where %s should be", TEXT_FORMAT(s->batch.entries[i].message), expected);
    }
}

static void a_full_lane_is_followed_by_others_as_many_as_can_be_spared(void **state) {
    struct setup s;
    open_large(*state, &s);
    struct producer *one = open_producer(*state, false), *many = open_producer(*state, true);
    unsigned alone = fill(one, 0), row = fill(many, 0);
    round_and_gather(&s);
    unsigned private = s.rings.items[0]->ring.lane_count - s.rings.items[0]->ring.overflow_count;
    assert_int_equal(owned_lanes(&s), 1 + private / 2);
    assert_true(row >= private / 2 * alone && row < (private / 2 + 1) * alone);
    producer_close(one);
    producer_close(many);
    setup_close(&s);
}

static void the_lanes_are_used_again_in_turn(void **state) {
    struct setup s;
    open_large(*state, &s);
    struct producer *producer = open_producer(*state, true);
    unsigned written = 0, read = 0;
    for (int lap = 0; lap < 5; lap++) {
        unsigned more = fill(producer, written);
        assert_true(more > 0);
        written += more;
        while (read < written) {
            round_and_gather(&s);
            expect_numbers(&s, &read);
            settle(&s);
        }
    }
    producer_close(producer);
    setup_close(&s);
}

static void what_was_not_needed_for_a_while_is_given_back(void **state) {
    struct setup s;
    open_large(*state, &s);
    struct producer *producer = open_producer(*state, true);
    fill(producer, 0);
    round_and_gather(&s);
    unsigned owned = owned_lanes(&s);
    assert_true(owned > 1);
    producer_ease(producer);
    drain_round(&s.drain, &s.seen);
    for (uint32_t i = 0; i < s.rings.items[0]->ring.lane_count; i++)
        assert_false(s.rings.items[0]->lanes[i].state.released);
    clock_set_for_test(clock_real_ns() + 60 * CLOCK_SECOND);
    producer_ease(producer);
    clock_set_for_test(0);
    drain_round(&s.drain, &s.seen);
    unsigned released = 0;
    for (uint32_t i = 0; i < s.rings.items[0]->ring.lane_count; i++)
        released += s.rings.items[0]->lanes[i].state.released;
    assert_int_equal(released, owned - 1);
    producer_close(producer);
    setup_close(&s);
}

/* Its times would sort it in front of what the last lane holds. */
static void stays_in_its_lane_while_the_clock_is_behind(void **state) {
    struct setup s;
    open_large(*state, &s);
    struct producer *producer = open_producer(*state, true);
    uint64_t now = clock_real_ns();
    unsigned number = 0, read = 0;
    clock_set_for_test(now);
    assert_int_equal(write_number(producer, number++, LEVEL_INFO), 0);
    clock_set_for_test(now - 3600 * CLOCK_SECOND);
    number += fill(producer, number);
    assert_int_equal(write_number(producer, number, LEVEL_INFO), -EAGAIN);
    clock_set_for_test(now + 1);
    unsigned before = number;
    number += fill(producer, number); /* one lane more: the clock stands */
    assert_true(number > before);
    clock_set_for_test(now + 2);
    number += fill(producer, number);
    while (read < number) {
        round_and_gather(&s);
        expect_numbers(&s, &read);
        settle(&s);
    }
    clock_set_for_test(0);
    producer_close(producer);
    setup_close(&s);
}

static void *write_all(void *argument) {
    unsigned wanted = entries_wanted();
    for (unsigned number = 0; number < wanted;)
        if (write_number(argument, number, number % 7 ? LEVEL_INFO : LEVEL_DEBUG) == 0)
            number++;
        else
            sched_yield();
    return NULL;
}

static void order_holds_while_the_collector_reads(void **state) {
    struct setup s;
    pthread_t thread;
    open_large(*state, &s);
    struct producer *producer = open_producer(*state, true);
    unsigned read = 0, most = 0;
    assert_int_equal(pthread_create(&thread, NULL, write_all, producer), 0);
    while (read < entries_wanted()) {
        round_and_gather(&s);
        expect_numbers(&s, &read);
        settle(&s);
        unsigned owned = owned_lanes(&s);
        most = owned > most ? owned : most;
        if (s.batch.entry_count == 0)
            sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(read, entries_wanted());
    assert_true(most > 1);
    producer_close(producer);
    setup_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_full_lane_is_followed_by_others_as_many_as_can_be_spared),
        TEST(the_lanes_are_used_again_in_turn),
        TEST(what_was_not_needed_for_a_while_is_given_back),
        TEST(stays_in_its_lane_while_the_clock_is_behind),
        TEST(order_holds_while_the_collector_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
