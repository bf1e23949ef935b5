/* A partition under hostile hands: killed writers, full disks, cut and scribbled files, users without rights. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/base/hash.h"
#include "common/store/partition_private.h"
#include "store_fixture.h"

static int put_block(struct partition *partition, uint64_t sequence, size_t size) {
    char *bytes = malloc(size + 1);
    memset(bytes, (int)(sequence * 31 + 7), size);
    struct partition_txn *txn;
    int result = partition_begin(partition, true, &txn, &error);
    if (result == 0) {
        result = partition_block_put(txn, sequence, (struct text) { bytes, size }, TEXT_LITERAL("index"), &error);
        if (result == 0)
            result = partition_commit(txn, &error);
        else
            partition_abort(txn);
    }
    free(bytes);
    return result;
}

static void deletes_blocks_and_takes_absent_ones_as_deleted(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    must(put_block(partition, 5, 5000));
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_block_delete(txn, 5, &error));
    must(partition_block_delete(txn, 5, &error));
    must(partition_state_delete(txn, TEXT_LITERAL("absent"), &error));
    must(partition_commit(txn, &error));
    struct text got;
    txn = fixture_begin(partition, false);
    assert_int_equal(partition_block_get(txn, 5, &got, &error), -ENOENT);
    partition_abort(txn);
    partition_close(partition);
}

struct visits {
    char keys[256];
    int stop_after;
    struct partition_txn *txn;
};

static int note_visit(void *argument, struct text key, struct text value) {
    struct visits *visits = argument;
    size_t length = strlen(visits->keys);
    snprintf(visits->keys + length, sizeof(visits->keys) - length, "%.*s=%.*s ", TEXT_FORMAT(key), TEXT_FORMAT(value));
    if (visits->txn)
        must(partition_state_delete(visits->txn, key, &error));
    return --visits->stop_after == 0 ? 42 : 0;
}

static void takes_state_keys_of_any_bytes_up_to_their_limit(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    char key[PARTITION_STATE_KEY_MAX + 1];
    memset(key, 0xff, sizeof(key));
    struct text got;
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_state_put(txn, (struct text) { key, sizeof(key) - 1 }, TEXT_EMPTY, &error));
    assert_int_equal(partition_state_get(txn, (struct text) { key, sizeof(key) - 1 }, &got, &error), 1);
    assert_int_equal(got.length, 0);
    struct visits visits = { .stop_after = 1 };
    assert_int_equal(partition_state_walk(txn, (struct text) { key, 3 }, note_visit, &visits, &error), 42);
    must(partition_commit(txn, &error));
    partition_close(partition);
}

static void says_when_the_format_is_newer(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    struct partition_meta meta = fixture_meta(1);
    meta.version = PARTITION_VERSION + 1;
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_meta_put(txn, &meta, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
    assert_int_equal(partition_open(path, PARTITION_READ, 0, &partition, &error), -EPROTO);
    assert_non_null(strstr(error.text, "newer"));
}

static void a_file_that_may_not_grow_is_no_space_and_nothing_is_lost(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    must(put_block(partition, 1, 10000));
    struct rlimit before, small = { 1200 * 1024, 0 };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int result = 0;
    uint64_t stored = 1;
    while (result == 0 && stored < 100)
        if ((result = put_block(partition, stored + 1, 100000)) == 0)
            stored++;
    assert_int_equal(result, -ENOSPC);
    assert_true(stored > 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    must(put_block(partition, stored + 1, 100000)); /* room again: it goes on by itself */
    partition_close(partition);
    must(partition_open(path, PARTITION_READ, 0, &partition, &error));
    struct partition_txn *txn = fixture_begin(partition, false);
    struct text got;
    for (uint64_t i = 2; i <= stored + 1; i++) {
        must(partition_block_get(txn, i, &got, &error));
        assert_int_equal(got.length, 100000);
        assert_int_equal((unsigned char)got.data[99999], (unsigned char)(i * 31 + 7));
    }
    partition_abort(txn);
    partition_close(partition);
}

/* A child commits block i and i in the state, over and over, and tells through a pipe what it has committed. */
static void write_until_killed(const char *path, int out) {
    struct partition *partition;
    if (partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error) < 0)
        _exit(1);
    for (uint64_t i = 1;; i++) {
        struct partition_txn *txn;
        char *bytes = malloc(3000 + i * 517 % 20000);
        memset(bytes, (int)i, 3000 + i * 517 % 20000);
        if (partition_begin(partition, true, &txn, &error) < 0 ||
            partition_block_put(txn, i, (struct text) { bytes, 3000 + i * 517 % 20000 }, TEXT_LITERAL("i"), &error) < 0)
            _exit(2);
        if (i > 8 && partition_block_delete(txn, i - 8, &error) < 0)
            _exit(3);
        if (partition_state_put(txn, TEXT_LITERAL("last"), (struct text) { (char *)&i, 8 }, &error) < 0 ||
            partition_commit(txn, &error) < 0 || write(out, &i, 8) != 8)
            _exit(4);
        free(bytes);
    }
}

static void assert_whole_up_to(const char *path, uint64_t told) {
    struct partition *partition;
    must(partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error));
    struct partition_txn *txn = fixture_begin(partition, false);
    struct text got;
    uint64_t last;
    assert_int_equal(partition_state_get(txn, TEXT_LITERAL("last"), &got, &error), told ? 1 : 0);
    if (told) {
        memcpy(&last, got.data, 8);
        assert_true(last == told || last == told + 1); /* committed, but killed before telling */
        for (uint64_t i = last > 8 ? last - 7 : 1; i <= last; i++) {
            must(partition_block_get(txn, i, &got, &error));
            assert_int_equal(got.length, 3000 + i * 517 % 20000);
            for (size_t at = 0; at < got.length; at++)
                assert_int_equal((unsigned char)got.data[at], (unsigned char)i);
        }
        assert_int_equal(partition_block_get(txn, last + 1, &got, &error), -ENOENT);
    }
    partition_abort(txn);
    partition_close(partition);
}

static void a_killed_writer_leaves_what_it_committed_and_nothing_else(void **state) {
    (void)state;
    unsigned seed = (unsigned)getpid();
    for (int round = 0; round < 12; round++) {
        const char *path = fixture_path((uint64_t)round + 1);
        partition_close(fixture_create(path, (uint64_t)round + 1));
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_until_killed(path, ends[1]);
        close(ends[1]);
        uint64_t told = 0, next;
        unsigned rounds = 1 + (unsigned)rand_r(&seed) % 30;
        while (told < rounds && read(ends[0], &next, 8) == 8)
            told = next;
        assert_int_equal(told, rounds);
        for (volatile unsigned spin = (unsigned)rand_r(&seed) % 3000000; spin > 0; spin--) /* a random instant */
            ;
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(ends[0], &next, 8) == 8)
            told = next;
        close(ends[0]);
        assert_whole_up_to(path, told);
    }
}

static void a_reader_of_another_process_follows_a_file_that_outgrows_its_map(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        struct partition_txn *txn;
        struct text got;
        int result = partition_open(path, PARTITION_READ, 0, &partition, &error);
        if (result == 0 && write(go[1], "o", 1) == 1 && raise(SIGSTOP) == 0 && read(go[0], &byte, 1) >= 0)
            result = partition_begin(partition, false, &txn, &error);
        if (result == 0)
            result = partition_block_get(txn, 1, &got, &error);
        _exit(result == 0 && got.length == 10000 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    must(put_block(partition, 1, 10000));
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(go[0]);
    close(go[1]);
    partition_close(partition);
}

/* --- damage --- */

/* A small partition with something in each database; its bytes. */
static char *small_partition(const char *path, size_t *ret_size) {
    struct partition *partition = fixture_create(path, 1);
    for (uint64_t i = 1; i < 40; i++)
        must(put_block(partition, i, 300 + i * 97));
    fixture_put_state(partition, "lane/a", "1");
    fixture_put_state(partition, "lane/b", "2");
    partition_close(partition);
    int fd = open(path, O_RDONLY);
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    *ret_size = (size_t)status.st_size;
    return bytes;
}

static void write_file(const char *path, const char *bytes, size_t size) {
    partition_unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static int ignore_state(void *argument, struct text key, struct text value) {
    (void)argument;
    (void)key;
    (void)value;
    return 0;
}

/* Read all there is; whatever it says, it must end. The first error, or 0. */
static int read_everything(const char *path) {
    struct partition *partition;
    struct partition_txn *txn;
    int result = partition_open(path, PARTITION_READ, 0, &partition, &error);
    if (result < 0)
        return result;
    result = partition_begin(partition, false, &txn, &error);
    if (result == 0) {
        uint64_t key, at = 0, steps = 0;
        struct text got;
        while ((result = partition_index_seek(txn, at, false, &key, &got, &error)) == 1) {
            at = key + 1;
            if ((result = partition_block_get(txn, key, &got, &error)) < 0)
                break;
            assert_true(++steps < 100000);
        }
        while (result >= 0 && at > 0 && (result = partition_index_seek(txn, at - 1, true, &key, &got, &error)) == 1)
            at = key;
        if (result >= 0)
            result = partition_state_walk(txn, TEXT_EMPTY, ignore_state, NULL, &error);
        partition_abort(txn);
    }
    partition_close(partition);
    return result;
}

static void a_file_cut_anywhere_is_refused_before_it_is_mapped(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    size_t size;
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    char *bytes = small_partition(path, &size);
    write_file(path, bytes, size);
    assert_int_equal(read_everything(path), 0);
    for (size_t cut = 0; cut < size; cut += 1024) {
        write_file(path, bytes, cut);
        assert_int_equal(read_everything(path), -EBADMSG);
    }
    free(bytes);
}

static void flipped_bits_never_take_the_reader_down(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    size_t size;
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    char *bytes = small_partition(path, &size);
    unsigned seed = 20261123, refused = 0;
    for (size_t page = 0; page < size; page += 4096)
        for (int i = 0; i < 24; i++) {
            /* LMDB's own fields stand at the front of a page: half of the flips go there */
            size_t at = page + (size_t)rand_r(&seed) % (i % 2 ? 4096 : 48);
            char before = bytes[at];
            bytes[at] ^= (char)(1 << rand_r(&seed) % 8);
            if (i % 3 == 0)
                bytes[at] = (char)rand_r(&seed);
            write_file(path, bytes, size);
            refused += read_everything(path) < 0;
            bytes[at] = before;
        }
    assert_true(refused > 10);
    free(bytes);
}

/* --- pages that a writer would change --- */

enum { PAGE = 4096, KEYS = 60 };

static struct text state_key(unsigned number, char room[64]) {
    return (struct text) { room, (size_t)snprintf(room, 64, "lane/%08u/with a name of some length", number) };
}

/* Trees of two floors, values of several pages, a list of free pages. */
static char *large_partition(const char *path, size_t *ret_size) {
    char room[64];
    struct partition *partition = fixture_create(path, 1);
    for (uint64_t i = 1; i < 12; i++)
        must(put_block(partition, i, i % 2 ? 9000 : 500));
    for (unsigned turn = 0; turn < 2; turn++) {
        struct partition_txn *txn = fixture_begin(partition, true);
        for (unsigned i = 0; i < KEYS; i++)
            must(partition_state_put(txn, state_key(i, room),
                                     TEXT_LITERAL("a value that fills a page with the others, too"), &error));
        must(partition_block_delete(txn, 3 + turn, &error));
        must(partition_commit(txn, &error));
    }
    partition_close(partition);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    *ret_size = (size_t)status.st_size;
    return bytes;
}

/* Changes all over it, with merges of pages. */
static int write_everything(const char *path) {
    char room[64];
    struct partition *partition;
    struct partition_txn *txn;
    int result = partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error);
    if (result < 0)
        return result;
    result = partition_begin(partition, true, &txn, &error);
    if (result == 0) {
        for (unsigned i = 0; i < KEYS && result == 0; i += 2)
            result = partition_state_delete(txn, state_key(i, room), &error);
        if (result == 0)
            result = partition_state_put(txn, state_key(7, room), TEXT_LITERAL("another"), &error);
        if (result == 0)
            result = partition_block_delete(txn, 5, &error);
        if (result == 0)
            result = partition_block_put(txn, 20, TEXT_LITERAL("block"), TEXT_LITERAL("index"), &error);
        if (result == 0)
            result = partition_commit(txn, &error);
        else
            partition_abort(txn);
    }
    partition_close(partition);
    return result;
}

static void try_page(const char *path, char *bytes, size_t size, size_t at, unsigned *refused) {
    const char kept = bytes[at];
    const char others[] = { 0, 1, (char)0xff, (char)(kept + 2), (char)(kept - 2), (char)(kept ^ 0x80) };
    for (size_t i = at % 3; i < sizeof(others); i += 3) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bytes[at] = others[i];
        assert_int_equal(pwrite(fd, bytes, size, 0), size);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        close(fd);
        int result = write_everything(path);
        if (result != 0 && result != -EBADMSG && result != -EPROTO)
            fail_msg("byte %zu is %d: %d %s", at, others[i], result, error.text);
        *refused += result != 0;
    }
    bytes[at] = kept;
}

/* Headers of pages, the places of nodes, the heads of nodes: LMDB would move about what they say. */
static void whatever_a_page_says_its_writer_keeps_within_it(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    size_t size;
    unsigned refused = 0;
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    char *bytes = large_partition(path, &size);
    assert_int_equal(write_everything(path), 0);
    for (size_t page = 2 * PAGE; page + PAGE <= size; page += PAGE) {
        uint16_t flags, lower, node;
        memcpy(&flags, bytes + page + 10, 2);
        memcpy(&lower, bytes + page + 12, 2);
        if (flags != 1 && flags != 2 && flags != 4) /* the middle of a large value */
            continue;
        for (size_t at = 0; at < 24; at++)
            try_page(path, bytes, size, page + at, &refused);
        for (size_t place = 16; flags != 4 && place < lower && place < 22; place += 2) {
            memcpy(&node, bytes + page + place, 2);
            for (size_t at = 0; node <= PAGE - 16 && at < 16; at++)
                try_page(path, bytes, size, page + node + at, &refused);
        }
    }
    assert_true(refused > 200);
    free(bytes);
}

/* --- values and keys that are none of ours --- */

static void an_index_value_larger_than_the_room_of_many_is_read_alone(void **state) {
    (void)state;
    static char large[300000];
    struct partition_batch batch = { 0 };
    struct partition *partition = fixture_create(fixture_path(1), 1);
    struct partition_txn *txn = fixture_begin(partition, true);
    memset(large, 'x', sizeof(large));
    for (uint64_t i = 1; i < 6; i++)
        must(partition_block_put(txn, i, TEXT_LITERAL("block"),
                                 i == 3 ? (struct text) { large, sizeof(large) } : TEXT_LITERAL("small"), &error));
    must(partition_commit(txn, &error));
    txn = fixture_begin(partition, false);
    for (int descending = 0; descending < 2; descending++) {
        uint64_t from = descending ? 5 : 1, next = from, seen = 0;
        int count;
        while ((count = partition_index_batch(txn, next, descending, PARTITION_BATCH_MAX, NULL, &batch, &error)) > 0) {
            for (int i = 0; i < count; i++, seen++) {
                assert_int_equal(batch.values[i].key, descending ? 5 - seen : 1 + seen);
                assert_int_equal(batch.values[i].parts.length, batch.values[i].key == 3 ? sizeof(large) : 5);
            }
            next = batch.values[count - 1].key + (descending ? UINT64_MAX : 1);
        }
        assert_int_equal(count, 0);
        assert_int_equal(seen, 5);
    }
    partition_abort(txn);
    partition_close(partition);
    buffer_finish(&batch.bytes);
}

static void put_foreign(struct partition *partition, enum partition_database database, const void *key, size_t size,
                        const char *value) {
    struct partition_txn *txn = fixture_begin(partition, true);
    assert_int_equal(mdb_put(txn->txn, partition->databases[database], &(MDB_val) { size, (void *)(uintptr_t)key },
                             &(MDB_val) { strlen(value), (void *)(uintptr_t)value }, 0),
                     0);
    must(partition_commit(txn, &error));
}

static void keys_of_another_length_are_damage(void **state) {
    (void)state;
    struct partition_batch batch = { 0 };
    struct partition_span_time time;
    struct text got;
    uint64_t found;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    for (unsigned database = PARTITION_BLOCKS; database < PARTITION_DATABASE_COUNT; database++)
        if (database != PARTITION_META && database != PARTITION_STATE)
            put_foreign(partition, (enum partition_database)database, "short", 5, "value");
    put_foreign(partition, PARTITION_STATE, "sealed by nobody", 16, "value");
    put_foreign(partition, PARTITION_STATE, "cut", 3, "v");
    struct partition_txn *txn = fixture_begin(partition, false);
    static const uint8_t trace[16] = "short";
    assert_int_equal(partition_block_seek(txn, 0, false, &found, &error), -EBADMSG);
    assert_int_equal(partition_index_seek(txn, 0, false, &found, &got, &error), -EBADMSG);
    assert_int_equal(partition_index_batch(txn, 0, false, 8, NULL, &batch, &error), -EBADMSG);
    assert_int_equal(partition_span_seek(txn, 0, false, &found, &got, &error), -EBADMSG);
    assert_true(partition_span_of_trace(txn, trace, 0, &found, &error) <= 0);
    assert_true(partition_span_before(txn, UINT64_MAX, 0, &time, &error) <= 0);
    assert_int_equal(partition_state_get(txn, TEXT_LITERAL("sealed by nobody"), &got, &error), -EBADMSG);
    assert_int_equal(partition_state_get(txn, TEXT_LITERAL("cut"), &got, &error), -EBADMSG);
    assert_int_equal(partition_state_walk(txn, TEXT_EMPTY, ignore_state, NULL, &error), -EBADMSG);
    partition_abort(txn);
    partition_close(partition);
    buffer_finish(&batch.bytes);
}

/* What stands in the record of where its entries are from, and in its own: any bytes with a checksum that fits. */
static void put_record(struct partition *partition, const char *key, char *record, size_t length) {
    uint64_t sum = hash_bytes(record, length);
    memcpy(record + length, &sum, sizeof(sum));
    struct partition_txn *txn = fixture_begin(partition, true);
    assert_int_equal(mdb_put(txn->txn, partition->databases[PARTITION_META],
                             &(MDB_val) { strlen(key), (void *)(uintptr_t)key },
                             &(MDB_val) { length + sizeof(sum), record }, 0),
                     0);
    must(partition_commit(txn, &error));
}

static void records_that_make_no_sense_are_refused(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    for (unsigned which = 0; which < 2; which++)
        for (size_t length = 0; length < 80; length++) {
            char record[128] = { 0 };
            struct partition *partition = fixture_create(path, 1);
            memset(record, which ? 1 : 0, sizeof(record));
            put_record(partition, which ? "origin" : "partition", record, length);
            partition_close(partition);
            int result = partition_open(path, PARTITION_READ, 0, &partition, &error);
            if (result == 0) {
                fail_msg("%zu bytes of \"%s\" were taken", length, which ? "origin" : "partition");
                partition_close(partition);
            }
            assert_true(result == -EBADMSG || result == -EPROTO);
            assert_int_equal(partition_unlink(path), 0);
        }
}

static void a_file_cut_under_its_reader_is_damage_and_no_crash(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    must(put_block(partition, 1, 200000));
    partition_close(partition);
    must(partition_open(path, PARTITION_READ, 0, &partition, &error));
    assert_int_equal(truncate(path, 8192), 0);
    struct partition_txn *txn;
    struct text got;
    int result = partition_begin(partition, false, &txn, &error);
    if (result == 0) {
        result = partition_block_get(txn, 1, &got, &error);
        partition_abort(txn);
    }
    assert_int_equal(result, -EBADMSG);
    assert_int_equal(partition_begin(partition, false, &txn, &error), -EBADMSG); /* and it stays so */
    assert_int_equal(partition_used_size(partition), 0);
    partition_close(partition);
}

static void what_is_no_partition_is_refused_with_a_reason(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    struct partition *partition;
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    char garbage[20000];
    memset(garbage, 0x5a, sizeof(garbage));
    write_file(path, garbage, sizeof(garbage));
    assert_int_equal(partition_open(path, PARTITION_READ, 0, &partition, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "not a partition"));
    assert_int_equal(partition_open(fixture_folder, PARTITION_READ, 0, &partition, &error), -EBADMSG);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(partition_open(path, PARTITION_READ, 0, &partition, &error), -EBADMSG);
}

static void a_file_that_chooses_its_own_address_is_refused(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    size_t size;
    struct partition *partition;
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    char *bytes = small_partition(path, &size);
    for (size_t page = 0; page < 8192; page += 4096) {
        bytes[page + 44] |= 0x01; /* MDB_FIXEDMAP among the environment's flags */
        write_file(path, bytes, size);
        assert_int_equal(partition_open(path, PARTITION_READ, 0, &partition, &error), -EBADMSG);
        bytes[page + 44] &= ~0x01;
        bytes[page + 92] |= 0x04; /* MDB_DUPSORT on the main database */
        write_file(path, bytes, size);
        assert_int_equal(partition_open(path, PARTITION_READ, 0, &partition, &error), -EBADMSG);
        bytes[page + 92] &= ~0x04;
    }
    write_file(path, bytes, size);
    assert_int_equal(read_everything(path), 0);
    free(bytes);
}

static void is_never_shorter_than_its_pages_and_gives_the_reserve_back(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    struct partition *partition = fixture_create(path, 1);
    struct stat status;
    for (uint64_t i = 1; i < 200; i++) {
        must(put_block(partition, i, i * 7919 % 60000));
        if (i > 3) {
            struct partition_txn *txn = fixture_begin(partition, true);
            must(partition_block_delete(txn, i - 3, &error));
            must(partition_commit(txn, &error));
        }
        assert_int_equal(stat(path, &status), 0);
        assert_true((uint64_t)status.st_size >= partition_used_size(partition));
    }
    uint64_t used = partition_used_size(partition);
    partition_close(partition);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, used);
    assert_int_equal(read_everything(path), 0);
}

/* Run as somebody without rights, in a child: the result of opening for reading. */
static int open_as_nobody(const char *path) {
    pid_t child = fork();
    if (child == 0) {
        struct partition *partition;
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(99);
        int result = partition_open(path, PARTITION_READ, 0, &partition, &error);
        if (result == 0) {
            fixture_assert_state(partition, "key", "value");
            partition_close(partition);
        }
        _exit(-result);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void who_may_not_lock_reads_only_what_is_not_written(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    char path[PARTITION_PATH_MAX], lock[PARTITION_PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    snprintf(lock, sizeof(lock), "%s-lock", path);
    chmod(fixture_folder, 0755);
    struct partition *partition = fixture_create(path, 1);
    fixture_put_state(partition, "key", "value");
    assert_int_equal(open_as_nobody(path), -EACCES); /* not even the data */
    chmod(path, 0644);
    assert_int_equal(open_as_nobody(path), -EACCES); /* written, and the lock is not ours */
    struct partition_meta meta = fixture_meta(1);
    meta.closed_ns = FIXTURE_NOW;
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_meta_put(txn, &meta, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
    assert_int_equal(open_as_nobody(path), 0); /* closed: nobody will write it */
    unlink(lock);
    assert_int_equal(open_as_nobody(path), 0); /* a copy in a folder that is not ours */
    assert_int_equal(access(lock, F_OK), -1);
}

/* --- the folder --- */

static void unlinks_a_partition_with_its_lock(void **state) {
    (void)state;
    const char *path = fixture_path(1);
    char lock[PARTITION_PATH_MAX + 8];
    snprintf(lock, sizeof(lock), "%s-lock", path);
    partition_close(fixture_create(path, 1));
    assert_int_equal(access(lock, F_OK), 0);
    assert_int_equal(partition_unlink(path), 0);
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(partition_unlink(path), -ENOENT);
}

static void clears_the_slots_of_dead_readers(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    assert_int_equal(partition_reader_check(partition), 0);
    partition_close(partition);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Where there is such a place: each commit is synced. */
static int set_up_in_memory(void **state) {
    snprintf(fixture_folder, sizeof(fixture_folder), "/dev/shm/taskforge-store-XXXXXX");
    return mkdtemp(fixture_folder) ? 0 : fixture_setup(state);
}

#define test_in_memory(name) cmocka_unit_test_setup_teardown(name, set_up_in_memory, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(deletes_blocks_and_takes_absent_ones_as_deleted),
        test(takes_state_keys_of_any_bytes_up_to_their_limit),
        test(says_when_the_format_is_newer),
        test(a_file_that_may_not_grow_is_no_space_and_nothing_is_lost),
        test(a_killed_writer_leaves_what_it_committed_and_nothing_else),
        test(a_reader_of_another_process_follows_a_file_that_outgrows_its_map),
        test(a_file_cut_anywhere_is_refused_before_it_is_mapped),
        test(flipped_bits_never_take_the_reader_down),
        test_in_memory(whatever_a_page_says_its_writer_keeps_within_it),
        test_in_memory(an_index_value_larger_than_the_room_of_many_is_read_alone),
        test_in_memory(keys_of_another_length_are_damage),
        test_in_memory(records_that_make_no_sense_are_refused),
        test(a_file_cut_under_its_reader_is_damage_and_no_crash),
        test(what_is_no_partition_is_refused_with_a_reason),
        test(a_file_that_chooses_its_own_address_is_refused),
        test(is_never_shorter_than_its_pages_and_gives_the_reserve_back),
        test(who_may_not_lock_reads_only_what_is_not_written),
        test(unlinks_a_partition_with_its_lock),
        test(clears_the_slots_of_dead_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
