/* The rules of an entry, each with its sentence, and its JSON form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/model/entry.h"
#include "common/model/pack.h"

#define T TEXT_LITERAL

static struct entry good_entry(void) {
    struct entry entry = {
        .timestamp_ns = UINT64_C(1795457704123456789),
        .level = LEVEL_ERROR,
        .service = T("queue"),
        .module = T("worker"),
        .operation = T("run"),
        .message = T("it broke"),
    };
    uuid_parse(T("0190163d-8694-739b-aea5-966c26f8ad91"), &entry.id);
    return entry;
}

static void assert_refused(const struct entry *entry, const char *sentence) {
    struct error error = { "" };
    assert_int_equal(entry_validate(entry, &error), -EINVAL);
    assert_string_equal(error.text, sentence);
    assert_int_equal(entry_validate(entry, NULL), -EINVAL);
}

static char long_text[3 * ENTRY_MESSAGE_CHARACTERS + 3];

static struct text repeated(const char *character, size_t count) {
    size_t size = strlen(character);
    for (size_t i = 0; i < count; i++)
        memcpy(long_text + i * size, character, size);
    return (struct text) { long_text, count * size };
}

static void accepts_a_good_entry(void **state) {
    (void)state;
    struct entry entry = good_entry();
    assert_int_equal(entry_validate(&entry, NULL), 0);
    entry.metadata = T("\x81\xa1"
                       "a\x01");
    entry.error_details = T("\xa1x");
    entry.trace_id = T("4bf92f3577b34da6a3ce929d0e0e4736");
    assert_int_equal(entry_validate(&entry, NULL), 0);
}

static void counts_characters_not_bytes(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.service = repeated("\xe2\x82\xac", ENTRY_NAME_CHARACTERS);
    assert_int_equal(entry_validate(&entry, NULL), 0);
    entry = good_entry();
    entry.message = repeated("\xe2\x82\xac", ENTRY_MESSAGE_CHARACTERS);
    assert_int_equal(entry_validate(&entry, NULL), 0);
    entry.message = repeated("\xe2\x82\xac", ENTRY_MESSAGE_CHARACTERS + 1);
    assert_int_equal(entry_validate(&entry, NULL), -EINVAL);
}

static void names_the_field_the_rule_and_what_it_was(void **state) {
    (void)state;
    struct entry entry = good_entry();
    entry.service = TEXT_EMPTY;
    assert_refused(&entry, "service must be 1 to 100 characters, is 0: \"\"");
    entry = good_entry();
    entry.operation = repeated("x", 101);
    assert_refused(&entry, "operation must be 1 to 100 characters, is 101: "
                           "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"...");
    entry = good_entry();
    entry.module = T("a\xff");
    assert_refused(&entry, "module must be UTF-8 without NUL, is not");
    entry.module = T("a\0b");
    assert_refused(&entry, "module must be UTF-8 without NUL, is not");
    entry = good_entry();
    entry.level = (enum level)6;
    assert_refused(&entry, "level must be trace to critical (0 to 5), is 6");
    entry = good_entry();
    entry.span_id = repeated("y", 129);
    assert_refused(&entry, "span_id must be at most 128 bytes, is 129: "
                           "\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"...");
    entry = good_entry();
    entry.metadata = T("\x91\x01");
    assert_refused(&entry, "metadata must be an object, nested at most 32 deep, is not");
    entry.metadata = T("\x81");
    assert_refused(&entry, "metadata must be an object, nested at most 32 deep, is not");
    entry = good_entry();
    entry.error_details = T("\xc1");
    assert_refused(&entry, "error_details must be one value, nested at most 32 deep, is not");
    entry.error_details = T("\x01");
    entry.level = LEVEL_WARN;
    assert_refused(&entry, "error_details must be on level error or critical, is on warn");
}

static void assert_json(const struct entry *entry, const char *expected) {
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    entry_append_json(&out, entry);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
}

static void writes_the_keys_of_the_contract_in_order(void **state) {
    (void)state;
    struct entry entry = good_entry();
    assert_json(&entry,
                "{\"id\":\"0190163d-8694-739b-aea5-966c26f8ad91\",\"timestamp\":\"2026-11-23T18:15:04.123456789Z\","
                "\"level\":\"error\",\"service\":\"queue\",\"module\":\"worker\",\"operation\":\"run\","
                "\"message\":\"it broke\",\"metadata\":{}}");
    entry.trace_id = T("t");
    entry.span_id = T("s");
    entry.correlation_id = T("c");
    uuid_parse(T("11111111-1111-1111-1111-111111111111"), &entry.user_id);
    uuid_parse(T("22222222-2222-2222-2222-222222222222"), &entry.organization_id);
    entry.metadata = T("\x81\xa1"
                       "a\x92\x01\xc3");
    entry.error_details = T("\x81\xa4"
                            "code\xff");
    entry.host = T("h");
    entry.pid = 7;
    entry.message = T("a\n\"\xff");
    assert_json(&entry,
                "{\"id\":\"0190163d-8694-739b-aea5-966c26f8ad91\",\"timestamp\":\"2026-11-23T18:15:04.123456789Z\","
                "\"level\":\"error\",\"service\":\"queue\",\"module\":\"worker\",\"operation\":\"run\","
                "\"message\":\"a\\n\\\"\xef\xbf\xbd\",\"trace_id\":\"t\",\"span_id\":\"s\",\"correlation_id\":\"c\","
                "\"user_id\":\"11111111-1111-1111-1111-111111111111\","
                "\"organization_id\":\"22222222-2222-2222-2222-222222222222\","
                "\"metadata\":{\"a\":[1,true]},\"error_details\":{\"code\":-1},\"host\":\"h\",\"pid\":7}");
}

static void names_each_reason(void **state) {
    (void)state;
    static const char *const names[] = { "utf8", "cut", "empty", "metadata", "id", "level", "error_details", "json" };
    for (int i = 0; i < ENTRY_REPAIR_REASON_COUNT; i++)
        assert_string_equal(entry_repair_reason_name((enum entry_repair_reason)(1 << i)), names[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_good_entry),
        cmocka_unit_test(counts_characters_not_bytes),
        cmocka_unit_test(names_the_field_the_rule_and_what_it_was),
        cmocka_unit_test(writes_the_keys_of_the_contract_in_order),
        cmocka_unit_test(names_each_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
