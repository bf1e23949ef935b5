/* What comes from outside becomes a valid entry; nothing is lost without a mark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/model/entry.h"
#include "common/model/pack.h"
#include "corpora.h"

#define T TEXT_LITERAL

static struct buffer scratch;
static struct buffer big;

static int clear(void **state) {
    (void)state;
    buffer_clear(&scratch);
    buffer_clear(&big);
    return 0;
}

static struct entry good_entry(void) {
    return (struct entry) { .timestamp_ns = 1,
                            .level = LEVEL_INFO,
                            .service = T("queue"),
                            .module = T("worker"),
                            .operation = T("run"),
                            .message = T("it runs") };
}

static void assert_repaired(struct entry *entry, unsigned already, unsigned reasons, const char *metadata) {
    assert_int_equal(entry_repair(entry, already, &scratch), reasons);
    struct error error = { "" };
    if (entry_validate(entry, &error) < 0)
        fail_msg("%s", error.text);
    if (!metadata)
        return;
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    pack_append_json(&json, entry->metadata);
    buffer_append_char(&json, '\0');
    assert_string_equal(json.data, metadata);
}

static struct text of_json(const char *json) {
    size_t start = big.length;
    assert_true(buffer_reserve(&big, 300000));
    struct pack_writer writer = { .data = big.data + start, .capacity = 300000 };
    assert_int_equal(pack_from_json(text_of(json), &writer, NULL), 0);
    big.length += writer.length;
    return (struct text) { writer.data, writer.length };
}

static void leaves_a_valid_entry_alone(void **state) {
    (void)state;
    struct entry entry = good_entry(), before = entry;
    assert_int_equal(entry_repair(&entry, 0, &scratch), 0);
    assert_memory_equal(&entry, &before, sizeof(entry));
    assert_int_equal(scratch.length, 0);
}

static void replaces_bad_bytes_and_takes_nul_out(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.message = T("caf\xe9 \0ok");
    entry.trace_id = T("a\0b");
    assert_repaired(&entry, 0, ENTRY_REPAIR_UTF8, "{\"repaired\":[\"utf8\"]}");
    assert_true(text_is(entry.message, "caf\xef\xbf\xbd ok"));
    assert_true(text_is(entry.trace_id, "ab"));
}

static void cuts_a_long_message_in_the_middle(void **state) {
    (void)state;
    struct entry entry = good_entry();
    buffer_append_string(&big, "begin");
    for (int i = 0; i < 30000; i++)
        buffer_append_string(&big, "\xc3\xa9");
    buffer_append_string(&big, "end");
    entry.message = buffer_text(&big);
    assert_repaired(&entry, 0, ENTRY_REPAIR_CUT, "{\"repaired\":[\"cut\"]}");
    assert_true(text_starts_with(entry.message, T("begin\xc3\xa9")));
    assert_true(memcmp(entry.message.data + entry.message.length - 5,
                       "\xc3\xa9"
                       "end",
                       5) == 0);
    size_t count = text_utf8_count(entry.message);
    assert_in_range(count, ENTRY_MESSAGE_CHARACTERS - 40, ENTRY_MESSAGE_CHARACTERS);
    buffer_append_char(&scratch, '\0');
    char mark[64];
    snprintf(mark, sizeof(mark), "\xe2\x80\xa6[%d characters cut]\xe2\x80\xa6",
             30008 - (ENTRY_MESSAGE_CHARACTERS - 40));
    assert_non_null(memmem(entry.message.data, entry.message.length, mark, strlen(mark)));
}

static void cuts_a_long_name_to_a_hundred_characters(void **state) {
    (void)state;
    struct entry entry = good_entry();
    for (int i = 0; i < 101; i++)
        buffer_append_char(&big, (char)('0' + i % 10));
    entry.service = buffer_text(&big);
    assert_repaired(&entry, 0, ENTRY_REPAIR_CUT, "{\"repaired\":[\"cut\"]}");
    assert_int_equal(text_utf8_count(entry.service), 100);
    assert_int_equal(entry.service.data[0], '0');
    assert_int_equal(entry.service.data[entry.service.length - 1], '0');
}

static void fills_what_must_not_be_empty(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.service = entry.module = entry.message = TEXT_EMPTY;
    entry.operation = T("\0");
    assert_repaired(&entry, ENTRY_REPAIR_JSON, ENTRY_REPAIR_EMPTY | ENTRY_REPAIR_UTF8 | ENTRY_REPAIR_JSON,
                    "{\"repaired\":[\"utf8\",\"empty\",\"json\"]}");
    assert_true(text_is(entry.service, "unknown") && text_is(entry.module, "unknown"));
    assert_true(text_is(entry.operation, "unknown") && text_is(entry.message, "(empty)"));
}

static void moves_a_long_id_into_the_metadata(void **state) {
    (void)state;
    struct entry entry = good_entry();
    char id[130], expected[256];
    memset(id, 'f', 129);
    id[129] = '\0';
    entry.trace_id = text_of(id);
    entry.metadata = of_json("{\"a\":1}");
    snprintf(expected, sizeof(expected), "{\"a\":1,\"trace_id\":\"%s\",\"repaired\":[\"id\"]}", id);
    assert_repaired(&entry, 0, ENTRY_REPAIR_ID, expected);
    assert_int_equal(entry.trace_id.length, 0);
}

static void moves_error_details_of_a_lower_level(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.error_details = of_json("{\"code\":5}");
    assert_repaired(&entry, 0, ENTRY_REPAIR_ERROR_DETAILS,
                    "{\"error_details\":{\"code\":5},\"repaired\":[\"error_details\"]}");
    entry = good_entry();
    entry.error_details = of_json("1");
    entry.metadata = of_json("{\"error_details\":\"mine\"}");
    assert_repaired(&entry, 0, ENTRY_REPAIR_ERROR_DETAILS,
                    "{\"error_details\":\"mine\",\"repaired_error_details\":1,\"repaired\":[\"error_details\"]}");
    entry = good_entry();
    entry.level = LEVEL_CRITICAL;
    entry.error_details = of_json("1");
    assert_repaired(&entry, 0, 0, NULL);
    assert_int_equal(entry.error_details.length, 1);
}

static void keeps_metadata_that_is_no_object(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.metadata = of_json("[1,2]");
    assert_repaired(&entry, 0, ENTRY_REPAIR_METADATA, "{\"metadata\":[1,2],\"repaired\":[\"metadata\"]}");
    entry = good_entry();
    entry.metadata = T("{\"a\":1}"); /* JSON where msgpack should be */
    assert_repaired(&entry, 0, ENTRY_REPAIR_METADATA, "{\"metadata\":\"{\\\"a\\\":1}\",\"repaired\":[\"metadata\"]}");
    entry = good_entry();
    entry.metadata = T("\xc1\xff");
    assert_repaired(&entry, 0, ENTRY_REPAIR_METADATA, "{\"metadata\":\"wf8=\",\"repaired\":[\"metadata\"]}");
}

/* A map of one text of so many bytes, ending in "end". */
static struct text large_map(size_t size) {
    size_t start = big.length;
    assert_true(buffer_reserve(&big, size + 32));
    struct pack_writer writer = { .data = big.data + start, .capacity = size + 32 };
    char *text = malloc(size);
    memset(text, 'm', size);
    memcpy(text + size - 3, "end", 3);
    pack_map(&writer, 1);
    pack_text(&writer, T("k"));
    pack_text(&writer, (struct text) { text, size });
    free(text);
    assert_false(writer.failed);
    big.length += writer.length;
    return (struct text) { writer.data, writer.length };
}

static void shortens_metadata_that_is_too_large(void **state) {
    (void)state;
    assert_true(buffer_reserve(&big, 1000000));
    struct entry entry = good_entry();
    struct pack_value value;
    entry.metadata = large_map(100000);
    assert_repaired(&entry, 0, ENTRY_REPAIR_METADATA, NULL);
    assert_int_equal(pack_find(entry.metadata, T("metadata"), &value), 1);
    assert_true(text_starts_with(value.text, T("{\"k\":\"mmm")));
    assert_true(memcmp(value.text.data + value.text.length - 5, "end\"}", 5) == 0);
    assert_in_range(value.text.length, 23990, 24000);
}

static void makes_room_for_its_marks_when_metadata_is_full(void **state) {
    (void)state;
    assert_true(buffer_reserve(&big, 1000000));
    struct entry entry = good_entry();
    struct pack_value value;
    entry.metadata = large_map(ENTRY_METADATA_BYTES - 6);
    assert_int_equal(entry_validate(&entry, NULL), 0);
    assert_repaired(&entry, ENTRY_REPAIR_LEVEL, ENTRY_REPAIR_METADATA | ENTRY_REPAIR_LEVEL, NULL);
    assert_int_equal(pack_find(entry.metadata, T("metadata"), &value), 1);
    assert_int_equal(pack_find(entry.metadata, T("repaired"), &value), 1);
    assert_int_equal(value.count, 2);
}

static void fits_the_worst_of_everything(void **state) {
    (void)state;
    assert_true(buffer_reserve(&big, 2000000));
    struct entry entry = good_entry();
    size_t start = big.length;
    for (int i = 0; i < 70000; i++)
        buffer_append_string(&big, "\xff");
    struct text bad = { big.data + start, 70000 };
    entry.service = entry.module = entry.operation = entry.message = bad;
    entry.trace_id = entry.span_id = entry.correlation_id = bad;
    entry.level = (enum level)200;
    entry.metadata = large_map(200000);
    entry.error_details = large_map(200000);
    assert_repaired(&entry, 0xffffffff, 0xff, NULL);
    struct pack_value value;
    static const char *const keys[] = {
        "metadata", "error_details", "trace_id", "span_id", "correlation_id", "repaired"
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_int_equal(pack_find(entry.metadata, text_of(keys[i]), &value), 1);
    buffer_clear(&scratch);
    entry = good_entry();
    entry.level = LEVEL_ERROR;
    entry.metadata = bad;
    entry.error_details = bad;
    assert_repaired(&entry, 0, ENTRY_REPAIR_METADATA, NULL);
}

static void does_not_nest_too_deeply_by_moving(void **state) {
    (void)state;
    char deep[64];
    memset(deep, 0x91, 31);
    deep[31] = (char)0x90; /* 32 arrays: valid, and one too many inside a map */
    struct entry entry = good_entry();
    entry.error_details = entry.metadata = (struct text) { deep, 32 };
    assert_repaired(&entry, 0, ENTRY_REPAIR_METADATA | ENTRY_REPAIR_ERROR_DETAILS, NULL);
    struct pack_value value;
    assert_int_equal(pack_find(entry.metadata, T("error_details"), &value), 1);
    assert_true(value.type == PACK_TEXT && value.text.length == 64);
}

static void adds_to_the_marks_of_an_earlier_hand(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.metadata = of_json("{\"repaired\":[\"level\",\"cut\"],\"a\":1}");
    assert_repaired(&entry, ENTRY_REPAIR_LEVEL | ENTRY_REPAIR_JSON, ENTRY_REPAIR_LEVEL | ENTRY_REPAIR_JSON,
                    "{\"a\":1,\"repaired\":[\"cut\",\"level\",\"json\"]}");
    entry = good_entry();
    entry.metadata = of_json("{\"repaired\":\"my bike\"}");
    assert_repaired(&entry, ENTRY_REPAIR_JSON, ENTRY_REPAIR_JSON, "{\"repaired\":[\"my bike\",\"json\"]}");
}

static void works_on_texts_that_lie_in_its_scratch(void **state) {
    (void)state;
    struct buffer small = BUFFER_EMPTY;
    struct entry entry = good_entry();
    buffer_append_string(&small, "bad \xff here");
    entry.message = buffer_text(&small);
    entry.host = (struct text) { small.data, 3 };
    assert_int_equal(entry_repair(&entry, 0, &small), ENTRY_REPAIR_UTF8);
    assert_true(text_is(entry.message, "bad \xef\xbf\xbd here"));
    assert_true(text_is(entry.host, "bad"));
    buffer_finish(&small);
}

static void stands_the_naughty_strings(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY, line = BUFFER_EMPTY;
    if (!corpora_read("strings/blns.json", &json))
        skip();
    char *room = malloc(200000);
    struct pack_writer writer = { .data = room, .capacity = 200000 };
    assert_int_equal(pack_from_json(buffer_text(&json), &writer, NULL), 0);
    struct pack_reader reader = { writer.data, writer.data + writer.length };
    struct pack_value list, string, back;
    assert_int_equal(pack_next(&reader, &list), 1);
    assert_true(list.count > 400);
    for (uint32_t i = 0; i < list.count; i++) {
        struct entry entry = good_entry();
        assert_int_equal(pack_next(&reader, &string), 1);
        entry.message = entry.service = entry.trace_id = string.text;
        buffer_clear(&scratch);
        buffer_clear(&line);
        assert_true(entry_repair(&entry, 0, &scratch) >= 0);
        assert_int_equal(entry_validate(&entry, NULL), 0);
        entry_append_json(&line, &entry);
        assert_null(memchr(line.data, '\n', line.length));
        char packed[65536];
        struct pack_writer again = { .data = packed, .capacity = sizeof(packed) };
        assert_int_equal(pack_from_json(buffer_text(&line), &again, NULL), 0);
        assert_int_equal(pack_find((struct text) { packed, again.length }, T("message"), &back), 1);
        assert_true(text_equal(back.text, entry.message));
    }
    free(room);
}

static int finish(void **state) {
    (void)state;
    buffer_finish(&scratch);
    buffer_finish(&big);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(leaves_a_valid_entry_alone, clear),
        cmocka_unit_test_setup(replaces_bad_bytes_and_takes_nul_out, clear),
        cmocka_unit_test_setup(cuts_a_long_message_in_the_middle, clear),
        cmocka_unit_test_setup(cuts_a_long_name_to_a_hundred_characters, clear),
        cmocka_unit_test_setup(fills_what_must_not_be_empty, clear),
        cmocka_unit_test_setup(moves_a_long_id_into_the_metadata, clear),
        cmocka_unit_test_setup(moves_error_details_of_a_lower_level, clear),
        cmocka_unit_test_setup(keeps_metadata_that_is_no_object, clear),
        cmocka_unit_test_setup(shortens_metadata_that_is_too_large, clear),
        cmocka_unit_test_setup(makes_room_for_its_marks_when_metadata_is_full, clear),
        cmocka_unit_test_setup(fits_the_worst_of_everything, clear),
        cmocka_unit_test_setup(does_not_nest_too_deeply_by_moving, clear),
        cmocka_unit_test_setup(adds_to_the_marks_of_an_earlier_hand, clear),
        cmocka_unit_test_setup(works_on_texts_that_lie_in_its_scratch, clear),
        cmocka_unit_test_setup(stands_the_naughty_strings, clear),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
