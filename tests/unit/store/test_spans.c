/* Spans in the store: as bytes, in a partition, in all of them; damaged ones; partitions of before there were any. */
#include "common/base/hash.h"
#include "common/base/clock.h"
#include "store_spans.h"

static void assert_same(const struct span *a, const struct span *b) {
    assert_memory_equal(a->record.trace_id, b->record.trace_id, 16);
    assert_memory_equal(a->record.span_id, b->record.span_id, 8);
    assert_memory_equal(a->record.parent_id, b->record.parent_id, 8);
    assert_int_equal(a->record.start_ns, b->record.start_ns);
    assert_int_equal(a->end_ns, b->end_ns);
    assert_int_equal(a->record.thread, b->record.thread);
    assert_int_equal(a->record.failed, b->record.failed);
    assert_int_equal(a->pid, b->pid);
    assert_true(text_equal(a->record.service, b->record.service));
    assert_true(text_equal(a->record.operation, b->record.operation));
    assert_true(text_equal(a->record.status, b->record.status));
    assert_true(text_equal(a->record.metadata, b->record.metadata));
    assert_true(text_equal(a->host, b->host));
}

/* --- as bytes --- */

static void comes_back_as_it_was_encoded(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct span span = make_span(1, 2, 0), bare = { .record = { .span_id = { 1 } }, .end_ns = 1 }, back;
    must(span_encode(&span, 9, &value));
    must(span_decode(buffer_text(&value), 9, &back));
    assert_same(&span, &back);
    buffer_clear(&value);
    must(span_encode(&bare, 0, &value));
    must(span_decode(buffer_text(&value), 0, &back));
    assert_same(&bare, &back);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct span span = make_span(1, 2, 0), back;
    must(span_encode(&span, 9, &value));
    for (size_t bit = 0; bit < value.length * 8; bit++) {
        value.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(span_decode(buffer_text(&value), 9, &back), -EBADMSG);
        value.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < value.length; length++)
        assert_int_equal(span_decode((struct text) { value.data, length }, 9, &back), -EBADMSG);
    assert_int_equal(span_decode(buffer_text(&value), 10, &back), -EBADMSG);
}

/* With a checksum that fits: refused, or a span whose texts lie within the value. */
static void whatever_a_sealed_span_says_is_read_within_its_bounds(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    const struct span span = make_span(1, 2, 3);
    unsigned refused = 0, taken = 0;
    must(span_encode(&span, 7, &value));
    const size_t sealed = value.length - 8;
    for (size_t at = 0; at < sealed; at++) {
        const char kept = value.data[at];
        const char others[] = { 0, 1, 127, (char)0x80, (char)0xff, (char)(kept + 1), (char)(kept - 1) };
        for (size_t i = 0; i < sizeof(others); i++) {
            struct span got;
            value.data[at] = others[i];
            uint64_t sum = hash_bytes_seeded(value.data, sealed, 7);
            memcpy(value.data + sealed, &sum, sizeof(sum));
            int result = span_decode(buffer_text(&value), 7, &got);
            assert_true(result == 0 || result == -EBADMSG || (result == -EPROTO && at < 8));
            refused += result < 0;
            taken += result == 0;
            const struct text texts[] = { got.host, got.record.service, got.record.operation, got.record.status,
                                          got.record.metadata };
            for (size_t t = 0; result == 0 && t < sizeof(texts) / sizeof(texts[0]); t++)
                assert_true(texts[t].length == 0 ||
                            (texts[t].data >= value.data && texts[t].data + texts[t].length <= value.data + sealed));
        }
        value.data[at] = kept;
    }
    assert_true(refused > 50 && taken > 50);
}

static void a_newer_version_is_told_from_damage(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct span span = make_span(1, 2, 0), back;
    must(span_encode(&span, 9, &value));
    value.data[0] = SPAN_CODEC_VERSION + 1;
    uint64_t sum = hash_bytes_seeded(value.data, value.length - 8, 9);
    memcpy(value.data + value.length - 8, &sum, sizeof(sum));
    assert_int_equal(span_decode(buffer_text(&value), 9, &back), -EPROTO);
}

static void what_no_record_takes_is_refused(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    static char long_name[ENTRY_NAME_BYTES + 1];
    struct span span = make_span(1, 2, 0);
    span.record.operation = (struct text) { long_name, sizeof(long_name) };
    assert_int_equal(span_encode(&span, 9, &value), -E2BIG);
    assert_int_equal(value.length, 0);
}

static void json_goes_there_and_back(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    char room[4096];
    struct span span = make_span(0xab, 2, 0), back;
    span_append_json(&json, &span);
    buffer_append_char(&json, '\0');
    assert_string_equal(json.data,
                        "{\"trace_id\":\"ab000000000000000000000000000000\",\"span_id\":\"0000000000000002\","
                        "\"parent_id\":\"0000000000000001\",\"service\":\"billing\",\"operation\":\"charge\","
                        "\"start\":\"2026-11-23T18:15:04.123456789Z\",\"end\":\"2026-11-23T18:15:04.123457789Z\","
                        "\"duration_ms\":0.001,\"failed\":false,\"status\":\"card refused\",\"metadata\":{\"k\":1},"
                        "\"host\":\"host\",\"pid\":42,\"thread\":7}");
    must(span_from_json(text_of(json.data), room, sizeof(room), &back));
    back.record.metadata = span.record.metadata;
    back.record.status = span.record.status;
    assert_same(&span, &back);
    span.end_ns = 0;
    buffer_clear(&json);
    span_append_json(&json, &span);
    must(span_from_json(buffer_text(&json), room, sizeof(room), &back));
    assert_true(span_is_open(&back));
    assert_int_equal(span_from_json(buffer_text(&json), room, 20, &back), -EINVAL);
    assert_int_equal(span_from_json(TEXT_LITERAL("{\"trace_id\":\"x\"}"), room, sizeof(room), &back), -EINVAL);
    assert_int_equal(span_from_json(TEXT_LITERAL("[]"), room, sizeof(room), &back), -EINVAL);
}

/* --- in the store --- */

/* Two partitions: trace 1 in both of them, trace 2 in the first, trace 3 in the second. */
static void make_store(void) {
    static const struct {
        uint8_t trace, number;
        uint64_t start;
    } spans[2][3] = { { { 1, 1, 100 }, { 2, 1, 50 }, { 1, 2, 500 } }, { { 3, 1, 200 }, { 1, 3, 50 }, { 1, 4, 400 } } };
    for (uint64_t p = 0; p < 2; p++) {
        struct partition *partition = fixture_create(fixture_path(1 + p), 1 + p);
        struct partition_txn *txn = fixture_begin(partition, true);
        for (uint64_t i = 0; i < 3; i++) {
            struct span span = make_span(spans[p][i].trace, spans[p][i].number, spans[p][i].start);
            put_span(txn, p * 3 + i, &span);
        }
        must(partition_commit(txn, &error));
        partition_close(partition);
    }
}

static char damage[256];

static void note_damage(void *argument, const char *path, const char *why) {
    (void)argument, (void)path;
    snprintf(damage, sizeof(damage), "%s", why);
}

static struct store_reader *open_reader(void) {
    struct store_reader *reader;
    damage[0] = '\0';
    must(store_reader_open(fixture_folder, note_damage, NULL, &reader, &error));
    return reader;
}

static int note_number(void *argument, const struct span *span) {
    char *numbers = argument;
    size_t length = strlen(numbers);
    numbers[length] = (char)('0' + span->record.span_id[7]);
    numbers[length + 1] = '\0';
    return 0;
}

static const char *numbers_of(struct store_reader *reader, uint8_t trace) {
    static char numbers[64];
    uint8_t id[16] = { trace };
    numbers[0] = '\0';
    must(store_reader_trace(reader, id, note_number, numbers, &error));
    return numbers;
}

static void a_trace_is_put_together_out_of_all_partitions(void **state) {
    (void)state;
    make_store();
    struct store_reader *reader = open_reader();
    assert_string_equal(numbers_of(reader, 1), "1234");
    assert_string_equal(numbers_of(reader, 2), "1");
    assert_string_equal(numbers_of(reader, 3), "1");
    assert_string_equal(numbers_of(reader, 4), "");
    assert_string_equal(numbers_of(reader, 0), "");
    assert_string_equal(damage, "");
    store_reader_close(reader);
}

static void expect_walk(struct store_reader *reader, uint64_t until, const char *expected) {
    struct span_walk *walk;
    struct partition_span_time time;
    char found[256] = "";
    int result;
    must(span_walk_open(reader, until, &walk, &error));
    while ((result = span_walk_next(walk, &time, &error)) == 1) {
        size_t length = strlen(found);
        snprintf(found + length, sizeof(found) - length, "%u@%llu ", time.trace_id[0],
                 (unsigned long long)(time.start_ns - FIXTURE_NOW));
        assert_int_equal(time.service_hash, span_service_hash(TEXT_LITERAL("billing")));
    }
    must(result);
    span_walk_close(walk);
    assert_string_equal(found, expected);
}

static void spans_are_walked_by_their_start_over_all_partitions(void **state) {
    (void)state;
    make_store();
    struct store_reader *reader = open_reader();
    expect_walk(reader, UINT64_MAX, "1@500 1@400 3@200 1@100 1@50 2@50 ");
    expect_walk(reader, FIXTURE_NOW + 200, "1@100 1@50 2@50 ");
    expect_walk(reader, FIXTURE_NOW + 201, "3@200 1@100 1@50 2@50 ");
    expect_walk(reader, 0, "");
    store_reader_close(reader);
}

static void many_spans_are_walked_in_more_than_one_step(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    struct partition_txn *txn = fixture_begin(partition, true);
    enum { MANY = 1000 };
    for (uint64_t i = 0; i < MANY; i++) {
        struct span span = make_span(1, 1, i / 3 * 10);
        put_span(txn, i, &span);
    }
    must(partition_commit(txn, &error));
    partition_close(partition);
    struct store_reader *reader = open_reader();
    struct span_walk *walk;
    struct partition_span_time time;
    must(span_walk_open(reader, UINT64_MAX, &walk, &error));
    for (uint64_t i = MANY; i-- > 0;) {
        assert_int_equal(span_walk_next(walk, &time, &error), 1);
        assert_int_equal(time.sequence, i);
    }
    assert_int_equal(span_walk_next(walk, &time, &error), 0);
    span_walk_close(walk);
    static char numbers[MANY + 1];
    uint8_t id[16] = { 1 };
    numbers[0] = '\0';
    must(store_reader_trace(reader, id, note_number, numbers, &error));
    assert_int_equal(strlen(numbers), MANY);
    store_reader_close(reader);
}

/* Change `from` to `to`, as long, wherever it stands in the file. */
static unsigned patch(const char *path, const char *from, const char *to, size_t size) {
    struct stat status;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size);
    unsigned count = 0;
    assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    for (char *at = bytes; (at = memmem(at, (size_t)(bytes + status.st_size - at), from, size)); at += size, count++)
        memcpy(at, to, size);
    assert_int_equal(pwrite(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    close(fd);
    free(bytes);
    return count;
}

static void a_damaged_span_is_told_of_and_the_others_are_there(void **state) {
    (void)state;
    make_store();
    assert_true(patch(fixture_path(2), "card refused", "card repused", 12) >= 3);
    struct store_reader *reader = open_reader();
    assert_string_equal(numbers_of(reader, 1), "12");
    assert_non_null(strstr(damage, "is damaged"));
    store_reader_close(reader);
}

/* None of the names of their databases is there. */
static void hide_spans(const char *path) {
    assert_true(patch(path, "span_times", "spam_times", 10) > 0);
    assert_true(patch(path, "span_traces", "spam_traces", 11) > 0);
    assert_true(patch(path, "spans", "spams", 5) > 0);
}

/* As before there were spans. */
static void make_old(const char *path) {
    struct partition *partition;
    struct partition_meta meta;
    must(partition_open(path, PARTITION_WRITE, FIXTURE_MAP, &partition, &error));
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_meta_get(txn, &meta, &error));
    meta.version = 1;
    must(partition_meta_put(txn, &meta, &error));
    must(partition_commit(txn, &error));
    partition_close(partition);
    hide_spans(path);
}

static void spans_whose_database_is_hidden_are_told_of(void **state) {
    (void)state;
    make_store();
    hide_spans(fixture_path(1));
    struct store_reader *reader = open_reader();
    assert_string_equal(numbers_of(reader, 1), "34");
    assert_non_null(strstr(damage, "spans"));
    store_reader_close(reader);
}

static void a_partition_of_before_there_were_spans_has_none(void **state) {
    (void)state;
    make_store();
    make_old(fixture_path(1));
    struct store_reader *reader = open_reader();
    assert_string_equal(numbers_of(reader, 1), "34");
    expect_walk(reader, UINT64_MAX, "1@400 3@200 1@50 ");
    assert_string_equal(damage, "");
    store_reader_close(reader);
}

static void an_old_partition_gets_spans_once_it_is_written_and_readers_see_them(void **state) {
    (void)state;
    struct partition *partition;
    make_store();
    make_old(fixture_path(2));
    struct store_reader *reader = open_reader();
    assert_string_equal(numbers_of(reader, 1), "12");
    fflush(NULL);
    pid_t writer = fork(); /* a process opens a file once */
    if (writer == 0) {
        if (partition_open(fixture_path(2), PARTITION_WRITE, FIXTURE_MAP, &partition, &error) < 0)
            _exit(1);
        struct partition_txn *txn = fixture_begin(partition, true);
        struct span span = make_span(1, 7, 10);
        put_span(txn, 9, &span);
        _exit(partition_commit(txn, &error) < 0);
    }
    int status = 1;
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    assert_string_equal(numbers_of(reader, 1), "127");
    assert_string_equal(numbers_of(reader, 1), "127");
    assert_string_equal(damage, "");
    store_reader_close(reader);
}

/* --- the room that a commit takes before it --- */

static void many_small_spans_do_not_make_the_file_many_times_as_large(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    struct stat status;
    for (uint64_t commit = 0; commit < 4; commit++) {
        struct partition_txn *txn = fixture_begin(partition, true);
        for (uint64_t i = 0; i < 2000; i++) {
            struct span span = make_span((uint8_t)(i * 37), (uint8_t)i, i);
            put_span(txn, commit * 2000 + i, &span);
        }
        must(partition_commit(txn, &error));
    }
    assert_int_equal(stat(fixture_path(1), &status), 0);
    uint64_t used = partition_used_size(partition);
    assert_true(used > 1 << 20);
    assert_true((uint64_t)status.st_size >= used);
    if ((uint64_t)status.st_size > 4 * used)
        fail_msg("%llu bytes of file, %llu used", (unsigned long long)status.st_size, (unsigned long long)used);
    partition_close(partition);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was_encoded),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(whatever_a_sealed_span_says_is_read_within_its_bounds),
        cmocka_unit_test(a_newer_version_is_told_from_damage),
        cmocka_unit_test(what_no_record_takes_is_refused),
        cmocka_unit_test(json_goes_there_and_back),
        test(a_trace_is_put_together_out_of_all_partitions),
        test(spans_are_walked_by_their_start_over_all_partitions),
        test(many_spans_are_walked_in_more_than_one_step),
        test(a_damaged_span_is_told_of_and_the_others_are_there),
        test(spans_whose_database_is_hidden_are_told_of),
        test(a_partition_of_before_there_were_spans_has_none),
        test(an_old_partition_gets_spans_once_it_is_written_and_readers_see_them),
        test(many_small_spans_do_not_make_the_file_many_times_as_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
