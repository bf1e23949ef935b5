/* What is noted beside a closed partition: believed only of the same file, from its owner, whole. */
#include "common/store/partition_sum.h"
#include "common/store/verify.h"
#include "store_entries.h"

static const char *a_partition(uint32_t entries) {
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    put_entries(partition, 1, entries);
    partition_close(partition);
    return path;
}

static void change_byte(const char *path, off_t at, char value) {
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, &value, 1, at) == 1);
    close(fd);
}

static const char *sum_of(const char *path) {
    static char name[PARTITION_PATH_MAX + 8];
    snprintf(name, sizeof(name), "%s.sum", path);
    return name;
}

static void says_what_was_noted_of_the_same_file(void **state) {
    (void)state;
    struct partition_note note;
    const char *path = a_partition(10);
    assert_false(partition_sum_exists(path));
    assert_int_equal(partition_sum_note(path, &note), 0);
    must(partition_sum_write(path, NULL, PARTITION_PARTLY, 3, "block 7: it is damaged", &error));
    assert_true(partition_sum_exists(path));
    assert_int_equal(partition_sum_note(path, &note), 1);
    assert_int_equal(note.verdict, PARTITION_PARTLY);
    assert_int_equal(note.faults, 3);
    assert_string_equal(note.why, "block 7: it is damaged");
    assert_int_equal(note.hashed_ns, note.checked_ns);
    assert_int_equal(partition_sum_compare(path, &note, &error), 1);
    must(partition_sum_write_note(path, NULL, PARTITION_UNREADABLE, 1, "no", &error));
    assert_int_equal(partition_sum_note(path, &note), 1);
    assert_int_equal(note.hashed_ns, 0);
    assert_int_equal(partition_sum_compare(path, &note, &error), -ENOENT);
    must(partition_unlink(path));
    assert_false(partition_sum_exists(path));
}

static void a_changed_file_is_not_believed_and_the_place_is_found(void **state) {
    (void)state;
    struct partition_note note;
    const char *path = a_partition(1000);
    must(partition_sum_write(path, NULL, PARTITION_SOUND, 0, "", &error));
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    change_byte(path, 9000, 0x55);
    assert_int_equal(partition_sum_write(path, &before, PARTITION_SOUND, 0, "", &error),
                     -EBUSY); /* not what was checked */
    assert_int_equal(partition_sum_note(path, &note), 0);
    assert_int_equal(partition_sum_compare(path, &note, &error), 0);
    assert_non_null(strstr(error.text, "bytes from 0 on"));
    must(partition_sum_write(path, NULL, PARTITION_SOUND, 0, "", &error));
    assert_int_equal(truncate(path, 8192), 0);
    assert_int_equal(partition_sum_compare(path, &note, &error), 0);
}

static void a_damaged_or_foreign_sum_is_none(void **state) {
    (void)state;
    struct partition_note note;
    struct stat status;
    const char *path = a_partition(10);
    must(partition_sum_write(path, NULL, PARTITION_SOUND, 0, "", &error));
    assert_int_equal(stat(sum_of(path), &status), 0);
    for (off_t at = 0; at < status.st_size; at += 3) { /* every third byte, another way each time */
        unsigned char before, after;
        int fd = open(sum_of(path), O_RDWR);
        assert_int_equal(pread(fd, &before, 1, at), 1);
        after = before ^ (unsigned char)(1 << at % 8);
        assert_int_equal(pwrite(fd, &after, 1, at), 1);
        assert_int_equal(partition_sum_note(path, &note), 0);
        assert_int_equal(pwrite(fd, &before, 1, at), 1);
        close(fd);
    }
    assert_int_equal(partition_sum_note(path, &note), 1);
    for (off_t size = status.st_size - 1; size >= 0; size -= 7) {
        assert_int_equal(truncate(sum_of(path), size), 0);
        assert_int_equal(partition_sum_note(path, &note), 0);
    }
}

static void a_sum_that_others_may_write_is_not_believed(void **state) {
    (void)state;
    struct partition_note note;
    const char *path = a_partition(10);
    must(partition_sum_write(path, NULL, PARTITION_SOUND, 0, "", &error));
    assert_int_equal(chmod(sum_of(path), 0666), 0);
    assert_int_equal(partition_sum_note(path, &note), 0);
    assert_int_equal(chmod(sum_of(path), 0640), 0);
    assert_int_equal(partition_sum_note(path, &note), 1);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(sum_of(path), 65534, 65534), 0); /* another's than the partition */
    assert_int_equal(partition_sum_note(path, &note), 0);
    assert_int_equal(unlink(sum_of(path)), 0);
    assert_int_equal(symlink("/dev/zero", sum_of(path)), 0);
    assert_int_equal(partition_sum_note(path, &note), 0);
}

static void a_child_notes_what_it_finds(void **state) {
    (void)state;
    struct verify_result result;
    struct partition_note note;
    const char *path = a_partition(500);
    must(verify_partition(path, VERIFY_QUICK | VERIFY_NOTE, NULL, NULL, &result, &error));
    assert_int_equal(result.verdict, PARTITION_SOUND);
    assert_false(result.hashed);
    assert_int_equal(result.entries, 500);
    assert_int_equal(partition_sum_note(path, &note), 1);
    must(verify_partition(path, VERIFY_QUICK, NULL, NULL, &result, &error));
    assert_true(result.hashed); /* the hashes were enough */
    assert_int_equal(result.verdict, PARTITION_SOUND);
    assert_int_equal(truncate(path, 100), 0);
    must(verify_partition(path, VERIFY_QUICK | VERIFY_NOTE, NULL, NULL, &result, &error));
    assert_int_equal(result.verdict, PARTITION_UNREADABLE);
    assert_int_equal(partition_sum_note(path, &note), 1);
    assert_int_equal(note.verdict, PARTITION_UNREADABLE);
    assert_non_null(strstr(note.why, "too short"));
}

static void a_child_that_cannot_end_is_ended(void **state) {
    (void)state;
    struct verify_child *child;
    const char *path = a_partition(10);
    must(verify_child_start(path, 0, &child, &error));
    verify_child_stop(child);
    verify_child_stop(NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(says_what_was_noted_of_the_same_file), test(a_changed_file_is_not_believed_and_the_place_is_found),
        test(a_damaged_or_foreign_sum_is_none),     test(a_sum_that_others_may_write_is_not_believed),
        test(a_child_notes_what_it_finds),          test(a_child_that_cannot_end_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
