/* partition_settle: what a commit that was said to have failed left of its meta page is taken back. */
#include "tests/unit/store/store_fixture.h"

static void put(struct partition *partition, uint64_t sequence) {
    struct partition_txn *txn;
    must(partition_begin(partition, true, &txn, &error));
    must(partition_block_put(txn, sequence, TEXT_LITERAL("block"), TEXT_LITERAL("index"), &error));
    must(partition_commit(txn, &error));
}

static bool holds(struct partition *partition, uint64_t sequence) {
    struct partition_txn *txn;
    struct text block;
    must(partition_begin(partition, false, &txn, &error));
    int result = partition_block_get(txn, sequence, &block, &error);
    partition_abort(txn);
    return result == 0;
}

static void takes_back_what_is_newer_than_what_stands(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    assert_int_equal(partition_committed(partition), 0);
    for (uint64_t i = 1; i < 8; i++) { /* both slots of the meta pages, several times */
        put(partition, 2 * i);
        uint64_t stands = partition_committed(partition);
        put(partition, 2 * i + 1);
        assert_int_equal(partition_committed(partition), stands + 1);
        partition_close(partition);
        must(partition_settle(path, stands, &error));
        must(partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error));
        for (uint64_t j = 1; j <= i; j++) {
            assert_true(holds(partition, 2 * j));
            assert_false(holds(partition, 2 * j + 1));
        }
    }
    partition_close(partition);
}

static void leaves_what_stands(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    put(partition, 1);
    put(partition, 2);
    uint64_t stands = partition_committed(partition);
    partition_close(partition);
    for (uint64_t told = 0; told <= stands + 1; told += stands) { /* 0: nothing is known */
        must(partition_settle(path, told, &error));
        must(partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error));
        assert_true(holds(partition, 1) && holds(partition, 2));
        partition_close(partition);
    }
}

static void says_what_is_no_partition(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    assert_int_equal(partition_settle(path, 1, &error), -ENOENT);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, 8192), 0);
    close(fd);
    assert_int_equal(partition_settle(path, 1, &error), -EBADMSG);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(takes_back_what_is_newer_than_what_stands),
        test(leaves_what_stands),
        test(says_what_is_no_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
