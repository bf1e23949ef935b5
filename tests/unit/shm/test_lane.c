#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/record.h"
#include "common/shm/lane.h"

enum { SIZE = 4096, EIGHTH = SIZE / LANE_LARGE_SHARE };

struct fixture {
    struct lane_header header;
    char data[SIZE];
    struct lane_writer writer;
};

static int setup(void **state) {
    struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);
    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    memset(f->data, 0xa5, sizeof(f->data));
    f->header.head = f->header.tail = LANE_POSITION_START;
    assert_int_equal(lane_writer_init(&f->writer, &f->header, f->data, SIZE, false), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static uint64_t head_of(struct fixture *f) {
    uint64_t head = 0;
    assert_int_equal(lane_head(&f->header, SIZE, f->header.tail, &head), 0);
    return head;
}

/* Write one whole record of `size` bytes; its position, or 0 when there was no room. */
static uint64_t put(struct fixture *f, uint32_t size, enum level level) {
    uint64_t position = 0;
    char *span = lane_claim(&f->writer, size, level, &position);
    if (!span)
        return 0;
    struct record_header header = {
        .length = size, .kind = RECORD_ENTRY, .version = RECORD_VERSION, .position = position
    };
    memset(span, 0x11, size);
    memcpy(span, &header, sizeof(header));
    lane_commit(&f->writer, size);
    return position;
}

/* Stand the lane, empty, so that `rest` bytes are left of the lap. */
static void stand_before_the_wrap(struct fixture *f, uint64_t rest) {
    f->header.head = f->header.tail = (uint64_t)10 * SIZE - rest;
    assert_int_equal(lane_writer_init(&f->writer, &f->header, f->data, SIZE, false), 0);
}

static void shows_nothing_before_the_commit(void **state) {
    struct fixture *f = *state;
    uint64_t position;
    assert_non_null(lane_claim(&f->writer, 64, LEVEL_INFO, &position));
    assert_int_equal(position, LANE_POSITION_START);
    assert_int_equal(head_of(f), LANE_POSITION_START);
    lane_commit(&f->writer, 64);
    assert_int_equal(head_of(f), LANE_POSITION_START + 64);
}

static void a_second_claim_without_commit_replaces_the_first(void **state) {
    struct fixture *f = *state;
    uint64_t first, second;
    void *a = lane_claim(&f->writer, 64, LEVEL_INFO, &first);
    void *b = lane_claim(&f->writer, 128, LEVEL_INFO, &second);
    assert_ptr_equal(a, b);
    assert_int_equal(first, second);
}

static void publishes_fewer_bytes_than_claimed(void **state) {
    struct fixture *f = *state;
    uint64_t position;
    assert_non_null(lane_claim(&f->writer, 256, LEVEL_INFO, &position));
    lane_commit(&f->writer, 40);
    assert_int_equal(put(f, 64, LEVEL_INFO), position + 40);
}

static void copies_what_was_written_in_order(void **state) {
    struct fixture *f = *state;
    char out[SIZE];
    put(f, 64, LEVEL_INFO);
    put(f, 96, LEVEL_INFO);
    lane_copy(f->data, SIZE, LANE_POSITION_START, head_of(f), out);
    struct record_header a, b;
    memcpy(&a, out, sizeof(a));
    memcpy(&b, out + 64, sizeof(b));
    assert_int_equal(a.position, LANE_POSITION_START);
    assert_int_equal(b.position, LANE_POSITION_START + 64);
    assert_int_equal(b.length, 96);
}

static void copies_a_span_that_crosses_the_wrap_in_two_parts(void **state) {
    struct fixture *f = *state;
    char out[16];
    memcpy(f->data + SIZE - 8, "ABCDEFGH", 8);
    memcpy(f->data, "abcdefgh", 8);
    lane_copy(f->data, SIZE, 3 * SIZE - 8, 3 * SIZE + 8, out);
    assert_memory_equal(out, "ABCDEFGHabcdefgh", 16);
    lane_copy(f->data, SIZE, SIZE, SIZE, out); /* nothing at all */
}

/* Filling with records of an eighth from an empty lane at a lap's start: how many fit is the level's share. */
static unsigned fill(struct fixture *f, uint32_t size, enum level level) {
    unsigned count = 0;
    while (count < 1000 && put(f, size, level) != 0)
        count++;
    return count;
}

static void trace_and_debug_fill_half_a_lane(void **state) {
    struct fixture *f = *state;
    assert_int_equal(fill(f, 64, LEVEL_DEBUG), SIZE / 2 / 64);
    assert_int_equal(fill(f, 64, LEVEL_TRACE), 0);
    assert_int_equal(head_of(f), LANE_POSITION_START + SIZE / 2);
}

static void info_fills_three_quarters_and_warn_seven_eighths(void **state) {
    struct fixture *f = *state;
    assert_int_equal(fill(f, 64, LEVEL_INFO), SIZE * 3 / 4 / 64);
    assert_int_equal(fill(f, 64, LEVEL_WARN), SIZE / 8 / 64);
}

static void errors_find_room_where_info_does_not(void **state) {
    struct fixture *f = *state;
    fill(f, 64, LEVEL_WARN);
    /* the last eighth: 512 bytes, of which the lap's padding takes the last 64 */
    assert_int_equal(fill(f, 64, LEVEL_ERROR), SIZE / 8 / 64 - 1);
    assert_int_equal(fill(f, 64, LEVEL_CRITICAL), 0);
}

static void goes_on_when_the_tail_moves(void **state) {
    struct fixture *f = *state;
    fill(f, 64, LEVEL_ERROR);
    f->header.tail = head_of(f);
    assert_true(put(f, 64, LEVEL_TRACE) != 0);
}

static void a_record_of_an_eighth_always_fits_an_empty_lane(void **state) {
    struct fixture *f = *state;
    for (uint64_t rest = RECORD_HEADER_SIZE; rest <= SIZE; rest += 8) {
        stand_before_the_wrap(f, rest);
        assert_true(put(f, EIGHTH, LEVEL_TRACE) != 0);
    }
}

static void pads_to_the_wrap_and_publishes_both_at_once(void **state) {
    struct fixture *f = *state;
    stand_before_the_wrap(f, 80);
    uint64_t before = head_of(f), position;
    assert_ptr_equal(lane_claim(&f->writer, 128, LEVEL_INFO, &position), f->data);
    assert_int_equal(position, before + 80);
    assert_int_equal(head_of(f), before); /* the padding alone is never seen */
    lane_commit(&f->writer, 128);
    assert_int_equal(head_of(f), before + 80 + 128);
    struct record_header padding;
    memcpy(&padding, f->data + SIZE - 80, sizeof(padding));
    assert_int_equal(padding.kind, RECORD_PADDING);
    assert_int_equal(padding.length, 80);
    assert_int_equal(padding.position, before);
    assert_int_equal(padding.version, RECORD_VERSION);
}

static void the_end_of_a_lap_always_has_room_for_a_header(void **state) {
    struct fixture *f = *state;
    /* whatever the record's size and the place: what follows it in its lap is 0 < 24 never, but 24 at least */
    for (uint64_t rest = RECORD_HEADER_SIZE; rest <= 256; rest += 8)
        for (uint32_t size = RECORD_HEADER_SIZE; size <= 256; size += 8) {
            stand_before_the_wrap(f, rest);
            uint64_t position = put(f, size, LEVEL_ERROR);
            assert_true(position != 0);
            assert_true(position % SIZE + size <= SIZE);
            assert_true(SIZE - head_of(f) % SIZE >= RECORD_HEADER_SIZE);
        }
}

static void padding_counts_against_the_levels_share(void **state) {
    struct fixture *f = *state;
    stand_before_the_wrap(f, 1024);
    f->header.tail -= SIZE / 2 - 512; /* 512 bytes left for debug */
    assert_int_equal(lane_writer_init(&f->writer, &f->header, f->data, SIZE, false), 0);
    assert_true(put(f, 448, LEVEL_DEBUG) != 0);
    f->header.head = f->header.head + 496; /* 80 before the wrap */
    f->header.tail = f->header.head - (SIZE / 2 - 120);
    assert_int_equal(lane_writer_init(&f->writer, &f->header, f->data, SIZE, false), 0);
    assert_int_equal(put(f, 64, LEVEL_DEBUG), 0); /* 80 of padding and 64: more than 120 */
    assert_true(put(f, 48, LEVEL_DEBUG) != 0);    /* before the padding */
}

static void a_new_owner_goes_on_behind_the_old_ones_garbage(void **state) {
    struct fixture *f = *state;
    put(f, 64, LEVEL_INFO);
    uint64_t position;
    char *span = lane_claim(&f->writer, 256, LEVEL_INFO, &position); /* its owner dies in here */
    memset(span, 0xff, 256);
    struct lane_writer next;
    assert_int_equal(lane_writer_init(&next, &f->header, f->data, SIZE, false), 0);
    uint64_t again;
    assert_non_null(lane_claim(&next, 64, LEVEL_INFO, &again));
    assert_int_equal(again, position);
    assert_int_equal(again, LANE_POSITION_START + 64);
}

static void an_owner_killed_behind_its_padding_published_nothing(void **state) {
    struct fixture *f = *state;
    stand_before_the_wrap(f, 80);
    uint64_t before = head_of(f), position;
    assert_non_null(lane_claim(&f->writer, 128, LEVEL_INFO, &position));
    struct lane_writer next;
    assert_int_equal(lane_writer_init(&next, &f->header, f->data, SIZE, false), 0);
    assert_non_null(lane_claim(&next, 24, LEVEL_INFO, &position));
    assert_int_equal(position, before); /* a small record still goes where the padding was meant */
}

static void refuses_a_lane_whose_positions_make_no_sense(void **state) {
    struct fixture *f = *state;
    static const struct {
        uint64_t head, tail;
    } bad[] = {
        { 4096, 8192 },       { 4096 + SIZE + 8, 4096 }, { 4100, 4096 },      { 4104, 4097 },
        { UINT64_MAX, 4096 }, { 8192 - 8, 4096 },        { 8192 - 16, 4096 },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->header.head = bad[i].head;
        f->header.tail = bad[i].tail;
        struct lane_writer writer;
        assert_int_equal(lane_writer_init(&writer, &f->header, f->data, SIZE, false), -EBADMSG);
    }
}

static void a_scribbled_tail_gives_no_room(void **state) {
    struct fixture *f = *state;
    fill(f, 64, LEVEL_ERROR);
    static const uint64_t bad[] = { 0, UINT64_MAX, (uint64_t)1 << 63, LANE_POSITION_START + 2 * SIZE };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->header.tail = bad[i];
        assert_int_equal(put(f, 64, LEVEL_ERROR), 0);
    }
}

static void the_reader_refuses_an_impossible_head(void **state) {
    struct fixture *f = *state;
    static const uint64_t bad[] = { 0, LANE_POSITION_START - 8, LANE_POSITION_START + 4, LANE_POSITION_START + SIZE + 8,
                                    UINT64_MAX };
    uint64_t head = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->header.head = bad[i];
        assert_int_equal(lane_head(&f->header, SIZE, LANE_POSITION_START, &head), -EBADMSG);
    }
    assert_int_equal(head, 77);
    f->header.head = LANE_POSITION_START + SIZE;
    assert_int_equal(lane_head(&f->header, SIZE, LANE_POSITION_START, &head), 0);
}

/* A reader that follows a writer through many laps sees every record once, whole, in order. */
static void follows_through_many_laps_without_a_gap(void **state) {
    struct fixture *f = *state;
    uint64_t written = 0, read = 0, from = LANE_POSITION_START;
    uint32_t seed = 7;
    char out[SIZE];
    while (read < 20000) {
        for (unsigned burst = (seed = seed * 1664525 + 1013904223) >> 28; burst > 0; burst--) {
            uint32_t size = 32 + ((seed = seed * 1664525 + 1013904223) >> 16) % ((EIGHTH - 32) / 8) * 8;
            uint64_t position;
            char *span = lane_claim(&f->writer, size, LEVEL_ERROR, &position);
            if (!span)
                break;
            struct record_header header = { .length = size,
                                            .kind = RECORD_ENTRY,
                                            .version = RECORD_VERSION,
                                            .position = position,
                                            .time_ns = ++written };
            memcpy(span, &header, sizeof(header));
            lane_commit(&f->writer, size);
        }
        uint64_t head = head_of(f);
        lane_copy(f->data, SIZE, from, head, out);
        for (uint64_t at = 0; at < head - from;) {
            struct record_header header;
            memcpy(&header, out + at, sizeof(header));
            assert_int_equal(header.position, from + at);
            if (header.kind == RECORD_ENTRY)
                assert_int_equal(header.time_ns, ++read);
            else
                assert_int_equal(header.kind, RECORD_PADDING);
            at += header.length;
        }
        f->header.tail = from = head;
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(shows_nothing_before_the_commit),
        CASE(a_second_claim_without_commit_replaces_the_first),
        CASE(publishes_fewer_bytes_than_claimed),
        CASE(copies_what_was_written_in_order),
        CASE(copies_a_span_that_crosses_the_wrap_in_two_parts),
        CASE(trace_and_debug_fill_half_a_lane),
        CASE(info_fills_three_quarters_and_warn_seven_eighths),
        CASE(errors_find_room_where_info_does_not),
        CASE(goes_on_when_the_tail_moves),
        CASE(a_record_of_an_eighth_always_fits_an_empty_lane),
        CASE(pads_to_the_wrap_and_publishes_both_at_once),
        CASE(the_end_of_a_lap_always_has_room_for_a_header),
        CASE(padding_counts_against_the_levels_share),
        CASE(a_new_owner_goes_on_behind_the_old_ones_garbage),
        CASE(an_owner_killed_behind_its_padding_published_nothing),
        CASE(refuses_a_lane_whose_positions_make_no_sense),
        CASE(a_scribbled_tail_gives_no_room),
        CASE(the_reader_refuses_an_impossible_head),
        CASE(follows_through_many_laps_without_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
