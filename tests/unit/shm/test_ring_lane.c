#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

static const struct text service = { "billing", 7 };

/* --- lanes --- */

static void a_thread_gets_a_lane_of_its_own(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer a, b;
    uint32_t lane_a, lane_b;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, false, &a, &lane_a), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, false, &b, &lane_b), 0);
    assert_int_not_equal(lane_a, lane_b);
    assert_true(lane_a >= ring.overflow_count && lane_b >= ring.overflow_count);
    assert_int_equal(a.size, RING_LANE_SIZE);
    assert_int_equal(ring_lane_header(&ring, lane_a)->owner, lane_owner(claim.index, claim.generation));
    ring_finish(&ring);
}

static void an_exhausted_pool_says_so(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    for (uint32_t i = ring.overflow_count; i < ring.lane_count; i++)
        assert_int_equal(ring_lane_claim(&ring, &claim, false, &writer, &lane), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, false, &writer, &lane), -EAGAIN);
    ring_finish(&ring);
}

static void a_released_lane_goes_to_the_slots_next_thread_behind_its_records(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim, other;
    struct lane_writer first, second, third;
    uint32_t lane_first, lane_second, lane_third;
    uint64_t position, next;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &other), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, false, &first, &lane_first), 0);
    assert_non_null(lane_claim(&first, 64, LEVEL_INFO, &position));
    lane_commit(&first, 64);
    uint64_t held = ring_lane_header(&ring, lane_first)->owner;
    ring_lane_release(&ring, &claim, lane_first);
    uint64_t released = ring_lane_header(&ring, lane_first)->owner;
    assert_true(released & LANE_OWNER_RELEASED);
    assert_int_equal(ring_lane_claim(&ring, &other, false, &third, &lane_third), 0); /* another slot does not get it */
    assert_int_not_equal(lane_third, lane_first);
    assert_int_equal(ring_lane_claim(&ring, &claim, false, &second, &lane_second), 0);
    assert_int_equal(lane_second, lane_first);
    assert_int_not_equal(ring_lane_header(&ring, lane_first)->owner, held); /* another turn */
    assert_non_null(lane_claim(&second, 64, LEVEL_INFO, &next));
    assert_int_equal(next, position + 64);
    ring_lane_release(&ring, &claim, lane_second);
    assert_int_not_equal(ring_lane_header(&ring, lane_first)->owner, released);
    ring_finish(&ring);
}

static void the_turn_of_an_owner_word_wraps_without_touching_its_neighbours(void **state) {
    (void)state;
    uint64_t own = lane_owner(RING_SLOTS_MAX - 1, UINT32_MAX), owner = own;
    for (int i = 0; i < 1 << 15; i++) {
        uint64_t next = lane_owner_next_turn(owner | LANE_OWNER_RELEASED);
        assert_int_equal(lane_owner_identity(next), own);
        assert_int_equal(next & LANE_OWNER_RELEASED, 0);
        assert_int_not_equal(next, owner);
        owner = next;
    }
    assert_int_equal(owner, own);
    assert_int_equal(lane_owner_slot(own), RING_SLOTS_MAX - 1);
    assert_int_equal(lane_owner_generation(own), UINT32_MAX);
    assert_int_equal(lane_owner_slot(0), RING_SLOTS_MAX);
    assert_int_equal(lane_owner_slot(0xffff), RING_SLOTS_MAX);
}

static void a_scribbled_lane_is_left_alone(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    ring_lane_header(&ring, ring.overflow_count)->head = 77;
    assert_int_equal(ring_lane_claim(&ring, &claim, false, &writer, &lane), 0);
    assert_int_equal(lane, ring.overflow_count + 1);
    assert_int_equal(ring_lane_header(&ring, ring.overflow_count)->owner, 0);
    ring_finish(&ring);
}

static void an_overflow_lane_is_held_by_one(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer a, b;
    uint32_t lane, other;
    fixture_attach(f, &ring); /* a small ring has one */
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_overflow_take(&ring, &claim, &a, &lane), 0);
    assert_int_equal(lane, 0);
    assert_int_equal(a.size, RING_OVERFLOW_SIZE);
    assert_int_equal(ring_overflow_take(&ring, &claim, &b, &other), -EAGAIN);
    ring_overflow_give(&ring, lane);
    assert_int_equal(ring_overflow_take(&ring, &claim, &b, &other), 0);
    ring_finish(&ring);
}

static void the_emptier_overflow_lanes_come_first(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    assert_int_equal(ring_attach(f->runtime_dir, RING_SIZE_DEFAULT, &ring, NULL), 0);
    assert_int_equal(ring.overflow_count, 4);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    static const uint64_t fills[] = { 3 << 20, 2 << 20, 1 << 20, 0 }; /* of 4 MiB each */
    for (uint32_t i = 0; i < 4; i++)
        ring_lane_header(&ring, i)->head += fills[i];
    static const uint32_t order[] = { 2, 3, 1, 0 }; /* below half by number, then the emptiest */
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(ring_overflow_take(&ring, &claim, &writer, &lane), 0);
        assert_int_equal(lane, order[i]);
    }
    ring_finish(&ring);
}

static int take_overflow_and_die(void *argument) {
    struct ring_fixture *f = argument;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    uint64_t position;
    if (ring_attach(f->runtime_dir, 0, &ring, NULL) != 0 || ring_slot_claim(&ring, service, 0, &claim) != 0 ||
        ring_overflow_take(&ring, &claim, &writer, &lane) != 0)
        return 1;
    memset(lane_claim(&writer, 1024, LEVEL_ERROR, &position), 0xee, 1024);
    raise(SIGKILL);
    return 2;
}

static void a_killed_holder_of_an_overflow_lane_does_not_block_others(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    uint64_t position;
    fixture_attach(f, &ring);
    assert_int_equal(fixture_in_child(take_overflow_and_die, f), 256 + SIGKILL);
    assert_int_not_equal(ring_lane_header(&ring, 0)->owner, 0);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_overflow_take(&ring, &claim, &writer, &lane), 0);
    assert_non_null(lane_claim(&writer, 64, LEVEL_INFO, &position));
    assert_int_equal(position, LANE_POSITION_START); /* the dead one published nothing */
    ring_finish(&ring);
}

static int take_overflow(void *argument) {
    struct ring_fixture *f = argument;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    if (ring_attach(f->runtime_dir, 0, &ring, NULL) != 0 || ring_slot_claim(&ring, service, 0, &claim) != 0)
        return 1;
    int result = ring_overflow_take(&ring, &claim, &writer, &lane);
    ring_slot_release(&ring, &claim, true);
    return result == 0 ? 0 : result == -EAGAIN ? 11 : 2;
}

static void a_live_holder_keeps_its_overflow_lane(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    assert_int_equal(ring_overflow_take(&ring, &claim, &writer, &lane), 0);
    assert_int_equal(fixture_in_child(take_overflow, f), 11);
    close(open(f->path, O_RDONLY | O_CLOEXEC)); /* also when its record lock was lost */
    assert_int_equal(fixture_in_child(take_overflow, f), 11);
    ring_overflow_give(&ring, lane);
    assert_int_equal(fixture_in_child(take_overflow, f), 0);
    ring_finish(&ring);
}

/* --- no space --- */

static void a_file_size_limit_is_an_error_and_no_signal(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = (struct rlimit) { 1 << 20, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    int result = ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, -EFBIG);
    assert_int_equal(access(f->path, F_OK), -1);
}

static void a_full_tmpfs_is_an_error_and_no_signal(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    struct error error = { "" };
    uint32_t lane, lanes = 0;
    if (geteuid() != 0 || mount("none", f->runtime_dir, "tmpfs", 0, "size=8k") < 0)
        skip();
    int result = ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, &error);
    assert_int_equal(umount(f->runtime_dir), 0);
    assert_int_equal(result, -ENOSPC);
    assert_non_null(strstr(error.text, "No space"));

    /* room for the front, a slot and one lane and a half */
    assert_int_equal(mount("none", f->runtime_dir, "tmpfs", 0, "size=900k"), 0);
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    while ((result = ring_lane_claim(&ring, &claim, false, &writer, &lane)) == 0)
        lanes++;
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(lanes, 1);
    assert_int_equal(ring_lane_header(&ring, lane + 1)->owner, 0); /* given back */
    assert_int_equal(ring_overflow_take(&ring, &claim, &writer, &lane), -ENOSPC);
    for (struct slot_claim more; (result = ring_slot_claim(&ring, service, 0, &more)) == 0;)
        ;
    assert_int_equal(result, -ENOSPC);
    ring_finish(&ring);
    assert_int_equal(umount(f->runtime_dir), 0);
}

/* As many processes as it takes were killed between counting pages and allocating them. */
static void pages_that_were_counted_and_never_allocated_are_counted_no_more(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    fixture_attach(f, &ring);
    atomic_store(&ring.header->allocated, ring.size_limit);
    assert_int_equal(ring_slot_claim(&ring, service, 0, &claim), 0);
    for (unsigned claimed = 0; claimed < 2; claimed++) {
        atomic_store(&ring.header->allocated, claimed == 0 ? ring.size_limit : UINT64_MAX);
        assert_int_equal(ring_lane_claim(&ring, &claim, false, &writer, &lane), 0);
        assert_int_equal(atomic_load(&ring.header->allocated), ring.slots_at + RING_SLOT_HEAD_SIZE +
                                                                   RING_SLOT_CLAIM_SIZE - RING_SLOT_SPANS_AT +
                                                                   (claimed + 1) * RING_LANE_SIZE);
    }
    /* What is there by its marks is there: no room is no room. */
    for (uint32_t i = ring.overflow_count; i < ring.lane_count; i++)
        atomic_store(&ring_lane_header(&ring, i)->allocated, 1);
    for (uint32_t i = 0; i < ring.slot_count; i++)
        atomic_store(&ring_slot_at(&ring, i)->pages, SLOT_PAGES_CLAIM | SLOT_PAGES_METRICS);
    atomic_store(&ring.header->slots_used, ring.slot_count);
    atomic_store(&ring.header->allocated, ring.size_limit - 4096);
    assert_int_equal(ring_overflow_take(&ring, &claim, &writer, &lane), -ENOSPC);
    assert_true(atomic_load(&ring.header->allocated) <= ring.size_limit);
    ring_finish(&ring);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_thread_gets_a_lane_of_its_own),
        CASE(an_exhausted_pool_says_so),
        CASE(a_released_lane_goes_to_the_slots_next_thread_behind_its_records),
        cmocka_unit_test(the_turn_of_an_owner_word_wraps_without_touching_its_neighbours),
        CASE(a_scribbled_lane_is_left_alone),
        CASE(an_overflow_lane_is_held_by_one),
        CASE(the_emptier_overflow_lanes_come_first),
        CASE(a_killed_holder_of_an_overflow_lane_does_not_block_others),
        CASE(a_live_holder_keeps_its_overflow_lane),
        CASE(a_file_size_limit_is_an_error_and_no_signal),
        CASE(a_full_tmpfs_is_an_error_and_no_signal),
        CASE(pages_that_were_counted_and_never_allocated_are_counted_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
