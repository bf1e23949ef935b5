/* Each call that can fail does so once: what was asked for says so, gives back what it had, and can be asked for again. */
#include "store_entries.h"
#include "store_spans.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>

#include "common/base/check.h"
#include "common/store/partition_copy.h"
#include "common/store/partition_sum.h"
#include "common/store/reader.h"
#include "common/store/verify.h"
#include "tests/lib/fail_at.h"

enum { ROWS = 24, FIRST = 7 };

/* --- blocks --- */

struct odd_entry {
    struct made_entry made;
    char module[24];
};

/* An entry for each way in which a block keeps something. */
static const struct entry *make_odd(uint64_t number, struct odd_entry *odd) {
    const struct text maps[] = { TEXT_LITERAL("\x81\xa1k\x01"), TEXT_LITERAL("\x82\xa1k\xa5value\xa1n\xc0"),
                                 TEXT_LITERAL("\x81\xa1w\xd9\x03odd"), TEXT_LITERAL("") };
    struct entry *entry = &odd->made.entry;
    make_entry(number, &odd->made);
    snprintf(odd->module, sizeof(odd->module), "module-%u", (unsigned)(number % 5));
    entry->module = text_of(odd->module);
    entry->metadata = maps[number % COUNT_OF(maps)];
    entry->span_id = number % 3 ? TEXT_LITERAL("b7ad6b7169203331") : TEXT_LITERAL("no hex at all");
    entry->correlation_id = number % 2 ? TEXT_LITERAL("01890a5d-ac96-774b-bcce-b302099a8057") : TEXT_EMPTY;
    entry->pid = 7 + (uint32_t)(number % 2);
    if (number % 6 == 1)
        entry->error_details = TEXT_LITERAL("\xa4oops");
    if (number % 7 == 2)
        entry->host = TEXT_LITERAL("another");
    if (number % 4 == 1)
        memset(entry->organization_id.bytes, 9, UUID_SIZE);
    if (number % 8 == 3)
        memset(entry->id.bytes, (int)number, UUID_SIZE);
    return entry;
}

static int encode_odd(struct block_builder *builder, struct buffer *block, struct buffer *index) {
    const struct index_flush flush = { 0, FIXTURE_NOW };
    block_builder_clear(builder);
    buffer_clear(block);
    buffer_clear(index);
    int result = block_builder_set_host(builder, TEXT_LITERAL("host"));
    for (uint64_t i = 0; i < ROWS && result == 0; i++) {
        struct odd_entry odd;
        result = block_builder_add(builder, make_odd(FIRST + i, &odd));
    }
    if (result == 0)
        result = block_builder_encode(builder, FIRST, block);
    return result == 0 ? index_encode(builder, FIRST, &flush, 1, index) : result;
}

static void make_odd_block(struct buffer *block, struct buffer *index) {
    struct block_builder *builder;
    must(block_builder_create(&builder));
    must(encode_odd(builder, block, index));
    block_builder_destroy(builder);
}

/* As the writer does with a batch whose commit failed. */
static void a_builder_without_memory_says_so_and_goes_on_when_there_is_some(void **unused) {
    (void)unused;
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    unsigned failures = 0;
    make_odd_block(&block, &index);
    for (unsigned n = 1, failed = 1; failed; n++) {
        _cleanup_buffer_ struct buffer got_block = BUFFER_EMPTY, got_index = BUFFER_EMPTY;
        struct block_builder *builder;
        fail_at(FAIL_MEMORY, n, 0);
        int result = block_builder_create(&builder);
        if (result == 0)
            result = encode_odd(builder, &got_block, &got_index);
        failed = fail_stop();
        failures += failed;
        assert_int_equal(result, failed ? -ENOMEM : 0);
        if (!builder)
            continue;
        must(encode_odd(builder, &got_block, &got_index));
        assert_true(text_equal(buffer_text(&got_block), buffer_text(&block)));
        assert_true(text_equal(buffer_text(&got_index), buffer_text(&index)));
        block_builder_destroy(builder);
    }
    assert_in_range(failures, 100, 1000);
}

static int read_odd(struct text encoded, struct error *ret_error) {
    uint8_t marks[ROWS] = { 0 };
    const uint32_t rows[] = { 1, 8, ROWS - 1 };
    uint32_t key;
    struct block *block;
    int result = block_open(encoded, FIRST, &block, ret_error);
    if (result < 0)
        return result;
    result = block_set_host(block, TEXT_LITERAL("host"));
    if (result == 0)
        result = block_load_rows(block, rows, COUNT_OF(rows), ret_error);
    if (result == 0)
        result = block_mark_messages(block, TEXT_LITERAL("_12 was"), 0, ROWS, marks, ret_error);
    if (result == 0)
        result = block_load_metadata_key(block, TEXT_LITERAL("k"), &key, ret_error);
    if (result >= 0)
        result = block_load_all(block, ret_error);
    for (uint32_t row = 0; result == 0 && row < ROWS; row++) {
        struct odd_entry odd;
        struct entry got;
        const struct entry *entry = make_odd(FIRST + row, &odd);
        block_entry(block, row, &got);
        assert_true(text_equal(got.message, entry->message) && text_equal(got.host, entry->host));
        assert_true(text_equal(got.metadata, entry->metadata) && text_equal(got.span_id, entry->span_id));
        assert_int_equal(marks[row], FIRST + row == 12);
    }
    block_destroy(block);
    return result;
}

static void a_block_that_cannot_be_decoded_for_want_of_memory_is_not_damaged(void **unused) {
    (void)unused;
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    unsigned failures = 0;
    make_odd_block(&block, &index);
    for (unsigned n = 1, failed = 1; failed; n++) {
        struct index_entry entry;
        error.text[0] = '\0';
        fail_at(FAIL_MEMORY, n, 0);
        int result = read_odd(buffer_text(&block), &error);
        if (result == 0 && (result = index_decode(buffer_text(&index), &entry)) == 0)
            index_entry_finish(&entry);
        failed = fail_stop();
        failures += failed;
        assert_int_equal(result, failed ? -ENOMEM : 0);
    }
    assert_in_range(failures, 50, 500);
}

/* --- partitions --- */

static void put_some(struct partition *partition) {
    put_entries(partition, 1, 8);
    put_entries(partition, 9, 8);
    struct partition_txn *txn = fixture_begin(partition, true);
    for (uint8_t i = 1; i <= 3; i++) {
        struct span span = make_span(3, i, i * 1000);
        put_span(txn, i, &span);
    }
    must(partition_state_put(txn, TEXT_LITERAL("lane/a"), TEXT_LITERAL("17"), &error));
    must(partition_commit(txn, &error));
}

static void make_closed(const char *path, uint64_t first) {
    struct partition_meta meta = fixture_meta(first);
    struct partition_origin origin = { .host = TEXT_LITERAL("host"), .label_count = 1 };
    struct partition *partition;
    origin.labels[0] = (struct partition_label) { TEXT_LITERAL("site"), TEXT_LITERAL("north") };
    meta.closed_ns = FIXTURE_NOW;
    must(partition_create_of(path, &meta, &origin, FIXTURE_MAP, &partition, &error));
    put_some(partition);
    partition_close(partition);
}

/* What every failure leaves: a sentence, and the code it is of. */
static void assert_told(int result, bool failed, int code) {
    if (!failed)
        assert_int_equal(result, 0);
    if (result < 0 && code)
        assert_int_equal(result, -code);
    if (result < 0)
        assert_true(error.text[0] != '\0');
    error.text[0] = '\0';
}

/* What is told of a failure is what happened, so that nobody takes it for damage. */
static int code_of(unsigned kinds, int code) {
    return kinds == FAIL_MEMORY ? ENOMEM : kinds == FAIL_CALL ? code : 0;
}

static unsigned count_files(const char *folder) {
    char path[128];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/%s", fixture_folder, folder);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* Whatever failed in making one, it is there and whole, or nothing is left of it. */
static void sweep_creation(unsigned kinds, int code) {
    const char *path = fixture_path(1);
    const struct partition_meta meta = fixture_meta(1);
    for (unsigned n = 1, failed = 1; failed; n++) {
        struct partition *partition;
        fail_at(kinds, n, code);
        int result = partition_create(path, &meta, FIXTURE_MAP, &partition, &error);
        failed = fail_stop();
        assert_told(result, failed, code_of(kinds, code));
        if (result < 0) {
            assert_int_equal(count_files("logs"), 0);
            continue;
        }
        fixture_put_state(partition, "a", "1");
        fixture_assert_state(partition, "a", "1");
        partition_close(partition);
        assert_int_equal(partition_unlink(path), 0);
    }
}

static void a_partition_is_made_whole_or_not_at_all(void **unused) {
    (void)unused;
    sweep_creation(FAIL_MEMORY, 0);
    sweep_creation(FAIL_CALL, EIO);
    sweep_creation(FAIL_SHORT, 0);
}

/* One transaction of everything that a commit of the collector has. */
static int write_once(const char *path, uint64_t first, struct text block, struct text index) {
    struct partition *partition;
    struct partition_txn *txn;
    struct span span = make_span(4, 1, 5);
    struct partition_span_time time = { .start_ns = span.record.start_ns, .sequence = first };
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    int result = partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error);
    if (result < 0)
        return result;
    result = partition_begin(partition, true, &txn, &error);
    if (result == 0) {
        result = partition_block_put(txn, first, block, index, &error);
        if (result == 0)
            result = partition_state_put(txn, TEXT_LITERAL("lane/a"), TEXT_LITERAL("18"), &error);
        if (result == 0)
            result = partition_state_delete(txn, TEXT_LITERAL("none"), &error);
        if (result == 0 && (result = span_encode(&span, first, &value)) < 0)
            error_set(&error, result, "no memory for a span");
        if (result == 0)
            result = partition_span_put(txn, &time, buffer_text(&value), &error);
        if (result == 0)
            result = partition_commit(txn, &error);
        else
            partition_abort(txn);
    }
    partition_close(partition);
    return result;
}

static bool has_block(const char *path, uint64_t first) {
    struct partition *partition;
    struct text block;
    must(partition_open(path, PARTITION_READ, 0, &partition, &error));
    struct partition_txn *txn = fixture_begin(partition, false);
    int result = partition_block_get(txn, first, &block, &error);
    assert_true(result == 0 || result == -ENOENT);
    partition_abort(txn);
    fixture_assert_state(partition, "lane/a", result == 0 ? "18" : "17");
    partition_close(partition);
    return result == 0;
}

static void sweep_writing(const char *path, unsigned kinds, int code, uint64_t first) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    make_block(first, 3, &block, &index);
    for (unsigned n = 1, failed = 1; failed; n++) {
        make_closed(path, 1);
        error.text[0] = '\0';
        fail_at(kinds, n, code);
        int result = write_once(path, first, buffer_text(&block), buffer_text(&index));
        failed = fail_stop();
        assert_told(result, failed, code_of(kinds, code));
        assert_int_equal(has_block(path, first), result == 0);
        assert_int_equal(partition_unlink(path), 0);
    }
}

static void what_is_not_committed_for_a_failure_is_not_there_at_all(void **unused) {
    (void)unused;
    const char *path = fixture_path(1);
    sweep_writing(path, FAIL_MEMORY, 0, 17);
    sweep_writing(path, FAIL_CALL, EIO, 17);
    sweep_writing(path, FAIL_SHORT, 0, 17);
}

/* --- sums --- */

static void unlink_sum(const char *path) {
    char sum[PARTITION_PATH_MAX + 8];
    snprintf(sum, sizeof(sum), "%s.sum", path);
    unlink(sum);
}

static void sweep_sum(const char *path, unsigned kinds, int code) {
    struct partition_note note;
    for (unsigned n = 1, failed = 1; failed; n++) {
        fail_at(kinds, n, code);
        int result = partition_sum_write(path, NULL, PARTITION_SOUND, 0, "", &error);
        failed = fail_stop();
        assert_told(result, failed, kinds == FAIL_SHORT ? ENOSPC : 0);
        int noted = partition_sum_note(path, &note);
        assert_int_equal(noted, result == 0 ? 1 : 0);
        fail_at(kinds, n, code);
        result = partition_sum_compare(path, &note, &error);
        failed |= fail_stop();
        if (noted == 1 && result >= 0) /* what cannot be read does not differ */
            assert_int_equal(result, 1);
        fail_at(kinds, n, code);
        result = partition_sum_note(path, &note);
        failed |= fail_stop();
        assert_true(result == 0 || noted == 1);
        assert_int_equal(count_files("logs"), noted == 1 ? 3 : 2);
        unlink_sum(path);
    }
}

static void a_sum_is_written_whole_or_not_at_all(void **unused) {
    (void)unused;
    const char *path = fixture_path(1);
    make_closed(path, 1);
    sweep_sum(path, FAIL_MEMORY, 0);
    sweep_sum(path, FAIL_CALL, EIO);
    sweep_sum(path, FAIL_SHORT, 0);
}

/* --- copies --- */

static bool keeps_no_mail(void *argument, struct text service, enum level level) {
    (void)argument;
    (void)level;
    return !text_is(service, "mail");
}

static void sweep_copy(const char *path, unsigned kinds, int code) {
    char fresh[PARTITION_PATH_MAX + 8];
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    for (unsigned n = 1, failed = 1; failed; n++) {
        struct partition_copied copied = { 0 };
        struct partition *from;
        must(partition_open(path, PARTITION_READ, 0, &from, &error));
        const struct partition_copy_job job = {
            .from = from, .path = fresh, .flags = PARTITION_REWRITTEN, .keep = keeps_no_mail
        };
        fail_at(kinds, n, code);
        int result = partition_copy(&job, &copied, &error);
        failed = fail_stop();
        assert_told(result, failed, code_of(kinds, code));
        partition_close(from);
        if (result == 0)
            assert_int_equal(copied.kept + copied.gone, 16);
        if (result == 0)
            assert_int_equal(partition_unlink(fresh), 0);
        assert_int_equal(count_files("logs"), 2);
    }
}

static void a_copy_is_whole_or_leaves_nothing(void **unused) {
    (void)unused;
    const char *path = fixture_path(1);
    make_closed(path, 1);
    sweep_copy(path, FAIL_MEMORY, 0);
    sweep_copy(path, FAIL_CALL, EIO);
}

/* --- readers --- */

static int count_entries(void *argument, const struct index_entry *index) {
    *(uint64_t *)argument += index->count;
    return 0;
}

static int count_state(void *argument, struct text key, struct text value) {
    (void)key;
    *(uint64_t *)argument += value.length;
    return 0;
}

static int count_span(void *argument, const struct span *span) {
    *(uint64_t *)argument += span->pid != 0;
    return 0;
}

static void no_damage(void *argument, const char *path, const char *why) {
    (void)path;
    snprintf(argument, ERROR_TEXT_SIZE, "%s", why);
}

/* Everything that is read of a store. What is counted: 16 entries, 3 spans, the same by their starts, 2 bytes of state. */
static int read_all(struct store_reader *reader, uint64_t counted[4]) {
    static const uint8_t trace[SPAN_TRACE_BYTES] = { 3 };
    _cleanup_buffer_ struct buffer state = BUFFER_EMPTY;
    struct index_before before;
    struct span_walk *walk = NULL;
    struct partition_span_time time;
    struct block *block;
    uint64_t end, earliest;
    memset(counted, 0, 4 * sizeof(counted[0]));
    int result = store_reader_walk(reader, 0, 40, false, count_entries, &counted[0], &error);
    if (result == 0)
        result = store_reader_end(reader, &end, &error);
    if (result == 0 && (result = store_reader_block(reader, 9, &block, &error)) == 0)
        block_destroy(block);
    if (result == 0)
        result = store_reader_before(reader, 9, &before, &error);
    if (result == 0)
        result = store_reader_earliest(reader, 9, &earliest, &error);
    if (result == 0)
        result = store_reader_trace(reader, trace, count_span, &counted[1], &error);
    if (result == 0)
        result = span_walk_open(reader, UINT64_MAX, &walk, &error);
    if (result == 0) {
        while ((result = span_walk_next(walk, &time, &error)) == 1)
            counted[2]++;
        span_walk_close(walk);
    }
    if (result == 0)
        result = store_reader_state_walk(reader, TEXT_LITERAL("lane/"), count_state, &counted[3], &error);
    if (result == 0) {
        result = store_reader_state(reader, TEXT_LITERAL("lane/a"), &state, &error);
        result = result < 0 ? result : 0;
    }
    return result == 0 ? store_reader_refresh(reader, &error) : result;
}

static void assert_all_read(const uint64_t counted[4]) {
    const uint64_t all[] = { 16, 3, 3, 2 };
    for (unsigned i = 0; i < COUNT_OF(all); i++)
        assert_int_equal(counted[i], all[i]);
}

/* Where nothing says that something is wrong, all was read; and nothing is taken for damaged that is not. */
static void a_reader_without_memory_says_so_and_calls_nothing_damaged(void **unused) {
    (void)unused;
    const char *path = fixture_path(1);
    uint64_t counted[4];
    unsigned failures = 0;
    partition_close(fixture_create(path, 1));
    partition_unlink(path);
    struct partition *partition = fixture_create(path, 1);
    put_some(partition);
    partition_close(partition);
    for (unsigned n = 1, failed = 1; failed; n++) {
        char damage[ERROR_TEXT_SIZE] = "";
        struct store_reader *reader;
        fail_at(FAIL_MEMORY, n, 0);
        int result = store_reader_open(fixture_folder, no_damage, damage, &reader, &error);
        bool open = result == 0;
        if (open)
            result = read_all(reader, counted);
        failed = fail_stop();
        failures += failed;
        if (result == 0)
            assert_all_read(counted);
        assert_told(result, failed, ENOMEM);
        assert_string_equal(damage, "");
        if (!open)
            continue;
        must(store_reader_refresh(reader, &error));
        must(read_all(reader, counted));
        assert_all_read(counted);
        store_reader_close(reader);
    }
    assert_in_range(failures, 20, 500);
}

/* --- the folder --- */

/* What cannot be looked at is there all the same: without it another partition would be taken for the newest. */
static void a_list_of_partitions_has_all_of_them_or_is_none(void **unused) {
    (void)unused;
    for (uint64_t first = 1; first <= 20; first++)
        partition_close(fixture_create(fixture_path(first), first));
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, failed = 1; failed; n++) {
            struct partition_name *names = NULL;
            size_t count = 0;
            fail_at(kinds, n, EIO);
            int result = partition_list(fixture_folder, &names, &count, &error);
            failed = fail_stop();
            assert_told(result, failed, kinds == FAIL_MEMORY ? ENOMEM : EIO);
            assert_int_equal(count, result == 0 ? 20 : 0);
            free(names);
            fail_at(kinds, n, EIO);
            result = partition_list(fixture_path(7), &names, &count, &error); /* one of them alone */
            failed |= fail_stop();
            if (result == 0)
                free(names);
            assert_told(result, true, 0);
        }
}

/* --- checks --- */

enum { CALLS_MAX = 1000, QUIET = 12 }; /* so many checks went well one after the other: no call is left to fail */

/* Whatever the child has no memory or descriptor for: it notes nothing, and calls nothing damaged. */
static void a_check_that_cannot_be_made_is_no_verdict(void **unused) {
    (void)unused;
    const char *path = fixture_path(1);
    make_closed(path, 1);
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++) {
        unsigned unchecked = 0, quiet = 0;
        for (unsigned n = 1; n < CALLS_MAX && quiet < QUIET; n++) {
            struct verify_result checked;
            struct partition_note note;
            fail_at(kinds, n, EMFILE); /* in the child, mostly */
            int result = verify_partition(path, VERIFY_QUICK | VERIFY_NOTE, NULL, NULL, &checked, &error);
            fail_stop();
            bool noted = partition_sum_note(path, &note) == 1;
            quiet = result == 0 && noted ? quiet + 1 : 0;
            unlink_sum(path);
            if (result < 0)
                continue;
            assert_int_equal(checked.faults, 0);
            assert_true(checked.verdict == PARTITION_SOUND || checked.verdict == PARTITION_UNCHECKED);
            if (checked.verdict == PARTITION_UNCHECKED) {
                assert_non_null(strstr(checked.why, "could not be checked"));
                assert_false(noted);
                unchecked++;
            }
        }
        assert_int_equal(quiet, QUIET);
        assert_true(unchecked >= 3);
    }
}

static pid_t only_child(void) {
    char path[64], text[32] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return (pid_t)atoi(text);
}

/* For want of memory the kernel kills, too. */
static void a_check_that_was_killed_is_no_verdict(void **unused) {
    (void)unused;
    const char *path = fixture_path(1);
    const struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char lock[PARTITION_PATH_MAX + 8];
    struct verify_child *child;
    struct verify_result result;
    make_closed(path, 1);
    snprintf(lock, sizeof(lock), "%s-lock", path);
    int fd = open(lock, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fcntl(fd, F_SETLK, &all) == 0); /* for which LMDB waits */
    must(verify_child_start(path, VERIFY_NOTE, &child, &error));
    pid_t pid = only_child();
    if (pid == 0) {
        verify_child_stop(child);
        close(fd);
        skip();
    }
    assert_int_equal(verify_child_read(child, NULL, NULL, &result), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (verify_child_read(child, NULL, NULL, &result) == 1) {
        struct pollfd wait = { .fd = verify_child_fd(child), .events = POLLIN };
        poll(&wait, 1, -1);
    }
    verify_child_stop(child);
    close(fd);
    assert_int_equal(result.verdict, PARTITION_UNCHECKED);
    assert_int_equal(result.faults, 0);
    assert_false(partition_sum_exists(path));
}

static void report(void *argument, const char *path, const char *fault, const struct verify_result *result) {
    (void)path;
    if (!fault)
        *(unsigned *)argument += result->verdict == PARTITION_UNCHECKED;
}

/* Nobody is told that all is well where not all was looked at. */
static void what_could_not_be_checked_counts_as_a_fault(void **unused) {
    (void)unused;
    unsigned ended = 0;
    make_closed(fixture_path(1), 1);
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, quiet = 0; n < CALLS_MAX && quiet < QUIET; n++) {
            struct verify_totals totals;
            unsigned unchecked = 0;
            fail_at(kinds, n, EMFILE);
            int result = store_verify(fixture_folder, report, &unchecked, &totals, &error);
            fail_stop();
            quiet = result == 0 ? quiet + 1 : 0;
            if (result < 0)
                continue;
            assert_int_equal(result, unchecked);
            assert_int_equal(totals.faults, unchecked);
            assert_true(unchecked || totals.entries == 16);
            ended += unchecked;
        }
    assert_true(ended > 5);
}

/* In memory, where there is such a place: each commit is synced. */
static int set_up(void **state) {
    snprintf(fixture_folder, sizeof(fixture_folder), "/dev/shm/taskforge-store-XXXXXX");
    return mkdtemp(fixture_folder) ? 0 : fixture_setup(state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_builder_without_memory_says_so_and_goes_on_when_there_is_some),
        test(a_block_that_cannot_be_decoded_for_want_of_memory_is_not_damaged),
        test(a_partition_is_made_whole_or_not_at_all),
        test(what_is_not_committed_for_a_failure_is_not_there_at_all),
        test(a_sum_is_written_whole_or_not_at_all),
        test(a_copy_is_whole_or_leaves_nothing),
        test(a_reader_without_memory_says_so_and_calls_nothing_damaged),
        test(a_list_of_partitions_has_all_of_them_or_is_none),
        test(a_check_that_cannot_be_made_is_no_verdict),
        test(a_check_that_was_killed_is_no_verdict),
        test(what_could_not_be_checked_counts_as_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
