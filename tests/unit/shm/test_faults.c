/* Each call on files that can fail does so once: a ring comes into being whole or not at all, and the next one who comes gets it. */
#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

#include "common/shm/ring_file.h"
#include "common/shm/ring_reader.h"
#include "ring_fixture.h"
#include "tests/lib/fail_at.h"

static struct error error;

static unsigned count_files(const char *folder) {
    unsigned count = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (directory)
        closedir(directory);
    return count;
}

/* From nothing to a record in a lane. */
static int use(const struct ring_fixture *f) {
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    int result = ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, &error);
    if (result < 0)
        return result;
    result = ring_slot_claim(&ring, TEXT_LITERAL("billing"), 0, &claim);
    if (result == 0) {
        result = ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_LITERAL("m"), TEXT_LITERAL("o"), TEXT_LITERAL("%d"));
        if (result > 0 && (result = ring_lane_claim(&ring, &claim, false, &writer, &lane)) == 0)
            ring_lane_release(&ring, &claim, lane);
        ring_slot_release(&ring, &claim, true);
    }
    ring_finish(&ring);
    return result;
}

static void sweep_attach(const struct ring_fixture *f, unsigned kinds, int code, bool anew) {
    char rings[160];
    snprintf(rings, sizeof(rings), "%s/rings", f->runtime_dir);
    for (unsigned n = 1, failed = 1; failed; n++) {
        unlink(f->path); /* nobody drains its lanes */
        if (!anew)
            assert_int_equal(use(f), 0);
        error.text[0] = '\0';
        fail_at(kinds, n, code);
        int result = use(f);
        failed = fail_stop();
        if (!failed)
            assert_int_equal(result, 0);
        assert_true(count_files(rings) <= 1); /* no name of a file that was never finished */
        result = use(f);
        if (result != 0)
            fail_msg("after call %u: %d %s", n, result, error.text);
        assert_int_equal(count_files(rings), 1);
    }
}

static void a_ring_is_made_whole_or_not_at_all(void **state) {
    const struct ring_fixture *f = *state;
    static const int codes[] = { EIO, ENOSPC, EMFILE };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        sweep_attach(f, FAIL_CALL, codes[i], true);
    sweep_attach(f, FAIL_MEMORY, 0, true);
    sweep_attach(f, FAIL_SHORT, 0, true);
}

/* A signal is no failure. */
static void a_call_that_was_interrupted_is_done_again(void **state) {
    const struct ring_fixture *f = *state;
    sweep_attach(f, FAIL_CALL, EINTR, true);
}

static void who_attaches_to_a_ring_harms_it_by_no_failure(void **state) {
    const struct ring_fixture *f = *state;
    sweep_attach(f, FAIL_CALL, EIO, false);
    sweep_attach(f, FAIL_SHORT, 0, false);
}

static void the_reader_says_what_it_could_not_open(void **state) {
    const struct ring_fixture *f = *state;
    assert_int_equal(use(f), 0);
    int rings_fd = ring_folder_open(f->runtime_dir, &error);
    assert_true(rings_fd >= 0);
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_SHORT; kinds *= 2)
        for (unsigned n = 1, failed = 1; failed; n++) {
            struct ring ring;
            error.text[0] = '\0';
            fail_at(kinds, n, EIO);
            int result = ring_reader_open(rings_fd, geteuid(), true, &ring, &error);
            failed = fail_stop();
            assert_int_equal(result < 0, failed);
            assert_int_equal(error.text[0] != '\0', failed);
            if (result < 0)
                continue;
            fail_at(FAIL_CALL, 1, EIO);
            assert_true(ring_reader_check(&ring, &error) < 0);
            fail_at(FAIL_CALL, 2, EIO);
            assert_true(ring_reader_check(&ring, &error) < 0);
            fail_stop();
            assert_int_equal(ring_reader_check(&ring, &error), 0);
            ring_finish(&ring);
        }
    close(rings_fd);
}

static void a_path_that_is_too_long_is_an_error(void **state) {
    (void)state;
    char path[5000];
    struct ring ring;
    struct shared_settings settings, defaults;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(ring_attach(path, RING_SIZE_MIN, &ring, &error), -ENAMETOOLONG);
    settings_default(&defaults);
    settings_read(path, &settings);
    assert_memory_equal(&settings, &defaults, sizeof(settings));
    assert_int_equal(settings_write(path, &settings, &error), -ENAMETOOLONG);
}

static void settings_are_as_they_were_or_as_they_should_be(void **state) {
    const struct ring_fixture *f = *state;
    struct shared_settings before, after, got, defaults;
    settings_default(&before);
    defaults = before;
    after = before;
    after.ring_size = before.ring_size * 2;
    for (unsigned kinds = FAIL_CALL; kinds <= FAIL_SHORT; kinds *= 2)
        for (unsigned n = 1, failed = 1; failed; n++) {
            assert_int_equal(settings_write(f->runtime_dir, &before, &error), 0);
            error.text[0] = '\0';
            fail_at(kinds, n, ENOSPC);
            int result = settings_write(f->runtime_dir, &after, &error);
            failed = fail_stop();
            assert_int_equal(result, failed ? -ENOSPC : 0);
            assert_int_equal(error.text[0] != '\0', failed);
            settings_read(f->runtime_dir, &got);
            assert_true(got.ring_size == (failed ? before.ring_size : after.ring_size));
            assert_int_equal(count_files(f->runtime_dir), 1);
            fail_at(kinds, 1, EIO); /* what cannot be read: the defaults */
            settings_read(f->runtime_dir, &got);
            assert_true(fail_stop());
            assert_true(got.ring_size == defaults.ring_size);
        }
}

/* --- in a process that closed its standard streams, or may write no large file --- */

static int attach_without_streams(void *argument) {
    const struct ring_fixture *f = argument;
    struct ring ring[2];
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    for (int i = 0; i < 2; i++) { /* making it, then attaching to it */
        if (ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring[i], NULL) != 0)
            return 1 + i;
        if (ring[i].map.fd < 3 || fcntl(0, F_GETFD) >= 0 || fcntl(2, F_GETFD) >= 0)
            return 3 + i;
    }
    return 0;
}

static void a_ring_never_stands_in_place_of_a_standard_stream(void **state) {
    assert_int_equal(fixture_in_child(attach_without_streams, *state), 0);
}

static int attach_with_three_descriptors(void *argument) {
    const struct ring_fixture *f = argument;
    const struct rlimit few = { 3, 3 };
    struct ring ring;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return 2;
    int result = ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, NULL);
    return result == -EMFILE || result == -EINVAL ? 0 : 1; /* there is no number above them */
}

static void without_a_descriptor_above_them_there_is_no_ring(void **state) {
    assert_int_equal(fixture_in_child(attach_with_three_descriptors, *state), 0);
    assert_int_equal(use(*state), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_ring_is_made_whole_or_not_at_all),
        test(a_call_that_was_interrupted_is_done_again),
        test(who_attaches_to_a_ring_harms_it_by_no_failure),
        test(the_reader_says_what_it_could_not_open),
        test(a_path_that_is_too_long_is_an_error),
        test(settings_are_as_they_were_or_as_they_should_be),
        test(a_ring_never_stands_in_place_of_a_standard_stream),
        test(without_a_descriptor_above_them_there_is_no_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
