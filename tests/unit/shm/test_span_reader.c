#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/shm/ring_reader.h"

enum { SIZE = 4096 };

struct fixture {
    struct lane_header header;
    char data[SIZE];
    char copy[SIZE];
    struct lane_writer writer;
    struct span_reader reader;
};

static int setup(void **state) {
    struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);
    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    f->header.head = f->header.tail = 2 * SIZE - 512; /* the wrap is near */
    assert_int_equal(lane_writer_init(&f->writer, &f->header, f->data, SIZE, false), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

/* Claim more than enough, encode, commit what it took: as the client does for the small kinds. */
static void put(struct fixture *f, struct record record) {
    char *span = lane_claim(&f->writer, 256, LEVEL_ERROR, &record.position);
    assert_non_null(span);
    int length = record_encode(&record, span, 256);
    assert_true(length > 0);
    lane_commit(&f->writer, (uint32_t)length);
}

static struct record note(uint64_t count) {
    return (struct record) { .kind = RECORD_LOSS_NOTE,
                             .time_ns = 5,
                             .loss_note = { .service = TEXT_LITERAL("s"),
                                            .reason = TEXT_LITERAL("lane_full"),
                                            .level = LEVEL_INFO,
                                            .count = count } };
}

static struct record hello(const char *service, uint32_t pid) {
    return (struct record) { .kind = RECORD_PROCESS_HELLO,
                             .process_hello = { .service = text_of(service), .pid = pid } };
}

static void read_all(struct fixture *f) {
    uint64_t head = 0, tail = f->header.tail;
    assert_int_equal(lane_head(&f->header, SIZE, tail, &head), 0);
    lane_copy(f->data, SIZE, tail, head, f->copy);
    f->reader = (struct span_reader) { .bytes = f->copy, .position = tail, .end = head };
}

static void gives_the_records_in_order_and_skips_padding(void **state) {
    struct fixture *f = *state;
    struct record record;
    for (uint64_t i = 1; i <= 12; i++) /* across the wrap */
        put(f, note(i));
    read_all(f);
    assert_true(f->reader.end > 2 * SIZE);
    for (uint64_t i = 1; i <= 12; i++) {
        assert_int_equal(span_reader_next(&f->reader, &record), 1);
        assert_int_equal(record.kind, RECORD_LOSS_NOTE);
        assert_int_equal(record.loss_note.count, i);
        assert_true(text_is(record.loss_note.reason, "lane_full"));
    }
    assert_int_equal(span_reader_next(&f->reader, &record), 0);
    assert_int_equal(span_reader_next(&f->reader, &record), 0);
    assert_int_equal(f->reader.position, f->reader.end);
}

static void an_empty_span_is_at_its_end(void **state) {
    struct fixture *f = *state;
    struct record record;
    read_all(f);
    assert_int_equal(span_reader_next(&f->reader, &record), 0);
}

static void a_hello_names_the_records_behind_it(void **state) {
    struct fixture *f = *state;
    struct record record;
    put(f, note(1));
    put(f, hello("first", 11));
    put(f, note(2));
    put(f, hello("second", 22));
    put(f, note(3));
    read_all(f);
    assert_int_equal(span_reader_next(&f->reader, &record), 1);
    assert_false(f->reader.has_hello);
    assert_int_equal(span_reader_next(&f->reader, &record), 1);
    assert_true(f->reader.has_hello && f->reader.hello.pid == 11);
    assert_true(text_is(f->reader.hello.service, "first"));
    assert_int_equal(span_reader_next(&f->reader, &record), 1);
    assert_true(text_is(f->reader.hello.service, "second"));
    assert_int_equal(record.loss_note.count, 3);
}

static void stale_bytes_of_an_earlier_lap_are_refused(void **state) {
    struct fixture *f = *state;
    struct record record;
    put(f, note(1));
    put(f, note(2));
    read_all(f);
    struct record_header header;
    memcpy(&header, f->copy, sizeof(header));
    uint64_t lap_before = header.position - SIZE;
    memcpy(f->copy + header.length + offsetof(struct record_header, position), &lap_before, sizeof(lap_before));
    assert_int_equal(span_reader_next(&f->reader, &record), 1);
    assert_int_equal(span_reader_next(&f->reader, &record), -EBADMSG);
    assert_int_equal(span_reader_next(&f->reader, &record), -EBADMSG); /* and it stays there */
}

static void every_flipped_byte_ends_in_records_or_a_refusal(void **state) {
    struct fixture *f = *state;
    struct record record;
    char good[SIZE];
    put(f, hello("svc", 1));
    for (uint64_t i = 1; i <= 8; i++)
        put(f, note(i));
    read_all(f);
    struct span_reader start = f->reader;
    size_t length = start.end - start.position;
    memcpy(good, f->copy, length);
    for (size_t i = 0; i < length; i++)
        for (int bit = 0; bit < 8; bit++) {
            f->copy[i] = (char)(good[i] ^ 1 << bit);
            struct span_reader reader = start;
            int result = 1;
            for (size_t steps = 0; result == 1; steps++) {
                assert_true(steps <= length / RECORD_HEADER_SIZE);
                result = span_reader_next(&reader, &record);
            }
            assert_true(result == 0 || result == -EBADMSG);
            f->copy[i] = good[i];
        }
}

static void a_record_beyond_the_span_is_refused(void **state) {
    struct fixture *f = *state;
    struct record record;
    put(f, note(1));
    read_all(f);
    struct span_reader start = f->reader;
    for (uint64_t cut = 1; cut < start.end - start.position; cut++) {
        f->reader = start;
        f->reader.end -= cut;
        assert_int_equal(span_reader_next(&f->reader, &record), -EBADMSG);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(gives_the_records_in_order_and_skips_padding),
        CASE(an_empty_span_is_at_its_end),
        CASE(a_hello_names_the_records_behind_it),
        CASE(stale_bytes_of_an_earlier_lap_are_refused),
        CASE(every_flipped_byte_ends_in_records_or_a_refusal),
        CASE(a_record_beyond_the_span_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
