/* Lanes that overwrite, read by copying. */
#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>

#include "common/shm/ring_reader.h"

struct setup {
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    char *room;
    uint64_t next; /* the number of the next record */
};

static void setup_open(const struct ring_fixture *f, struct setup *s) {
    memset(s, 0, sizeof(*s));
    assert_int_equal(map_guard_install(NULL), 0);
    fixture_attach(f, &s->ring);
    assert_int_equal(ring_slot_claim(&s->ring, TEXT_LITERAL("billing"), 0, &s->claim), 0);
    assert_int_equal(ring_lane_claim(&s->ring, &s->claim, true, &s->writer, &s->lane), 0);
    s->room = malloc(RING_LANE_SIZE);
    assert_non_null(s->room);
}

static void setup_close(struct setup *s) {
    free(s->room);
    ring_finish(&s->ring);
}

/* Number `next` as timestamp and as the message's bytes. Returns its position. */
static uint64_t put(struct setup *s, size_t length) {
    static char message[8192];
    struct record_entry record = { .entry = { .timestamp_ns = s->next, .level = LEVEL_DEBUG } };
    uint64_t position;
    uint32_t size;
    memset(message, (int)('a' + s->next % 26), length);
    record.entry.message = (struct text) { message, length };
    assert_int_equal(record_entry_size(&record, &size), 0);
    void *span = lane_claim(&s->writer, size, LEVEL_DEBUG, &position);
    assert_non_null(span);
    record_entry_encode(&record, position, 1000 + s->next, span, size);
    lane_commit(&s->writer, size);
    s->next++;
    return position;
}

static void is_number(const char *bytes, const struct record_header *header, uint64_t number) {
    struct record record;
    assert_int_equal(record_decode(bytes, header->length, header->position, &record), 0);
    assert_int_equal(record.kind, RECORD_ENTRY);
    assert_int_equal(record.entry.entry.timestamp_ns, number);
    assert_int_equal(header->time_ns, 1000 + number);
    struct text message = record.entry.entry.message;
    for (size_t i = 0; i < message.length; i++)
        assert_int_equal(message.data[i], 'a' + number % 26);
}

/* Read what is there from `from` on: records one behind the other, the last of all the last. Gives the first's number. */
static uint64_t read_back(struct setup *s, uint64_t from, uint64_t *ret_count) {
    struct recorder_reader reader;
    struct record_header header;
    const char *bytes;
    uint64_t first = UINT64_MAX, count = 0;
    assert_int_equal(ring_reader_recorder(&s->ring, s->lane, from, s->room, &reader), 0);
    while ((bytes = recorder_reader_next(&reader, &header))) {
        if (count == 0) {
            struct record record;
            assert_int_equal(record_decode(bytes, header.length, header.position, &record), 0);
            first = record.entry.entry.timestamp_ns;
        }
        assert_true(header.position >= from);
        is_number(bytes, &header, first + count++);
    }
    assert_int_equal(reader.position, reader.end);
    if (count > 0)
        assert_int_equal(first + count, s->next);
    *ret_count = count;
    return first;
}

static void gives_all_records_of_the_first_lap_in_order(void **state) {
    struct setup s;
    uint64_t count;
    setup_open(*state, &s);
    read_back(&s, LANE_POSITION_START, &count);
    assert_int_equal(count, 0);
    for (int i = 0; i < 100; i++)
        put(&s, 50);
    assert_int_equal(read_back(&s, LANE_POSITION_START, &count), 0);
    assert_int_equal(count, 100);
    setup_close(&s);
}

static void goes_on_from_where_it_is_told(void **state) {
    struct setup s;
    uint64_t count, position = 0;
    setup_open(*state, &s);
    for (int i = 0; i < 100; i++) {
        uint64_t at = put(&s, 50);
        if (i == 60)
            position = at;
    }
    assert_int_equal(read_back(&s, position, &count), 60);
    assert_int_equal(count, 40);
    read_back(&s, s.writer.head, &count);
    assert_int_equal(count, 0);
    setup_close(&s);
}

/* Whatever lengths the records have, of each lap and of the rest of the one before it nearly all is there. */
static void of_an_overwritten_lane_it_gives_the_present_lap_and_the_rest_of_the_last(void **state) {
    struct setup s;
    setup_open(*state, &s);
    for (int i = 0; i < 30000; i++) {
        put(&s, (size_t)(i * 37 % 900 + (i % 50 == 0 ? 6000 : 1)));
        if (i % 331 != 0)
            continue;
        uint64_t count, held = s.writer.head - LANE_POSITION_START;
        uint64_t first = read_back(&s, LANE_POSITION_START, &count);
        if (held <= RING_LANE_SIZE)
            assert_int_equal(first, 0);
        else
            assert_true(count > RING_LANE_SIZE / 1200);
    }
    assert_true(s.writer.head > 20 * RING_LANE_SIZE);
    setup_close(&s);
}

static void what_is_just_being_overwritten_is_left_out(void **state) {
    struct setup s;
    uint64_t count, position;
    setup_open(*state, &s);
    while (s.writer.head < 3 * RING_LANE_SIZE + RING_LANE_SIZE / 2)
        put(&s, 100);
    uint64_t before = read_back(&s, LANE_POSITION_START, &count);
    char *span = lane_claim(&s.writer, 1024, LEVEL_DEBUG, &position);
    memset(span, 'x', 1024); /* and no commit: killed here, or about to go on */
    uint64_t first = read_back(&s, LANE_POSITION_START, &count);
    assert_true(first > before && first <= before + 7);
    /* the same across a lap's end, where the rest of the lap is padding */
    while (s.writer.size - s.writer.head % s.writer.size >= 1024 + RECORD_HEADER_SIZE)
        put(&s, 100);
    before = read_back(&s, LANE_POSITION_START, &count);
    span = lane_claim(&s.writer, 4096, LEVEL_DEBUG, &position);
    assert_int_equal(position % s.writer.size, 0);
    memset(span, 'x', 4096);
    first = read_back(&s, LANE_POSITION_START, &count);
    assert_true(first > before && first <= before + 35);
    setup_close(&s);
}

static void what_an_earlier_owner_left_is_not_taken_for_new(void **state) {
    struct setup s;
    struct lane_state lane;
    struct lane_writer again;
    uint64_t count;
    setup_open(*state, &s);
    for (int i = 0; i < 9000; i++)
        put(&s, 120);
    ring_lane_release(&s.ring, &s.claim, s.lane);
    assert_int_equal(ring_reader_lane(&s.ring, s.lane, &lane), 0);
    assert_true(lane.recorder && lane.released && lane.head - lane.tail > RING_LANE_SIZE);
    assert_int_equal(ring_reader_lane_free(&s.ring, s.lane, lane.owner), -EBUSY);
    assert_int_equal(ring_reader_set_tail(&s.ring, s.lane, lane.head), 0);
    assert_int_equal(ring_reader_lane_free(&s.ring, s.lane, lane.owner), 0);
    uint32_t index;
    assert_int_equal(ring_lane_claim(&s.ring, &s.claim, true, &again, &index), 0);
    assert_int_equal(index, s.lane);
    read_back(&s, lane.head, &count);
    assert_int_equal(count, 0);
    setup_close(&s);
}

/* --- hostile --- */

static void heads_that_make_no_sense_are_refused(void **state) {
    struct setup s;
    struct recorder_reader reader;
    setup_open(*state, &s);
    put(&s, 10);
    atomic_store(&s.writer.header->head, LANE_POSITION_START - 8);
    assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), -EBADMSG);
    atomic_store(&s.writer.header->head, LANE_POSITION_START + 4);
    assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), -EBADMSG);
    atomic_store(&s.writer.header->head, UINT64_MAX - 7);
    assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), 0);
    setup_close(&s);
}

static void whatever_claimed_is_nothing_is_read_that_may_be_torn(void **state) {
    static const uint64_t values[] = {
        UINT64_MAX, UINT64_MAX - 3, 0, 5, LANE_POSITION_START + RING_LANE_SIZE + 12, 2 * RING_LANE_SIZE, 1
    };
    struct setup s;
    struct recorder_reader reader;
    struct record_header header;
    setup_open(*state, &s);
    while (s.writer.head < RING_LANE_SIZE - 4096)
        put(&s, 10);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        atomic_store(&s.writer.header->claimed, values[i]);
        assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), 0);
        assert_true(reader.position % RECORD_ALIGN == 0 && reader.position <= reader.end);
        assert_int_equal(reader.end, s.writer.head);
        bool some = recorder_reader_next(&reader, &header);
        assert_int_equal(some, values[i] <= LANE_POSITION_START + RING_LANE_SIZE + 12);
    }
    setup_close(&s);
}

static void scribbled_bytes_are_passed_over(void **state) {
    struct setup s;
    struct recorder_reader reader;
    struct record_header header;
    uint64_t middle = 0;
    setup_open(*state, &s);
    for (int i = 0; i < 100; i++) {
        uint64_t at = put(&s, 50);
        if (i == 50)
            middle = at;
    }
    char *there = s.writer.data + middle % s.writer.size;
    memset(there, 0xff, RECORD_HEADER_SIZE);
    unsigned count = 0;
    assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), 0);
    while (recorder_reader_next(&reader, &header))
        count++;
    assert_int_equal(count, 99);
    for (uint64_t at = 0; at < s.writer.size; at++) /* nothing but garbage */
        s.writer.data[at] = (char)(at * 2654435761U >> 7);
    atomic_store(&s.writer.header->head, 5 * RING_LANE_SIZE);
    assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), 0);
    assert_null(recorder_reader_next(&reader, &header));
    setup_close(&s);
}

static void a_cut_file_is_an_error(void **state) {
    struct setup s;
    struct recorder_reader reader;
    const struct ring_fixture *f = *state;
    uint32_t wanted;
    setup_open(f, &s);
    put(&s, 10);
    assert_int_equal(truncate(f->path, 4096), 0);
    assert_int_equal(ring_reader_recorder(&s.ring, s.lane, LANE_POSITION_START, s.room, &reader), -EFAULT);
    assert_int_equal(ring_reader_recorder_wanted(&s.ring, 0, &wanted), -EFAULT);
    setup_close(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(gives_all_records_of_the_first_lap_in_order),
        TEST(goes_on_from_where_it_is_told),
        TEST(of_an_overwritten_lane_it_gives_the_present_lap_and_the_rest_of_the_last),
        TEST(what_is_just_being_overwritten_is_left_out),
        TEST(what_an_earlier_owner_left_is_not_taken_for_new),
        TEST(heads_that_make_no_sense_are_refused),
        TEST(whatever_claimed_is_nothing_is_read_that_may_be_torn),
        TEST(scribbled_bytes_are_passed_over),
        TEST(a_cut_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
