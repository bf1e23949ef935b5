/* Rings to batches, with a producer and the collector's rooms in one process. */
#include "tests/unit/shm/ring_fixture.h"

#include <signal.h>

#include "collector/drain.h"
#include "collector/losses.h"
#include "collector/reap.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"

struct setup {
    struct ring producer;
    struct slot_claim claim;
    struct state_map state;
    struct rings rings;
    struct drain drain;
    struct batch batch;
    struct drain_state seen;
};

static void setup_collector(const struct ring_fixture *f, struct setup *setup) {
    struct error error = { "" };
    assert_int_equal(daemon_runtime_dirs(f->runtime_dir, &error), 0);
    assert_int_equal(rings_init(&setup->rings, f->runtime_dir, &setup->state, &error), 0);
    assert_int_equal(drain_init(&setup->drain, &setup->rings, NULL, &error), 0);
    assert_true(rings_scan(&setup->rings));
    assert_int_equal(setup->rings.count, 1);
}

static void setup_open(const struct ring_fixture *f, struct setup *setup) {
    memset(setup, 0, sizeof(*setup));
    fixture_attach(f, &setup->producer);
    assert_int_equal(ring_slot_claim(&setup->producer, TEXT_LITERAL("billing"), 0, &setup->claim), 0);
    setup_collector(f, setup);
}

static void finish_collector(struct setup *setup) {
    batch_finish(&setup->batch);
    drain_finish(&setup->drain);
    rings_finish(&setup->rings);
}

static void setup_close(struct setup *setup) {
    finish_collector(setup);
    state_map_finish(&setup->state);
    ring_finish(&setup->producer);
}

static void write_entry(struct lane_writer *writer, const char *message, uint64_t time_ns, enum level level) {
    struct record_entry record = { .entry = { .id = { { 1 } },
                                              .timestamp_ns = time_ns,
                                              .level = level,
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o") } };
    uint32_t size;
    uint64_t position;
    record.entry.message = text_of(message);
    assert_int_equal(record_entry_size(&record, &size), 0);
    void *span = lane_claim(writer, size, level, &position);
    assert_non_null(span);
    record_entry_encode(&record, position, time_ns, span, size);
    lane_commit(writer, size);
}

static void claim_lane(struct setup *setup, struct lane_writer *writer, uint32_t *lane) {
    assert_int_equal(ring_lane_claim(&setup->producer, &setup->claim, false, writer, lane), 0);
}

static void round_and_gather(struct setup *setup) {
    drain_round(&setup->drain, &setup->seen);
    batch_clear(&setup->batch);
    assert_true(drain_gather(&setup->drain, false, clock_real_ns(), &setup->batch));
}

static void settle(struct setup *setup) {
    assert_int_equal(batch_apply(&setup->batch, &setup->state), 0);
    drain_settle(&setup->drain);
}

static void expect_messages(const struct setup *setup, size_t count, const char *const *messages) {
    assert_int_equal(setup->batch.entry_count, count);
    for (size_t i = 0; i < count; i++)
        if (!text_is(setup->batch.entries[i].message, messages[i]))
            fail_msg("entry %zu is \"%.*s\", not \"%s\"", i, TEXT_FORMAT(setup->batch.entries[i].message), messages[i]);
}
#define EXPECT_MESSAGES(setup, ...)                                                                                    \
    expect_messages(setup, sizeof((const char *[]) { __VA_ARGS__ }) / sizeof(char *), (const char *[]) { __VA_ARGS__ })

/* --- order --- */

static void merges_lanes_by_time_and_keeps_each_lanes_order(void **state) {
    struct setup s;
    struct lane_writer a, b;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    claim_lane(&s, &b, &lane);
    write_entry(&a, "a1", 100, LEVEL_INFO);
    write_entry(&a, "a2", 300, LEVEL_INFO);
    write_entry(&b, "b1", 200, LEVEL_INFO);
    write_entry(&b, "b2 whose clock went back", 50, LEVEL_INFO);
    write_entry(&b, "b3", 400, LEVEL_INFO);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "a1", "b1", "b2 whose clock went back", "a2", "b3");
    assert_true(text_is(s.batch.entries[0].service, "billing"));
    assert_int_equal(s.batch.entries[0].pid, getpid());
    assert_true(text_is(s.batch.entries[0].host, s.drain.host));
    setup_close(&s);
}

static void a_record_made_after_the_rounds_cut_comes_in_the_next_batch(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    uint64_t now = clock_real_ns();
    clock_set_for_test(now);
    write_entry(&a, "before", now, LEVEL_INFO);
    write_entry(&a, "after", now + 1000, LEVEL_INFO);
    write_entry(&a, "behind it", now - 1000, LEVEL_INFO);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "before");
    settle(&s);
    clock_set_for_test(now + 2000);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "after", "behind it");
    settle(&s);
    clock_set_for_test(0);
    setup_close(&s);
}

static void a_discarded_batch_is_gathered_again(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "one", 1, LEVEL_INFO);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "one");
    drain_discard(&s.drain);
    write_entry(&a, "two", 2, LEVEL_INFO);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "one", "two");
    settle(&s);
    round_and_gather(&s);
    assert_true(batch_is_empty(&s.batch));
    setup_close(&s);
}

static void an_error_asks_for_a_flush_at_once(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "info", 1, LEVEL_INFO);
    drain_round(&s.drain, &s.seen);
    assert_false(s.seen.urgent);
    assert_int_equal(s.seen.hand_records, 1);
    write_entry(&a, "error", 2, LEVEL_ERROR);
    drain_round(&s.drain, &s.seen);
    assert_true(s.seen.urgent);
    drain_round(&s.drain, &s.seen);
    assert_false(s.seen.urgent);
    assert_int_equal(s.seen.hand_records, 0);
    assert_true(s.seen.hand_bytes > 0);
    setup_close(&s);
}

static void everything_comes_once_through_many_laps(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane, next = 0;
    char message[1200];
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    memset(message, 'x', sizeof(message));
    for (uint32_t i = 0; i < 5000; i++) {
        int length = snprintf(message, sizeof(message), "%u ", i);
        message[length] = 'x';
        message[200 + i % 900] = '\0';
        write_entry(&a, message, i + 1, LEVEL_ERROR);
        message[200 + i % 900] = 'x';
        if (i % 97 != 0)
            continue;
        round_and_gather(&s);
        for (size_t e = 0; e < s.batch.entry_count; e++)
            assert_int_equal(strtoul(s.batch.entries[e].message.data, NULL, 10), next++);
        settle(&s);
    }
    round_and_gather(&s);
    next += (uint32_t)s.batch.entry_count;
    assert_int_equal(next, 5000);
    setup_close(&s);
}

/* --- restart --- */

static void a_tail_behind_the_stored_position_is_moved(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "stored", 1, LEVEL_INFO);
    round_and_gather(&s);
    assert_int_equal(batch_apply(&s.batch, &s.state), 0); /* committed, and killed before the tails moved */
    finish_collector(&s);
    memset(&s.batch, 0, sizeof(s.batch));
    write_entry(&a, "new", 2, LEVEL_INFO);
    setup_collector(*state, &s);
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, "new");
    setup_close(&s);
}

static void a_tail_ahead_of_the_stored_position_sets_the_ring_aside(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    const struct ring_fixture *f = *state;
    setup_open(f, &s);
    claim_lane(&s, &a, &lane);
    struct state_key key;
    state_key_lane(&key, s.producer.ring_id, lane);
    char early[8];
    state_u64_put(early, LANE_POSITION_START);
    write_entry(&a, "stored", 1, LEVEL_INFO);
    round_and_gather(&s);
    settle(&s);
    finish_collector(&s);
    memset(&s.batch, 0, sizeof(s.batch));
    assert_int_equal(state_map_put(&s.state, state_key_text(&key), (struct text) { early, 8 }), 0);
    setup_collector(f, &s);
    assert_int_equal(s.rings.items[0]->phase, RING_BROKEN);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_true(atomic_load(&s.producer.header->attach) & 1);
    rings_sweep(&s.rings, 0);
    assert_int_equal(s.rings.count, 0);
    setup_close(&s);
}

/* --- hostile files --- */

static void a_cut_file_is_set_aside_and_what_was_in_hand_is_kept(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    const struct ring_fixture *f = *state;
    setup_open(f, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "in hand", 1, LEVEL_INFO);
    drain_round(&s.drain, &s.seen);
    assert_int_equal(truncate(f->path, 4096), 0);
    drain_round(&s.drain, &s.seen);
    assert_int_equal(s.rings.items[0]->phase, RING_BROKEN);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_true(drain_gather(&s.drain, false, clock_real_ns(), &s.batch));
    EXPECT_MESSAGES(&s, "in hand");
    settle(&s);
    rings_sweep(&s.rings, 0);
    assert_int_equal(s.rings.count, 0);
    setup_close(&s);
}

static void scribbled_lanes_set_the_ring_aside(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "good", 1, LEVEL_INFO);
    uint64_t bad = a.head;
    write_entry(&a, "bad", 2, LEVEL_INFO);
    a.data[bad % a.size + 4] = 99; /* its kind */
    drain_round(&s.drain, &s.seen);
    assert_int_equal(s.rings.items[0]->phase, RING_BROKEN);
    assert_true(drain_gather(&s.drain, false, clock_real_ns(), &s.batch));
    EXPECT_MESSAGES(&s, "good");
    setup_close(&s);
}

static void squatters_and_stale_files_are_removed(void **state) {
    struct setup s;
    char path[256];
    const struct ring_fixture *f = *state;
    setup_open(f, &s);
    snprintf(path, sizeof(path), "%s/rings/%u", f->runtime_dir, (unsigned)geteuid() + 1);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_true(rings_scan(&s.rings));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(link(f->path, path), 0); /* a ring, but under the name of another */
    assert_true(rings_scan(&s.rings));
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof(path), "%s/rings/.new", f->runtime_dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_true(rings_scan(&s.rings));
    assert_int_equal(access(path, F_OK), 0); /* somebody may be making it */
    clock_set_for_test(clock_real_ns() + 2 * STALE_FILE_NS);
    assert_true(rings_scan(&s.rings));
    clock_set_for_test(0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(s.rings.count, 1);
    setup_close(&s);
}

/* --- losses, the dead --- */

static void a_loss_is_told_once_with_its_total(void **state) {
    struct setup s;
    setup_open(*state, &s);
    reap_scan(&s.rings);
    loss_count(&s.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 12, 1000);
    assert_true(losses_any_untold(&s.rings));
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 1);
    char expected[128];
    snprintf(expected, sizeof(expected), "lost 12 debug entries of billing (pid %u): lane_full", (unsigned)getpid());
    EXPECT_MESSAGES(&s, expected);
    assert_true(text_is(s.batch.entries[0].service, "taskforge"));
    assert_true(text_is(s.batch.entries[0].operation, "lane_full"));
    drain_discard(&s.drain); /* not safe: it has to be told again */
    round_and_gather(&s);
    EXPECT_MESSAGES(&s, expected);
    settle(&s);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 0);
    loss_count(&s.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 1, 2000);
    round_and_gather(&s);
    snprintf(expected, sizeof(expected), "lost 1 debug entry of billing (pid %u): lane_full", (unsigned)getpid());
    EXPECT_MESSAGES(&s, expected);
    setup_close(&s);
}

static void a_told_loss_is_not_told_again_after_a_restart(void **state) {
    struct setup s;
    setup_open(*state, &s);
    reap_scan(&s.rings);
    loss_count(ring_anonymous_ledger(&s.producer), LOSS_LANES_BUSY, LEVEL_INFO, 3, 1000);
    loss_count(&s.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_WARN, 4, 1000);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 2);
    assert_int_equal(batch_apply(&s.batch, &s.state), 0); /* committed, then killed */
    finish_collector(&s);
    memset(&s.batch, 0, sizeof(s.batch));
    setup_collector(*state, &s);
    reap_scan(&s.rings);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 0);
    setup_close(&s);
}

static void a_closed_slot_is_drained_then_freed_with_its_lanes_and_totals(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "last words", 1, LEVEL_INFO);
    loss_count(&s.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 2, 1000);
    ring_slot_release(&s.producer, &s.claim, false);
    reap_scan(&s.rings);
    assert_true(reap_finish(&s.rings)); /* waits for the flush */
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 2);
    settle(&s);
    assert_false(reap_finish(&s.rings));
    assert_int_equal(atomic_load(&s.claim.slot->state) & 0xff, SLOT_FREE);
    assert_int_equal(s.rings.removal_count, 1);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 0);
    assert_int_equal(s.batch.put_count, 1);
    assert_true(s.batch.puts[0].remove);
    settle(&s);
    assert_int_equal(s.rings.removal_count, 0);
    setup_close(&s);
}

static void a_released_lane_goes_back_only_when_it_is_drained(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    write_entry(&a, "of a thread that ended", 1, LEVEL_INFO);
    ring_lane_release(&s.producer, &s.claim, lane);
    drain_round(&s.drain, &s.seen);
    reap_finish(&s.rings);
    assert_true(s.rings.items[0]->lanes[lane].state.owner != 0);
    round_and_gather(&s);
    settle(&s);
    reap_finish(&s.rings);
    struct lane_state now;
    assert_int_equal(ring_reader_lane(&s.rings.items[0]->ring, lane, &now), 0);
    assert_int_equal(now.owner, 0);
    setup_close(&s);
}

static void call_sites_are_formatted(void **state) {
    struct setup s;
    struct lane_writer a;
    uint32_t lane, size;
    uint64_t position;
    setup_open(*state, &s);
    claim_lane(&s, &a, &lane);
    int site = ring_site_add(&s.claim, LEVEL_INFO, TEXT_LITERAL("mod"), TEXT_LITERAL("op"), TEXT_LITERAL("took %d ms"));
    assert_true(site > 0);
    char arguments[8];
    state_u64_put(arguments, 42);
    for (int i = 0; i < 2; i++) {
        struct record_entry record = { .entry = { .timestamp_ns = 1, .level = LEVEL_INFO },
                                       .site = i == 0 ? (uint32_t)site : (uint32_t)site + 7 };
        record.entry.message = (struct text) { arguments, 8 };
        assert_int_equal(record_entry_size(&record, &size), 0);
        void *span = lane_claim(&a, size, LEVEL_INFO, &position);
        record_entry_encode(&record, position, (uint64_t)i + 1, span, size);
        lane_commit(&a, size);
    }
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 2);
    assert_true(text_is(s.batch.entries[0].message, "took 42 ms"));
    assert_true(text_is(s.batch.entries[0].module, "mod"));
    assert_true(text_is(s.batch.entries[0].operation, "op"));
    assert_true(text_is(s.batch.entries[1].message, "(the text of call site 8 can no longer be read)"));
    setup_close(&s);
}

/* A process that used nothing of its slot gives it back itself: the next one's losses are not told as his, and then again. */
static void losses_in_a_slot_taken_anew_are_told_once(void **state) {
    struct setup s;
    setup_open(*state, &s);
    rings_slot_refresh(&s.rings, s.rings.items[0], s.claim.index);
    ring_slot_release(&s.producer, &s.claim, true);
    assert_int_equal(ring_slot_claim(&s.producer, TEXT_LITERAL("other"), 0, &s.claim), 0);
    loss_count(&s.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 3, 1000);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 0);
    settle(&s);
    rings_slot_refresh(&s.rings, s.rings.items[0], s.claim.index);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 1);
    settle(&s);
    setup_close(&s);
}

/* As after a reboot: 100,000 keys of producers that are no more, in one walk, and nothing else. */
static void state_of_what_is_gone_is_removed_at_once(void **state) {
    enum { PRODUCERS = 200, CELLS = 500 };
    struct setup setup;
    struct state_key key;
    setup_open(*state, &setup);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        for (uint32_t j = 0; j < CELLS; j++) {
            uint8_t id[16] = { 7, (uint8_t)i };
            char word[8] = { 1 };
            state_key_cells(&key, id);
            memcpy(key.bytes + key.length, &j, sizeof(j));
            key.length += sizeof(j);
            assert_int_equal(state_map_put(&setup.state, state_key_text(&key), (struct text) { word, 8 }), 0);
            if (i > 0)
                rings_remove_state(&setup.rings, &key);
        }
    uint64_t begun = clock_monotonic_ns();
    round_and_gather(&setup);
    settle(&setup);
    assert_true(clock_monotonic_ns() - begun < 20 * CLOCK_SECOND); /* one walk for each took minutes */
    assert_int_equal(setup.state.count, CELLS);
    assert_int_equal(setup.rings.removal_count, 0);
    setup_close(&setup);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(merges_lanes_by_time_and_keeps_each_lanes_order),
        TEST(a_record_made_after_the_rounds_cut_comes_in_the_next_batch),
        TEST(a_discarded_batch_is_gathered_again),
        TEST(an_error_asks_for_a_flush_at_once),
        TEST(everything_comes_once_through_many_laps),
        TEST(a_tail_behind_the_stored_position_is_moved),
        TEST(a_tail_ahead_of_the_stored_position_sets_the_ring_aside),
        TEST(a_cut_file_is_set_aside_and_what_was_in_hand_is_kept),
        TEST(scribbled_lanes_set_the_ring_aside),
        TEST(squatters_and_stale_files_are_removed),
        TEST(a_loss_is_told_once_with_its_total),
        TEST(a_told_loss_is_not_told_again_after_a_restart),
        TEST(a_closed_slot_is_drained_then_freed_with_its_lanes_and_totals),
        TEST(a_released_lane_goes_back_only_when_it_is_drained),
        TEST(call_sites_are_formatted),
        TEST(losses_in_a_slot_taken_anew_are_told_once),
        TEST(state_of_what_is_gone_is_removed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
