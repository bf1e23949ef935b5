#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/partition.h"

#define MAP_SIZE (UINT64_C(1) << 30)

struct place {
    char folder[64];
    char path[PARTITION_PATH_MAX];
};

static const struct partition_meta meta = {
    .version = PARTITION_VERSION, .ready = 1, .created_ns = UINT64_C(1795457704000000000), .first_sequence = 1
};

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    strcpy(place->folder, "/tmp/taskforge-partition-XXXXXX");
    char logs[80];
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(logs, sizeof(logs), "%s/logs", place->folder);
    mkdir(logs, 0755);
    partition_make_path(place->folder, 1, meta.created_ns, place->path);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", place->folder);
    int result = system(command);
    free(place);
    return result;
}

static struct partition *create(struct place *place) {
    struct partition *partition;
    struct error error = { "" };
    int result = partition_create(place->path, &meta, MAP_SIZE, &partition, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(result, 0);
    return partition;
}

static struct partition *open_reader(struct place *place) {
    struct partition *partition;
    assert_int_equal(partition_open(place->path, PARTITION_READ, 0, &partition, NULL), 0);
    return partition;
}

static void put_block(struct partition *partition, uint64_t sequence, const char *block, const char *index) {
    struct partition_txn *txn;
    assert_int_equal(partition_begin(partition, true, &txn, NULL), 0);
    assert_int_equal(partition_block_put(txn, sequence, text_of(block), text_of(index), NULL), 0);
    assert_int_equal(partition_commit(txn, NULL), 0);
}

static void keeps_its_meta_record(void **state) {
    partition_close(create(*state));
    struct partition *partition = open_reader(*state);
    struct partition_txn *txn;
    struct partition_meta found;
    assert_int_equal(partition_begin(partition, false, &txn, NULL), 0);
    assert_int_equal(partition_meta_get(txn, &found, NULL), 0);
    assert_memory_equal(&found, &meta, sizeof(meta));
    partition_abort(txn);
    partition_close(partition);
}

static void is_readable_by_the_group_and_lockable_by_it_whatever_the_umask(void **state) {
    struct place *place = *state;
    mode_t before = umask(0077);
    partition_close(create(place));
    umask(before);
    struct stat status;
    char lock[PARTITION_PATH_MAX + 8];
    snprintf(lock, sizeof(lock), "%s-lock", place->path);
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(stat(lock, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
}

static void is_not_created_over_another(void **state) {
    struct place *place = *state;
    struct partition *partition = create(place), *other;
    assert_int_equal(partition_create(place->path, &meta, MAP_SIZE, &other, NULL), -EEXIST);
    partition_close(partition);
}

static void finds_blocks_by_sequence_in_both_directions(void **state) {
    struct partition *partition = create(*state);
    put_block(partition, 1, "one", "i1");
    put_block(partition, 300, "two", "i2");
    put_block(partition, 70000, "three", "i3");
    struct partition_txn *txn;
    struct text text;
    uint64_t key;
    assert_int_equal(partition_begin(partition, false, &txn, NULL), 0);
    assert_int_equal(partition_block_get(txn, 300, &text, NULL), 0);
    assert_true(text_is(text, "two"));
    assert_int_equal(partition_block_get(txn, 301, &text, NULL), -ENOENT);
    assert_int_equal(partition_index_seek(txn, 2, false, &key, &text, NULL), 1);
    assert_int_equal(key, 300);
    assert_true(text_is(text, "i2"));
    assert_int_equal(partition_index_seek(txn, 299, true, &key, &text, NULL), 1);
    assert_int_equal(key, 1);
    assert_int_equal(partition_index_seek(txn, 300, true, &key, &text, NULL), 1);
    assert_int_equal(key, 300);
    assert_int_equal(partition_index_seek(txn, UINT64_MAX, true, &key, &text, NULL), 1);
    assert_int_equal(key, 70000);
    assert_int_equal(partition_index_seek(txn, 70001, false, &key, &text, NULL), 0);
    assert_int_equal(partition_index_seek(txn, 0, true, &key, &text, NULL), 0);
    partition_abort(txn);
    partition_close(partition);
}

static void forgets_what_was_aborted(void **state) {
    struct partition *partition = create(*state);
    struct partition_txn *txn;
    struct text text;
    assert_int_equal(partition_begin(partition, true, &txn, NULL), 0);
    assert_int_equal(partition_state_put(txn, TEXT_LITERAL("a"), TEXT_LITERAL("1"), NULL), 0);
    partition_abort(txn);
    assert_int_equal(partition_begin(partition, false, &txn, NULL), 0);
    assert_int_equal(partition_state_get(txn, TEXT_LITERAL("a"), &text, NULL), 0);
    partition_abort(txn);
    partition_close(partition);
}

static int count_keys(void *argument, struct text key, struct text value) {
    (void)key;
    (void)value;
    ++*(int *)argument;
    return 0;
}

static void walks_the_state_by_prefix(void **state) {
    struct partition *partition = create(*state);
    struct partition_txn *txn;
    struct text text;
    int count = 0, all = 0;
    assert_int_equal(partition_begin(partition, true, &txn, NULL), 0);
    assert_int_equal(partition_state_put(txn, TEXT_LITERAL("lane/1"), TEXT_LITERAL("x"), NULL), 0);
    assert_int_equal(partition_state_put(txn, TEXT_LITERAL("lane/1\0"), TEXT_LITERAL(""), NULL), 0);
    assert_int_equal(partition_state_put(txn, TEXT_LITERAL("lane/\xff\xff"), TEXT_LITERAL("y"), NULL), 0);
    assert_int_equal(partition_state_put(txn, TEXT_LITERAL("lanf"), TEXT_LITERAL("z"), NULL), 0);
    assert_int_equal(partition_state_walk(txn, TEXT_LITERAL("lane/"), count_keys, &count, NULL), 0);
    assert_int_equal(partition_state_walk(txn, TEXT_EMPTY, count_keys, &all, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(all, 4);
    assert_int_equal(partition_state_delete(txn, TEXT_LITERAL("lane/1"), NULL), 0);
    assert_int_equal(partition_state_delete(txn, TEXT_LITERAL("lane/1"), NULL), 0);
    assert_int_equal(partition_state_get(txn, TEXT_LITERAL("lane/1"), &text, NULL), 0);
    assert_int_equal(partition_state_get(txn, TEXT_LITERAL("lanf"), &text, NULL), 1);
    assert_true(text_is(text, "z"));
    assert_int_equal(partition_commit(txn, NULL), 0);
    partition_close(partition);
}

static void sees_in_one_transaction_what_stood_when_it_began(void **state) {
    struct partition *writer = create(*state);
    put_block(writer, 1, "one", "i1");
    pid_t child = fork(); /* LMDB: one process opens a file once */
    assert_true(child >= 0);
    if (child == 0) {
        struct partition *reader = open_reader(*state);
        struct partition_txn *txn;
        struct text text;
        _exit(partition_begin(reader, false, &txn, NULL) == 0 && partition_block_get(txn, 1, &text, NULL) == 0 &&
                      text_is(text, "one")
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    partition_close(writer);
}

/* How a reader in a process of its own fares with the file as it is: 0 well, 1 refused; anything else is a crash. */
static int read_everything(struct place *place) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct partition *partition;
        struct partition_txn *txn;
        struct text text;
        uint64_t key = 0;
        int result = partition_open(place->path, PARTITION_READ, 0, &partition, NULL);
        if (result == 0)
            result = partition_begin(partition, false, &txn, NULL);
        while (result >= 0 && (result = partition_index_seek(txn, key, false, &key, &text, NULL)) == 1)
            result = partition_block_get(txn, key++, &text, NULL);
        int count = 0;
        if (result == 0)
            result = partition_state_walk(txn, TEXT_EMPTY, count_keys, &count, NULL);
        _exit(result < 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void fill(struct place *place, unsigned blocks) {
    struct partition *partition = create(place);
    char block[6000];
    memset(block, 'b', sizeof(block) - 1);
    block[sizeof(block) - 1] = 0;
    for (unsigned i = 0; i < blocks; i++)
        put_block(partition, i * 100 + 1, block, "index value");
    partition_close(partition);
}

static void a_cut_file_is_refused_and_never_a_crash(void **state) {
    struct place *place = *state;
    fill(place, 200);
    struct stat status;
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(read_everything(place), 0);
    for (off_t size = status.st_size - 4096; size >= 0; size -= 64 * 1024) {
        assert_int_equal(truncate(place->path, size), 0);
        (void)read_everything(place);
    }
    assert_int_equal(truncate(place->path, 100), 0);
    assert_int_equal(read_everything(place), 1);
}

static void a_damaged_page_is_never_a_crash(void **state) {
    struct place *place = *state;
    fill(place, 20);
    struct stat status;
    assert_int_equal(stat(place->path, &status), 0);
    int fd = open(place->path, O_RDWR);
    assert_true(fd >= 0);
    unsigned seed = 1;
    for (off_t page = 0; page < status.st_size / 4096; page++) {
        unsigned char good[4096], bad[4096];
        assert_int_equal(pread(fd, good, sizeof(good), page * 4096), sizeof(good));
        memcpy(bad, good, sizeof(bad));
        for (int i = 0; i < 40; i++)
            bad[rand_r(&seed) % (i < 20 ? 64 : sizeof(bad))] = (unsigned char)rand_r(&seed);
        assert_int_equal(pwrite(fd, bad, sizeof(bad), page * 4096), sizeof(bad));
        (void)read_everything(place);
        assert_int_equal(pwrite(fd, good, sizeof(good), page * 4096), sizeof(good));
    }
    assert_int_equal(read_everything(place), 0);
    close(fd);
}

static void a_full_disk_is_an_error_and_the_partition_stays_whole(void **state) {
    struct place *place = *state;
    fill(place, 5);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 128 * 1024;
    struct partition *partition;
    assert_int_equal(partition_open(place->path, PARTITION_WRITE, MAP_SIZE, &partition, NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    char big[300000];
    memset(big, 'x', sizeof(big));
    struct partition_txn *txn;
    struct error error = { "" };
    assert_int_equal(partition_begin(partition, true, &txn, NULL), 0);
    assert_int_equal(partition_block_put(txn, 5000, (struct text) { big, sizeof(big) }, TEXT_LITERAL("i"), &error), 0);
    int result = partition_commit(txn, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_true(result == -ENOSPC || result == -EIO); /* LMDB says EIO of a write cut short */
    assert_non_null(strstr(error.text, "the disk is full"));
    put_block(partition, 5000, "small", "i");
    partition_close(partition);
    assert_int_equal(read_everything(place), 0);
}

static void a_full_map_is_an_error_too(void **state) {
    struct place *place = *state;
    struct partition *partition;
    assert_int_equal(partition_create(place->path, &meta, 2 << 20, &partition, NULL), 0);
    static char big[3000000];
    memset(big, 'x', sizeof(big));
    struct partition_txn *txn;
    assert_int_equal(partition_begin(partition, true, &txn, NULL), 0);
    assert_int_equal(partition_block_put(txn, 1, (struct text) { big, sizeof(big) }, TEXT_LITERAL("i"), NULL), -EFBIG);
    partition_abort(txn);
    put_block(partition, 1, "small", "i");
    partition_close(partition);
}

static void what_was_committed_survives_a_kill(void **state) {
    struct place *place = *state;
    fill(place, 1);
    for (unsigned round = 0; round < 5; round++) {
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct partition *partition;
            if (partition_open(place->path, PARTITION_WRITE, MAP_SIZE, &partition, NULL) < 0)
                _exit(1);
            for (uint64_t i = 1;; i++) {
                put_block(partition, 1000000 * (round + 1) + i, "block", "index");
                if (write(ready[1], &i, sizeof(i)) != sizeof(i))
                    _exit(1);
            }
        }
        close(ready[1]);
        uint64_t last = 0, next;
        while (last < 10 + round && read(ready[0], &next, sizeof(next)) == sizeof(next))
            last = next;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(ready[0], &next, sizeof(next)) == sizeof(next))
            last = next;
        close(ready[0]);
        struct partition *partition = open_reader(place);
        struct partition_txn *txn;
        struct text text;
        assert_int_equal(partition_begin(partition, false, &txn, NULL), 0);
        for (uint64_t i = 1; i <= last; i++)
            assert_int_equal(partition_block_get(txn, 1000000 * (round + 1) + i, &text, NULL), 0);
        partition_abort(txn);
        partition_close(partition);
    }
}

static void is_read_in_a_folder_that_cannot_be_written(void **state) {
    struct place *place = *state;
    fill(place, 3);
    char lock[PARTITION_PATH_MAX + 8], logs[80];
    snprintf(lock, sizeof(lock), "%s-lock", place->path);
    snprintf(logs, sizeof(logs), "%s/logs", place->folder);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(chmod(place->path, 0444), 0);
    assert_int_equal(chmod(logs, 0555), 0);
    assert_int_equal(chmod(place->folder, 0755), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) < 0)
            _exit(9);
        struct partition *partition;
        _exit(partition_open(place->path, PARTITION_READ, 0, &partition, NULL) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    chmod(logs, 0755);
    assert_int_equal(status, 0);
}

static void lists_partitions_in_order_and_nothing_else(void **state) {
    struct place *place = *state;
    struct partition_name *names;
    size_t count;
    char path[PARTITION_PATH_MAX];
    assert_int_equal(partition_make_path(place->folder, 500, meta.created_ns + 60 * UINT64_C(1000000000), path), 0);
    struct partition *partition;
    assert_int_equal(partition_create(path, &meta, MAP_SIZE, &partition, NULL), 0);
    partition_close(partition);
    fill(place, 1);
    snprintf(path, sizeof(path), "%s/logs/readme.mdb", place->folder);
    close(open(path, O_CREAT | O_WRONLY, 0644));
    assert_int_equal(partition_list(place->folder, &names, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(names[0].first_sequence, 1);
    assert_string_equal(names[0].path, place->path);
    assert_int_equal(names[0].created_ns, meta.created_ns);
    assert_int_equal(names[1].first_sequence, 500);
    free(names);
    assert_int_equal(partition_list(place->path, &names, &count, NULL), 0);
    assert_int_equal(count, 1);
    free(names);
    assert_int_equal(partition_list("/nonexistent/taskforge", &names, &count, NULL), 0);
    assert_int_equal(count, 0);
    free(names);
}

/* A thousand metric series change in one commit: the file takes no room for each of them. */
static void many_small_values_take_little_room(void **state) {
    struct partition *partition = create(*state);
    struct stat before, after;
    enum { VALUES = 10000 };
    char key[32];
    for (int round = 0; round < 3; round++) {
        struct partition_txn *txn;
        assert_int_equal(partition_begin(partition, true, &txn, NULL), 0);
        for (int i = 0; i < VALUES; i++) {
            snprintf(key, sizeof(key), "value/%d", i);
            assert_int_equal(partition_state_put(txn, text_of(key), TEXT_LITERAL("0123456789abcdef"), NULL), 0);
        }
        assert_int_equal(partition_commit(txn, NULL), 0);
        assert_int_equal(stat(partition_path(partition), round == 0 ? &before : &after), 0);
    }
    assert_true(before.st_size < 8 * 1024 * 1024);
    assert_true(after.st_size < 8 * 1024 * 1024);
    partition_close(partition);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(many_small_values_take_little_room),
        TEST(keeps_its_meta_record),
        TEST(is_readable_by_the_group_and_lockable_by_it_whatever_the_umask),
        TEST(is_not_created_over_another),
        TEST(finds_blocks_by_sequence_in_both_directions),
        TEST(forgets_what_was_aborted),
        TEST(walks_the_state_by_prefix),
        TEST(sees_in_one_transaction_what_stood_when_it_began),
        TEST(a_cut_file_is_refused_and_never_a_crash),
        TEST(a_damaged_page_is_never_a_crash),
        TEST(a_full_disk_is_an_error_and_the_partition_stays_whole),
        TEST(a_full_map_is_an_error_too),
        TEST(what_was_committed_survives_a_kill),
        TEST(is_read_in_a_folder_that_cannot_be_written),
        TEST(lists_partitions_in_order_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
