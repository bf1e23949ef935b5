/* store_verify: what is damaged is found; what is not found does not matter. */
#include "common/base/hash.h"
#include "common/store/reader.h"
#include "common/store/verify.h"
#include "store_entries.h"
#include "store_spans.h"

static unsigned faults;
static char last_fault[700];

static struct verify_result last;

static void note_fault(void *argument, const char *path, const char *line, const struct verify_result *result) {
    (void)argument;
    if (result)
        last = *result;
    if (!line)
        return;
    const char *base = strrchr(path, '/');
    faults++;
    snprintf(last_fault, sizeof(last_fault), "%s: %s", base ? base + 1 : path, line);
}

static uint64_t verify(void) {
    struct verify_totals totals;
    faults = 0;
    last_fault[0] = '\0';
    int result = store_verify(fixture_folder, note_fault, NULL, &totals, &error);
    assert_int_equal(result, faults);
    return totals.entries;
}

static void assert_fault(const char *part) {
    verify();
    if (faults == 0 || !strstr(last_fault, part))
        fail_msg("%u faults, the last: %s", faults, last_fault);
}

static void a_sound_store_has_no_faults(void **state) {
    (void)state;
    assert_int_equal(verify(), 0);
    struct partition *partition = fixture_create(fixture_path(1), 1);
    put_entries(partition, 1, 100);
    put_entries(partition, 101, 1);
    fixture_put_state(partition, "key", "value");
    partition_close(partition);
    partition = fixture_create(fixture_path(102), 102);
    put_entries(partition, 102, 50);
    partition_close(partition);
    assert_int_equal(verify(), 151);
    assert_int_equal(faults, 0);
}

static void finds_missing_and_overlapping_sequences(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    put_entries(partition, 1, 10);
    put_entries(partition, 12, 10);
    partition_close(partition);
    assert_fault("missing");
    assert_int_equal(faults, 1);
    partition_unlink(fixture_path(1));
    partition = fixture_create(fixture_path(1), 1);
    put_entries(partition, 1, 10);
    put_entries(partition, 10, 10);
    partition_close(partition);
    assert_fault("overlap");
}

static void finds_entries_missing_between_partitions(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    put_entries(partition, 1, 10);
    partition_close(partition);
    partition = fixture_create(fixture_path(20), 20);
    put_entries(partition, 20, 10);
    partition_close(partition);
    assert_fault("missing");
}

static void finds_an_index_that_tells_of_another_block(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY, other = BUFFER_EMPTY,
                                   none = BUFFER_EMPTY;
    make_block(1, 10, &block, &index);
    make_block(1, 11, &none, &other);
    struct partition *partition = fixture_create(fixture_path(1), 1);
    put_raw(partition, 1, buffer_text(&block), buffer_text(&other));
    partition_close(partition);
    assert_fault("index");
}

/* An index value of its own for sequences 1 to 10, as `change` made those entries. */
static void make_index(void (*change)(struct entry *entry, uint64_t sequence), uint64_t first,
                       struct index_before before, struct buffer *index) {
    const struct index_flush flush = { 0, FIXTURE_NOW };
    struct block_builder *builder;
    must(block_builder_create(&builder));
    for (uint64_t i = 1; i <= 10; i++) {
        struct made_entry made;
        make_entry(i, &made);
        change(&made.entry, i);
        must(block_builder_add(builder, &made.entry));
    }
    buffer_clear(index);
    must(index_encode_behind(builder, first, &before, &flush, 1, index));
    block_builder_destroy(builder);
}

static void as_it_is(struct entry *entry, uint64_t sequence) {
    (void)entry;
    (void)sequence;
}

static void began_later(struct entry *entry, uint64_t sequence) {
    entry->timestamp_ns += sequence == 1 ? 500 : 0;
}

static void ended_earlier(struct entry *entry, uint64_t sequence) {
    entry->timestamp_ns -= sequence == 10 ? 500 : 0;
}

static void of_another_level(struct entry *entry, uint64_t sequence) {
    entry->level = sequence == 5 ? LEVEL_CRITICAL : entry->level;
    entry->level = sequence == 6 ? LEVEL_CRITICAL : entry->level;
}

/* Each of what the index says is held against the block. */
static void finds_what_the_index_says_wrongly(void **state) {
    (void)state;
    static const struct {
        void (*change)(struct entry *entry, uint64_t sequence);
        uint64_t first;
        struct index_before before;
        const char *fault;
    } cases[] = {
        { as_it_is, 1, { 0, UINT64_MAX, UINT64_MAX }, NULL },
        { began_later, 1, { 0, UINT64_MAX, UINT64_MAX }, "outside the time range of the index" },
        { ended_earlier, 1, { 0, UINT64_MAX, UINT64_MAX }, "outside the time range of the index" },
        { of_another_level, 1, { 0, UINT64_MAX, UINT64_MAX }, "counts other levels" },
        { as_it_is, 2, { 0, UINT64_MAX, UINT64_MAX }, "another block's" },
    };
    static const struct index_before narrow[] = { { FIXTURE_NOW + 9000, UINT64_MAX, UINT64_MAX },
                                                  { 0, FIXTURE_NOW + 2000, UINT64_MAX } };
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY, none = BUFFER_EMPTY;
    make_block(1, 10, &block, &none);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct partition *partition = fixture_create(fixture_path(1), 1);
        make_index(cases[i].change, cases[i].first, cases[i].before, &index);
        put_raw(partition, 1, buffer_text(&block), buffer_text(&index));
        partition_close(partition);
        if (cases[i].fault)
            assert_fault(cases[i].fault);
        else
            assert_int_equal(verify(), 10);
        assert_int_equal(faults, cases[i].fault != NULL);
        partition_unlink(fixture_path(1));
    }
    for (size_t i = 0; i < 2; i++) { /* what stands before the second */
        struct partition *partition = fixture_create(fixture_path(1), 1);
        put_raw(partition, 1, buffer_text(&block), buffer_text(&none));
        _cleanup_buffer_ struct buffer next = BUFFER_EMPTY, unused = BUFFER_EMPTY;
        make_block(11, 10, &next, &unused);
        const struct index_flush flush = { 0, FIXTURE_NOW };
        struct index_before before = narrow[i];
        struct block_builder *builder;
        must(block_builder_create(&builder));
        for (uint64_t sequence = 11; sequence <= 20; sequence++) {
            struct made_entry made;
            make_entry(sequence, &made);
            must(block_builder_add(builder, &made.entry));
        }
        buffer_clear(&index);
        must(index_encode_behind(builder, 11, &before, &flush, 1, &index));
        block_builder_destroy(builder);
        put_raw(partition, 11, buffer_text(&next), buffer_text(&index));
        partition_close(partition);
        assert_fault("outside the time range that its index value gives");
        assert_int_equal(faults, 1);
        partition_unlink(fixture_path(1));
    }
}

static void finds_a_block_that_strayed_to_another_sequence(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY, other = BUFFER_EMPTY,
                                   none = BUFFER_EMPTY;
    make_block(1, 10, &block, &none);
    make_block(11, 10, &other, &index);
    struct partition *partition = fixture_create(fixture_path(1), 1);
    put_entries(partition, 1, 10);
    put_raw(partition, 11, buffer_text(&block), buffer_text(&index));
    partition_close(partition);
    assert_fault("checksum");
}

static void put_spans(const char *path, uint64_t first, uint64_t count) {
    struct partition *partition = fixture_create(path, 1);
    struct partition_txn *txn = fixture_begin(partition, true);
    for (uint64_t i = first; i < first + count; i++) {
        struct span span = make_span((uint8_t)(i % 3), (uint8_t)i, i);
        put_span(txn, i, &span);
    }
    must(partition_commit(txn, &error));
    partition_close(partition);
}

static void sound_spans_have_no_faults(void **state) {
    (void)state;
    put_spans(fixture_path(1), 5, 5000); /* more than in one transaction */
    verify();
    if (faults)
        fail_msg("%s", last_fault);
}

static void put_one(uint64_t sequence, const struct partition_span_time *time, struct text value) {
    struct partition *partition;
    must(partition_open(fixture_path(1), PARTITION_WRITE, FIXTURE_MAP, &partition, &error));
    struct partition_txn *txn = fixture_begin(partition, true);
    struct partition_span_time at = *time;
    at.sequence = sequence;
    must(partition_span_put(txn, &at, value, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
}

static void finds_spans_that_are_damaged_missing_or_not_to_be_found(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct span span = make_span(1, 1, 0);
    struct partition_span_time time = { .start_ns = span.record.start_ns,
                                        .service_hash = span_service_hash(span.record.service) };
    memcpy(time.trace_id, span.record.trace_id, 16);
    put_spans(fixture_path(1), 0, 3);
    put_one(3, &time, TEXT_LITERAL("no span"));
    assert_fault("span 3: it is damaged");
    must(span_encode(&span, 3, &value));
    put_one(3, &time, buffer_text(&value));
    verify();
    assert_int_equal(faults, 0);
    time.start_ns++; /* a way that leads nowhere, beside the right one */
    put_one(3, &time, buffer_text(&value));
    assert_fault("more ways");
    time.start_ns--;
    time.trace_id[3] = 9;
    buffer_clear(&value);
    must(span_encode(&span, 4, &value));
    put_one(4, &time, buffer_text(&value));
    verify();
    assert_true(faults > 0);
    buffer_clear(&value);
    time.trace_id[3] = 0;
    must(span_encode(&span, 6, &value));
    put_one(6, &time, buffer_text(&value));
    verify();
    assert_true(faults >= 2);
}

/* A checksum over every entry and every state that the store gives, or 0 when it gives an error. */
static uint64_t sum;

static int add_state(void *argument, struct text key, struct text value) {
    (void)argument;
    sum = hash_bytes_seeded(value.data, value.length, hash_bytes_seeded(key.data, key.length, sum));
    return 0;
}

static int add_block(void *argument, const struct index_entry *index) {
    struct block *block;
    int result = store_reader_block(argument, index->first_sequence, &block, &error);
    if (result < 0)
        return result;
    result = block_load_all(block, &error);
    for (uint32_t row = 0; result == 0 && row < block_count(block); row++) {
        struct entry entry;
        block_entry(block, row, &entry);
        sum = hash_bytes_seeded(entry.id.bytes, UUID_SIZE, sum + entry.timestamp_ns);
        sum = hash_bytes_seeded(entry.message.data, entry.message.length, sum);
    }
    block_destroy(block);
    return result;
}

static int add_span(void *argument, const struct span *span) {
    (void)argument;
    sum = hash_bytes_seeded(span->record.span_id, sizeof(span->record.span_id), sum + span->record.start_ns);
    sum = hash_bytes_seeded(span->record.status.data, span->record.status.length, sum);
    return 0;
}

/* Each trace by its starts: whatever leads to a span counts. */
static int add_spans(struct store_reader *reader) {
    struct span_walk *walk;
    struct partition_span_time time;
    int result = span_walk_open(reader, UINT64_MAX, &walk, &error);
    if (result < 0)
        return result;
    while (result == 0 && (result = span_walk_next(walk, &time, &error)) == 1) {
        sum = hash_bytes_seeded(&time, sizeof(time), sum);
        result = store_reader_trace(reader, time.trace_id, add_span, NULL, &error);
    }
    span_walk_close(walk);
    return result;
}

static uint64_t content_sum(void) {
    struct store_reader *reader;
    sum = 1;
    if (store_reader_open(fixture_folder, NULL, NULL, &reader, &error) < 0)
        return 0;
    if (store_reader_walk(reader, 0, UINT64_MAX, false, add_block, reader, &error) < 0 ||
        store_reader_state_walk(reader, TEXT_EMPTY, add_state, NULL, &error) < 0 || add_spans(reader) < 0)
        sum = 0;
    store_reader_close(reader);
    return sum;
}

static void what_it_does_not_find_changes_nothing(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    struct partition *partition = fixture_create(path, 1);
    struct partition_txn *txn = fixture_begin(partition, true); /* one transaction: few pages stay free */
    for (uint64_t i = 1; i < 2000; i += 400) {
        _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
        make_block(i, 400, &block, &index);
        must(partition_block_put(txn, i, buffer_text(&block), buffer_text(&index), &error));
    }
    must(partition_state_put(txn, TEXT_LITERAL("lane/1"), TEXT_LITERAL("position"), &error));
    for (uint8_t i = 0; i < 12; i++) {
        struct span span = make_span(i % 5, i, i * 10);
        put_span(txn, i, &span);
    }
    must(partition_commit(txn, &error));
    partition_close(partition);
    uint64_t good = content_sum();
    verify();
    assert_int_equal(faults, 0);
    int fd = open(path, O_RDWR);
    struct stat status;
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    unsigned seed = 11, found = 0;
    for (off_t page = 0; page < status.st_size; page += 4096)
        for (int i = 0; i < 6; i++) {
            off_t at = page + (off_t)(i % 2 ? (unsigned)rand_r(&seed) % 4096 : (unsigned)rand_r(&seed) % 160);
            unsigned char before, after;
            assert_int_equal(pread(fd, &before, 1, at), 1);
            after = before ^ (unsigned char)(1 << rand_r(&seed) % 8);
            assert_int_equal(pwrite(fd, &after, 1, at), 1);
            verify();
            found += faults > 0;
            if (faults == 0 && content_sum() != good)
                fail_msg("byte %lld: %02x instead of %02x is not found", (long long)at, after, before);
            assert_int_equal(pwrite(fd, &before, 1, at), 1);
        }
    close(fd);
    if (found <= 10)
        fail_msg("only %u of the flips in %lld pages were found", found, (long long)status.st_size / 4096);
    verify();
    assert_int_equal(faults, 0);
}

static void finds_a_cut_at_every_page(void **state) {
    (void)state;
    char path[PARTITION_PATH_MAX];
    snprintf(path, sizeof(path), "%s", fixture_path(1));
    struct partition *partition = fixture_create(path, 1);
    put_entries(partition, 1, 500);
    partition_close(partition);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    for (off_t size = status.st_size - 4096; size >= 0; size -= 4096) {
        assert_int_equal(truncate(path, size), 0);
        assert_fault("");
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_sound_store_has_no_faults),
        test(finds_missing_and_overlapping_sequences),
        test(finds_entries_missing_between_partitions),
        test(finds_an_index_that_tells_of_another_block),
        test(finds_what_the_index_says_wrongly),
        test(finds_a_block_that_strayed_to_another_sequence),
        test(sound_spans_have_no_faults),
        test(finds_spans_that_are_damaged_missing_or_not_to_be_found),
        test(what_it_does_not_find_changes_nothing),
        test(finds_a_cut_at_every_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
