/* The whole store for those who read: partitions come, go and break, and the walk stays whole. */
#include <sys/wait.h>

#include "common/store/partition_private.h"
#include "common/store/partition_sum.h"
#include "common/store/reader.h"
#include "store_entries.h"

static unsigned damage_told;
static char damage_why[512];

static void note_damage(void *argument, const char *path, const char *why) {
    (void)argument;
    (void)path;
    damage_told++;
    snprintf(damage_why, sizeof(damage_why), "%s", why);
}

static struct store_reader *open_store(void) {
    struct store_reader *reader;
    damage_told = 0;
    must(store_reader_open(fixture_folder, note_damage, NULL, &reader, &error));
    return reader;
}

struct seen {
    uint64_t first[64];
    uint32_t count[64];
    unsigned visits, stop_after;
};

static int note_block(void *argument, const struct index_entry *index) {
    struct seen *seen = argument;
    assert_true(seen->visits < 64);
    seen->first[seen->visits] = index->first_sequence;
    seen->count[seen->visits++] = index->count;
    return seen->visits == seen->stop_after ? 7 : 0;
}

static void assert_walk(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                        const char *expected) {
    struct seen seen = { .visits = 0 };
    char got[512] = "";
    must(store_reader_walk(reader, from, to, descending, note_block, &seen, &error));
    for (unsigned i = 0; i < seen.visits; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%llu+%u ", (unsigned long long)seen.first[i],
                 seen.count[i]);
    assert_string_equal(got, expected);
}

static void assert_end(struct store_reader *reader, uint64_t expected) {
    uint64_t end = 12345;
    must(store_reader_end(reader, &end, &error));
    assert_int_equal(end, expected);
}

/* Partitions 1..10, 11..15 (closed) and 16..: blocks 1+5 6+5 | 11+5 | 16+1 17+3. */
static struct partition *three_partitions(void) {
    struct partition *partition = fixture_create(fixture_path(1), 1);
    put_entries(partition, 1, 5);
    put_entries(partition, 6, 5);
    fixture_put_state(partition, "key", "old");
    partition_close(partition);
    partition = fixture_create(fixture_path(11), 11);
    put_entries(partition, 11, 5);
    partition_close(partition);
    partition = fixture_create(fixture_path(16), 16);
    put_entries(partition, 16, 1);
    put_entries(partition, 17, 3);
    fixture_put_state(partition, "key", "new");
    fixture_put_state(partition, "lane/1", "a");
    fixture_put_state(partition, "lane/2", "b");
    return partition;
}

static void an_empty_or_missing_store_opens_and_holds_nothing(void **state) {
    (void)state;
    struct store_reader *reader = open_store();
    struct buffer out = BUFFER_EMPTY;
    struct block *block;
    assert_end(reader, 0);
    assert_walk(reader, 0, UINT64_MAX, false, "");
    assert_int_equal(store_reader_state(reader, TEXT_LITERAL("key"), &out, &error), 0);
    assert_int_equal(store_reader_state_walk(reader, TEXT_EMPTY, NULL, NULL, &error), 0);
    assert_int_equal(store_reader_block(reader, 1, &block, &error), -ENOENT);
    store_reader_close(reader);
    must(store_reader_open("/nowhere/at/all", NULL, NULL, &reader, &error));
    assert_end(reader, 0);
    store_reader_close(reader);
    store_reader_close(NULL);
}

static void walks_every_block_once_in_both_directions(void **state) {
    (void)state;
    partition_close(three_partitions());
    struct store_reader *reader = open_store();
    assert_end(reader, 20);
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 11+5 16+1 17+3 ");
    assert_walk(reader, 0, UINT64_MAX, true, "17+3 16+1 11+5 6+5 1+5 ");
    assert_walk(reader, 8, 12, false, "6+5 11+5 ");
    assert_walk(reader, 8, 12, true, "11+5 6+5 ");
    assert_walk(reader, 10, 11, false, "6+5 ");
    assert_walk(reader, 11, 11, false, "");
    assert_walk(reader, 20, UINT64_MAX, false, "");
    assert_walk(reader, 19, 20, true, "17+3 ");
    struct seen seen = { .stop_after = 2 };
    assert_int_equal(store_reader_walk(reader, 0, 100, false, note_block, &seen, &error), 7);
    assert_int_equal(seen.visits, 2);
    store_reader_close(reader);
}

static void gives_each_block_with_its_entries(void **state) {
    (void)state;
    partition_close(three_partitions());
    struct store_reader *reader = open_store();
    static const uint64_t firsts[] = { 1, 6, 11, 16, 17 };
    for (size_t i = 0; i < 5; i++) {
        struct block *block;
        must(store_reader_block(reader, firsts[i], &block, &error));
        must(block_load_all(block, &error));
        for (uint32_t row = 0; row < block_count(block); row++) {
            struct made_entry made;
            struct entry got;
            make_entry(firsts[i] + row, &made);
            block_entry(block, row, &got);
            assert_true(uuid_equal(&got.id, &made.entry.id));
            assert_true(text_equal(got.message, made.entry.message));
            assert_true(text_equal(got.trace_id, made.entry.trace_id));
        }
        block_destroy(block);
    }
    struct block *block;
    assert_int_equal(store_reader_block(reader, 3, &block, &error), -ENOENT); /* inside another block */
    store_reader_close(reader);
}

static int join_state(void *argument, struct text key, struct text value) {
    buffer_append_format(argument, "%.*s=%.*s ", TEXT_FORMAT(key), TEXT_FORMAT(value));
    return 0;
}

static void the_newest_ready_partition_is_the_authority(void **state) {
    (void)state;
    partition_close(three_partitions());
    struct partition_meta meta = fixture_meta(20);
    struct partition *partition;
    meta.ready = 0;
    must(partition_create(fixture_path(20), &meta, FIXTURE_MAP, &partition, &error));
    fixture_put_state(partition, "key", "not yet");
    partition_close(partition);
    struct store_reader *reader = open_store();
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    assert_int_equal(store_reader_state(reader, TEXT_LITERAL("key"), &out, &error), 1);
    assert_true(text_is(buffer_text(&out), "new"));
    assert_int_equal(store_reader_state(reader, TEXT_LITERAL("none"), &out, &error), 0);
    buffer_clear(&out);
    must(store_reader_state_walk(reader, TEXT_LITERAL("lane/"), join_state, &out, &error));
    assert_true(text_is(buffer_text(&out), "lane/1=a lane/2=b "));
    /* it becomes ready: the next look takes it */
    store_reader_close(reader);
    must(partition_open(fixture_path(20), PARTITION_WRITE, FIXTURE_MAP, &partition, &error));
    struct partition_txn *txn = fixture_begin(partition, true);
    meta.ready = 1;
    must(partition_meta_put(txn, &meta, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
    reader = open_store();
    buffer_clear(&out);
    assert_int_equal(store_reader_state(reader, TEXT_LITERAL("key"), &out, &error), 1);
    assert_true(text_is(buffer_text(&out), "not yet"));
    assert_int_equal(damage_told, 0);
    store_reader_close(reader);
}

static void sees_partitions_come_go_and_change_their_file_on_refresh(void **state) {
    (void)state;
    partition_close(three_partitions());
    struct store_reader *reader = open_store();
    struct partition *partition = fixture_create(fixture_path(20), 20);
    put_entries(partition, 20, 2);
    partition_close(partition);
    assert_end(reader, 20);
    must(store_reader_refresh(reader, &error));
    assert_end(reader, 22);
    partition_unlink(fixture_path(1));             /* retention */
    assert_walk(reader, 0, 11, false, "1+5 6+5 "); /* still open here */
    must(store_reader_refresh(reader, &error));
    assert_walk(reader, 0, UINT64_MAX, false, "11+5 16+1 17+3 20+2 ");
    char other[PARTITION_PATH_MAX];
    snprintf(other, sizeof(other), "%s/other.mdb", fixture_folder);
    partition = fixture_create(other, 11); /* the same sequences in another file, put in place by rename */
    put_entries(partition, 11, 2);
    put_entries(partition, 13, 3);
    partition_close(partition);
    assert_int_equal(rename(other, fixture_path(11)), 0);
    must(store_reader_refresh(reader, &error));
    assert_walk(reader, 0, UINT64_MAX, false, "11+2 13+3 16+1 17+3 20+2 ");
    assert_int_equal(damage_told, 0);
    store_reader_close(reader);
}

static void the_end_stands_where_it_was_when_everything_was_retired(void **state) {
    (void)state;
    partition_close(fixture_create(fixture_path(5000), 5000));
    struct store_reader *reader = open_store();
    assert_end(reader, 5000);
    store_reader_close(reader);
}

static void a_damaged_partition_is_told_once_and_passed_over(void **state) {
    (void)state;
    partition_close(three_partitions());
    assert_int_equal(truncate(fixture_path(11), 5000), 0);
    struct store_reader *reader = open_store();
    assert_int_equal(damage_told, 1);
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 16+1 17+3 ");
    must(store_reader_refresh(reader, &error));
    assert_walk(reader, 0, UINT64_MAX, true, "17+3 16+1 6+5 1+5 ");
    assert_int_equal(damage_told, 1);
    store_reader_close(reader);
}

static void a_damaged_index_value_costs_its_own_block_only(void **state) {
    (void)state;
    struct partition *partition = three_partitions();
    put_entries(partition, 20, 2);
    put_raw(partition, 17, TEXT_LITERAL("no block"), TEXT_LITERAL("no index"));
    partition_close(partition);
    struct store_reader *reader = open_store();
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 11+5 16+1 20+2 ");
    assert_walk(reader, 0, UINT64_MAX, true, "20+2 16+1 11+5 6+5 1+5 ");
    assert_walk(reader, 18, UINT64_MAX, false, "20+2 ");
    assert_int_equal(damage_told, 1);
    struct block *block;
    assert_int_equal(store_reader_block(reader, 17, &block, &error), -EBADMSG);
    store_reader_close(reader);
}

/* One key of one database less. */
static void drop(struct partition *partition, enum partition_database database, uint64_t first) {
    unsigned char key[8];
    for (int i = 0; i < 8; i++)
        key[i] = (unsigned char)(first >> (56 - 8 * i));
    struct partition_txn *txn = fixture_begin(partition, true);
    assert_int_equal(mdb_del(txn->txn, partition->databases[database], &(MDB_val) { 8, key }, NULL), 0);
    must(partition_commit(txn, &error));
}

static void a_block_is_found_though_its_index_value_is_missing_or_damaged(void **state) {
    (void)state;
    struct partition *partition = three_partitions();
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    put_entries(partition, 20, 2);
    put_entries(partition, 22, 4);
    drop(partition, PARTITION_INDEX, 16);
    make_block(20, 2, &block, &index);
    put_raw(partition, 20, buffer_text(&block), TEXT_LITERAL("no index"));
    drop(partition, PARTITION_INDEX, 22);
    partition_close(partition);
    struct store_reader *reader = open_store();
    assert_end(reader, 26);
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 11+5 16+1 17+3 20+2 22+4 ");
    assert_walk(reader, 0, UINT64_MAX, true, "22+4 20+2 17+3 16+1 11+5 6+5 1+5 ");
    assert_walk(reader, 21, 22, false, "20+2 ");
    assert_walk(reader, 24, UINT64_MAX, false, "22+4 ");
    assert_walk(reader, 16, 17, true, "16+1 ");
    assert_int_equal(damage_told, 1);
    assert_non_null(strstr(damage_why, "made anew"));
    store_reader_close(reader);
}

static void a_block_that_only_the_index_knows_is_damage_and_not_merged(void **state) {
    (void)state;
    struct partition *partition = three_partitions();
    drop(partition, PARTITION_BLOCKS, 16);
    partition_close(partition);
    struct store_reader *reader = open_store();
    struct block *block;
    assert_int_equal(store_reader_block(reader, 16, &block, &error), -EBADMSG);
    assert_int_equal(damage_told, 1);
    assert_int_equal(store_reader_block(reader, 18, &block, &error), -ENOENT);
    store_reader_close(reader);
}

/* A note is believed; it goes with the file it is about. */
static void what_is_noted_as_unreadable_is_not_touched_until_it_is_another_file(void **state) {
    (void)state;
    char trouble[ERROR_TEXT_SIZE], copy[PARTITION_PATH_MAX], path[PARTITION_PATH_MAX];
    partition_close(three_partitions());
    snprintf(path, sizeof(path), "%s", fixture_path(11));
    must(partition_sum_write_note(path, NULL, PARTITION_UNREADABLE, 1, "it hangs", &error));
    struct store_reader *reader = open_store();
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 16+1 17+3 ");
    assert_int_equal(store_reader_trouble(reader, trouble), 1);
    assert_non_null(strstr(trouble, "it hangs"));
    snprintf(copy, sizeof(copy), "%s/copy", fixture_folder);
    assert_int_equal(rename(path, copy), 0);
    struct partition *partition = fixture_create(path, 11);
    put_entries(partition, 11, 5);
    partition_close(partition);
    must(store_reader_refresh(reader, &error));
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 11+5 16+1 17+3 ");
    assert_int_equal(store_reader_trouble(reader, trouble), 0);
    must(partition_sum_write(path, NULL, PARTITION_PARTLY, 2, "bit rot", &error)); /* found by the daily look */
    must(store_reader_refresh(reader, &error));
    assert_int_equal(store_reader_trouble(reader, trouble), 1);
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 11+5 16+1 17+3 ");
    store_reader_close(reader);
}

static void a_closed_partition_is_checked_before_its_first_use(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    struct partition_meta meta = fixture_meta(1);
    put_entries(partition, 1, 2000);
    meta.closed_ns = FIXTURE_NOW;
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_meta_put(txn, &meta, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
    int fd = open(fixture_path(1), O_RDWR);
    struct stat status;
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    for (off_t at = 4 * 4096 + 2000; at < status.st_size; at += 4096) /* a hole in the middle of each page behind the first */
        assert_int_equal(pwrite(fd, "damage damage", 13, at), 13);
    close(fd);
    struct store_reader *reader = open_store();
    assert_int_equal(damage_told, 0); /* opening alone is no use */
    uint64_t end;
    must(store_reader_end(reader, &end, &error));
    assert_int_equal(damage_told, 1);
    store_reader_close(reader);
}

static void more_read_at_once_than_lmdb_has_room_for_by_default(void **state) {
    (void)state;
    enum { READERS = 200 };
    int go[2], ready[2];
    char byte;
    pid_t children[READERS];
    partition_close(three_partitions());
    assert_true(pipe(go) == 0 && pipe(ready) == 0);
    for (int i = 0; i < READERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct partition *partition;
            struct partition_txn *txn;
            close(go[1]);
            int result = partition_open(fixture_path(1), PARTITION_READ, 0, &partition, &error);
            if (result == 0)
                result = partition_begin(partition, false, &txn, &error);
            (void)!write(ready[1], "r", 1);
            (void)!read(go[0], &byte, 1);
            _exit(result == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < READERS; i++)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    close(go[1]);
    for (int i = 0; i < READERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    close(go[0]);
    close(ready[0]);
    close(ready[1]);
    struct partition *partition;
    must(partition_open(fixture_path(1), PARTITION_READ, 0, &partition, &error));
    assert_true(partition_reader_check(partition) >= 0);
    partition_close(partition);
}

static void the_end_is_known_though_the_last_index_value_is_damaged(void **state) {
    (void)state;
    struct partition *partition = three_partitions();
    put_raw(partition, 20, TEXT_LITERAL("no block"), TEXT_LITERAL("no index"));
    partition_close(partition);
    struct store_reader *reader = open_store();
    assert_end(reader, 21);
    assert_int_equal(damage_told, 1);
    store_reader_close(reader);
}

static void a_file_cut_while_it_is_read_is_damage_and_no_crash(void **state) {
    (void)state;
    partition_close(three_partitions());
    struct store_reader *reader = open_store();
    assert_int_equal(truncate(fixture_path(11), 8192), 0);
    assert_walk(reader, 0, UINT64_MAX, false, "1+5 6+5 16+1 17+3 ");
    assert_int_equal(damage_told, 1);
    store_reader_close(reader);
}

static int cut_and_read(void *argument, const struct index_entry *index) {
    struct block *block;
    if (index->first_sequence != 1)
        return 0;
    assert_int_equal(truncate(fixture_path(1), 8192), 0);
    assert_int_equal(store_reader_block(argument, 6, &block, &error), -EBADMSG);
    return 0;
}

static void a_visitor_may_find_the_partition_damaged(void **state) {
    (void)state;
    partition_close(three_partitions());
    struct store_reader *reader = open_store();
    must(store_reader_walk(reader, 0, UINT64_MAX, false, cut_and_read, reader, &error));
    assert_int_equal(damage_told, 1);
    assert_walk(reader, 0, UINT64_MAX, false, "11+5 16+1 17+3 ");
    store_reader_close(reader);
}

static void says_which_group_to_join_when_the_folder_is_closed(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    partition_close(three_partitions());
    pid_t child = fork();
    if (child == 0) {
        struct store_reader *reader;
        int result = setuid(65534) < 0 ? 0 : store_reader_open(fixture_folder, NULL, NULL, &reader, &error);
        _exit(result == -EACCES && strstr(error.text, "taskforge") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(an_empty_or_missing_store_opens_and_holds_nothing),
        test(walks_every_block_once_in_both_directions),
        test(gives_each_block_with_its_entries),
        test(the_newest_ready_partition_is_the_authority),
        test(sees_partitions_come_go_and_change_their_file_on_refresh),
        test(the_end_stands_where_it_was_when_everything_was_retired),
        test(a_damaged_partition_is_told_once_and_passed_over),
        test(a_damaged_index_value_costs_its_own_block_only),
        test(a_block_is_found_though_its_index_value_is_missing_or_damaged),
        test(a_block_that_only_the_index_knows_is_damage_and_not_merged),
        test(what_is_noted_as_unreadable_is_not_touched_until_it_is_another_file),
        test(a_closed_partition_is_checked_before_its_first_use),
        test(more_read_at_once_than_lmdb_has_room_for_by_default),
        test(the_end_is_known_though_the_last_index_value_is_damaged),
        test(a_file_cut_while_it_is_read_is_damage_and_no_crash),
        test(a_visitor_may_find_the_partition_damaged),
        test(says_which_group_to_join_when_the_folder_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
