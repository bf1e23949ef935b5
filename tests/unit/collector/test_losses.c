/* What was lost is told once: at once where there was no room, now and then where it was chosen. */
#include "tests/unit/collector/drain_fixture.h"

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

/* --- chosen losses --- */

static void chosen_losses_are_told_as_such_at_most_every_ten_seconds(void **state) {
    struct setup s;
    char expected[128];
    setup_open(*state, &s);
    reap_scan(&s.rings);
    uint64_t now = clock_real_ns();
    clock_set_for_test(now);
    for (int round = 0; round < 3; round++) {
        loss_count(&s.claim.slot->ledger, LOSS_RATE, LEVEL_INFO, 5, now);
        assert_true(losses_any_untold(&s.rings));
        round_and_gather(&s);
        snprintf(expected, sizeof(expected), "left out %d info entries of billing (pid %u): held back by a rate limit",
                 round == 0 ? 5 : 6, (unsigned)getpid());
        EXPECT_MESSAGES(&s, expected);
        assert_int_equal(s.batch.entries[0].level, LEVEL_INFO);
        assert_true(text_is(s.batch.entries[0].operation, "rate_limited"));
        settle(&s);
        loss_count(&s.claim.slot->ledger, LOSS_RATE, LEVEL_INFO, 1, now);
        clock_set_for_test(now += LOSS_CHOSEN_NS - 1);
        assert_false(losses_any_untold(&s.rings));
        round_and_gather(&s);
        assert_int_equal(s.batch.entry_count, 0);
        settle(&s);
        clock_set_for_test(now += 1);
    }
    clock_set_for_test(0);
    setup_close(&s);
}

static void each_level_and_reason_has_its_own_time(void **state) {
    struct setup s;
    setup_open(*state, &s);
    reap_scan(&s.rings);
    uint64_t now = clock_real_ns();
    clock_set_for_test(now);
    loss_count(&s.claim.slot->ledger, LOSS_REPEAT, LEVEL_INFO, 1, now);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 1);
    settle(&s);
    loss_count(&s.claim.slot->ledger, LOSS_REPEAT, LEVEL_INFO, 1, now);
    loss_count(&s.claim.slot->ledger, LOSS_REPEAT, LEVEL_WARN, 1, now);
    loss_count(&s.claim.slot->ledger, LOSS_SAMPLED, LEVEL_INFO, 1, now);
    loss_count(&s.claim.slot->ledger, LOSS_QUOTA, LEVEL_INFO, 1, now);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 3);
    static const char *const reasons[] = { "quota", "repeated", "sampled" };
    static const enum level levels[] = { LEVEL_WARN, LEVEL_INFO, LEVEL_INFO };
    for (size_t i = 0; i < 3; i++) {
        assert_true(text_is(s.batch.entries[i].operation, reasons[i]));
        assert_int_equal(s.batch.entries[i].level, levels[i]);
    }
    settle(&s);
    clock_set_for_test(0);
    setup_close(&s);
}

static void at_the_end_of_a_process_or_of_the_collector_all_is_told(void **state) {
    struct setup s;
    setup_open(*state, &s);
    reap_scan(&s.rings);
    loss_count(&s.claim.slot->ledger, LOSS_SAMPLED, LEVEL_DEBUG, 1, 1000);
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 1);
    settle(&s);
    loss_count(&s.claim.slot->ledger, LOSS_SAMPLED, LEVEL_DEBUG, 2, 1000);
    batch_clear(&s.batch);
    assert_true(drain_gather(&s.drain, true, clock_real_ns(), &s.batch));
    assert_int_equal(s.batch.entry_count, 1);
    drain_discard(&s.drain);
    ring_slot_release(&s.producer, &s.claim, false);
    reap_scan(&s.rings);
    assert_true(reap_finish(&s.rings)); /* waits for the flush */
    round_and_gather(&s);
    assert_int_equal(s.batch.entry_count, 1);
    settle(&s);
    assert_false(reap_finish(&s.rings));
    assert_int_equal(atomic_load(&s.claim.slot->state) & 0xff, SLOT_FREE);
    setup_close(&s);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_loss_is_told_once_with_its_total),        TEST(a_told_loss_is_not_told_again_after_a_restart),
        TEST(losses_in_a_slot_taken_anew_are_told_once), TEST(chosen_losses_are_told_as_such_at_most_every_ten_seconds),
        TEST(each_level_and_reason_has_its_own_time),    TEST(at_the_end_of_a_process_or_of_the_collector_all_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
