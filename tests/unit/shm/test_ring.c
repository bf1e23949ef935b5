#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "tests/unit/shm/ring_fixture.h"

static const struct text service = { "billing", 7 };

/* --- geometry --- */

static void the_size_decides_slots_and_lanes(void **state) {
    (void)state;
    static const struct {
        uint64_t size;
        uint32_t slots, overflow;
    } cases[] = {
        { RING_SIZE_MIN, 16, 1 },      { RING_SIZE_DEFAULT, 128, 4 }, { UINT64_C(32) << 20, 64, 2 },
        { UINT64_C(1) << 30, 256, 4 }, { RING_SIZE_MAX, 256, 4 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct geometry geometry;
        geometry_of_size(cases[i].size, &geometry);
        assert_int_equal(geometry.slot_count, cases[i].slots);
        assert_int_equal(geometry.overflow_count, cases[i].overflow);
        assert_true(geometry.lane_count > geometry.overflow_count && geometry.lane_count <= RING_LANES_MAX);
    }
}

static void a_ring_never_takes_more_than_its_size(void **state) {
    (void)state;
    for (uint64_t size = RING_SIZE_MIN; size <= RING_SIZE_MAX; size += size / 7 + 4097) {
        struct geometry geometry;
        geometry_of_size(size, &geometry);
        assert_true(geometry.file_size <= size);
        if (geometry.lane_count < RING_LANES_MAX)
            assert_true(size - geometry.file_size < 2 * RING_LANE_SIZE); /* and wastes little */
    }
    struct geometry low, high;
    geometry_of_size(0, &low);
    assert_true(low.file_size <= RING_SIZE_MIN);
    geometry_of_size(UINT64_MAX, &high);
    assert_true(high.file_size <= RING_SIZE_MAX);
}

/* --- making and attaching --- */

static void the_first_process_makes_folders_and_file(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct stat status;
    char rings[160];
    mode_t umask_before = umask(077);
    fixture_attach(f, &ring);
    umask(umask_before);
    snprintf(rings, sizeof(rings), "%s/rings", f->runtime_dir);
    assert_int_equal(stat(rings, &status), 0);
    assert_int_equal(status.st_mode & 07777, 03773);
    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    assert_int_equal(status.st_uid, geteuid());
    assert_int_equal(status.st_nlink, 1); /* the temporary name is gone */
    assert_true(status.st_blocks < 512);  /* sparse: header, lane headers, the heads of the slots */
    assert_true(ring.map.fd > 2);
    assert_int_equal(ring.uid, geteuid());
    ring_finish(&ring);
}

static void a_runtime_directory_that_is_missing_is_made(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    char below[160];
    snprintf(below, sizeof(below), "%s/run", f->runtime_dir);
    assert_int_equal(ring_attach(below, RING_SIZE_MIN, &ring, NULL), 0);
    ring_finish(&ring);
    struct error error = { "" };
    assert_int_equal(ring_attach("/nowhere/at/all", RING_SIZE_MIN, &ring, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

static void the_second_attaches_to_the_same_ring(void **state) {
    struct ring_fixture *f = *state;
    struct ring first, second;
    fixture_attach(f, &first);
    fixture_attach(f, &second);
    assert_memory_equal(first.ring_id, second.ring_id, sizeof(first.ring_id));
    ring_finish(&first);
    ring_finish(&second);
}

static int attach_and_show_id(void *argument) {
    struct ring_fixture *f = ((void **)argument)[0];
    int *gate = ((void **)argument)[1], *out = ((void **)argument)[2];
    struct ring ring;
    char byte;
    close(gate[1]);
    if (read(gate[0], &byte, 1) != 0) /* until the parent closes it: all start at once */
        return 1;
    if (ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, NULL) != 0)
        return 2;
    return write(out[1], ring.ring_id, sizeof(ring.ring_id)) == sizeof(ring.ring_id) ? 0 : 3;
}

static void processes_that_race_meet_in_one_ring(void **state) {
    enum { RACERS = 8 };
    int gate[2], out[2];
    void *argument[] = { *state, gate, out };
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(out), 0);
    for (int i = 0; i < RACERS; i++) {
        pid_t child = fixture_fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(attach_and_show_id(argument));
    }
    close(gate[0]);
    close(gate[1]);
    uint8_t first[16], other[16];
    for (int i = 0; i < RACERS; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        assert_int_equal(read(out[0], i == 0 ? first : other, 16), 16);
        if (i > 0)
            assert_memory_equal(first, other, 16);
    }
    close(out[0]);
    close(out[1]);
}

static void a_temporary_name_left_by_a_killed_maker_is_in_nobodys_way(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    char rings[160], left[192];
    snprintf(rings, sizeof(rings), "%s/rings", f->runtime_dir);
    snprintf(left, sizeof(left), "%s/.%u.0123456789abcdef", rings, (unsigned)geteuid());
    assert_int_equal(mkdir(rings, 0755), 0);
    close(open(left, O_CREAT | O_WRONLY, 0600));
    fixture_attach(f, &ring);
    ring_finish(&ring);
}

static void a_symbolic_link_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct error error = { "" };
    char elsewhere[192];
    fixture_attach(f, &ring);
    ring_finish(&ring);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", f->runtime_dir);
    assert_int_equal(rename(f->path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, f->path), 0);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, &error), -EPERM);
    assert_non_null(strstr(error.text, "symbolic link"));
}

static void what_is_no_regular_file_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    char rings[160];
    snprintf(rings, sizeof(rings), "%s/rings", f->runtime_dir);
    assert_int_equal(mkdir(rings, 0755), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, NULL), -EPERM);
}

static void anothers_file_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct error error = { "" };
    if (geteuid() != 0)
        skip();
    fixture_attach(f, &ring);
    ring_finish(&ring);
    assert_int_equal(chown(f->path, 12345, (gid_t)-1), 0);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, &error), -EPERM);
    assert_non_null(strstr(error.text, "12345"));
}

static void the_file_gets_the_folders_group(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct stat status;
    char rings[160];
    if (geteuid() != 0)
        skip();
    snprintf(rings, sizeof(rings), "%s/rings", f->runtime_dir);
    for (int setgid = 0; setgid < 2; setgid++) {
        unlink(f->path);
        rmdir(rings);
        assert_int_equal(mkdir(rings, 0755), 0);
        assert_int_equal(chown(rings, 0, 4321), 0);
        assert_int_equal(chmod(rings, setgid ? 03773 : 0755), 0);
        fixture_attach(f, &ring);
        assert_int_equal(stat(f->path, &status), 0);
        assert_int_equal(status.st_gid, 4321);
        ring_finish(&ring);
    }
}

static int attach_as_nobody(void *argument) {
    struct ring_fixture *f = argument;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 77;
    if (ring_attach(f->runtime_dir, 0, &ring, NULL) != 0 || ring.uid != 65534)
        return 1;
    return ring_slot_claim(&ring, service, &claim) == 0 && ring_lane_claim(&ring, &claim, &writer, &lane) == 0 ? 0 : 2;
}

static void another_user_makes_its_own_ring_in_the_shared_folder(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(f->runtime_dir, 0755), 0);
    fixture_attach(f, &ring); /* root's program came first: uid 0 is a user like any other */
    assert_int_equal(fixture_in_child(attach_as_nobody, f), 0);
    ring_finish(&ring);
}

/* --- damage --- */

static void scribble(const struct ring_fixture *f, size_t at, const void *bytes, size_t size) {
    int fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), (ssize_t)size);
    close(fd);
}

static void every_field_of_the_header_is_checked(void **state) {
    struct ring_fixture *f = *state;
    static const struct {
        size_t at, size;
        int expected;
    } fields[] = {
        { offsetof(struct ring_header, magic), 8, -EBADMSG },
        { offsetof(struct ring_header, version), 4, -EPROTO },
        { offsetof(struct ring_header, header_size), 4, -EBADMSG },
        { offsetof(struct ring_header, uid), 4, -EBADMSG },
        { offsetof(struct ring_header, slot_count), 4, -EBADMSG },
        { offsetof(struct ring_header, overflow_count), 4, -EBADMSG },
        { offsetof(struct ring_header, lane_count), 4, -EBADMSG },
        { offsetof(struct ring_header, file_size), 8, -EBADMSG },
        { offsetof(struct ring_header, lanes_at), 8, -EBADMSG },
        { offsetof(struct ring_header, slots_at), 8, -EBADMSG },
        { offsetof(struct ring_header, data_at), 8, -EBADMSG },
        { offsetof(struct ring_header, slot_size), 4, -EBADMSG },
        { offsetof(struct ring_header, lane_size), 4, -EBADMSG },
        { offsetof(struct ring_header, overflow_size), 4, -EBADMSG },
    };
    struct ring ring;
    struct ring_header good;
    fixture_attach(f, &ring);
    memcpy(&good, ring.map.base, sizeof(good));
    ring_finish(&ring);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        uint64_t value = 0;
        memcpy(&value, (char *)&good + fields[i].at, fields[i].size);
        value += 8;
        scribble(f, fields[i].at, &value, fields[i].size);
        struct error error = { "" };
        assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, &error), fields[i].expected);
        assert_true(error.text[0] != '\0');
        scribble(f, 0, &good, sizeof(good));
    }
    fixture_attach(f, &ring);
    ring_finish(&ring);
}

static void a_cut_file_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    fixture_attach(f, &ring);
    off_t size = (off_t)ring.map.size;
    ring_finish(&ring);
    const off_t sizes[] = { 0, 100, RING_HEADER_SIZE, size - 1, size + 4096 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(truncate(f->path, sizes[i]), 0);
        assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, NULL), -EBADMSG);
    }
}

/* --- slots --- */

static void a_slot_says_whose_it_is(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    struct slot_claim claims[RING_SLOTS_MIN], more;
    fixture_attach(f, &ring);
    for (int i = 0; i < RING_SLOTS_MIN; i++) {
        assert_int_equal(ring_slot_claim(&ring, service, &claims[i]), 0);
        assert_int_equal(claims[i].index, i);
    }
    assert_int_equal(ring_slot_claim(&ring, service, &more), -EAGAIN);
    ring_slot_release(&ring, &claims[3], true);
    assert_int_equal(ring_slot_claim(&ring, service, &more), 0);
    assert_int_equal(more.index, 3);
    assert_int_equal(more.generation, claims[3].generation + 1);
    ring_finish(&ring);
}

static void a_touched_slot_waits_for_the_collector(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim first, second;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &first), 0);
    ring_slot_release(&ring, &first, false);
    assert_int_equal(first.slot->state, slot_state_word(first.generation, SLOT_CLOSED));
    assert_int_equal(ring_slot_claim(&ring, service, &second), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), -ESTALE);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &other, NULL), -ESTALE);
    for (uint32_t i = 0; i < ring.slot_count; i++)
        assert_int_equal(ring_slot_at(&ring, i)->state & 0xff, SLOT_FREE);
    ring_finish(&ring);
    assert_int_equal(unlink(f->path), 0); /* the collector's part */
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    ring_finish(&ring);
}

static void every_claim_counts_in_the_attach_word(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(ring.header->attach, i << 1);
        assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    assert_int_equal(ring_slot_claim(&ring, (struct text) { name, sizeof(name) }, &claim), 0);
    assert_int_equal(claim.slot->service_length, ENTRY_NAME_BYTES);
    ring_finish(&ring);
}

static void call_sites_are_numbered_from_one_until_the_table_is_full(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    for (int i = 1; i <= SLOT_SITES_MAX; i++)
        assert_int_equal(ring_site_add(&claim, LEVEL_INFO, TEXT_LITERAL("mod"), TEXT_LITERAL("op"), TEXT_EMPTY), i);
    assert_int_equal(ring_site_add(&claim, LEVEL_INFO, TEXT_EMPTY, TEXT_EMPTY, TEXT_EMPTY), -ENOSPC);
    ring_finish(&ring);
}

static void a_call_site_whose_text_does_not_fit_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    static char big[SLOT_SITE_TEXT_SIZE];
    memset(big, 'f', sizeof(big));
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    struct text format = { big, sizeof(big) - 4 };
    assert_int_equal(ring_site_add(&claim, LEVEL_INFO, TEXT_LITERAL("abc"), TEXT_LITERAL("de"), format), -ENOSPC);
    assert_int_equal(ring_site_add(&claim, LEVEL_INFO, TEXT_LITERAL("ab"), TEXT_LITERAL("de"), format), 1);
    assert_int_equal(ring_site_add(&claim, LEVEL_INFO, TEXT_LITERAL("a"), TEXT_EMPTY, TEXT_EMPTY), -ENOSPC);
    ring_finish(&ring);
}

/* --- lanes --- */

static void a_thread_gets_a_lane_of_its_own(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer a, b;
    uint32_t lane_a, lane_b;
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, &a, &lane_a), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, &b, &lane_b), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    for (uint32_t i = ring.overflow_count; i < ring.lane_count; i++)
        assert_int_equal(ring_lane_claim(&ring, &claim, &writer, &lane), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, &writer, &lane), -EAGAIN);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    assert_int_equal(ring_slot_claim(&ring, service, &other), 0);
    assert_int_equal(ring_lane_claim(&ring, &claim, &first, &lane_first), 0);
    assert_non_null(lane_claim(&first, 64, LEVEL_INFO, &position));
    lane_commit(&first, 64);
    uint64_t held = ring_lane_header(&ring, lane_first)->owner;
    ring_lane_release(&ring, &claim, lane_first);
    uint64_t released = ring_lane_header(&ring, lane_first)->owner;
    assert_true(released & LANE_OWNER_RELEASED);
    assert_int_equal(ring_lane_claim(&ring, &other, &third, &lane_third), 0); /* another slot does not get it */
    assert_int_not_equal(lane_third, lane_first);
    assert_int_equal(ring_lane_claim(&ring, &claim, &second, &lane_second), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    ring_lane_header(&ring, ring.overflow_count)->head = 77;
    assert_int_equal(ring_lane_claim(&ring, &claim, &writer, &lane), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    if (ring_attach(f->runtime_dir, 0, &ring, NULL) != 0 || ring_slot_claim(&ring, service, &claim) != 0 ||
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    if (ring_attach(f->runtime_dir, 0, &ring, NULL) != 0 || ring_slot_claim(&ring, service, &claim) != 0)
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
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
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
    if (geteuid() != 0 || mount("none", f->runtime_dir, "tmpfs", 0, "size=64k") < 0)
        skip();
    int result = ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, &error);
    assert_int_equal(umount(f->runtime_dir), 0);
    assert_int_equal(result, -ENOSPC);
    assert_non_null(strstr(error.text, "No space"));

    /* room for the front, a slot and one lane and a half */
    assert_int_equal(mount("none", f->runtime_dir, "tmpfs", 0, "size=1100k"), 0);
    fixture_attach(f, &ring);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    while ((result = ring_lane_claim(&ring, &claim, &writer, &lane)) == 0)
        lanes++;
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(lanes, 1);
    assert_int_equal(ring_lane_header(&ring, lane + 1)->owner, 0); /* given back */
    assert_int_equal(ring_overflow_take(&ring, &claim, &writer, &lane), -ENOSPC);
    for (struct slot_claim more; (result = ring_slot_claim(&ring, service, &more)) == 0;)
        ;
    assert_int_equal(result, -ENOSPC);
    ring_finish(&ring);
    assert_int_equal(umount(f->runtime_dir), 0);
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
    struct shared_settings in = { .ring_size = UINT64_C(32) << 20, .level = LEVEL_WARN }, out;
    assert_int_equal(settings_write(f->runtime_dir, &in, NULL), 0);
    settings_read(f->runtime_dir, &out);
    assert_int_equal(out.ring_size, in.ring_size);
    assert_int_equal(out.level, LEVEL_WARN);
    assert_int_equal(ring_attach(f->runtime_dir, 0, &ring, NULL), 0);
    assert_int_equal(ring.overflow_count, 2);
    assert_int_equal(ring_slot_claim(&ring, service, &claim), 0);
    assert_int_equal(claim.slot->control, LEVEL_WARN);
    ring_finish(&ring);
}

static void settings_that_are_missing_or_foreign_are_the_defaults(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings out = { .ring_size = 5 };
    char path[192];
    snprintf(path, sizeof(path), "%s/settings", f->runtime_dir);
    settings_read(f->runtime_dir, &out);
    assert_int_equal(out.ring_size, RING_SIZE_DEFAULT);
    struct shared_settings good = out, bad[5];
    for (int i = 0; i < 5; i++)
        bad[i] = good;
    bad[0].magic++;
    bad[1].size = 8;
    bad[2].ring_size = 1;
    bad[3].level = LEVEL_COUNT;
    bad[4].version = 0;
    for (int i = 0; i < 5; i++) {
        bad[i].reserved[0] = 1;
        int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
        assert_int_equal(write(fd, &bad[i], sizeof(bad[i])), sizeof(bad[i]));
        close(fd);
        settings_read(f->runtime_dir, &out);
        assert_memory_equal(&out, &good, sizeof(out));
    }
    assert_int_equal(truncate(path, 20), 0);
    settings_read(f->runtime_dir, &out);
    assert_memory_equal(&out, &good, sizeof(out));
    struct error error = { "" };
    assert_int_equal(settings_write(f->runtime_dir, &bad[2], &error), -EINVAL);
    assert_int_equal(settings_write("/nowhere", &good, &error), -ENOENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_decides_slots_and_lanes),
        cmocka_unit_test(a_ring_never_takes_more_than_its_size),
        CASE(the_first_process_makes_folders_and_file),
        CASE(a_runtime_directory_that_is_missing_is_made),
        CASE(the_second_attaches_to_the_same_ring),
        CASE(processes_that_race_meet_in_one_ring),
        CASE(a_temporary_name_left_by_a_killed_maker_is_in_nobodys_way),
        CASE(a_symbolic_link_is_refused),
        CASE(what_is_no_regular_file_is_refused),
        CASE(anothers_file_is_refused),
        CASE(the_file_gets_the_folders_group),
        CASE(another_user_makes_its_own_ring_in_the_shared_folder),
        CASE(every_field_of_the_header_is_checked),
        CASE(a_cut_file_is_refused),
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
        cmocka_unit_test(losses_count_by_reason_and_level_with_their_times),
        CASE(the_anonymous_ledger_is_page_one),
        CASE(settings_travel_to_new_rings_and_slots),
        CASE(settings_that_are_missing_or_foreign_are_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
