/* The slots of a ring: found by producer also when they came a moment ago, kept while shared lanes hold what they explain, watched. */
#include "tests/unit/collector/drain_fixture.h"

#include "collector/slots.h"

/* A call of a registered statement in an overflow lane: only the slot says what its text is. */
static void write_call(struct ring *ring, const struct slot_claim *claim, int site) {
    struct record hello = { .kind = RECORD_PROCESS_HELLO,
                            .process_hello = { .service = TEXT_LITERAL("shared"), .pid = (uint32_t)getpid() } };
    char arguments[8] = { 42 }, room[512];
    struct record_entry record = { .entry = { .timestamp_ns = 1, .level = LEVEL_INFO, .message = { arguments, 8 } },
                                   .site = (uint32_t)site };
    struct lane_writer writer;
    uint32_t lane, size;
    uint64_t position;
    memcpy(hello.process_hello.producer_id, claim->slot->producer_id, 16);
    uint32_t hello_size = (uint32_t)record_encode(&hello, room, sizeof(room));
    assert_int_equal(record_entry_size(&record, &size), 0);
    assert_int_equal(ring_overflow_take(ring, claim, &writer, &lane), 0);
    char *span = lane_claim(&writer, hello_size + size, LEVEL_INFO, &position);
    assert_non_null(span);
    hello.position = position;
    hello.time_ns = 1;
    assert_int_equal(record_encode(&hello, span, hello_size), hello_size);
    record_entry_encode(&record, position + hello_size, 1, span + hello_size, size);
    lane_commit(&writer, hello_size + size);
    ring_overflow_give(ring, lane);
}

static int add_site(struct ring *ring, const struct slot_claim *claim) {
    return ring_site_add(ring, claim, LEVEL_INFO, TEXT_LITERAL("mod"), TEXT_LITERAL("op"), TEXT_LITERAL("took %d ms"));
}

static void a_process_that_came_between_two_scans_is_known_by_its_first_record(void **state) {
    struct setup s;
    struct slot_claim late;
    setup_open(*state, &s);
    reap_scan(&s.rings);
    assert_int_equal(ring_slot_claim(&s.producer, TEXT_LITERAL("shared"), 0, &late), 0);
    write_call(&s.producer, &late, add_site(&s.producer, &late));
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "took 42 ms");
    settle(&s);
    setup_close(&s);
}

static void a_slot_stays_while_a_shared_lane_holds_what_it_explains(void **state) {
    struct setup s;
    struct slot_claim ended;
    setup_open(*state, &s);
    assert_int_equal(ring_slot_claim(&s.producer, TEXT_LITERAL("shared"), 0, &ended), 0);
    write_call(&s.producer, &ended, add_site(&s.producer, &ended));
    ring_slot_release(&s.producer, &ended, false);
    reap_scan(&s.rings);
    assert_true(reap_finish(&s.rings));
    assert_int_equal(atomic_load(&ended.slot->state) & 0xff, SLOT_CLOSED);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "took 42 ms");
    settle(&s);
    assert_false(reap_finish(&s.rings));
    assert_int_equal(atomic_load(&ended.slot->state) & 0xff, SLOT_FREE);
    setup_close(&s);
}

static void every_producer_is_found_in_a_full_ring(void **state) {
    static struct slot_claim claims[RING_SLOTS_MAX];
    static const uint8_t nobody[16] = { 1 };
    struct setup s;
    setup_open(*state, &s);
    struct collector_ring *ring = s.rings.items[0];
    uint32_t count = 0;
    while (ring_slot_claim(&s.producer, TEXT_LITERAL("many"), 0, &claims[count]) == 0)
        count++;
    assert_int_equal(count, s.producer.slot_count - 1);
    for (uint32_t i = 0; i < count; i += 3) /* all in one place of the table */
        memset(claims[i].slot->producer_id, 0, 4);
    slots_look(&s.rings, ring);
    for (uint32_t i = 0; i < count; i++)
        assert_ptr_equal(slots_find(&s.rings, ring, claims[i].slot->producer_id), &ring->slots[claims[i].index]);
    assert_null(slots_find(&s.rings, ring, nobody));
    uint8_t gone[16];
    memcpy(gone, claims[3].slot->producer_id, sizeof(gone));
    ring_slot_release(&s.producer, &claims[3], true);
    assert_int_equal(ring_slot_claim(&s.producer, TEXT_LITERAL("next"), 0, &claims[3]), 0);
    ring->looked_again = false; /* the next round */
    assert_ptr_equal(slots_find(&s.rings, ring, claims[3].slot->producer_id), &ring->slots[claims[3].index]);
    assert_null(slots_find(&s.rings, ring, gone));
    setup_close(&s);
}

/* --- watching --- */

static pid_t begin_process(const struct ring_fixture *f) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fixture_fork();
    if (child == 0) {
        struct ring ring;
        struct slot_claim claim;
        fixture_attach(f, &ring);
        if (ring_slot_claim(&ring, TEXT_LITERAL("watched"), 0, &claim) == 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void a_watched_process_is_not_asked_for_until_it_ends(void **state) {
    struct setup s;
    setup_open(*state, &s);
    pid_t child = begin_process(*state);
    reap_scan(&s.rings);
    struct slot *slot = &s.rings.items[0]->slots[1];
    assert_true(slot->watch.fd >= 0);
    assert_false(slots_note_deaths(&s.rings));
    assert_false(slot->ending);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(slots_note_deaths(&s.rings));
    assert_int_equal(slot->watch.fd, -1);
    reap_scan(&s.rings);
    assert_true(slot->ending);
    assert_false(s.rings.deaths);
    setup_close(&s);
}

/* Without descriptors for it, or in another pid namespace: locks are asked for, some in each scan. */
static void who_cannot_be_watched_is_found_by_the_lock(void **state) {
    struct setup s;
    setup_open(*state, &s);
    s.rings.watch_fd_end = 0;
    pid_t child = begin_process(*state);
    reap_scan(&s.rings);
    struct slot *slot = &s.rings.items[0]->slots[1];
    assert_int_equal(slot->watch.fd, -1);
    assert_false(slot->ending);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    reap_scan(&s.rings);
    assert_true(slot->ending);
    setup_close(&s);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_process_that_came_between_two_scans_is_known_by_its_first_record),
        TEST(a_slot_stays_while_a_shared_lane_holds_what_it_explains),
        TEST(every_producer_is_found_in_a_full_ring),
        TEST(a_watched_process_is_not_asked_for_until_it_ends),
        TEST(who_cannot_be_watched_is_found_by_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
