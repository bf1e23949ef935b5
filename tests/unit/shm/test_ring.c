#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>

static const struct text service = { "billing", 7 };

/* --- geometry --- */

static void the_size_decides_slots_and_lanes(void **state) {
    (void)state;
    static const struct {
        uint64_t size;
        uint32_t slots, overflow;
    } cases[] = {
        { RING_SIZE_MIN, 128, 1 },      { RING_SIZE_DEFAULT, 1024, 4 }, { UINT64_C(32) << 20, 512, 2 },
        { UINT64_C(1) << 30, 1024, 4 }, { RING_SIZE_MAX, 1024, 4 },
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
        assert_true(geometry.size_limit == size);
        /* all lanes, and every slot with its open spans and a page of call sites */
        uint64_t all =
            geometry.file_size - geometry.data_at + geometry.slots_at + geometry.slot_count * UINT64_C(16384);
        assert_true(all <= size);
        if (geometry.lane_count < RING_LANES_MAX)
            assert_true(size - all < 2 * RING_LANE_SIZE); /* and wastes little */
    }
    struct geometry low, high;
    geometry_of_size(0, &low);
    assert_true(low.size_limit == RING_SIZE_MIN);
    geometry_of_size(UINT64_MAX, &high);
    assert_true(high.size_limit == RING_SIZE_MAX);
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
    return ring_slot_claim(&ring, service, 0, &claim) == 0 && ring_lane_claim(&ring, &claim, false, &writer, &lane) == 0
               ? 0
               : 2;
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
