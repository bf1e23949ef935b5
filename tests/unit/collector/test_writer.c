/* The writer, and what may fail under it; failing disks are in tests/torture/trouble.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/writer.h"
#include "common/base/diag.h"
#include "common/store/reader.h"
#include "common/store/state_keys.h"
#include "common/store/verify.h"
#include "tests/lib/fail_at.h"

enum { ENTRIES = 600 };
static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/dev/shm/taskforge-writer-XXXXXX"); /* each commit is synced */
    if (mkdtemp(folder))
        return 0;
    snprintf(folder, sizeof(folder), "/tmp/taskforge-writer-XXXXXX");
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

static struct error error;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        int must_result = (call);                                                                                      \
        if (must_result < 0)                                                                                           \
            fail_msg("%s: %d %s", #call, must_result, error.text);                                                     \
    } while (0)

/* One entry whose message no compression makes smaller. */
static void fill(struct batch *batch, uint64_t number) {
    static char message[10000];
    uint64_t dice = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < sizeof(message); i++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
        message[i] = (char)(' ' + (dice >> 33) % 94);
    }
    const struct entry entry = {
        .id = { { 1 } },
        .timestamp_ns = number + 1,
        .level = LEVEL_INFO,
        .service = TEXT_LITERAL("billing"),
        .module = TEXT_LITERAL("m"),
        .operation = TEXT_LITERAL("o"),
        .message = { message, sizeof(message) },
        .host = TEXT_LITERAL("host"),
    };
    batch_clear(batch);
    batch_add(batch, &entry);
    batch_put_u64(batch, TEXT_LITERAL("lane/x"), number);
    assert_false(batch->failed);
}

static void tell_nothing(void *argument, const char *path, const char *fault, const struct verify_result *result) {
    (void)argument;
    (void)result;
    if (fault)
        fail_msg("%s: %s", path, fault);
}

static void a_full_map_makes_a_new_partition(void **unused) {
    (void)unused;
    struct partitions partitions = { 0 };
    struct state_map state = STATE_MAP_EMPTY;
    struct writer writer;
    struct batch batch = BATCH_EMPTY;
    struct store_reader *reader;
    uint64_t end, position;
    must(partitions_open(&partitions, folder, 2 << 20, &state, &error));
    must(writer_init(&writer, &partitions, &state, &error));
    for (uint64_t i = 0; i < ENTRIES; i++) { /* some 5 MB */
        fill(&batch, i);
        must(writer_commit(&writer, &batch, true, i + 1, &error));
    }
    writer_finish(&writer);
    partitions_close(&partitions);
    assert_true(state_map_get_u64(&state, TEXT_LITERAL("lane/x"), &position));
    assert_int_equal(position, ENTRIES - 1);
    must(store_reader_open(folder, NULL, NULL, &reader, &error));
    must(store_reader_end(reader, &end, &error));
    assert_int_equal(end, ENTRIES);
    store_reader_close(reader);
    struct verify_totals totals;
    assert_int_equal(store_verify(folder, tell_nothing, NULL, &totals, &error), 0);
    assert_int_equal(totals.entries, ENTRIES);
    batch_finish(&batch);
    state_map_finish(&state);
}

/* --- small batches --- */

struct bench {
    struct partitions partitions;
    struct state_map state;
    struct writer writer;
    struct batch batch;
    uint64_t committed; /* entries */
};

static void bench_open(struct bench *bench) {
    uint64_t committed = bench->committed;
    *bench = (struct bench) { .committed = committed };
    must(partitions_open(&bench->partitions, folder, 64 << 20, &bench->state, &error));
    must(writer_init(&bench->writer, &bench->partitions, &bench->state, &error));
}

static void bench_close(struct bench *bench) {
    writer_finish(&bench->writer);
    partitions_close(&bench->partitions);
    state_map_finish(&bench->state);
    batch_finish(&bench->batch);
}

/* One entry, one span, the number of it as a lane's position. */
static void fill_small(struct batch *batch, uint64_t number) {
    char message[40];
    batch_clear(batch);
    snprintf(message, sizeof(message), "entry %llu", (unsigned long long)number);
    struct entry entry = { .id = { { 1 } },
                           .timestamp_ns = number + 1,
                           .level = LEVEL_INFO,
                           .service = TEXT_LITERAL("billing"),
                           .module = TEXT_LITERAL("m"),
                           .operation = TEXT_LITERAL("o"),
                           .message = text_of(message),
                           .host = TEXT_LITERAL("host") };
    batch_repair(batch, &entry);
    entry.message = arena_copy(&batch->arena, text_of(message));
    batch_push(batch, &entry);
    const struct span span = { .record = { .trace_id = { 1 },
                                           .span_id = { 2 },
                                           .start_ns = number + 1,
                                           .service = TEXT_LITERAL("billing"),
                                           .operation = TEXT_LITERAL("o") },
                               .end_ns = number + 2,
                               .host = TEXT_LITERAL("host"),
                               .pid = 42 };
    batch_add_span(batch, &span);
    batch_put_u64(batch, TEXT_LITERAL("lane/x"), number);
    batch_remove(batch, TEXT_LITERAL("none"));
    assert_false(batch->failed);
}

static int commit_next(struct bench *bench) {
    fill_small(&bench->batch, bench->committed);
    int result = writer_commit(&bench->writer, &bench->batch, true, bench->committed + 1, &error);
    bench->committed += result == 0;
    return result;
}

static void assert_all_stored(uint64_t entries) {
    struct verify_totals totals;
    assert_int_equal(store_verify(folder, tell_nothing, NULL, &totals, &error), 0);
    assert_int_equal(totals.entries, entries);
    assert_int_equal(totals.spans, entries);
}

/* A commit that merges sixteen blocks, with each of its calls failing once: it is done again after a look at the store, and nothing is
 * missing or there twice. Those at the beginning one by one, then some of the many that merging makes. */
static void sweep_commits(unsigned kinds, int code) {
    enum { ONE_BY_ONE = 40, STEP = 9 };
    struct bench bench = { 0 };
    bench_open(&bench);
    for (unsigned n = 1, failed = 1; failed; n += n < ONE_BY_ONE ? 1 : STEP) {
        uint64_t position;
        while ((bench.committed + 1) % MERGE_FAN != 0)
            must(commit_next(&bench));
        error.text[0] = '\0';
        fail_at(kinds, n, code);
        int result = commit_next(&bench);
        failed = fail_stop();
        if (result == 0)
            continue;
        assert_true(error.text[0] != '\0');
        assert_int_equal(result, -code);
        assert_true(state_map_get_u64(&bench.state, TEXT_LITERAL("lane/x"), &position));
        assert_int_equal(position, bench.committed - 1);
        must(writer_recover(&bench.writer, &error));
        must(commit_next(&bench));
    }
    bench_close(&bench);
    assert_in_range(bench.committed, 5 * MERGE_FAN, 200 * MERGE_FAN);
    assert_all_stored(bench.committed);
    bench_open(&bench); /* memory says what the store says */
    assert_int_equal(bench.writer.sequence.next, bench.committed);
    assert_int_equal(bench.writer.next_span, bench.committed);
    assert_true(bench.writer.has_spans);
    bench_close(&bench);
}

static void a_commit_without_memory_is_done_again_exactly_once(void **unused) {
    (void)unused;
    sweep_commits(FAIL_MEMORY, ENOMEM);
}

static void a_commit_whose_calls_fail_is_done_again_exactly_once(void **unused) {
    (void)unused;
    sweep_commits(FAIL_CALL, EIO);
}

static void a_start_that_fails_changes_nothing(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    bench_open(&bench);
    for (unsigned i = 0; i < 3; i++)
        must(commit_next(&bench));
    bench_close(&bench);
    must(partitions_open(&bench.partitions, folder, 64 << 20, &bench.state, &error));
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, failed = 1; failed; n++) {
            error.text[0] = '\0';
            fail_at(kinds, n, EIO);
            int result = writer_init(&bench.writer, &bench.partitions, &bench.state, &error);
            failed = fail_stop();
            if (result < 0)
                assert_true(error.text[0] != '\0');
            else
                assert_int_equal(bench.writer.sequence.next, 3);
            writer_finish(&bench.writer);
        }
    must(writer_init(&bench.writer, &bench.partitions, &bench.state, &error));
    must(commit_next(&bench));
    bench_close(&bench);
    assert_all_stored(4);
}

/* --- the end of a partition at a start --- */

static size_t blocks_at_end(struct bench *bench) {
    bench_close(bench);
    bench_open(bench);
    return bench->writer.tail.count;
}

static void small_blocks_that_a_start_finds_are_merged_with_those_to_come(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    bench_open(&bench);
    for (unsigned i = 0; i < MERGE_FAN - 1; i++)
        must(commit_next(&bench));
    assert_int_equal(blocks_at_end(&bench), MERGE_FAN - 1);
    must(commit_next(&bench));
    assert_int_equal(bench.writer.tail.count, 1); /* sixteen entries in one */
    assert_int_equal(blocks_at_end(&bench), 1);
    bench_close(&bench);
    assert_all_stored(MERGE_FAN);
}

/* They are in the file as they are, and are not tried again with each commit. */
static void damaged_blocks_are_not_merged_and_what_comes_is_stored(void **unused) {
    (void)unused;
    for (unsigned damage = 0; damage < 4; damage++) {
        static const struct text nothing = TEXT_INITIALIZER("no block");
        struct bench bench = { 0 };
        struct partition_txn *txn;
        struct text block, index;
        uint64_t key;
        bench_open(&bench);
        for (unsigned i = 0; i < 5; i++)
            must(commit_next(&bench));
        must(partition_begin(bench.partitions.current->partition, true, &txn, &error));
        must(partition_block_get(txn, 2, &block, &error));
        assert_int_equal(partition_index_seek(txn, 2, false, &key, &index, &error), 1);
        if (damage == 0) /* its block, its index value, both: gone */
            must(partition_block_put(txn, 2, nothing, index, &error));
        else if (damage == 1)
            must(partition_block_put(txn, 2, block, nothing, &error));
        else if (damage == 2)
            must(partition_block_delete(txn, 2, &error));
        else
            must(partition_block_put(txn, 2, nothing, nothing, &error));
        must(partition_commit(txn, &error));
        for (unsigned i = 0; i < MERGE_FAN; i++)
            must(commit_next(&bench));
        assert_int_equal(bench.writer.sequence.next, 5 + MERGE_FAN);
        assert_int_equal(bench.writer.damage_seen, 0);
        assert_int_equal(bench.writer.tail.count, 5); /* the first sixteen are let go */
        bench_close(&bench);
        assert_int_equal(remove_folder(NULL), 0);
        assert_int_equal(make_folder(NULL), 0);
    }
}

/* --- rolling --- */

static uint64_t roll_first(const struct bench *bench) {
    return bench->partitions.current->first_sequence;
}

static void a_partition_ends_by_time_by_size_and_when_its_place_is_another(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    bench_open(&bench);
    const uint64_t created = bench.partitions.current->created_ns;
    bench.writer.partition_ns = UINT64_C(3600) * 1000000000;
    fill_small(&bench.batch, 0);
    must(writer_commit(&bench.writer, &bench.batch, true, created + 2 * bench.writer.partition_ns, &error));
    assert_int_equal(roll_first(&bench), 0); /* nothing was in it: it goes on */
    fill_small(&bench.batch, 1);
    must(writer_commit(&bench.writer, &bench.batch, true, created, &error)); /* a clock that was set back */
    assert_int_equal(roll_first(&bench), 0);
    fill_small(&bench.batch, 2);
    must(writer_commit(&bench.writer, &bench.batch, true, created + 2 * bench.writer.partition_ns, &error));
    assert_int_equal(roll_first(&bench), 2);
    bench.writer.partition_ns = 0;
    bench.writer.partition_bytes = 1;
    fill_small(&bench.batch, 3);
    must(writer_commit(&bench.writer, &bench.batch, true, 1, &error));
    assert_int_equal(roll_first(&bench), 3);
    bench.writer.partition_bytes = PARTITION_BYTES_MAX;
    const struct partition_origin origin = { .host = TEXT_LITERAL("another") };
    must(partitions_set_origin(&bench.partitions, &origin, &error));
    fill_small(&bench.batch, 4);
    must(writer_commit(&bench.writer, &bench.batch, true, 1, &error));
    assert_int_equal(roll_first(&bench), 4);
    bench_close(&bench);
    assert_all_stored(5);
}

static void a_place_is_left_for_what_is_taken_in(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    uint64_t first;
    bench_open(&bench);
    must(commit_next(&bench));
    must(writer_leave_place(&bench.writer, 100, &first, &error));
    assert_int_equal(first, 1);
    assert_int_equal(roll_first(&bench), 101);
    assert_int_equal(bench.writer.sequence.next, 101);
    must(commit_next(&bench));
    for (unsigned n = 1, failed = 1; failed; n++) {
        uint64_t before = bench.writer.sequence.next;
        fail_at(FAIL_CALL, n, EIO);
        int result = writer_leave_place(&bench.writer, 10, &first, &error);
        failed = fail_stop();
        assert_int_equal(bench.writer.sequence.next, result == 0 ? before + 10 : before);
        if (result < 0 && bench.writer.roll_due)
            assert_int_equal(writer_leave_place(&bench.writer, 10, &first, &error), -EAGAIN);
        must(commit_next(&bench));
    }
    bench_close(&bench);
    assert_all_stored(bench.committed);
}

/* --- the rest of the state --- */

static void the_output_goes_on_where_the_store_says(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    bench_open(&bench);
    must(commit_next(&bench));
    assert_false(writer_cursor_moved(&bench.writer));
    atomic_store(&bench.writer.output_cursor, 1);
    assert_true(writer_cursor_moved(&bench.writer));
    must(commit_next(&bench));
    assert_false(writer_cursor_moved(&bench.writer));
    bench_close(&bench);
    bench_open(&bench);
    assert_int_equal(atomic_load(&bench.writer.output_cursor), 1);
    bench_close(&bench);
}

/* A frame's puts stand in memory already; but where the spill goes on is known only now. */
static void a_batch_out_of_the_spill_changes_the_place_in_it_alone(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    struct text value;
    uint64_t position;
    char words[16];
    bench_open(&bench);
    fill_small(&bench.batch, 7);
    state_u64_put(words, 3);
    state_u64_put(words + 8, 400);
    batch_put(&bench.batch, TEXT_LITERAL(STATE_SPILL), (struct text) { words, 16 });
    must(writer_commit(&bench.writer, &bench.batch, false, 1, &error));
    assert_false(state_map_get_u64(&bench.state, TEXT_LITERAL("lane/x"), &position));
    assert_true(state_map_get(&bench.state, TEXT_LITERAL(STATE_SPILL), &value));
    assert_memory_equal(value.data, words, 16);
    bench.writer.spill_over = 4;
    fill_small(&bench.batch, 8);
    must(writer_commit(&bench.writer, &bench.batch, true, 2, &error));
    bench_close(&bench);
    bench_open(&bench);
    state_u64_put(words, 4);
    state_u64_put(words + 8, 0);
    assert_true(state_map_get(&bench.state, TEXT_LITERAL(STATE_SPILL), &value));
    assert_memory_equal(value.data, words, 16);
    assert_true(state_map_get_u64(&bench.state, TEXT_LITERAL("lane/x"), &position));
    assert_int_equal(position, 8);
    bench_close(&bench);
}

/* --- the reserve --- */

static uint64_t reserve_size(const struct bench *bench) {
    struct stat status;
    return stat(bench->writer.reserve, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void the_reserve_is_made_whole_or_not_at_all_and_used_once(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    bench_open(&bench);
    writer_set_reserve(&bench.writer, UINT64_C(1) << 60); /* more than there is */
    assert_int_equal(reserve_size(&bench), 0);
    for (unsigned n = 1, failed = 1; failed; n++) {
        fail_at(FAIL_CALL, n, ENOSPC);
        writer_set_reserve(&bench.writer, 4096);
        failed = fail_stop();
        assert_true(reserve_size(&bench) == 4096 || (failed && reserve_size(&bench) == 0));
        unlink(bench.writer.reserve);
    }
    writer_set_reserve(&bench.writer, 4096);
    writer_set_reserve(&bench.writer, 8192);
    assert_int_equal(reserve_size(&bench), 8192);
    must(commit_next(&bench));
    /* The disk is full, and has room again once the reserve is given up. */
    unsigned used = 0;
    for (unsigned n = 1, failed = 1; failed; n++) {
        writer_set_reserve(&bench.writer, 8192);
        fail_at(FAIL_CALL, n, ENOSPC);
        int result = commit_next(&bench);
        failed = fail_stop();
        if (failed && result == 0)
            used += reserve_size(&bench) == 0;
        if (result < 0) {
            must(writer_recover(&bench.writer, &error));
            must(commit_next(&bench));
        }
    }
    assert_true(used > 0);
    bench_close(&bench);
    assert_all_stored(bench.committed);
}

/* --- damage --- */

/* Found by a commit, it is believed when a fresh look at the file does not explain it: then memory goes on in a new one. */
static void a_store_that_is_cut_under_the_writer_is_begun_anew_out_of_memory(void **unused) {
    (void)unused;
    struct bench bench = { 0 };
    char aside[PARTITION_PATH_MAX];
    bench_open(&bench);
    for (unsigned i = 0; i < 3; i++)
        must(commit_next(&bench));
    assert_int_equal(truncate(bench.partitions.current_path, 8192), 0);
    assert_int_equal(commit_next(&bench), -EBADMSG);
    assert_int_equal(bench.writer.damage_seen, 1);
    must(writer_recover(&bench.writer, &error));
    assert_int_equal(bench.writer.damage_seen, 0);
    assert_int_equal(partition_count_aside(folder, aside), 1);
    must(commit_next(&bench));
    assert_int_equal(bench.writer.sequence.next, 4);
    assert_int_equal(roll_first(&bench), 3);
    bench.writer.damage_seen = 2; /* as when pages that LMDB needs are damaged: it opens, and cannot be written */
    must(writer_recover(&bench.writer, &error));
    must(commit_next(&bench));
    assert_int_equal(roll_first(&bench), 4);
    bench_close(&bench);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
        test(a_full_map_makes_a_new_partition),
        test(a_commit_without_memory_is_done_again_exactly_once),
        test(a_commit_whose_calls_fail_is_done_again_exactly_once),
        test(a_start_that_fails_changes_nothing),
        test(small_blocks_that_a_start_finds_are_merged_with_those_to_come),
        test(damaged_blocks_are_not_merged_and_what_comes_is_stored),
        test(a_partition_ends_by_time_by_size_and_when_its_place_is_another),
        test(a_place_is_left_for_what_is_taken_in),
        test(the_output_goes_on_where_the_store_says),
        test(a_batch_out_of_the_spill_changes_the_place_in_it_alone),
        test(the_reserve_is_made_whole_or_not_at_all_and_used_once),
        test(a_store_that_is_cut_under_the_writer_is_begun_anew_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
