/* store_fixture.h - a folder for each test, and short words for what the tests of the store do over and over. */
#ifndef TASKFORGE_TESTS_UNIT_STORE_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_STORE_FIXTURE_H

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
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/partition.h"

#define FIXTURE_MAP (UINT64_C(64) << 20)
#define FIXTURE_NOW UINT64_C(1795457704123456789)

/* An environment in which LMDB faulted is left as it is, on purpose (partition.c). */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:liblmdb";
}

static char fixture_folder[64];

static inline int fixture_setup(void **state) {
    (void)state;
    snprintf(fixture_folder, sizeof(fixture_folder), "/tmp/taskforge-store-XXXXXX");
    return mkdtemp(fixture_folder) ? 0 : -1;
}

static inline int fixture_remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk) {
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static inline int fixture_teardown(void **state) {
    (void)state;
    return nftw(fixture_folder, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct error error;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        int must_result = (call);                                                                                      \
        if (must_result < 0)                                                                                           \
            fail_msg("%s: %d %s", #call, must_result, error.text);                                                     \
    } while (0)

static inline struct partition_meta fixture_meta(uint64_t first_sequence) {
    return (struct partition_meta) {
        .version = PARTITION_VERSION, .ready = 1, .created_ns = FIXTURE_NOW, .first_sequence = first_sequence
    };
}

static inline struct partition *fixture_create(const char *path, uint64_t first_sequence) {
    struct partition_meta meta = fixture_meta(first_sequence);
    struct partition *partition;
    must(partition_create(path, &meta, FIXTURE_MAP, &partition, &error));
    return partition;
}

/* The path of the partition of that sequence in the test's folder; the folder logs exists afterwards. */
static inline const char *fixture_path(uint64_t first_sequence) {
    static char path[PARTITION_PATH_MAX];
    char logs[80];
    snprintf(logs, sizeof(logs), "%s/logs", fixture_folder);
    mkdir(logs, 0755);
    assert_int_equal(partition_make_path(fixture_folder, first_sequence, FIXTURE_NOW, path), 0);
    return path;
}

static inline struct partition_txn *fixture_begin(struct partition *partition, bool write) {
    struct partition_txn *txn;
    must(partition_begin(partition, write, &txn, &error));
    return txn;
}

static inline void fixture_put_state(struct partition *partition, const char *key, const char *value) {
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_state_put(txn, text_of(key), text_of(value), &error));
    must(partition_commit(txn, &error));
}

static inline void fixture_assert_state(struct partition *partition, const char *key, const char *value) {
    struct partition_txn *txn = fixture_begin(partition, false);
    struct text got;
    int result = partition_state_get(txn, text_of(key), &got, &error);
    assert_int_equal(result, value ? 1 : 0);
    if (value)
        assert_true(text_is(got, value));
    partition_abort(txn);
}

#endif
