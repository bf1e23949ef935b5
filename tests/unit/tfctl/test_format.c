#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "common/model/pack.h"
#include "exporter/tfctl/format.h"

static const struct format_style utc = { .utc = true };

static struct entry plain(const char *message) {
    struct entry entry = {
        .timestamp_ns = UINT64_C(1795450504123456789),
        .level = LEVEL_WARN,
        .service = TEXT_LITERAL("queue"),
        .module = TEXT_LITERAL("worker"),
        .operation = TEXT_LITERAL("poll"),
        .message = text_of(message),
    };
    return entry;
}

static void assert_formats(const struct format *format, const struct format_style *style, const struct entry *entry,
                           const char *wanted) {
    struct buffer out = BUFFER_EMPTY;
    format->entry(&out, style, entry, true);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buffer_finish(&out);
}

static void writes_local_time_with_its_zone(void **state) {
    (void)state;
    struct buffer out = BUFFER_EMPTY;
    setenv("TZ", "NST3:30", 1);
    tzset();
    format_time(&out, UINT64_C(1795450504123456789), false);
    buffer_append_char(&out, ' ');
    setenv("TZ", "WIB-7", 1);
    tzset();
    format_time(&out, UINT64_C(1795450504123456789), false);
    buffer_append_char(&out, ' ');
    format_time(&out, UINT64_C(1795450504123456789), true);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data,
                        "2026-11-23 12:45:04.123-03:30 2026-11-23 23:15:04.123+07:00 2026-11-23 16:15:04.123Z");
    buffer_finish(&out);
}

static void sets_in_the_lines_after_the_first(void **state) {
    (void)state;
    struct entry entry = plain("one\r\n\ttwo\n\nfour\n\n");
    entry.trace_id = TEXT_LITERAL("t1");
    assert_formats(
        &format_text, &utc, &entry,
        "2026-11-23 16:15:04.123Z WARN     queue worker/poll: one  trace_id=t1\n    \\ttwo\n    \n    four\n");
    entry = plain("\n");
    assert_formats(&format_text, &utc, &entry, "2026-11-23 16:15:04.123Z WARN     queue worker/poll: \n");
}

static void quotes_values_that_are_not_one_word(void **state) {
    (void)state;
    char packed[256];
    struct pack_writer writer = { .data = packed, .capacity = sizeof(packed) };
    assert_int_equal(
        pack_from_json(TEXT_LITERAL("{\"a\":\"x y\",\"b\":\"\",\"c\":\"q=1\",\"d e\":[1,{\"f\":2}],\"g\":null,"
                                    "\"h\":\"\\u001b[2J\"}"),
                       &writer, NULL),
        0);
    struct entry entry = plain("m");
    entry.metadata = (struct text) { packed, writer.length };
    assert_formats(&format_text, &utc, &entry,
                   "2026-11-23 16:15:04.123Z WARN     queue worker/poll: m  a=\"x y\" b=\"\" c=\"q=1\" \"d "
                   "e\"=[1,{\"f\":2}] g=null "
                   "h=\"\\u001b[2J\"\n");
}

static void hardens_json_and_leaves_its_value(void **state) {
    (void)state;
    struct buffer out = BUFFER_EMPTY;
    format_harden_json(&out, TEXT_LITERAL("{\"a\":\"\x7f gr\xc3\xbcn \xc2\x9b \xe2\x80\xae \xf0\x9f\x98\x80 \xff\"}"));
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, "{\"a\":\"\\u007f gr\xc3\xbcn \\u009b \\u202e \xf0\x9f\x98\x80 \xff\"}");
    buffer_finish(&out);
}

static void marks_matches_among_their_neighbours(void **state) {
    (void)state;
    struct buffer out = BUFFER_EMPTY;
    struct format_style style = { .utc = true, .context = true };
    struct entry entry = plain("m");
    format_text.entry(&out, &style, &entry, false);
    format_text.gap(&out, &style);
    format_text.entry(&out, &style, &entry, true);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, "  2026-11-23 16:15:04.123Z WARN     queue worker/poll: m\n--\n"
                                  "> 2026-11-23 16:15:04.123Z WARN     queue worker/poll: m\n");
    buffer_finish(&out);
}

static void finds_formats_by_name(void **state) {
    (void)state;
    assert_ptr_equal(format_find("json"), &format_json);
    assert_null(format_find("xml"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_local_time_with_its_zone),      cmocka_unit_test(sets_in_the_lines_after_the_first),
        cmocka_unit_test(quotes_values_that_are_not_one_word),  cmocka_unit_test(hardens_json_and_leaves_its_value),
        cmocka_unit_test(marks_matches_among_their_neighbours), cmocka_unit_test(finds_formats_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
