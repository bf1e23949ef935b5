#include "store_entries.h"
#include "store_spans.h"

#include "common/query/scan.h"
#include "common/query/tally.h"
#include "common/store/gone.h"
#include "common/store/partition_copy.h"
#include "common/store/reader.h"
#include "common/store/verify.h"

enum { ENTRIES = 10000, FIRST = 101, BLOCK = 1000, END = FIRST + ENTRIES };

/* A closed partition of entries FIRST .. END - 1, some spans and some state; the next one begins behind it. */
static void make_closed(const char *path) {
    struct partition_meta meta = fixture_meta(FIRST);
    meta.closed_ns = FIXTURE_NOW;
    struct partition_origin origin = { .host = TEXT_LITERAL("host") };
    struct partition *partition;
    must(partition_create_of(path, &meta, &origin, FIXTURE_MAP, &partition, &error));
    for (uint64_t first = FIRST; first < END; first += BLOCK)
        put_entries(partition, first, BLOCK);
    struct partition_txn *txn = fixture_begin(partition, true);
    for (uint8_t i = 1; i <= 5; i++) {
        struct span span = make_span(3, i, i * 1000);
        put_span(txn, i + 10, &span);
    }
    must(partition_commit(txn, &error));
    fixture_put_state(partition, "lane/a", "17");
    partition_close(partition);
    partition_close(fixture_create(fixture_path(END), END));
}

/* What stays: neither debug nor anything of mail, and nothing of the sequences a test takes out as a whole. */
static bool keeps(void *argument, struct text service, enum level level) {
    *(unsigned *)argument += 1;
    return level != LEVEL_DEBUG && !text_is(service, "mail");
}

static bool is_kept(uint64_t sequence) {
    return sequence % LEVEL_COUNT != LEVEL_DEBUG && sequence % 3 != 2;
}

static struct partition_copied copy_with(const char *path, struct partition_copy_job job) {
    char fresh[PARTITION_PATH_MAX + 8];
    struct partition *from;
    struct partition_copied copied = { 0 };
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    must(partition_open(path, PARTITION_READ, 0, &from, &error));
    job.from = from;
    job.path = fresh;
    must(partition_copy(&job, &copied, &error));
    partition_close(from);
    assert_int_equal(rename(fresh, path), 0);
    return copied;
}

static struct partition_copied copy_without(const char *path) {
    unsigned asked = 0;
    struct partition_copied copied =
        copy_with(path, (struct partition_copy_job) {
                            .flags = PARTITION_REWRITTEN, .rewritten_ns = 5, .keep = keeps, .keep_argument = &asked });
    assert_true(asked > 0 && asked <= 4 * 3 * LEVEL_COUNT * ENTRIES / BLOCK); /* not for each row */
    return copied;
}

static void tell_nothing(void *argument, const char *name, const char *fault, const struct verify_result *result) {
    (void)argument;
    (void)result;
    if (fault)
        fail_msg("%s: %s", name, fault);
}

static void assert_is_sound(uint64_t entries) {
    struct verify_totals totals;
    assert_int_equal(store_verify(fixture_folder, tell_nothing, NULL, &totals, &error), 0);
    assert_int_equal(totals.entries, entries);
}

/* A scan of all gives exactly those that were kept, each under its own sequence. */
static void assert_holds(struct store_reader *reader, bool (*kept)(uint64_t sequence), uint64_t shift) {
    struct filter filter;
    struct scan *scan;
    uint64_t sequence;
    filter_init(&filter);
    const struct scan_options options = { .by_arrival = true, .to_sequence = UINT64_MAX, .limit = UINT64_MAX };
    must(scan_open(reader, &filter, &options, &scan, &error));
    for (uint64_t want = FIRST; want < END; want++) {
        struct made_entry made;
        struct entry entry;
        if (!kept(want))
            continue;
        assert_int_equal(scan_next(scan, &sequence, &error), 1);
        assert_int_equal(sequence, want + shift);
        must(scan_entry(scan, &entry, &error));
        make_entry(want, &made);
        assert_int_equal(entry.timestamp_ns, made.entry.timestamp_ns);
        assert_true(uuid_equal(&entry.id, &made.entry.id));
        assert_true(text_equal(entry.message, made.entry.message));
        assert_true(text_equal(entry.service, made.entry.service));
        assert_true(text_equal(entry.trace_id, made.entry.trace_id));
        assert_true(uuid_equal(&entry.user_id, &made.entry.user_id));
        assert_int_equal(entry.level, made.entry.level);
        assert_true(text_equal(entry.host, made.entry.host));
        assert_int_equal(entry.pid, made.entry.pid);
    }
    assert_int_equal(scan_next(scan, &sequence, &error), 0);
    scan_close(scan);
    filter_finish(&filter);
}

static uint64_t count_of(struct store_reader *reader, const struct filter *filter, struct tally *tally) {
    const struct scan_options options = { .to_sequence = UINT64_MAX, .limit = UINT64_MAX };
    must(tally_make(reader, filter, &options, false, tally, &error));
    return tally->total;
}

static void what_is_kept_is_served_as_before(void **state) {
    char path[PARTITION_PATH_MAX];
    struct stat before, after;
    struct store_reader *reader;
    struct filter filter;
    struct tally tally;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    assert_int_equal(stat(path, &before), 0);
    struct partition_copied copied = copy_without(path);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size < before.st_size * 8 / 10); /* four of nine are gone, some pages are always there */
    uint64_t kept = 0;
    for (uint64_t sequence = FIRST; sequence < END; sequence++)
        kept += is_kept(sequence);
    assert_int_equal(copied.kept, kept);
    assert_int_equal(copied.gone, ENTRIES - kept);
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    assert_holds(reader, is_kept, 0);
    filter_init(&filter);
    assert_int_equal(count_of(reader, &filter, &tally), kept);
    assert_int_equal(tally.service_count, 2); /* no empty one */
    tally_finish(&tally);
    filter.since_ns = FIXTURE_NOW + 500 * 1000; /* in the middle of blocks: rows are counted */
    filter.until_ns = FIXTURE_NOW + 7777 * 1000;
    uint64_t inside = 0;
    for (uint64_t sequence = 500; sequence < 7777; sequence++)
        inside += is_kept(sequence);
    assert_int_equal(count_of(reader, &filter, &tally), inside);
    tally_finish(&tally);
    filter_finish(&filter);
    store_reader_close(reader);
    assert_is_sound(kept);
}

static void spans_state_and_origin_go_along(void **state) {
    char path[PARTITION_PATH_MAX];
    struct partition *partition;
    struct partition_span_counts counts;
    struct partition_meta meta;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    copy_without(path);
    must(partition_open(path, PARTITION_READ, 0, &partition, &error));
    fixture_assert_state(partition, "lane/a", "17");
    struct partition_txn *txn = fixture_begin(partition, false);
    must(partition_span_count(txn, &counts, &error));
    assert_int_equal(counts.spans, 5);
    assert_int_equal(counts.traces, 5);
    assert_int_equal(counts.times, 5);
    must(partition_meta_get(txn, &meta, &error));
    partition_abort(txn);
    assert_int_equal(meta.first_sequence, FIRST);
    assert_int_equal(meta.created_ns, FIXTURE_NOW);
    assert_int_equal(meta.closed_ns, FIXTURE_NOW);
    assert_int_equal(meta.ready, 1);
    assert_true(text_is(partition_origin(partition)->host, "host"));
    assert_int_equal(partition_origin(partition)->flags, PARTITION_REWRITTEN);
    assert_int_equal(partition_origin(partition)->rewritten_ns, 5);
    partition_close(partition);
}

static bool keeps_errors(void *argument, struct text service, enum level level) {
    (void)argument;
    (void)service;
    return level == LEVEL_ERROR;
}

static bool is_kept_error(uint64_t sequence) {
    return is_kept(sequence) && sequence % LEVEL_COUNT == LEVEL_ERROR;
}

static void a_copy_can_be_copied_again(void **state) {
    char path[PARTITION_PATH_MAX];
    struct store_reader *reader;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    copy_without(path);
    struct partition_copied copied =
        copy_with(path, (struct partition_copy_job) { .flags = PARTITION_REWRITTEN, .keep = keeps_errors });
    uint64_t before = 0, kept = 0;
    for (uint64_t sequence = FIRST; sequence < END; sequence++) {
        before += is_kept(sequence);
        kept += is_kept_error(sequence);
    }
    assert_int_equal(copied.kept, kept);
    assert_int_equal(copied.gone, before - kept); /* what was gone before is not counted again */
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    assert_holds(reader, is_kept_error, 0);
    store_reader_close(reader);
    assert_is_sound(kept);
}

static bool keeps_none(void *argument, struct text service, enum level level) {
    (void)argument;
    (void)service;
    (void)level;
    return false;
}

static bool is_never_kept(uint64_t sequence) {
    (void)sequence;
    return false;
}

static void all_may_go(void **state) {
    char path[PARTITION_PATH_MAX];
    struct store_reader *reader;
    uint64_t end;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    copy_with(path, (struct partition_copy_job) { .flags = PARTITION_REWRITTEN, .keep = keeps_none });
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    assert_holds(reader, is_never_kept, 0);
    must(store_reader_end(reader, &end, &error));
    assert_int_equal(end, END);
    store_reader_close(reader);
    assert_is_sound(0);
}

static bool is_any(uint64_t sequence) {
    (void)sequence;
    return true;
}

static void a_copy_may_have_other_sequences(void **state) {
    char path[PARTITION_PATH_MAX], shifted[PARTITION_PATH_MAX];
    struct store_reader *reader;
    struct partition *from;
    struct partition_copied copied;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    strcpy(shifted, fixture_path(FIRST + 20000));
    make_closed(path);
    must(partition_open(path, PARTITION_READ, 0, &from, &error));
    const struct partition_copy_job job = {
        .from = from, .path = shifted, .shift = 20000, .flags = PARTITION_IMPORTED
    };
    must(partition_copy(&job, &copied, &error));
    partition_close(from);
    unlink(path);
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    assert_holds(reader, is_any, 20000);
    store_reader_close(reader);
}

/* The lock of the file whose place it takes may be found beside it, with the number of another transaction. */
static void a_reader_of_the_old_file_misleads_nobody(void **state) {
    char path[PARTITION_PATH_MAX];
    struct store_reader *old, *fresh;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    must(store_reader_open(fixture_folder, NULL, NULL, &old, &error));
    for (int commits = 0; commits < 2; commits++) { /* whichever of the two pages the number chooses */
        copy_without(path);
        pid_t child = fork(); /* one process opens a file once */
        if (child == 0) {
            must(store_reader_open(fixture_folder, NULL, NULL, &fresh, &error));
            assert_holds(fresh, is_kept, 0);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    assert_holds(old, is_any, 0); /* who has the old file open goes on reading it */
    must(store_reader_refresh(old, &error));
    assert_holds(old, is_kept, 0);
    store_reader_close(old);
}

static int give_up(void *argument) {
    (void)argument;
    return -ECANCELED;
}

static int grow_not(void *argument, int fd, uint64_t from, uint64_t to) {
    (void)argument;
    (void)fd;
    (void)from;
    (void)to;
    return ENOSPC;
}

static int is_behind(void *argument, const struct index_entry *index) {
    struct index_before *before = argument;
    assert_int_equal(index->before.min_ns, before->min_ns);
    assert_int_equal(index->before.max_ns, before->max_ns);
    *before = index_before_next(*before, index->min_timestamp_ns, index->max_timestamp_ns);
    return 0;
}

static void each_block_knows_the_times_before_it(void **state) {
    (void)state;
    struct store_reader *reader;
    struct index_before before = INDEX_BEFORE_NOTHING, all;
    uint64_t earliest;
    char path[PARTITION_PATH_MAX];
    snprintf(path, sizeof(path), "%s", fixture_path(FIRST));
    make_closed(path);
    (void)copy_without(path);
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    must(store_reader_walk(reader, 0, UINT64_MAX, false, is_behind, &before, &error));
    must(store_reader_before(reader, UINT64_MAX, &all, &error));
    assert_int_equal(all.min_ns, before.min_ns);
    assert_int_equal(all.max_ns, before.max_ns);
    assert_true(before.min_ns < before.max_ns);
    must(store_reader_earliest(reader, 0, &earliest, &error));
    assert_int_equal(earliest, before.min_ns);
    must(store_reader_earliest(reader, END - BLOCK, &earliest, &error));
    assert_true(earliest >= before.min_ns && earliest < before.max_ns);
    store_reader_close(reader);
}

static void what_is_given_up_leaves_nothing(void **state) {
    char path[PARTITION_PATH_MAX], fresh[PARTITION_PATH_MAX + 8];
    struct partition *from;
    struct partition_copied copied;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    must(partition_open(path, PARTITION_READ, 0, &from, &error));
    struct partition_copy_job job = { .from = from, .path = fresh, .growth = { .grow = grow_not } };
    assert_int_equal(partition_copy(&job, &copied, &error), -ENOSPC);
    assert_int_equal(access(fresh, F_OK), -1);
    job = (struct partition_copy_job) { .from = from, .path = fresh, .between = give_up };
    int result = partition_copy(&job, &copied, &error); /* so few bytes may be one commit, behind which nobody asks */
    assert_true(result == -ECANCELED || result == 0);
    partition_close(from);
}

static void damage_is_not_copied(void **state) {
    char path[PARTITION_PATH_MAX], fresh[PARTITION_PATH_MAX + 8];
    struct partition *from;
    struct partition_copied copied;
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    (void)state;
    strcpy(path, fixture_path(FIRST));
    make_closed(path);
    make_block(FIRST + BLOCK, BLOCK, &block, &index);
    block.data[block.length / 2] ^= 1;
    must(partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &from, &error));
    put_raw(from, FIRST + BLOCK, buffer_text(&block), buffer_text(&index));
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    const struct partition_copy_job job = { .from = from, .path = fresh };
    assert_int_equal(partition_copy(&job, &copied, &error), -EBADMSG);
    assert_int_equal(access(fresh, F_OK), -1);
    partition_close(from);
}

static void what_is_written_is_not_copied(void **state) {
    char fresh[PARTITION_PATH_MAX + 8];
    struct partition_copied copied;
    (void)state;
    struct partition *from = fixture_create(fixture_path(1), 1);
    snprintf(fresh, sizeof(fresh), "%s.new", partition_path(from));
    const struct partition_copy_job job = { .from = from, .path = fresh };
    assert_int_equal(partition_copy(&job, &copied, &error), -EBUSY);
    partition_close(from);
}

#define each(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        each(what_is_kept_is_served_as_before), each(spans_state_and_origin_go_along),
        each(a_copy_can_be_copied_again),       each(all_may_go),
        each(a_copy_may_have_other_sequences),  each(a_reader_of_the_old_file_misleads_nobody),
        each(what_is_given_up_leaves_nothing),  each(damage_is_not_copied),
        each(what_is_written_is_not_copied),    each(each_block_knows_the_times_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
