#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/privacy/redact_patterns.h"

static struct redact_patterns patterns_of(const char *first, const char *second) {
    struct redact_patterns patterns = REDACT_PATTERNS_EMPTY;
    struct error error = { "" };
    assert_int_equal(redact_patterns_add(&patterns, text_of(first), &error), 0);
    if (second)
        assert_int_equal(redact_patterns_add(&patterns, text_of(second), &error), 0);
    return patterns;
}

static void becomes(struct redact_patterns *patterns, const char *before, const char *after) {
    struct text text = text_of(before);
    int changed = redact_patterns_text(patterns, &text);
    assert_true(changed >= 0);
    assert_int_equal(changed, strcmp(before, after) != 0);
    assert_int_equal(text.length, strlen(after));
    assert_memory_equal(text.data, after, text.length);
}

static void each_match_becomes_the_mark(void **state) {
    struct redact_patterns patterns = patterns_of("\\b\\d{16}\\b", NULL);
    (void)state;
    becomes(&patterns, "card 4111111111111111 declined", "card [redacted] declined");
    becomes(&patterns, "4111111111111111,4111111111111112", "[redacted],[redacted]");
    becomes(&patterns, "41111111111111111 is too long", "41111111111111111 is too long");
    becomes(&patterns, "nothing here", "nothing here");
    becomes(&patterns, "", "");
    assert_int_equal(patterns.redacted, 2);
    assert_int_equal(patterns.too_costly, 0);
    redact_patterns_finish(&patterns);
}

static void every_expression_has_its_turn(void **state) {
    struct redact_patterns patterns = patterns_of("\\d{4}-\\d{4}", "(?i)bearer [a-z0-9]+");
    (void)state;
    becomes(&patterns, "Authorization: Bearer abc123, pin 1234-5678", "Authorization: [redacted], pin [redacted]");
    becomes(&patterns, "Authorization: bearer x", "Authorization: [redacted]");
    redact_patterns_finish(&patterns);
}

static void a_lookahead_takes_nothing_out_and_ends(void **state) {
    struct redact_patterns patterns = patterns_of("(?=a)|bb", NULL);
    (void)state;
    becomes(&patterns, "aaa bb aaa", "aaa [redacted] aaa");
    redact_patterns_finish(&patterns);
}

static void matches_are_found_over_the_edges_of_slices(void **state) {
    struct redact_patterns patterns = patterns_of("\\b\\d{16}\\b", NULL);
    char *text = malloc(40000);
    (void)state;
    for (size_t at = 0; at + 16 < 40000; at += 997) {
        memset(text, 'x', 40000);
        text[at] = ' ';
        memcpy(text + at + 1, "1234567812345678", 16 < 39999 - at ? 16 : 39999 - at);
        if (at + 17 < 40000)
            text[at + 17] = ' ';
        struct text given = { text, 40000 };
        assert_int_equal(redact_patterns_text(&patterns, &given), 1);
        assert_int_equal(given.length, 40000 - 16 + 10);
        assert_non_null(memmem(given.data, given.length, " [redacted]", 11));
    }
    free(text);
    redact_patterns_finish(&patterns);
}

static void bytes_that_are_no_text_are_no_obstacle(void **state) {
    struct redact_patterns patterns = patterns_of("\\d{4}", NULL);
    (void)state;
    becomes(&patterns, "\xff\xfe 1234 \xc3", "\xff\xfe [redacted] \xc3");
    redact_patterns_finish(&patterns);
}

/* What would take seconds or years is settled within a bounded time, and nothing gets through. */
static void what_is_too_costly_is_redacted_whole(void **state) {
    static const char *const costly[] = { "(a+)+b", "(a|aa)+$x", "a+x" };
    char *text = malloc(40000);
    (void)state;
    memset(text, 'a', 40000);
    for (size_t i = 0; i < 3; i++) {
        struct redact_patterns patterns = patterns_of(costly[i], NULL);
        struct text given = { text, 40000 };
        uint64_t begun = clock_monotonic_ns();
        int changed = redact_patterns_text(&patterns, &given);
        assert_true(clock_monotonic_ns() - begun < CLOCK_SECOND);
        if (changed == 1) { /* or PCRE2 saw at once that there is no match */
            assert_int_equal(given.length, strlen("[redacted]"));
            assert_int_equal(patterns.too_costly, 1);
        }
        assert_true(i != 0 || changed == 1 || memchr(text, 'b', 40000) == NULL);
        redact_patterns_finish(&patterns);
    }
    struct redact_patterns patterns = patterns_of("(a+)+[bc]", NULL);
    text[39999] = 'c';
    text[20000] = '!';
    struct text given = { text, 40000 };
    assert_int_equal(redact_patterns_text(&patterns, &given), 1);
    assert_true(text_is(given, "[redacted]"));
    redact_patterns_finish(&patterns);
    free(text);
}

static struct text packed_of(const char *json, char *room, size_t size) {
    struct pack_writer writer = { .data = room, .capacity = size };
    struct error error = { "" };
    assert_int_equal(pack_from_json(text_of(json), &writer, &error), 0);
    return (struct text) { room, writer.length };
}

static void values_at_any_depth_are_redacted_and_keys_stay(void **state) {
    struct redact_patterns patterns = patterns_of("\\b\\d{16}\\b", NULL);
    char room[1024];
    struct text packed =
        packed_of("{\"card\":\"no 4111111111111111\",\"n\":4111111111111111,\"small\":7,"
                  "\"list\":[{\"x\":\"4111111111111111\"},null,true,-1.5],\"4111111111111111\":\"key\"}",
                  room, sizeof(room));
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(redact_patterns_packed(&patterns, &packed), 1);
    assert_int_equal(pack_check(packed), 0);
    pack_append_json(&json, packed);
    assert_true(text_is(buffer_text(&json),
                        "{\"card\":\"no [redacted]\",\"n\":\"[redacted]\",\"small\":7,"
                        "\"list\":[{\"x\":\"[redacted]\"},null,true,-1.5],\"4111111111111111\":\"key\"}"));
    assert_int_equal(patterns.redacted, 3);
    packed = packed_of("{\"a\":[1,2,{\"b\":\"c\"}]}", room, sizeof(room));
    assert_int_equal(redact_patterns_packed(&patterns, &packed), 0);
    assert_ptr_equal(packed.data, room);
    redact_patterns_finish(&patterns);
}

static void all_parts_of_an_entry_are_redacted(void **state) {
    struct redact_patterns patterns = patterns_of("secret\\d", NULL);
    char metadata[64], details[64];
    struct entry entry = { .message = TEXT_LITERAL("a secret1"),
                           .templated = true,
                           .metadata = packed_of("{\"k\":\"secret2\"}", metadata, sizeof(metadata)),
                           .error_details = packed_of("\"secret3\"", details, sizeof(details)) };
    (void)state;
    assert_int_equal(redact_patterns_entry(&patterns, &entry),
                     ENTRY_PART_MESSAGE | ENTRY_PART_METADATA | ENTRY_PART_ERROR_DETAILS);
    assert_true(text_is(entry.message, "a [redacted]"));
    assert_false(entry.templated);
    assert_true(text_is(entry.metadata, "\x81\xa1k\xaa[redacted]"));
    assert_true(text_is(entry.error_details, "\xaa[redacted]"));
    redact_patterns_finish(&patterns);
}

static void growth_beyond_bounds_redacts_the_whole(void **state) {
    struct redact_patterns patterns = patterns_of("x", NULL);
    char *json = malloc(600000), *room = malloc(600000);
    (void)state;
    memset(json, 'x', 600000);
    struct pack_writer writer = { .data = room, .capacity = 600000 };
    pack_text(&writer, (struct text) { json, 590000 });
    struct text packed = { room, writer.length };
    assert_int_equal(redact_patterns_packed(&patterns, &packed), 1);
    assert_int_equal(pack_check(packed), 0);
    assert_null(memchr(packed.data, 'x', packed.length));
    free(json);
    free(room);
    redact_patterns_finish(&patterns);
}

static void an_expression_that_will_not_do_is_refused(void **state) {
    struct error error = { "" };
    (void)state;
    assert_int_equal(redact_pattern_check(TEXT_LITERAL("a(b"), &error), -EINVAL);
    assert_non_null(strstr(error.text, "character 4: missing closing parenthesis"));
    assert_int_equal(redact_pattern_check(TEXT_LITERAL("x*"), &error), -EINVAL);
    assert_non_null(strstr(error.text, "matches the empty text"));
    assert_int_equal(redact_pattern_check(TEXT_LITERAL("\\d{16}"), &error), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_match_becomes_the_mark),
        cmocka_unit_test(every_expression_has_its_turn),
        cmocka_unit_test(a_lookahead_takes_nothing_out_and_ends),
        cmocka_unit_test(matches_are_found_over_the_edges_of_slices),
        cmocka_unit_test(bytes_that_are_no_text_are_no_obstacle),
        cmocka_unit_test(what_is_too_costly_is_redacted_whole),
        cmocka_unit_test(values_at_any_depth_are_redacted_and_keys_stay),
        cmocka_unit_test(all_parts_of_an_entry_are_redacted),
        cmocka_unit_test(growth_beyond_bounds_redacts_the_whole),
        cmocka_unit_test(an_expression_that_will_not_do_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
