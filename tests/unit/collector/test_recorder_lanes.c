/* The flight recorder's lanes: how long they are kept, what happens at the bounds, what hostile ones do. */
#include "tests/unit/collector/recorder_fixture.h"

#include "common/base/check.h"

/* --- kept and given up --- */

static void a_lane_whose_thread_has_ended_is_kept_for_a_while(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.billing, &b);
    DEBUG(&a, 10, "a1");
    ring_lane_release(&s.producer, &s.billing, a.recorder_lane);
    flush_brings_nothing(&s);
    clock_set_for_test(NOW + KEEP - 1);
    flush_brings_nothing(&s);
    assert_false(recorder_is_due(&s.recorder, &s.rings));
    assert_int_not_equal(owner_of(&s, a.recorder_lane), 0);
    say(&b.normal, NOW + 40 * CLOCK_SECOND, (struct words) { "error", LEVEL_ERROR, NULL, false });
    FLUSH_BRINGS(&s, "a1", "error");
    assert_int_equal(owner_of(&s, a.recorder_lane), 0); /* nothing is left in it */
    setup_close(&s);
}

static void then_it_is_freed_and_may_become_a_lane_like_any_other(void **state) {
    struct setup s;
    struct thread a;
    struct lane_writer normal;
    uint32_t lane;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    for (int i = 0; i < 20000; i++)
        DEBUG(&a, 10, "laps");
    ring_lane_release(&s.producer, &s.billing, a.recorder_lane);
    flush_brings_nothing(&s);
    clock_set_for_test(NOW + KEEP);
    assert_true(recorder_is_due(&s.recorder, &s.rings));
    flush_brings_nothing(&s);
    assert_int_equal(owner_of(&s, a.recorder_lane), 0);
    /* a turn as an ordinary lane, a kill in between, and one as a recorder's again */
    do {
        assert_int_equal(ring_lane_claim(&s.producer, &s.mailer, false, &normal, &lane), 0);
    } while (lane != a.recorder_lane);
    say(&normal, NOW, (struct words) { "ordinary", LEVEL_INFO, NULL, false });
    gather(&s);
    EXPECT(&s, "ordinary");
    commit(&s);
    restart(&s);
    assert_int_equal(s.rings.items[0]->phase, RING_ACTIVE);
    flush_brings_nothing(&s);
    ring_lane_release(&s.producer, &s.mailer, lane);
    flush_brings_nothing(&s);
    assert_int_equal(owner_of(&s, lane), 0);
    struct thread c;
    do {
        assert_int_equal(ring_lane_claim(&s.producer, &s.billing, true, &c.recorder, &c.recorder_lane), 0);
    } while (c.recorder_lane != lane);
    DEBUG(&c, 1, "recorded");
    say(&a.normal, NOW, (struct words) { "error", LEVEL_ERROR, NULL, false });
    FLUSH_BRINGS(&s, "recorded", "error");
    setup_close(&s);
}

static void a_lane_taken_up_again_is_not_freed(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 10, "a1");
    ring_lane_release(&s.producer, &s.billing, a.recorder_lane);
    flush_brings_nothing(&s);
    clock_set_for_test(NOW + KEEP);
    gather(&s); /* gives it up */
    assert_int_equal(ring_lane_claim(&s.producer, &s.billing, true, &b.recorder, &b.recorder_lane), 0);
    assert_int_equal(b.recorder_lane, a.recorder_lane);
    DEBUG(&b, -60, "b1");
    settle(&s);
    assert_int_not_equal(owner_of(&s, a.recorder_lane), 0);
    ring_lane_release(&s.producer, &s.billing, b.recorder_lane);
    flush_brings_nothing(&s); /* a time of its own begins */
    assert_int_not_equal(owner_of(&s, a.recorder_lane), 0);
    say(&a.normal, NOW + KEEP, (struct words) { "error", LEVEL_ERROR, NULL, false });
    FLUSH_BRINGS(&s, "b1", "error");
    setup_close(&s);
}

static void nor_one_that_is_taken_up_behind_the_round(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 10, "a1");
    ring_lane_release(&s.producer, &s.billing, a.recorder_lane);
    flush_brings_nothing(&s);
    clock_set_for_test(NOW + KEEP);
    drain_round(&s.drain, &s.seen);
    assert_int_equal(ring_lane_claim(&s.producer, &s.billing, true, &b.recorder, &b.recorder_lane), 0);
    DEBUG(&b, -60, "b1");
    batch_clear(&s.batch);
    assert_true(drain_gather(&s.drain, false, NOW + KEEP, &s.batch));
    settle(&s);
    say(&a.normal, NOW + KEEP, (struct words) { "error", LEVEL_ERROR, NULL, false });
    FLUSH_BRINGS(&s, "b1", "error");
    setup_close(&s);
}

static void when_lanes_are_short_the_one_left_longest_goes_first(void **state) {
    struct setup s;
    struct lane_writer writers[64];
    uint32_t lanes[64], private, needed;
    setup_open(*state, &s);
    private = s.producer.lane_count - s.producer.overflow_count;
    needed = (private + RECORDER_FREE_SHARE - 1) / RECORDER_FREE_SHARE;
    assert_true(private > 4 && private <= 64);
    for (uint32_t i = 0; i < private - needed; i++) {
        assert_int_equal(ring_lane_claim(&s.producer, &s.billing, true, &writers[i], &lanes[i]), 0);
        say(&writers[i], AGO(1), (struct words) { "d", LEVEL_DEBUG, NULL, false });
    }
    ring_lane_release(&s.producer, &s.billing, lanes[1]);
    flush_brings_nothing(&s);
    clock_set_for_test(NOW + CLOCK_SECOND);
    ring_lane_release(&s.producer, &s.billing, lanes[0]);
    ring_lane_release(&s.producer, &s.billing, lanes[2]);
    flush_brings_nothing(&s);
    assert_true(owner_of(&s, lanes[0]) != 0 && owner_of(&s, lanes[1]) != 0 && owner_of(&s, lanes[2]) != 0);
    assert_false(recorder_is_due(&s.recorder, &s.rings));
    assert_int_equal(ring_lane_claim(&s.producer, &s.mailer, false, &writers[private - 1], &lanes[private - 1]), 0);
    drain_round(&s.drain, &s.seen);
    assert_true(recorder_is_due(&s.recorder, &s.rings));
    flush_brings_nothing(&s);
    assert_int_equal(owner_of(&s, lanes[1]), 0);
    assert_true(owner_of(&s, lanes[0]) != 0 && owner_of(&s, lanes[2]) != 0);
    setup_close(&s);
}

static void turned_off_it_stores_nothing_and_keeps_no_lane(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.billing, &b);
    DEBUG(&a, 30, "a1", .trace = "t");
    DEBUG(&b, 30, "b1");
    s.recorder.next_scan_ns = UINT64_MAX;
    flush_brings_nothing(&s);
    recorder_configure(&s.recorder, 0);
    ERROR(&a, 10, "error", .trace = "t");
    FLUSH_BRINGS(&s, "error");
    atomic_fetch_add(&s.billing.slot->recorder_wanted, 1);
    ring_lane_release(&s.producer, &s.billing, b.recorder_lane);
    flush_brings_nothing(&s);
    flush_brings_nothing(&s);
    assert_int_equal(owner_of(&s, b.recorder_lane), 0);
    assert_int_not_equal(owner_of(&s, a.recorder_lane), 0); /* as long as its thread has it */
    recorder_configure(&s.recorder, KEEP);
    flush_brings_nothing(&s);
    ERROR(&a, 5, "error");
    FLUSH_BRINGS(&s, "a1", "error");
    setup_close(&s);
}

static void what_was_due_when_it_was_turned_off_is_forgotten(void **state) {
    struct setup s;
    struct thread a;
    struct recorder_mark mark = { .due = { { { 0, NOW } }, 1 } };
    struct state_key key;
    struct text there;
    char value[RECORDER_MARK_SIZE];
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 30, "a1");
    recorder_mark_key(&key, s.producer.ring_id, a.recorder_lane);
    struct text encoded = { value, recorder_mark_encode(&mark, LANE_POSITION_START, value) };
    assert_int_equal(state_map_put(&s.state, state_key_text(&key), encoded), 0);
    restart(&s);
    assert_true(recorder_is_due(&s.recorder, &s.rings));
    recorder_configure(&s.recorder, 0);
    flush_brings_nothing(&s);
    assert_false(state_map_get(&s.state, state_key_text(&key), &there));
    setup_close(&s);
}

/* --- bounds --- */

static void a_trace_waits_its_turn_and_a_kill_does_not_forget_it(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&a, 20, "a1");
    DEBUG(&b, 20, "b1", .trace = "t");
    DEBUG(&b, 20, "b2", .trace = "u");
    s.recorder.next_scan_ns = UINT64_MAX; /* the last look took long */
    ERROR(&a, 10, "error", .trace = "t");
    FLUSH_BRINGS(&s, "a1", "error");
    assert_false(recorder_is_due(&s.recorder, &s.rings));
    flush_brings_nothing(&s);
    restart(&s);
    assert_true(recorder_is_due(&s.recorder, &s.rings));
    gather(&s);
    EXPECT(&s, "b1");
    drain_discard(&s.drain);
    FLUSH_BRINGS(&s, "b1");
    assert_false(recorder_is_due(&s.recorder, &s.rings));
    restart(&s);
    flush_brings_nothing(&s);
    setup_close(&s);
}

static void a_lane_that_was_left_is_not_given_up_while_a_trace_waits(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&b, 20, "b1", .trace = "t");
    ring_lane_release(&s.producer, &s.mailer, b.recorder_lane);
    s.recorder.next_scan_ns = UINT64_MAX;
    ERROR(&a, 10, "error", .trace = "t");
    FLUSH_BRINGS(&s, "error");
    clock_set_for_test(NOW + KEEP);
    flush_brings_nothing(&s);
    s.recorder.next_scan_ns = 0;
    FLUSH_BRINGS(&s, "b1");
    assert_int_equal(owner_of(&s, b.recorder_lane), 0);
    setup_close(&s);
}

static void more_traces_than_are_kept_bring_their_own_process_alone(void **state) {
    struct setup s;
    struct thread a, b;
    char trace[16];
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&b, 20, "known", .trace = "t0");
    DEBUG(&b, 20, "one too many", .trace = "last");
    for (int i = 0; i < RECORDER_TRACES_MAX; i++) {
        snprintf(trace, sizeof(trace), "t%d", i);
        ERROR(&a, 10, "error", .trace = trace);
    }
    DEBUG(&a, 9, "own");
    ERROR(&a, 8, "error", .trace = "last");
    gather(&s);
    assert_int_equal(s.batch.entry_count, RECORDER_TRACES_MAX + 3);
    assert_true(text_is(s.batch.entries[0].message, "known") && text_is(s.batch.entries[1].message, "own"));
    settle(&s);
    ERROR(&a, 8, "error", .trace = "last");
    FLUSH_BRINGS(&s, "one too many", "error");
    setup_close(&s);
}

/* Every other record is of a trace: beyond the number that is remembered, the older of those between them are given up. */
static void out_of_the_middle_of_a_lane_a_number_is_remembered(void **state) {
    enum { PAIRS = RECORDER_TAKEN_MAX * 2 };
    struct setup s;
    struct thread a, b;
    char message[32];
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    for (int i = 0; i < PAIRS; i++) {
        snprintf(message, sizeof(message), "left %d", i);
        DEBUG(&b, 20, message);
        DEBUG(&b, 20, "traced", .trace = "t");
    }
    ERROR(&a, 10, "error", .trace = "t");
    gather(&s);
    assert_int_equal(s.batch.entry_count, PAIRS + 1);
    commit(&s);
    restart(&s);
    ERROR(&a, 9, "again", .trace = "t");
    FLUSH_BRINGS(&s, "again");
    ERROR(&b, 8, "its own");
    gather(&s);
    size_t left = s.batch.entry_count - 1;
    assert_true(left >= RECORDER_TAKEN_MAX / 2 && left <= RECORDER_TAKEN_MAX);
    for (size_t i = 0; i < left; i++) { /* the newest of them */
        snprintf(message, sizeof(message), "left %zu", PAIRS - left + i);
        assert_true(text_is(s.batch.entries[i].message, message));
    }
    settle(&s);
    setup_close(&s);
}

static void what_a_batch_has_no_room_for_follows_and_a_kill_does_not_forget_it(void **state) {
    enum { LANES = 14, EACH = 5800 };
    struct setup s;
    struct thread a;
    struct lane_writer writers[LANES];
    uint32_t lane;
    static uint8_t seen[LANES][EACH];
    char message[16];
    size_t count = 0, batches = 0;
    memset(seen, 0, sizeof(seen));
    setup_open_sized(*state, &s, 32 << 20);
    claim(&s, &s.billing, &a);
    for (int i = 0; i < LANES; i++) {
        assert_int_equal(ring_lane_claim(&s.producer, i % 2 ? &s.mailer : &s.billing, true, &writers[i], &lane), 0);
        for (int j = 0; j < EACH; j++) {
            snprintf(message, sizeof(message), "%d", i * EACH + j);
            say(&writers[i], AGO(20), (struct words) { message, LEVEL_DEBUG, i % 2 ? "t" : NULL, false });
        }
    }
    ERROR(&a, 10, "error", .trace = "t");
    for (; batches == 0 || recorder_is_due(&s.recorder, &s.rings); batches++) {
        gather(&s);
        assert_true(s.batch.entry_count <= RECORDER_ENTRIES_MAX + 2 * EACH);
        for (size_t i = 0; i < s.batch.entry_count; i++) {
            struct text text = s.batch.entries[i].message;
            if (text_is(text, "error"))
                continue;
            snprintf(message, sizeof(message), "%.*s", TEXT_FORMAT(text)); /* what stands behind it may be a digit, too */
            size_t number = strtoul(message, NULL, 10);
            assert_true(number < (size_t)LANES * EACH);
            assert_int_equal(seen[number / EACH][number % EACH]++, 0);
            count++;
        }
        commit(&s);
        restart(&s);
    }
    assert_int_equal(count, LANES * EACH);
    assert_true(batches > 1);
    setup_close(&s);
}

/* --- hostile --- */

static void a_lane_that_changes_what_it_is_sets_the_ring_aside(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    INFO(&a, 1, "in hand");
    drain_round(&s.drain, &s.seen);
    atomic_fetch_or(&ring_lane_header(&s.producer, a.normal_lane)->owner, LANE_OWNER_RECORDER);
    drain_round(&s.drain, &s.seen);
    assert_int_equal(s.rings.items[0]->phase, RING_BROKEN);
    batch_clear(&s.batch);
    assert_true(drain_gather(&s.drain, false, NOW, &s.batch));
    EXPECT(&s, "in hand");
    settle(&s);
    setup_close(&s);
}

static void a_tail_or_head_that_moved_by_itself_sets_the_ring_aside(void **state) {
    for (int i = 0; i < 3; i++) {
        struct setup s;
        struct thread a;
        setup_open(*state, &s);
        claim(&s, &s.billing, &a);
        DEBUG(&a, 1, "d");
        flush_brings_nothing(&s);
        struct lane_header *header = ring_lane_header(&s.producer, a.recorder_lane);
        if (i == 0)
            atomic_fetch_add(&header->tail, 8);
        else if (i == 1)
            atomic_fetch_sub(&header->head, 8);
        else /* no recorder's any more, with laps between tail and head */
            atomic_store(&header->head, LANE_POSITION_START + 5 * RING_LANE_SIZE),
                atomic_fetch_and(&header->owner, ~LANE_OWNER_RECORDER);
        drain_round(&s.drain, &s.seen);
        assert_int_equal(s.rings.items[0]->phase, RING_BROKEN);
        setup_close(&s);
        unlink(s.fixture->path);
    }
}

static void scribbled_lanes_bring_what_can_be_read(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 30, "d1");
    uint64_t bad = DEBUG(&a, 29, "d2");
    uint64_t level = DEBUG(&a, 28, "d3");
    uint64_t update = DEBUG(&a, 27, "d4");
    DEBUG(&a, 26, "d5");
    a.recorder.data[bad % a.recorder.size] = 77;       /* its length */
    a.recorder.data[level % a.recorder.size + 6] = 99; /* its level: repaired */
    a.recorder.data[update % a.recorder.size + 4] = RECORD_METRIC_UPDATE;
    ERROR(&a, 10, "error");
    FLUSH_BRINGS(&s, "d1", "d3", "d5", "error");
    assert_int_equal(s.rings.items[0]->phase, RING_ACTIVE);
    flush_brings_nothing(&s);
    setup_close(&s);
}

/* A lane recorded long ago, beyond any size, of nothing at all. */
static void a_lane_full_of_nothing_ends(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    atomic_store(&ring_lane_header(&s.producer, a.recorder_lane)->head, UINT64_MAX - 7);
    ERROR(&a, 10, "error");
    FLUSH_BRINGS(&s, "error");
    flush_brings_nothing(&s);
    setup_close(&s);
}

static void a_cut_file_is_set_aside(void **state) {
    struct setup s;
    struct thread a;
    const struct ring_fixture *f = *state;
    setup_open(f, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 30, "d1");
    ERROR(&a, 10, "error");
    drain_round(&s.drain, &s.seen);
    assert_int_equal(truncate(f->path, 4096), 0);
    assert_true(drain_gather(&s.drain, false, NOW, &s.batch));
    EXPECT(&s, "error");
    assert_int_equal(s.rings.items[0]->phase, RING_BROKEN);
    settle(&s);
    setup_close(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
        TEST(a_lane_whose_thread_has_ended_is_kept_for_a_while),
        TEST(then_it_is_freed_and_may_become_a_lane_like_any_other),
        TEST(a_lane_taken_up_again_is_not_freed),
        TEST(nor_one_that_is_taken_up_behind_the_round),
        TEST(when_lanes_are_short_the_one_left_longest_goes_first),
        TEST(turned_off_it_stores_nothing_and_keeps_no_lane),
        TEST(what_was_due_when_it_was_turned_off_is_forgotten),
        TEST(a_trace_waits_its_turn_and_a_kill_does_not_forget_it),
        TEST(a_lane_that_was_left_is_not_given_up_while_a_trace_waits),
        TEST(more_traces_than_are_kept_bring_their_own_process_alone),
        TEST(out_of_the_middle_of_a_lane_a_number_is_remembered),
        TEST(what_a_batch_has_no_room_for_follows_and_a_kill_does_not_forget_it),
        TEST(a_lane_that_changes_what_it_is_sets_the_ring_aside),
        TEST(a_tail_or_head_that_moved_by_itself_sets_the_ring_aside),
        TEST(scribbled_lanes_bring_what_can_be_read),
        TEST(a_lane_full_of_nothing_ends),
        TEST(a_cut_file_is_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
