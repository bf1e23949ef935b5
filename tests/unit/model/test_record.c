/* Every record kind there and back, and nothing hostile through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/model/record.h"

#define T TEXT_LITERAL
#define POSITION UINT64_C(0x1122334455667788)
#define TIME UINT64_C(1795457704123456789)

static char room[RECORD_SIZE_MAX] __attribute__((aligned(8)));

static struct record entry_record(void) {
    struct record record = { .kind = RECORD_ENTRY,
                             .position = POSITION,
                             .time_ns = TIME,
                             .entry = {
                                 .entry = { .timestamp_ns = TIME - 5,
                                            .level = LEVEL_ERROR,
                                            .service = T("queue"),
                                            .module = T("worker"),
                                            .operation = T("run"),
                                            .message = T("it broke"),
                                            .trace_id = T("trace"),
                                            .span_id = T("span"),
                                            .correlation_id = T("correlation"),
                                            .metadata = T("\x81\xa1"
                                                          "a\x01"),
                                            .error_details = T("\xc3") },
                                 .has_position = true,
                                 .position = { .input = T("tail"), .key = T("8:1:77"), .value = T("123456") } } };
    uuid_parse(T("0190163d-8694-739b-aea5-966c26f8ad91"), &record.entry.entry.id);
    uuid_parse(T("11111111-1111-1111-1111-111111111111"), &record.entry.entry.user_id);
    uuid_parse(T("22222222-2222-2222-2222-222222222222"), &record.entry.entry.organization_id);
    return record;
}

static size_t encode(const struct record *record) {
    memset(room, 0xee, sizeof(room));
    int length = record_encode(record, room, sizeof(room));
    assert_true(length > 0 && length < RECORD_SIZE_MAX && length % RECORD_ALIGN == 0);
    assert_int_equal((unsigned char)room[length], 0xee);
    return (size_t)length;
}

static void assert_same_entry(const struct record_entry *a, const struct record_entry *b) {
    assert_memory_equal(&a->entry.id, &b->entry.id, sizeof(struct uuid));
    assert_true(a->entry.timestamp_ns == b->entry.timestamp_ns);
    assert_int_equal(a->entry.level, b->entry.level);
    assert_true(text_equal(a->entry.service, b->entry.service));
    assert_true(text_equal(a->entry.module, b->entry.module));
    assert_true(text_equal(a->entry.operation, b->entry.operation));
    assert_true(text_equal(a->entry.message, b->entry.message));
    assert_true(text_equal(a->entry.trace_id, b->entry.trace_id));
    assert_true(text_equal(a->entry.span_id, b->entry.span_id));
    assert_true(text_equal(a->entry.correlation_id, b->entry.correlation_id));
    assert_true(uuid_equal(&a->entry.user_id, &b->entry.user_id));
    assert_true(uuid_equal(&a->entry.organization_id, &b->entry.organization_id));
    assert_true(text_equal(a->entry.metadata, b->entry.metadata));
    assert_true(text_equal(a->entry.error_details, b->entry.error_details));
    assert_int_equal(a->site, b->site);
    assert_int_equal(a->has_position, b->has_position);
    assert_true(text_equal(a->position.input, b->position.input));
    assert_true(text_equal(a->position.key, b->position.key));
    assert_true(text_equal(a->position.value, b->position.value));
}

static void brings_an_entry_back_whole(void **state) {
    (void)state;
    struct record record = entry_record(), back;
    size_t length = encode(&record);
    assert_int_equal(record_decode(room, length, POSITION, &back), 0);
    assert_int_equal(back.kind, RECORD_ENTRY);
    assert_true(back.position == POSITION && back.time_ns == TIME);
    assert_same_entry(&record.entry, &back.entry);
}

static void brings_the_smallest_entry_back(void **state) {
    (void)state;
    struct record record = { .kind = RECORD_ENTRY, .position = 8, .time_ns = 9 }, back;
    assert_int_equal(encode(&record), RECORD_ENTRY_FIXED_END);
    assert_int_equal(record_decode(room, RECORD_ENTRY_FIXED_END, 8, &back), 0);
    assert_same_entry(&record.entry, &back.entry);
}

static void brings_the_largest_entry_back(void **state) {
    (void)state;
    struct record record = entry_record(), back;
    char *text = malloc(ENTRY_METADATA_BYTES);
    memset(text, 'x', ENTRY_METADATA_BYTES);
    char *packed = malloc(ENTRY_METADATA_BYTES);
    struct pack_writer writer = { .data = packed, .capacity = ENTRY_METADATA_BYTES };
    pack_text(&writer, (struct text) { text, ENTRY_METADATA_BYTES - 3 });
    assert_int_equal(writer.length, ENTRY_METADATA_BYTES);
    struct entry *entry = &record.entry.entry;
    entry->service = entry->module = entry->operation = (struct text) { text, ENTRY_NAME_BYTES };
    entry->trace_id = entry->span_id = entry->correlation_id = (struct text) { text, ENTRY_TRACE_BYTES };
    entry->message = (struct text) { text, ENTRY_MESSAGE_BYTES };
    entry->metadata = entry->error_details = (struct text) { packed, ENTRY_METADATA_BYTES };
    record.entry.position =
        (struct input_position) { .input = { text, 100 }, .key = { text, 200 }, .value = { text, 600 } };
    size_t length = encode(&record);
    assert_int_equal(record_decode(room, length, POSITION, &back), 0);
    assert_same_entry(&record.entry, &back.entry);
    free(text);
    free(packed);
}

static void lies_in_memory_as_drawn(void **state) {
    (void)state;
    struct record record = entry_record();
    size_t length = encode(&record);
    const unsigned char *at = (const unsigned char *)room;
    assert_int_equal(at[0] | at[1] << 8, length);
    assert_int_equal(at[4], RECORD_ENTRY);
    assert_int_equal(at[5], 0);
    assert_int_equal(at[6], LEVEL_ERROR);
    assert_int_equal(at[7], 1);
    assert_int_equal(at[8], 0x88); /* little-endian position */
    assert_int_equal(at[24], 0x01);
    assert_int_equal(at[48], 8);
    assert_int_equal(at[60], 5);
    assert_int_equal(at[68], 5);
    assert_int_equal(at[71], 3);
    assert_memory_equal(at + 72, "\0\0\0\0\0\0\0", 8);
    assert_memory_equal(at + 80, "queueworkerruntracespancorrelation\x11\x11", 36);
}

/* --- calls of registered sites --- */

static struct record call_record(void) {
    struct record record = { .kind = RECORD_ENTRY,
                             .position = POSITION,
                             .time_ns = TIME,
                             .entry = { .site = 7,
                                        .raw_trace = true,
                                        .raw_span = true,
                                        .entry = { .timestamp_ns = TIME, /* it has none of its own */
                                                   .level = LEVEL_WARN,
                                                   .message = T("\x03\0\0\0job\x07\0\0\0\0\0\0\0"),
                                                   .trace_id = T("sixteen raw byte"),
                                                   .span_id = T("eight ra"),
                                                   .correlation_id = T("correlation"),
                                                   .metadata = T("\x81\xa1"
                                                                 "a\x01") } } };
    uuid_parse(T("11111111-1111-1111-1111-111111111111"), &record.entry.entry.user_id);
    uuid_parse(T("22222222-2222-2222-2222-222222222222"), &record.entry.entry.organization_id);
    return record;
}

static void assert_comes_back(const struct record *record) {
    struct record back;
    size_t length = encode(record);
    assert_int_equal(record_decode(room, length, POSITION, &back), 0);
    assert_int_equal(back.kind, RECORD_ENTRY);
    assert_true(back.position == POSITION && back.time_ns == TIME);
    assert_same_entry(&record->entry, &back.entry);
    assert_int_equal(record->entry.raw_trace, back.entry.raw_trace);
    assert_int_equal(record->entry.raw_span, back.entry.raw_span);
}

static void brings_a_call_back_with_any_of_its_parts(void **state) {
    (void)state;
    for (unsigned without = 0; without < 1 << 7; without++) {
        struct record record = call_record();
        struct entry *entry = &record.entry.entry;
        if (without & 1)
            entry->message = TEXT_EMPTY;
        if (without & 2)
            entry->metadata = TEXT_EMPTY;
        if (without & 4)
            entry->correlation_id = TEXT_EMPTY;
        if (without & 8)
            memset(&entry->user_id, 0, sizeof(entry->user_id));
        if (without & 16)
            memset(&entry->organization_id, 0, sizeof(entry->organization_id));
        if (without & 32) {
            record.entry.raw_trace = false;
            entry->trace_id = T("text");
        }
        if (without & 64) {
            record.entry.raw_span = false;
            entry->span_id = TEXT_EMPTY;
        }
        assert_comes_back(&record);
    }
}

static void a_call_lies_in_memory_as_drawn(void **state) {
    (void)state;
    struct record record = call_record();
    size_t length = encode(&record);
    const unsigned char *at = (const unsigned char *)room;
    assert_int_equal(at[0] | at[1] << 8, length);
    assert_int_equal(at[4], RECORD_CALL);
    assert_int_equal(at[6], LEVEL_WARN);
    assert_int_equal(at[24], 7);
    assert_int_equal(at[28], 15);
    assert_int_equal(at[32], 4);
    assert_int_equal(at[36], 1 | 2 | 4 | 8);
    assert_int_equal(at[37] << 16 | at[38] << 8 | at[39], 16 << 16 | 8 << 8 | 11);
    assert_memory_equal(at + 40, "sixteen raw byteeight racorrelation\x11", 36);
    assert_int_equal(at[40 + 35 + 16], 0x22);
    assert_int_equal(at[40 + 35 + 32], 3);
}

/* The fixed part of a call, or of a span, with one byte changed: what says more than there is, or what cannot be, is refused. */
static void refuses_calls_and_spans_whose_parts_lie(void **state) {
    (void)state;
    struct record back, span = { .kind = RECORD_SPAN, .position = POSITION, .time_ns = TIME };
    span.span = (struct record_span) { .operation = T("operation"), .status = T("status"), .metadata = T("\x80") };
    static const struct {
        bool span;
        unsigned at;
        unsigned char value;
    } lies[] = {
        { false, 24, 0 },         /* no site */
        { false, 28, 255 },       /* arguments beyond the record */
        { false, 29, 1 },         /* */
        { false, 31, 255 },       /* and beyond any record */
        { false, 32, 255 },       /* metadata */
        { false, 35, 255 },       /* */
        { false, 36, 31 },        /* parts that nobody knows */
        { false, 36, 1 | 4 | 8 }, /* an organization less than there is */
        { false, 37, 15 },        /* a raw trace of another length */
        { false, 38, 9 },         /* a raw span */
        { false, 39, 129 },       /* a correlation beyond its limit */
        { true, 64, 255 },        /* metadata */
        { true, 67, 255 },        /* */
        { true, 68, 255 },        /* service */
        { true, 69, 255 },        /* */
        { true, 71, 255 },        /* operation */
        { true, 73, 255 },        /* status */
        { true, 74, 2 },          /* flags that nobody knows */
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct record told = lies[i].span ? span : call_record();
        size_t told_length = encode(&told);
        assert_int_equal(record_decode(room, told_length, POSITION, &back), 0);
        room[lies[i].at] = (char)lies[i].value;
        if (record_decode(room, told_length, POSITION, &back) != -EBADMSG)
            fail_msg("lie %zu was believed", i);
    }
    /* what makes the same length is seen, too */
    struct record call = call_record();
    size_t length = encode(&call);
    room[37] = 15; /* of a raw trace; the correlation has the byte */
    room[39] = 12;
    assert_int_equal(record_decode(room, length, POSITION, &back), -EBADMSG);
    room[36] &= (char)~4; /* as text it is none */
    assert_int_equal(record_decode(room, length, POSITION, &back), 0);
    room[37] = 16;
    room[38] = 9;
    room[39] = 10;
    assert_int_equal(record_decode(room, length, POSITION, &back), -EBADMSG);
    /* too short for the fixed part */
    for (int kind = 0; kind < 2; kind++) {
        uint32_t short_length = kind ? RECORD_SPAN_FIXED_END - 8 : RECORD_CALL_FIXED_END - 8;
        encode(kind ? &span : &call);
        memcpy(room, &short_length, sizeof(short_length));
        assert_int_equal(record_decode(room, short_length, POSITION, &back), -EBADMSG);
    }
}

static void refuses_calls_and_spans_beyond_a_limit(void **state) {
    (void)state;
    uint32_t size;
    char *text = malloc(ENTRY_METADATA_BYTES + 1);
    memset(text, 'x', ENTRY_METADATA_BYTES + 1);
    struct record record = call_record();
    struct entry *entry = &record.entry.entry;
    struct {
        struct text *text;
        size_t limit;
    } parts[] = { { &entry->message, ENTRY_MESSAGE_BYTES },
                  { &entry->correlation_id, ENTRY_TRACE_BYTES },
                  { &entry->metadata, ENTRY_METADATA_BYTES } };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct text before = *parts[i].text;
        *parts[i].text = (struct text) { text, parts[i].limit };
        assert_int_equal(record_entry_size(&record.entry, &size), 0);
        *parts[i].text = (struct text) { text, parts[i].limit + 1 };
        assert_int_equal(record_entry_size(&record.entry, &size), -E2BIG);
        *parts[i].text = before;
    }
    record.entry.has_position = true; /* a call has none */
    assert_int_equal(record_entry_size(&record.entry, &size), -E2BIG);
    struct record_span span = { .operation = T("o") };
    struct {
        struct text *text;
        size_t limit;
    } span_parts[] = { { &span.service, ENTRY_NAME_BYTES },
                       { &span.operation, ENTRY_NAME_BYTES },
                       { &span.status, RECORD_SPAN_STATUS_BYTES },
                       { &span.metadata, ENTRY_METADATA_BYTES } };
    for (size_t i = 0; i < COUNT_OF(span_parts); i++) {
        *span_parts[i].text = (struct text) { text, span_parts[i].limit };
        assert_int_equal(record_span_size(&span, &size), 0);
        *span_parts[i].text = (struct text) { text, span_parts[i].limit + 1 };
        assert_int_equal(record_span_size(&span, &size), -E2BIG);
        *span_parts[i].text = TEXT_EMPTY;
    }
    free(text);
}

static void says_how_large_an_entry_will_be(void **state) {
    (void)state;
    struct record record = entry_record();
    uint32_t size;
    for (size_t i = 0; i < 40; i++) {
        record.entry.entry.message = (struct text) { "0123456789012345678901234567890123456789", i };
        assert_int_equal(record_entry_size(&record.entry, &size), 0);
        assert_int_equal(size % RECORD_ALIGN, 0);
        memset(room, 0xee, size + 8);
        record_entry_encode(&record.entry, POSITION, TIME, room, size);
        assert_int_equal((unsigned char)room[size], 0xee);
        assert_int_equal(record_encode(&record, room, size), size);
        assert_int_equal(record_encode(&record, room, size - 1), -ENOSPC);
    }
}

static void refuses_what_is_beyond_a_limit(void **state) {
    (void)state;
    uint32_t size;
    struct record_entry good = entry_record().entry, bad;
    const struct text large = { room, ENTRY_METADATA_BYTES + 1 }, medium = { room, ENTRY_MESSAGE_BYTES + 1 },
                      name = { room, ENTRY_NAME_BYTES + 1 }, id = { room, ENTRY_TRACE_BYTES + 1 };
#define REFUSED(member, value, code)                                                                                   \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        bad.member = value;                                                                                            \
        assert_int_equal(record_entry_size(&bad, &size), code);                                                        \
    } while (0)
    REFUSED(entry.service, name, -E2BIG);
    REFUSED(entry.module, name, -E2BIG);
    REFUSED(entry.operation, name, -E2BIG);
    REFUSED(entry.message, medium, -E2BIG);
    REFUSED(entry.trace_id, id, -E2BIG);
    REFUSED(entry.span_id, id, -E2BIG);
    REFUSED(entry.correlation_id, id, -E2BIG);
    REFUSED(entry.metadata, large, -E2BIG);
    REFUSED(entry.error_details, large, -E2BIG);
    REFUSED(position.input, TEXT_EMPTY, -EINVAL);
    REFUSED(position.value, large, -E2BIG);
    assert_int_equal(record_entry_size(&good, &size), 0);
}

/* One of each of the kinds that are msgpack, every field set. */
static const struct record others[] = {
    { .kind = RECORD_CALL_SITE,
      .call_site = { .site = 7,
                     .level = LEVEL_WARN,
                     .module = TEXT_INITIALIZER("m"),
                     .operation = TEXT_INITIALIZER("o"),
                     .format = TEXT_INITIALIZER("x %d"),
                     .argument_types = TEXT_INITIALIZER("i") } },
    { .kind = RECORD_METRIC_DEFINITION,
      .metric_definition = { .metric = 3,
                             .metric_kind = 2,
                             .name = TEXT_INITIALIZER("jobs"),
                             .unit = TEXT_INITIALIZER("s"),
                             .help = TEXT_INITIALIZER("h"),
                             .labels = TEXT_INITIALIZER("\x81\xa1"
                                                        "a\xa1"
                                                        "b"),
                             .bounds = TEXT_INITIALIZER("\x92\x01\x02") } },
    { .kind = RECORD_METRIC_UPDATE,
      .metric_update = { .naming = UINT8_MAX,
                         .metric_kind = 1,
                         .value = -1.25,
                         .name = TEXT_INITIALIZER("n"),
                         .trace_id = TEXT_INITIALIZER("t") } },
    { .kind = RECORD_SPAN,
      .span = { .trace_id = { 1, 2, 3 },
                .span_id = { 4 },
                .parent_id = { 5 },
                .service = TEXT_INITIALIZER("w"),
                .operation = TEXT_INITIALIZER("o"),
                .status = TEXT_INITIALIZER("timed out"),
                .metadata = TEXT_INITIALIZER("\x80"),
                .thread = 77,
                .failed = true,
                .start_ns = UINT64_MAX } },
    { .kind = RECORD_SPAN, .span = { .trace_id = { 1 }, .span_id = { 4 }, .start_ns = 12345678901 } },
    { .kind = RECORD_ALERT_CHANGE,
      .alert_change = { .id = TEXT_INITIALIZER("i"),
                        .rule_id = TEXT_INITIALIZER("r"),
                        .status = TEXT_INITIALIZER("active"),
                        .details = TEXT_INITIALIZER("\x80"),
                        .severity = 3 } },
    { .kind = RECORD_HEALTH_REPORT,
      .health_report = { .name = TEXT_INITIALIZER("n"),
                         .state = TEXT_INITIALIZER("ok"),
                         .details = TEXT_INITIALIZER("d"),
                         .time_to_live_ns = 5 } },
    { .kind = RECORD_PROCESS_HELLO,
      .process_hello = { .service = TEXT_INITIALIZER("s"),
                         .producer_id = { 1, 2, 3, 255 },
                         .pid = 77,
                         .start_time = 88 } },
    { .kind = RECORD_PROCESS_GOODBYE, .process_goodbye = { .producer_id = { 9, 8 } } },
    { .kind = RECORD_LOSS_NOTE,
      .loss_note = { .service = TEXT_INITIALIZER("s"),
                     .reason = TEXT_INITIALIZER("full"),
                     .level = LEVEL_CRITICAL,
                     .count = 1,
                     .first_ns = 2,
                     .last_ns = 3 } },
    { .kind = RECORD_INPUT_POSITION,
      .input_position = { .input = TEXT_INITIALIZER("journal"), .value = TEXT_INITIALIZER("s=abc") } },
    { .kind = RECORD_AUDIT_EVENT,
      .audit_event = { .action = TEXT_INITIALIZER("a"),
                       .actor = TEXT_INITIALIZER("b"),
                       .target = TEXT_INITIALIZER("c"),
                       .details = TEXT_INITIALIZER("\x80") } },
};

static void assert_same_texts(const struct text *a, const struct text *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_true(text_equal(a[i], b[i]));
}

static void brings_every_other_kind_back(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct record record = others[i], back, again;
        memset(&back, 0xaa, sizeof(back));
        record.position = POSITION;
        record.time_ns = TIME;
        size_t length = encode(&record);
        assert_int_equal(record_decode(room, length, POSITION, &back), 0);
        assert_int_equal(back.kind, record.kind);
        assert_true(back.time_ns == TIME);
        /* what came back encodes to the same bytes: nothing was lost on the way */
        char *copy = malloc(length);
        assert_int_equal(record_encode(&back, copy, length), length);
        assert_memory_equal(copy, room, length);
        assert_int_equal(record_decode(copy, length, POSITION, &again), 0);
        free(copy);
        assert_int_equal(record_encode(&record, room, length - 8), -ENOSPC);
    }
}

static void keeps_each_field_in_its_place(void **state) {
    (void)state;
    struct record back;
    size_t length = encode(&others[0]);
    assert_int_equal(record_decode(room, length, 0, &back), 0);
    assert_int_equal(back.call_site.site, 7);
    assert_int_equal(back.call_site.level, LEVEL_WARN);
    assert_same_texts(&back.call_site.module, &others[0].call_site.module, 4);
    length = encode(&others[1]);
    assert_int_equal(record_decode(room, length, 0, &back), 0);
    assert_same_texts(&back.metric_definition.name, &others[1].metric_definition.name, 5);
    length = encode(&others[2]);
    assert_int_equal(record_decode(room, length, 0, &back), 0);
    assert_true(back.metric_update.value == -1.25 && back.metric_update.naming == UINT8_MAX);
    assert_int_equal(back.metric_update.times, 0); /* it has none, whatever stood there */
    struct record sampled = others[2];
    sampled.metric_update.times = UINT32_MAX;
    length = encode(&sampled);
    assert_int_equal(record_decode(room, length, 0, &back), 0);
    assert_int_equal(back.metric_update.times, UINT32_MAX);
    length = encode(&others[7]);
    assert_int_equal(record_decode(room, length, 0, &back), 0);
    assert_memory_equal(back.process_hello.producer_id, others[7].process_hello.producer_id, 16);
    assert_int_equal(back.process_hello.pid, 77);
    length = encode(&others[9]);
    assert_int_equal(record_decode(room, length, 0, &back), 0);
    assert_true(back.loss_note.count == 1 && back.loss_note.first_ns == 2 && back.loss_note.last_ns == 3);
}

static void refuses_to_encode_what_it_would_not_decode(void **state) {
    (void)state;
    struct record record = { .kind = RECORD_INPUT_POSITION };
    assert_int_equal(record_encode(&record, room, sizeof(room)), -EINVAL); /* no input */
    record = others[0];
    record.call_site.level = (enum level)6;
    assert_int_equal(record_encode(&record, room, sizeof(room)), -EINVAL);
    record = others[1];
    record.metric_definition.labels = T("\x91\x01"); /* no map */
    assert_int_equal(record_encode(&record, room, sizeof(room)), -EINVAL);
    record.metric_definition.labels = T("\x81");
    assert_int_equal(record_encode(&record, room, sizeof(room)), -EINVAL);
    record = others[1];
    record.metric_definition.name = (struct text) { room, 256 };
    assert_int_equal(record_encode(&record, room, sizeof(room)), -E2BIG);
    record.kind = (enum record_kind)0;
    assert_int_equal(record_encode(&record, room, sizeof(room)), -EINVAL);
    record.kind = (enum record_kind)99;
    assert_int_equal(record_encode(&record, room, sizeof(room)), -EINVAL);
}

static void fills_its_room_with_padding(void **state) {
    (void)state;
    struct record record = { .kind = RECORD_PADDING, .position = 16 }, back;
    assert_int_equal(record_encode(&record, room, 4096), 4096);
    assert_int_equal(record_decode(room, 4096, 16, &back), 0);
    assert_int_equal(back.kind, RECORD_PADDING);
    assert_int_equal(record_encode(&record, room, 16), -EINVAL);
    assert_int_equal(record_encode(&record, room, 4095), -EINVAL);
    char *large = malloc(2 * RECORD_SIZE_MAX); /* padding may be longer than any record */
    struct record_header header;
    assert_int_equal(record_encode(&record, large, 2 * RECORD_SIZE_MAX), 2 * RECORD_SIZE_MAX);
    assert_int_equal(record_header_decode(large, 2 * RECORD_SIZE_MAX, 16, &header), 0);
    assert_int_equal(record_header_decode(large, 2 * RECORD_SIZE_MAX - 8, 16, &header), -EBADMSG);
    large[4] = RECORD_ENTRY;
    assert_int_equal(record_header_decode(large, 2 * RECORD_SIZE_MAX, 16, &header), -EBADMSG);
    free(large);
}

static void knows_a_header_of_another_lap(void **state) {
    (void)state;
    struct record record = entry_record();
    struct record_header header = { .kind = 77 };
    size_t length = encode(&record);
    assert_int_equal(record_header_decode(room, length, POSITION + 8, &header), -EBADMSG);
    assert_int_equal(header.kind, 77);
    assert_int_equal(record_header_decode(room, length, POSITION, &header), 0);
    assert_int_equal(header.length, length);
    assert_true(header.time_ns == TIME);
    assert_int_equal(record_header_decode(room, length - 8, POSITION, &header), -EBADMSG);
    assert_int_equal(record_header_decode(room, 23, POSITION, &header), -EBADMSG);
    static const struct {
        int at, value;
    } changes[] = { { 0, 4 }, { 0, 16 }, { 0, 0 }, { 4, 0 }, { 4, RECORD_AUDIT_EVENT + 1 }, { 7, 0 }, { 7, 2 } };
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        length = encode(&record);
        room[changes[i].at] = (char)changes[i].value;
        if (changes[i].at == 0)
            room[1] = 0;
        assert_int_equal(record_header_decode(room, length, POSITION, &header), -EBADMSG);
    }
}

/* Every byte of every kind changed in turn: whatever is accepted stays inside the record. */
static void reads_no_changed_record_beyond_its_end(void **state) {
    (void)state;
    const struct record entries[] = { entry_record(), call_record() };
    for (size_t i = 0; i < COUNT_OF(others) + COUNT_OF(entries); i++) {
        struct record record = i < COUNT_OF(others) ? others[i] : entries[i - COUNT_OF(others)];
        record.position = POSITION;
        size_t length = encode(&record);
        char *copy = malloc(length); /* exact, for the sanitizer */
        for (size_t at = 0; at < length; at++)
            for (int value = 0; value < 256; value += at < 24 ? 1 : 5) {
                struct record back;
                memcpy(copy, room, length);
                copy[at] = (char)value;
                if (record_decode(copy, length, POSITION, &back) < 0 || back.kind != RECORD_ENTRY)
                    continue;
                const struct text *texts[] = { &back.entry.entry.service, &back.entry.entry.message,
                                               &back.entry.entry.metadata, &back.entry.position.value };
                for (size_t t = 0; t < COUNT_OF(texts); t++)
                    if (texts[t]->length > 0)
                        assert_true(texts[t]->data >= copy && texts[t]->data + texts[t]->length <= copy + length);
            }
        free(copy);
    }
}

static void finds_the_trace_of_entries_and_calls(void **state) {
    struct record_header header;
    struct record record = entry_record();
    struct text trace;
    bool raw;
    (void)state;
    for (int call = 0; call < 2; call++) {
        record.entry.site = (uint32_t)call;
        record.entry.has_position = false;
        record.entry.raw_trace = false;
        record.entry.entry.trace_id = T("trace");
        assert_int_equal(record_header_decode(room, encode(&record), POSITION, &header), 0);
        assert_true(record_trace(room, &header, &trace, &raw) && !raw && text_is(trace, "trace"));
        record.entry.entry.trace_id = T("sixteen raw byte");
        record.entry.raw_trace = true;
        assert_int_equal(record_header_decode(room, encode(&record), POSITION, &header), 0);
        assert_true(record_trace(room, &header, &trace, &raw) && raw && text_is(trace, "sixteen raw byte"));
        record.entry.entry.trace_id = TEXT_EMPTY;
        record.entry.raw_trace = false;
        encode(&record);
        assert_false(record_trace(room, &header, &trace, &raw));
        /* whatever the lengths say, nothing behind the record is taken */
        memset(room + RECORD_HEADER_SIZE, 0xff, header.length - RECORD_HEADER_SIZE);
        assert_false(record_trace(room, &header, &trace, &raw));
        header.length = RECORD_HEADER_SIZE + RECORD_ALIGN;
        assert_false(record_trace(room, &header, &trace, &raw));
    }
    header.kind = RECORD_SPAN;
    assert_false(record_trace(room, &header, &trace, &raw));
}

static void refuses_a_length_that_its_parts_do_not_make(void **state) {
    (void)state;
    struct record record = entry_record(), back;
    uint32_t length = (uint32_t)encode(&record), longer = length + 8;
    memset(room + length, 0, 8);
    memcpy(room, &longer, 4);
    assert_int_equal(record_decode(room, longer, POSITION, &back), -EBADMSG);
    record = others[8]; /* ends in zeros */
    record.position = POSITION;
    length = (uint32_t)encode(&record);
    assert_int_equal(record_decode(room, length, POSITION, &back), 0);
    room[length - 1] = 1; /* where zeros belong */
    assert_int_equal(record_decode(room, length, POSITION, &back), -EBADMSG);
    room[length - 1] = 0;
    longer = length + 8;
    memset(room + length, 0, 8);
    memcpy(room, &longer, 4);
    assert_int_equal(record_decode(room, longer, POSITION, &back), -EBADMSG);
}

static void refuses_broken_packed_parts(void **state) {
    (void)state;
    struct record record = entry_record(), back;
    record.entry.has_position = false;
    record.entry.entry.metadata = T("\x82\xa1");
    size_t length = encode(&record);
    assert_int_equal(record_decode(room, length, POSITION, &back), -EBADMSG);
    record = entry_record();
    record.entry.entry.level = (enum level)200; /* for entry_repair to judge */
    record.entry.entry.message = T("\xff\0\xff");
    length = encode(&record);
    assert_int_equal(record_decode(room, length, POSITION, &back), 0);
    assert_int_equal(back.entry.entry.level, 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_an_entry_back_whole),
        cmocka_unit_test(brings_the_smallest_entry_back),
        cmocka_unit_test(brings_the_largest_entry_back),
        cmocka_unit_test(lies_in_memory_as_drawn),
        cmocka_unit_test(brings_a_call_back_with_any_of_its_parts),
        cmocka_unit_test(a_call_lies_in_memory_as_drawn),
        cmocka_unit_test(refuses_calls_and_spans_whose_parts_lie),
        cmocka_unit_test(refuses_calls_and_spans_beyond_a_limit),
        cmocka_unit_test(says_how_large_an_entry_will_be),
        cmocka_unit_test(refuses_what_is_beyond_a_limit),
        cmocka_unit_test(brings_every_other_kind_back),
        cmocka_unit_test(keeps_each_field_in_its_place),
        cmocka_unit_test(refuses_to_encode_what_it_would_not_decode),
        cmocka_unit_test(fills_its_room_with_padding),
        cmocka_unit_test(knows_a_header_of_another_lap),
        cmocka_unit_test(reads_no_changed_record_beyond_its_end),
        cmocka_unit_test(finds_the_trace_of_entries_and_calls),
        cmocka_unit_test(refuses_a_length_that_its_parts_do_not_make),
        cmocka_unit_test(refuses_broken_packed_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
