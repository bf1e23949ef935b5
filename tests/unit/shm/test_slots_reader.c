/* Many slots' states, and a slot's open spans, as the collector reads them. */
#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "common/shm/ring_reader.h"

static const struct text service = { "billing", 7 };

static void states_are_those_of_slots_in_use(void **state) {
    struct ring ring;
    struct slot_claim claims[3];
    uint64_t words[RING_SLOTS_MAX];
    fixture_attach(*state, &ring);
    assert_int_equal(ring_reader_slot_states(&ring, RING_SLOTS_MAX, words), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ring_slot_claim(&ring, service, 0, &claims[i]), 0);
    ring_slot_release(&ring, &claims[1], false);
    ring_slot_release(&ring, &claims[2], true);
    assert_int_equal(ring_reader_slot_states(&ring, RING_SLOTS_MAX, words), 3);
    assert_int_equal(words[0], slot_state_word(claims[0].generation, SLOT_ACTIVE));
    assert_int_equal(words[1], slot_state_word(claims[1].generation, SLOT_CLOSED));
    assert_int_equal(words[2], slot_state_word(claims[2].generation, SLOT_FREE));
    assert_int_equal(ring_reader_slot_states(&ring, 2, words), 2);
    ring_finish(&ring);
}

static void a_goodbye_is_seen_beside_the_state(void **state) {
    struct ring ring;
    struct slot_claim claim;
    struct slot_info info;
    fixture_attach(*state, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_reader_slot(&ring, claim.index, &info), 0);
    assert_false(info.goodbye);
    ring_slot_say_goodbye(&claim);
    assert_int_equal(ring_reader_slot(&ring, claim.index, &info), 0);
    assert_true(info.goodbye);
    assert_int_equal(info.state, SLOT_ACTIVE);
    ring_slot_release(&ring, &claim, true);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_reader_slot(&ring, claim.index, &info), 0);
    assert_false(info.goodbye); /* the next one's */
    ring_finish(&ring);
}

/* --- open spans --- */

static void put_span(struct slot_span *span, uint64_t start_ns, const char *operation, uint8_t length) {
    memset(span->trace_id, 0xab, sizeof(span->trace_id));
    memset(span->span_id, 0xcd, sizeof(span->span_id));
    span->thread = 7;
    span->operation_length = length;
    strncpy(span->operation, operation, sizeof(span->operation));
    atomic_store(&span->state, start_ns);
}

static void open_spans_are_copied_others_left_out(void **state) {
    struct ring ring;
    struct slot_claim claim;
    struct open_span spans[SLOT_SPANS_MAX];
    fixture_attach(*state, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_reader_spans(&ring, claim.index, spans), 0);
    put_span(&claim.slot->spans[1], 1000, "send", 4);
    put_span(&claim.slot->spans[2], 1001, "being written", 13);
    put_span(&claim.slot->spans[SLOT_SPANS_MAX - 1], 2000, "longer than it can be", 255);
    assert_int_equal(ring_reader_spans(&ring, claim.index, spans), 2);
    assert_int_equal(spans[0].start_ns, 1000);
    assert_int_equal(spans[0].operation_length, 4);
    assert_memory_equal(spans[0].operation, "send", 4);
    assert_int_equal(spans[0].trace_id[15], 0xab);
    assert_int_equal(spans[0].span_id[7], 0xcd);
    assert_int_equal(spans[0].thread, 7);
    assert_int_equal(spans[1].operation_length, SLOT_SPAN_OPERATION_BYTES);
    ring_finish(&ring);
}

/* Its owner starts and ends spans all the time: a copy is whole, or not taken. */
static void *turn_spans_over(void *argument) {
    struct slot_span *span = argument;
    for (uint64_t i = 0; i < 200000; i++) {
        uint8_t byte = (uint8_t)i;
        atomic_store(&span->state, 2 * i + 1);
        for (size_t b = 0; b < sizeof(span->span_id); b++)
            __atomic_store_n(&span->span_id[b], byte, __ATOMIC_RELEASE);
        atomic_store(&span->state, 2 * i + 2);
    }
    atomic_store(&span->state, 0);
    return NULL;
}

static void a_span_that_changes_is_never_torn(void **state) {
    struct ring ring;
    struct slot_claim claim;
    struct open_span spans[SLOT_SPANS_MAX];
    pthread_t owner;
    fixture_attach(*state, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    struct slot_span *span = &claim.slot->spans[0];
    assert_int_equal(pthread_create(&owner, NULL, turn_spans_over, span), 0);
    do {
        if (ring_reader_spans(&ring, claim.index, spans) == 0)
            continue;
        for (size_t b = 0; b < sizeof(spans[0].span_id); b++)
            assert_int_equal(spans[0].span_id[b], (uint8_t)(spans[0].start_ns / 2 - 1));
    } while (atomic_load(&span->state) != 0 || pthread_tryjoin_np(owner, NULL) != 0);
    ring_finish(&ring);
}

static void a_cut_file_is_no_signal(void **state) {
    const struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct open_span spans[SLOT_SPANS_MAX];
    uint64_t words[RING_SLOTS_MAX];
    assert_int_equal(map_guard_install(NULL), 0); /* in place of cmocka's own handler */
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(truncate(f->path, 0), 0);
    assert_int_equal(ring_reader_slot_states(&ring, RING_SLOTS_MAX, words), 0);
    assert_int_equal(ring_reader_spans(&ring, claim.index, spans), -EFAULT);
    ring_finish(&ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(states_are_those_of_slots_in_use),
        TEST(a_goodbye_is_seen_beside_the_state),
        TEST(open_spans_are_copied_others_left_out),
        TEST(a_span_that_changes_is_never_torn),
        TEST(a_cut_file_is_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
