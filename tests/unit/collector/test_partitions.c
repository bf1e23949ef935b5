/* Which partition is the authority, whatever a kill, damage or a failing call has left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/limits.h"
#include "collector/partitions.h"
#include "common/base/diag.h"
#include "common/store/partition_sum.h"
#include "common/store/state_keys.h"
#include "tests/lib/fail_at.h"

#define MAP (UINT64_C(8) << 20)
#define CREATED UINT64_C(1795457704000000000)

static char folder[64];
static struct error error;

/* In memory, where there is such a place: each commit is synced. */
static int make_folder(void **state) {
    (void)state;
    error.text[0] = '\0';
    snprintf(folder, sizeof(folder), "/dev/shm/taskforge-partitions-XXXXXX");
    if (mkdtemp(folder))
        return 0;
    snprintf(folder, sizeof(folder), "/tmp/taskforge-partitions-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk) {
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static int remove_folder(void **state) {
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define must(call)                                                                                                     \
    do {                                                                                                               \
        int must_result = (call);                                                                                      \
        if (must_result < 0)                                                                                           \
            fail_msg("%s: %d %s", #call, must_result, error.text);                                                     \
    } while (0)

/* --- a store, and what a start makes of it --- */

struct store {
    struct partitions partitions;
    struct state_map state;
};

static int start(struct store *store) {
    *store = (struct store) { .state = STATE_MAP_EMPTY };
    int result = partitions_open(&store->partitions, folder, MAP, &store->state, &error);
    if (result < 0)
        state_map_finish(&store->state);
    return result;
}

static void stop(struct store *store) {
    partitions_close(&store->partitions);
    state_map_finish(&store->state);
}

static char *path_of(uint64_t first, uint64_t second) {
    static char paths[4][PARTITION_PATH_MAX];
    static unsigned next;
    char logs[80];
    snprintf(logs, sizeof(logs), "%s/logs", folder);
    mkdir(logs, 0750);
    char *path = paths[next++ % 4];
    assert_int_equal(partition_make_path(folder, first, CREATED + second * UINT64_C(1000000000), path), 0);
    return path;
}

/* A partition with the key "mark" = value, and the sequence `next`. */
static const char *make(uint64_t first, uint64_t second, struct partition_meta meta, const char *value) {
    const char *path = path_of(first, second);
    char words[STATE_SEQUENCE_SIZE];
    const struct state_sequence sequence = { .next = first + 5 };
    struct partition *partition;
    struct partition_txn *txn;
    meta.version = PARTITION_VERSION;
    meta.first_sequence = first;
    meta.created_ns = CREATED + second * UINT64_C(1000000000);
    must(partition_create(path, &meta, MAP, &partition, &error));
    must(partition_begin(partition, true, &txn, &error));
    must(partition_state_put(txn, TEXT_LITERAL("mark"), text_of(value), &error));
    state_sequence_encode(&sequence, words);
    must(partition_state_put(txn, TEXT_LITERAL(STATE_SEQUENCE), (struct text) { words, sizeof(words) }, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
    return path;
}

#define READY ((struct partition_meta) { .ready = 1 })
#define CLOSED ((struct partition_meta) { .ready = 1, .closed_ns = CREATED + 1 })
#define UNFINISHED ((struct partition_meta) { .ready = 0 })

static void assert_mark(const struct store *store, const char *value) {
    struct text got;
    bool there = state_map_get(&store->state, TEXT_LITERAL("mark"), &got);
    assert_int_equal(there, value != NULL);
    if (value)
        assert_true(text_is(got, value));
}

static void assert_authority(const struct store *store, const char *path, const char *mark) {
    assert_string_equal(store->partitions.current_path, path);
    assert_mark(store, mark);
}

static void overwrite(const char *path, off_t at, size_t size) {
    char noise[4096];
    memset(noise, 0x5a, sizeof(noise));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && size <= sizeof(noise));
    assert_int_equal(pwrite(fd, noise, size, at), size);
    close(fd);
}

static bool exists(const char *path, const char *ending) {
    char name[PARTITION_PATH_MAX + 16];
    snprintf(name, sizeof(name), "%s%s", path, ending);
    return access(name, F_OK) == 0;
}

/* --- at the start --- */

static void an_empty_folder_gets_a_partition_from_zero(void **unused) {
    (void)unused;
    struct store store;
    must(start(&store));
    assert_int_equal(store.partitions.current->first_sequence, 0);
    assert_mark(&store, NULL);
    stop(&store);
}

static void what_cannot_be_a_data_folder_is_an_error(void **unused) {
    (void)unused;
    struct partitions partitions = { 0 };
    struct state_map state = STATE_MAP_EMPTY;
    char path[PATHS_MAX + 1], logs[80];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(partitions_open(&partitions, path, MAP, &state, &error), -ENAMETOOLONG);
    snprintf(path, sizeof(path), "%s/file", folder);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(partitions_open(&partitions, path, MAP, &state, &error), -ENOTDIR);
    assert_non_null(strstr(error.text, "cannot make the folder"));
    snprintf(logs, sizeof(logs), "%s/logs", folder);
    close(open(logs, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(partitions_open(&partitions, folder, MAP, &state, &error), -ENOTDIR);
    assert_non_null(strstr(error.text, "cannot look into"));
}

static void the_newest_ready_one_is_the_authority_and_an_unfinished_one_goes(void **unused) {
    (void)unused;
    struct store store;
    make(0, 0, CLOSED, "old");
    const char *ready = make(10, 1, READY, "ready"), *unfinished = make(15, 2, UNFINISHED, "unfinished");
    must(start(&store));
    assert_authority(&store, ready, "ready");
    assert_false(exists(unfinished, ""));
    stop(&store);
}

static void what_a_kill_left_of_a_making_is_removed(void **unused) {
    (void)unused;
    struct store store;
    const char *path = make(0, 0, READY, "a");
    char left[PARTITION_PATH_MAX + 16], lock[PARTITION_PATH_MAX + 32];
    snprintf(left, sizeof(left), "%s.new", path_of(7, 3));
    snprintf(lock, sizeof(lock), "%s-lock", left);
    close(open(left, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    close(open(lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    must(start(&store));
    assert_authority(&store, path, "a");
    assert_true(access(left, F_OK) < 0 && access(lock, F_OK) < 0);
    stop(&store);
}

static void a_roll_that_was_killed_goes_on(void **unused) {
    (void)unused;
    struct store store;
    const char *closed = make(10, 0, CLOSED, "carried");
    must(start(&store));
    assert_string_not_equal(store.partitions.current_path, closed);
    assert_int_equal(store.partitions.current->first_sequence, 15);
    assert_mark(&store, "carried");
    stop(&store);
    must(start(&store)); /* it has all of it */
    assert_int_equal(store.partitions.current->first_sequence, 15);
    assert_mark(&store, "carried");
    stop(&store);
}

static void one_that_was_given_up_is_not_written_again(void **unused) {
    (void)unused;
    struct store store;
    const char *given_up = make(10, 0, READY, "carried");
    must(partition_sum_write_note(given_up, NULL, PARTITION_PARTLY, 1, "it was damaged", &error));
    must(start(&store));
    assert_int_equal(store.partitions.current->first_sequence, 15);
    assert_mark(&store, "carried");
    stop(&store);
}

static void a_damaged_authority_is_set_aside_and_the_next_begins_far_behind_it(void **unused) {
    (void)unused;
    struct store store;
    make(0, 0, CLOSED, "old");
    const char *path = make(10, 1, READY, "lost");
    overwrite(path, 0, 4096);
    must(start(&store));
    assert_int_equal(store.partitions.current->first_sequence, 10 + SEQUENCE_JUMP);
    assert_mark(&store, NULL);
    assert_true(exists(path, PARTITION_ASIDE) && !exists(path, "") && !exists(path, "-lock"));
    assert_true(partition_origin(store.partitions.current->partition)->flags & PARTITION_JUMPED);
    stop(&store);
}

/* Its state is damaged, but not its pages: what is sound in it can be read on. */
static void one_whose_state_is_damaged_stays_and_is_noted(void **unused) {
    (void)unused;
    struct store store;
    struct partition_note note;
    struct stat status;
    const char *path = make(10, 1, READY, "this value is to be found and damaged");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    close(fd);
    for (const char *at = bytes; (at = memmem(at, (size_t)(bytes + status.st_size - at), "this value", 10)); at++)
        overwrite(path, at - bytes, 4);
    free(bytes);
    must(start(&store));
    assert_int_equal(store.partitions.current->first_sequence, 10 + SEQUENCE_JUMP);
    assert_mark(&store, NULL);
    assert_true(exists(path, ""));
    assert_int_equal(partition_sum_note(path, &note), 1);
    assert_int_equal(note.verdict, PARTITION_PARTLY);
    stop(&store);
}

static void a_damaged_one_before_which_another_is_still_open_never_became_ready(void **unused) {
    (void)unused;
    struct store store;
    const char *open_still = make(0, 0, READY, "kept"), *damaged = make(10, 1, UNFINISHED, "nothing");
    overwrite(damaged, 0, 4096);
    must(start(&store));
    assert_authority(&store, open_still, "kept");
    assert_false(exists(damaged, "") || exists(damaged, PARTITION_ASIDE));
    stop(&store);
}

/* Whatever call fails at the start, the next one finds what stood there, and nothing was set aside. */
static void a_start_that_fails_loses_nothing(void **unused) {
    (void)unused;
    make(0, 0, CLOSED, "old");
    const char *path = make(10, 1, READY, "kept");
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, failed = 1; failed; n++) {
            struct store store;
            error.text[0] = '\0';
            fail_at(kinds, n, EIO);
            int result = start(&store);
            failed = fail_stop();
            if (result < 0) {
                assert_true(error.text[0] != '\0');
            } else {
                assert_authority(&store, path, "kept");
                stop(&store);
            }
            must(start(&store));
            assert_authority(&store, path, "kept");
            stop(&store);
        }
}

/* --- the next one --- */

static int put_mark(struct store *store, const char *value) {
    return state_map_put(&store->state, TEXT_LITERAL("mark"), text_of(value));
}

static void the_next_one_holds_all_state_and_the_old_one_is_closed(void **unused) {
    (void)unused;
    struct store store;
    struct partition *old;
    struct partition_txn *txn;
    struct partition_meta meta;
    const char *path = make(0, 0, READY, "a");
    must(start(&store));
    must(put_mark(&store, "b"));
    must(partitions_roll(&store.partitions, &store.state, 7, &error));
    assert_int_equal(store.partitions.current->first_sequence, 7);
    must(partitions_roll_ahead(&store.partitions, &store.state, 20, &error));
    assert_true(partition_origin(store.partitions.current->partition)->flags & PARTITION_JUMPED);
    stop(&store);
    must(partition_open(path, PARTITION_READ, 0, &old, &error));
    must(partition_begin(old, false, &txn, &error));
    must(partition_meta_get(txn, &meta, &error));
    assert_true(meta.closed_ns != 0);
    partition_abort(txn);
    partition_close(old);
    must(start(&store));
    assert_int_equal(store.partitions.current->first_sequence, 20);
    assert_mark(&store, "b");
    stop(&store);
}

/* Again until it succeeds, as its header says; and a start in its place finds the same. */
static void a_roll_that_fails_is_done_again(void **unused) {
    (void)unused;
    uint64_t next = 7;
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, failed = 1; failed; n++, next += 7) {
            struct store store;
            must(start(&store));
            must(put_mark(&store, "kept"));
            error.text[0] = '\0';
            fail_at(kinds, n, ENOSPC);
            int result = partitions_roll(&store.partitions, &store.state, next, &error);
            failed = fail_stop();
            if (result < 0) {
                assert_true(error.text[0] != '\0');
                must(partitions_roll(&store.partitions, &store.state, next, &error));
            }
            assert_int_equal(store.partitions.current->first_sequence, next);
            stop(&store);
            must(start(&store));
            assert_int_equal(store.partitions.current->first_sequence, next);
            assert_mark(&store, "kept");
            stop(&store);
        }
}

static void what_it_says_of_its_entries_is_kept_within_its_limits(void **unused) {
    (void)unused;
    struct store store = { .state = STATE_MAP_EMPTY };
    struct partition_origin origin = { .host = TEXT_LITERAL("host"), .label_count = PARTITION_LABELS_MAX + 1 };
    for (unsigned kinds = FAIL_MEMORY, n = 1, failed = 1; failed; n++) {
        fail_at(kinds, n, 0);
        int result =
            partitions_set_origin(&store.partitions, &(struct partition_origin) { .host = origin.host }, &error);
        failed = fail_stop();
        assert_int_equal(result, failed ? -ENOMEM : 0);
    }
    assert_int_equal(partitions_set_origin(&store.partitions, &origin, &error), -EINVAL);
    assert_true(text_is(store.partitions.origin.host, "host")); /* as before */
    must(partitions_open(&store.partitions, folder, MAP, &store.state, &error));
    assert_true(text_is(partition_origin(store.partitions.current->partition)->host, "host"));
    stop(&store);
}

struct growth {
    unsigned begun, grown;
};

static int grow(void *argument, int fd, uint64_t from, uint64_t to) {
    struct growth *growth = argument;
    if (fd < 0)
        growth->begun++;
    else
        growth->grown++;
    return fd < 0 ? 0 : partition_grow_file(fd, from, to);
}

static void who_grows_the_file_is_asked_for_the_next_one_too(void **unused) {
    (void)unused;
    static char large[300000];
    struct growth growth = { 0 };
    struct store store;
    struct partition_txn *txn;
    must(start(&store));
    partitions_set_growth(&store.partitions, (struct partition_growth) { grow, &growth });
    must(partitions_roll(&store.partitions, &store.state, 5, &error));
    assert_int_equal(growth.begun, 1);
    must(partition_begin(store.partitions.current->partition, true, &txn, &error));
    must(partition_block_put(txn, 5, (struct text) { large, sizeof(large) }, TEXT_LITERAL("index"), &error));
    must(partition_commit(txn, &error));
    assert_true(growth.grown > 0);
    stop(&store);
}

/* --- opened again --- */

static void opened_again_it_is_the_same(void **unused) {
    (void)unused;
    struct store store;
    const char *path = make(0, 0, READY, "a");
    must(start(&store));
    const struct partition_ref *before = store.partitions.current;
    must(partitions_reopen(&store.partitions, &store.state, 5, false, &error));
    assert_ptr_equal(store.partitions.current, before);
    assert_authority(&store, path, "a");
    stop(&store);
}

static void what_cannot_be_written_is_given_up_and_goes_on_out_of_memory(void **unused) {
    (void)unused;
    struct store store;
    struct partition_note note;
    const char *path = make(0, 0, READY, "a");
    must(start(&store));
    must(put_mark(&store, "b"));
    must(partitions_reopen(&store.partitions, &store.state, 5, true, &error));
    assert_int_equal(store.partitions.current->first_sequence, 5);
    assert_int_equal(partition_sum_note(path, &note), 1);
    stop(&store);
    must(start(&store));
    assert_int_equal(store.partitions.current->first_sequence, 5);
    assert_mark(&store, "b");
    stop(&store);
}

static void a_file_that_was_removed_replaced_or_cut_is_given_up(void **unused) {
    (void)unused;
    char other[PARTITION_PATH_MAX + 16];
    struct store store;
    must(start(&store));
    assert_int_equal(unlink(store.partitions.current_path), 0);
    must(partitions_reopen(&store.partitions, &store.state, 5, false, &error));
    assert_int_equal(store.partitions.current->first_sequence, 5);

    snprintf(other, sizeof(other), "%s.other", store.partitions.current_path);
    assert_int_equal(rename(store.partitions.current_path, other), 0);
    close(open(store.partitions.current_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    must(partitions_reopen(&store.partitions, &store.state, 9, false, &error));
    assert_int_equal(store.partitions.current->first_sequence, 9);

    assert_int_equal(truncate(store.partitions.current_path, 8192), 0);
    must(partitions_reopen(&store.partitions, &store.state, 12, false, &error));
    assert_int_equal(store.partitions.current->first_sequence, 12);
    assert_true(partition_count_aside(folder, other) >= 1);
    stop(&store);
}

/* For a moment nothing can be opened: nothing is given up for that, and in between nobody may use it. */
static void a_failure_to_open_it_again_is_no_damage(void **unused) {
    (void)unused;
    struct store store;
    const char *path = make(0, 0, READY, "a");
    must(start(&store));
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, failed = 1; failed; n++) {
            uint64_t next;
            struct partition_ref *ref;
            error.text[0] = '\0';
            fail_at(kinds, n, EIO);
            int result = partitions_reopen(&store.partitions, &store.state, 5, false, &error);
            failed = fail_stop();
            if (result < 0)
                assert_true(error.text[0] != '\0');
            if (!store.partitions.current->partition) {
                assert_true(result < 0);
                assert_int_equal(partitions_acquire(&store.partitions, 3, &ref, &next, &error), -EAGAIN);
                assert_int_equal(partitions_roll(&store.partitions, &store.state, 5, &error), -EAGAIN);
            }
            must(partitions_reopen(&store.partitions, &store.state, 5, false, &error));
            assert_authority(&store, path, "a");
        }
    stop(&store);
}

/* --- for the output --- */

static void readers_share_what_is_open_and_hold_it(void **unused) {
    (void)unused;
    struct store store;
    struct partition_ref *first, *again, *named, *newest;
    struct partition_name *names;
    size_t count;
    uint64_t next;
    make(0, 0, CLOSED, "old");
    make(10, 1, CLOSED, "older");
    make(20, 2, READY, "a");
    must(start(&store));
    must(partition_list(folder, &names, &count, &error));
    assert_int_equal(count, 3);
    must(partitions_acquire(&store.partitions, 4, &first, &next, &error));
    assert_int_equal(next, 10);
    must(partitions_acquire(&store.partitions, 9, &again, &next, &error));
    assert_ptr_equal(first, again);
    must(partitions_acquire_named(&store.partitions, &names[0], &named, &error));
    assert_ptr_equal(first, named);
    must(partitions_acquire(&store.partitions, 19, &newest, &next, &error));
    assert_int_equal(newest->first_sequence, 10);
    assert_int_equal(next, 20);
    partitions_release(&store.partitions, newest);
    must(partitions_acquire(&store.partitions, 25, &newest, &next, &error));
    assert_ptr_equal(newest, store.partitions.current);
    assert_int_equal(next, 0);
    assert_int_equal(partitions_reopen(&store.partitions, &store.state, 25, false, &error), -EBUSY);
    partitions_release(&store.partitions, newest);
    must(partitions_reopen(&store.partitions, &store.state, 25, false, &error));
    partitions_release(&store.partitions, named);
    partitions_release(&store.partitions, again);
    partitions_release(&store.partitions, first);
    stop(&store);
    free(names);
}

static void where_the_oldest_are_gone_it_goes_on_with_what_is_there(void **unused) {
    (void)unused;
    struct store store;
    struct partition_ref *ref;
    uint64_t next;
    const char *old = make(10, 1, CLOSED, "old");
    make(20, 2, READY, "a");
    must(start(&store));
    must(partitions_acquire(&store.partitions, 3, &ref, &next, &error));
    assert_int_equal(ref->first_sequence, 10);
    partitions_release(&store.partitions, ref);
    must(partition_sum_write_note(old, NULL, PARTITION_UNREADABLE, 1, "it hangs", &error));
    assert_int_equal(partitions_acquire(&store.partitions, 3, &ref, &next, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "it hangs"));
    assert_int_equal(next, 20);
    assert_int_equal(partition_unlink(old), 0);
    must(partitions_acquire(&store.partitions, 3, &ref, &next, &error));
    assert_ptr_equal(ref, store.partitions.current);
    partitions_release(&store.partitions, ref);
    stop(&store);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
        test(an_empty_folder_gets_a_partition_from_zero),
        test(what_cannot_be_a_data_folder_is_an_error),
        test(the_newest_ready_one_is_the_authority_and_an_unfinished_one_goes),
        test(what_a_kill_left_of_a_making_is_removed),
        test(a_roll_that_was_killed_goes_on),
        test(one_that_was_given_up_is_not_written_again),
        test(a_damaged_authority_is_set_aside_and_the_next_begins_far_behind_it),
        test(one_whose_state_is_damaged_stays_and_is_noted),
        test(a_damaged_one_before_which_another_is_still_open_never_became_ready),
        test(a_start_that_fails_loses_nothing),
        test(the_next_one_holds_all_state_and_the_old_one_is_closed),
        test(a_roll_that_fails_is_done_again),
        test(what_it_says_of_its_entries_is_kept_within_its_limits),
        test(who_grows_the_file_is_asked_for_the_next_one_too),
        test(opened_again_it_is_the_same),
        test(what_cannot_be_written_is_given_up_and_goes_on_out_of_memory),
        test(a_file_that_was_removed_replaced_or_cut_is_given_up),
        test(a_failure_to_open_it_again_is_no_damage),
        test(readers_share_what_is_open_and_hold_it),
        test(where_the_oldest_are_gone_it_goes_on_with_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
