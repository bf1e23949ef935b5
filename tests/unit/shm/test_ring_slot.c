#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>

static const struct text service = { "billing", 7 };

/* --- slots --- */

static void a_slot_says_whose_it_is(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(claim.slot->state, slot_state_word(claim.generation, SLOT_ACTIVE));
    assert_int_equal(claim.slot->pid, getpid());
    assert_true(claim.slot->start_time > 0 && claim.slot->pid_namespace > 0 && claim.slot->claimed_ns > 0);
    assert_int_equal(claim.slot->service_length, 7);
    assert_memory_equal(claim.slot->service, "billing", 7);
    assert_int_equal(claim.slot->control, LEVEL_TRACE);
    static const uint8_t zeros[16];
    assert_memory_not_equal(claim.slot->producer_id, zeros, 16);
    ring_finish(&ring);
}

static void one_process_never_gets_a_slot_twice(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    static struct slot_claim claims[RING_SLOTS_MAX];
    struct slot_claim more;
    fixture_attach(f, &ring);
    for (uint32_t i = 0; i < ring.slot_count; i++) {
        assert_int_equal(ring_slots_used(&ring), i);
        assert_int_equal(ring_slot_claim(&ring, service, 0, &claims[i]), 0);
        assert_int_equal(claims[i].index, i);
    }
    assert_int_equal(ring_slot_claim(&ring, service, 0, &more), -EAGAIN);
    ring_slot_release(&ring, &claims[3], true);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &more), 0);
    assert_int_equal(more.index, 3);
    assert_int_equal(more.generation, claims[3].generation + 1);
    ring_finish(&ring);
}

static void a_touched_slot_waits_for_the_collector(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim first, second;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &first), 0);
    ring_slot_release(&ring, &first, false);
    assert_int_equal(first.slot->state, slot_state_word(first.generation, SLOT_CLOSED));
    assert_int_equal(ring_slot_claim(&ring, service, 0, &second), 0);
    assert_int_not_equal(second.index, first.index);
    ring_slot_release(&ring, &first, true); /* no longer ours: no effect */
    assert_int_equal(first.slot->state, slot_state_word(first.generation, SLOT_CLOSED));
    ring_finish(&ring);
}

static int lock_of_slot_0(void *argument) { /* the pid that holds it (0: nobody), to 255 */
    struct ring_fixture *f = argument;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = RING_LOCK_OFFSET, .l_len = 1 };
    int fd = open(f->path, O_RDWR);
    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0)
        return 2;
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid == getppid() ? 1 : 3;
}

static void a_claimed_slot_is_locked_and_a_released_one_is_not(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(fixture_in_child(lock_of_slot_0, f), 0);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(fixture_in_child(lock_of_slot_0, f), 1);
    ring_slot_release(&ring, &claim, true);
    assert_int_equal(fixture_in_child(lock_of_slot_0, f), 0);
    ring_finish(&ring);
}

static void relock_takes_back_a_lock_that_a_stray_close_dropped(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    close(open(f->path, O_RDONLY | O_CLOEXEC)); /* POSIX: any descriptor of the file */
    assert_int_equal(fixture_in_child(lock_of_slot_0, f), 0);
    assert_int_equal(ring_slot_relock(&ring, &claim), 0);
    assert_int_equal(fixture_in_child(lock_of_slot_0, f), 1);
    assert_int_equal(ring_slot_relock(&ring, &claim), 0); /* where it is held: nothing happens */
    ring_finish(&ring);
}

static void relock_says_when_descriptor_or_slot_are_gone(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    claim.slot->state = slot_state_word(claim.generation + 1, SLOT_ACTIVE);
    assert_int_equal(ring_slot_relock(&ring, &claim), -ESTALE);
    claim.slot->state = slot_state_word(claim.generation, SLOT_ACTIVE);
    int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(dup2(other, ring.map.fd), ring.map.fd); /* the number lives on as something else */
    close(other);
    assert_int_equal(ring_slot_relock(&ring, &claim), -EBADF);
    close(ring.map.fd);
    ring_finish(&ring);
}

static void a_retired_ring_takes_nobody(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring, other;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    ring.header->attach |= 1;
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), -ESTALE);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &other, NULL), -ESTALE);
    for (uint32_t i = 0; i < ring.slot_count; i++)
        assert_int_equal(ring_slot_at(&ring, i)->state & 0xff, SLOT_FREE);
    ring_finish(&ring);
    assert_int_equal(unlink(f->path), 0); /* the collector's part */
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    ring_finish(&ring);
}

static void every_claim_counts_in_the_attach_word(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(ring.header->attach, i << 1);
        assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
        ring_slot_release(&ring, &claim, true);
    }
    ring_finish(&ring);
}

static void a_long_service_name_is_cut_to_its_room(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    char name[2 * ENTRY_NAME_BYTES];
    memset(name, 'n', sizeof(name));
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, (struct text) { name, sizeof(name) }, 0, &claim), 0);
    assert_int_equal(claim.slot->service_length, ENTRY_NAME_BYTES);
    ring_finish(&ring);
}

static void call_sites_are_numbered_from_one_until_the_table_is_full(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    for (int i = 1; i <= SLOT_SITES_MAX; i++)
        assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_LITERAL("mod"), TEXT_LITERAL("op"), TEXT_EMPTY),
                         i);
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_EMPTY, TEXT_EMPTY, TEXT_EMPTY), -ENOSPC);
    ring_finish(&ring);
}

static void a_call_site_whose_text_does_not_fit_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    static char big[SLOT_SITE_TEXT_SIZE];
    memset(big, 'f', sizeof(big));
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    struct text format = { big, sizeof(big) - 4 };
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_LITERAL("abc"), TEXT_LITERAL("de"), format),
                     -ENOSPC);
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_LITERAL("ab"), TEXT_LITERAL("de"), format), 1);
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_LITERAL("a"), TEXT_EMPTY, TEXT_EMPTY), -ENOSPC);
    ring_finish(&ring);
}

/* --- losses, settings --- */

static void losses_count_by_reason_and_level_with_their_times(void **state) {
    (void)state;
    static struct loss_ledger ledger;
    loss_count(&ledger, LOSS_LANE_FULL, LEVEL_INFO, 1, 100);
    loss_count(&ledger, LOSS_LANE_FULL, LEVEL_INFO, 5, 200);
    loss_count(&ledger, LOSS_INPUT, LEVEL_ERROR, 2, 300);
    assert_int_equal(ledger.cells[LOSS_LANE_FULL][LEVEL_INFO].count, 6);
    assert_int_equal(ledger.cells[LOSS_LANE_FULL][LEVEL_INFO].first_ns, 100);
    assert_int_equal(ledger.cells[LOSS_LANE_FULL][LEVEL_INFO].last_ns, 200);
    assert_int_equal(ledger.cells[LOSS_INPUT][LEVEL_ERROR].count, 2);
    assert_int_equal(ledger.cells[LOSS_INPUT][LEVEL_INFO].count, 0);
    assert_string_equal(loss_reason_name(LOSS_LANE_FULL), "lane_full");
    assert_string_equal(loss_reason_name(LOSS_LANES_BUSY), "lanes_busy");
    assert_string_equal(loss_reason_name(LOSS_NO_RING), "no_ring");
    assert_string_equal(loss_reason_name(LOSS_INPUT), "input");
}

static void the_anonymous_ledger_is_page_one(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    fixture_attach(f, &ring);
    assert_ptr_equal(ring_anonymous_ledger(&ring), ring.map.base + 4096);
    assert_int_equal(ring_anonymous_ledger(&ring)->cells[0][0].count, 0);
    ring_finish(&ring);
}

static void settings_travel_to_new_rings_and_slots(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct shared_settings in, out;
    settings_default(&in);
    in.ring_size = UINT64_C(32) << 20;
    in.level = LEVEL_WARN;
    assert_int_equal(settings_write(f->runtime_dir, &in, NULL), 0);
    settings_read(f->runtime_dir, &out);
    assert_int_equal(out.ring_size, in.ring_size);
    assert_int_equal(out.level, LEVEL_WARN);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, NULL), 0);
    assert_int_equal(ring.overflow_count, 2);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(claim.slot->control, slot_control_compose(LEVEL_WARN, LEVEL_TRACE, 0, 0));
    assert_int_equal(claim.slot->control & SLOT_CONTROL_LEVEL_MASK, LEVEL_WARN);
    ring_finish(&ring);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Everything that one process may take: call sites, lanes, an overflow lane, the metric area. */
static void take_all(struct ring *ring, const struct slot_claim *claim) {
    struct lane_writer writer;
    uint32_t lane;
    const char text[100] = { 'x' };
    while (ring_site_add(ring, claim, LEVEL_INFO, (struct text) { text, sizeof(text) }, TEXT_EMPTY, TEXT_EMPTY) > 0)
        continue;
    while (ring_lane_claim(ring, claim, false, &writer, &lane) == 0)
        continue;
    if (ring_overflow_take(ring, claim, &writer, &lane) == 0)
        ring_overflow_give(ring, lane);
    ring_slot_allocate(ring, claim->slot, SLOT_PAGES_METRICS,
                       ring->slots_at + (uint64_t)claim->index * RING_SLOT_SIZE + RING_SLOT_CLAIM_SIZE,
                       RING_SLOT_METRICS_SIZE);
}

static void no_process_is_shut_out_by_what_others_took(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct stat status;
    fixture_attach(f, &ring);
    for (uint32_t i = 0; i < ring.slot_count; i++) {
        assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
        take_all(&ring, &claim);
        assert_true(atomic_load(&ring.header->allocated) <= ring.size_limit);
    }
    assert_int_equal(stat(f->path, &status), 0);
    assert_true((uint64_t)status.st_blocks * 512 <= RING_SIZE_MIN + 65536);
    ring_finish(&ring);
}

static void call_sites_take_pages_as_they_fill(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    uint64_t begun = atomic_load(&ring.header->allocated);
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, service, service, service), 1);
    assert_int_equal(atomic_load(&ring.header->allocated), begun + 4096);
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, service, service, service), 2);
    assert_int_equal(atomic_load(&ring.header->allocated), begun + 4096);
    char *text = calloc(1, SLOT_SITE_TEXT_SIZE);
    struct text rest = { text, SLOT_SITE_TEXT_SIZE - 6 * service.length };
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_EMPTY, TEXT_EMPTY, rest), 3);
    assert_int_equal(atomic_load(&ring.header->allocated), begun + RING_SLOT_SPANS_AT - RING_SLOT_HEAD_SIZE);
    free(text);
    ring_slot_release(&ring, &claim, true);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0); /* the pages stay with the slot */
    assert_int_equal(ring_site_add(&ring, &claim, LEVEL_INFO, service, service, service), 1);
    assert_int_equal(atomic_load(&ring.header->allocated), begun + RING_SLOT_SPANS_AT - RING_SLOT_HEAD_SIZE);
    ring_finish(&ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_slot_says_whose_it_is),
        CASE(one_process_never_gets_a_slot_twice),
        CASE(a_touched_slot_waits_for_the_collector),
        CASE(a_claimed_slot_is_locked_and_a_released_one_is_not),
        CASE(relock_takes_back_a_lock_that_a_stray_close_dropped),
        CASE(relock_says_when_descriptor_or_slot_are_gone),
        CASE(a_retired_ring_takes_nobody),
        CASE(every_claim_counts_in_the_attach_word),
        CASE(a_long_service_name_is_cut_to_its_room),
        CASE(call_sites_are_numbered_from_one_until_the_table_is_full),
        CASE(a_call_site_whose_text_does_not_fit_is_refused),
        cmocka_unit_test(losses_count_by_reason_and_level_with_their_times),
        CASE(the_anonymous_ledger_is_page_one),
        CASE(settings_travel_to_new_rings_and_slots),
        CASE(no_process_is_shut_out_by_what_others_took),
        CASE(call_sites_take_pages_as_they_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
