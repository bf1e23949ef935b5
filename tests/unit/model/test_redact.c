/* Values of configured keys are hidden, wherever they stand, and nothing else changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/model/redact.h"

#define T TEXT_LITERAL

static struct redaction redaction_of(const char *const *keys, size_t count) {
    struct redaction redaction = { .count = 0 };
    for (size_t i = 0; i < count; i++)
        assert_int_equal(redaction_add(&redaction, text_of(keys[i])), 0);
    return redaction;
}

static const char *const secrets[] = { "password", "token", "API_Key", "\xc3\xa9tat" };

static struct text pack_of(const char *json, char room[4096]) {
    struct pack_writer writer = { .data = room, .capacity = 4096 };
    assert_int_equal(pack_from_json(text_of(json), &writer, NULL), 0);
    return (struct text) { room, writer.length };
}

/* What stands there behind redaction, as JSON. */
static void assert_redacted(const char *json, const char *expected) {
    char room[4096], out[4096];
    struct redaction redaction = redaction_of(secrets, COUNT_OF(secrets));
    struct text packed = pack_of(json, room), result = TEXT_EMPTY;
    int r = redact_packed(&redaction, packed, out, sizeof(out), &result);
    _cleanup_buffer_ struct buffer shown = BUFFER_EMPTY;
    assert_true(r >= 0);
    assert_int_equal(pack_check(result), 0);
    pack_append_json(&shown, result);
    buffer_append_char(&shown, '\0');
    assert_string_equal(shown.data, expected);
    if (r > 0)
        assert_int_equal(r, result.length);
    assert_ptr_equal(result.data, r > 0 ? out : packed.data);
}

static void hides_keys_in_any_case_at_any_depth(void **state) {
    (void)state;
    assert_redacted("{\"password\":\"x\",\"user\":\"y\"}", "{\"password\":\"[redacted]\",\"user\":\"y\"}");
    assert_redacted("{\"PassWord\":1,\"TOKEN\":null,\"api_key\":[1,2]}",
                    "{\"PassWord\":\"[redacted]\",\"TOKEN\":\"[redacted]\",\"api_key\":\"[redacted]\"}");
    assert_redacted("{\"a\":{\"b\":[0,{\"token\":{\"deep\":1}},2]},\"c\":3}",
                    "{\"a\":{\"b\":[0,{\"token\":\"[redacted]\"},2]},\"c\":3}");
    assert_redacted("[[{\"token\":1}],{\"token\":2}]", "[[{\"token\":\"[redacted]\"}],{\"token\":\"[redacted]\"}]");
    /* behind several that end together */
    assert_redacted("{\"a\":[[1]],\"token\":2}", "{\"a\":[[1]],\"token\":\"[redacted]\"}");
    assert_redacted("{\"a\":[{\"b\":[[],{}]}],\"token\":2}", "{\"a\":[{\"b\":[[],{}]}],\"token\":\"[redacted]\"}");
    /* what stands inside a hidden value is no key any more */
    assert_redacted("{\"token\":{\"password\":{\"token\":1}},\"x\":1}", "{\"token\":\"[redacted]\",\"x\":1}");
    /* beyond ASCII bytes count as they are */
    assert_redacted("{\"\xc3\xa9tat\":1,\"\xc3\x89tat\":2}", "{\"\xc3\xa9tat\":\"[redacted]\",\"\xc3\x89tat\":2}");
}

static void leaves_all_else_as_it_is(void **state) {
    (void)state;
    static const char *const whole[] = {
        "{}",
        "[]",
        "null",
        "\"password\"",
        "[\"password\",\"token\"]",
        "{\"x\":\"password\"}",
        "{\"pass\":1}",
        "{\"passwords\":1}",
        "{\"\":1}",
        "{\"tokens\":[\"token\"]}",
        "[{\"a\":{}},[],{\"b\":[{}]}]",
        "{\"a\":{\"b\":{}},\"c\":[[],[]],\"d\":1.5}",
    };
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        assert_redacted(whole[i], whole[i]);
    assert_redacted(
        "{\"n\":[1,-2,1.5,true,false,null,\"\\u00e9\",18446744073709551615],\"token\":0,\"m\":{\"o\":[[]]}}",
        "{\"n\":[1,-2,1.5,true,false,null,\"\xc3\xa9\",18446744073709551615],\"token\":\"[redacted]\","
        "\"m\":{\"o\":[[]]}}");
}

static void keeps_binary_values_and_extensions(void **state) {
    (void)state;
    char room[64], out[128];
    struct redaction redaction = redaction_of(secrets, COUNT_OF(secrets));
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    pack_map(&writer, 3);
    pack_text(&writer, T("a"));
    pack_binary(&writer, T("\0\xff"));
    pack_text(&writer, T("token"));
    pack_binary(&writer, T("secret"));
    pack_text(&writer, T("b"));
    pack_raw(&writer, T("\xd5\x07xy")); /* fixext 2 */
    struct text result;
    assert_true(redact_packed(&redaction, (struct text) { room, writer.length }, out, sizeof(out), &result) > 0);
    assert_int_equal(pack_check(result), 0);
    assert_null(memmem(result.data, result.length, "secret", 6));
    assert_non_null(memmem(result.data, result.length, "\xc4\x02\0\xff", 4));
    assert_non_null(memmem(result.data, result.length, "\xd5\x07xy", 4));
}

static void goes_as_deep_as_values_may_nest(void **state) {
    (void)state;
    char json[1024] = "", expected[1024] = "";
    for (int i = 0; i < PACK_DEPTH_MAX - 1; i++)
        strcat(json, i % 2 ? "[" : "{\"k\":");
    strcpy(expected, json);
    strcat(json, "{\"token\":1}");
    strcat(expected, "{\"token\":\"[redacted]\"}");
    for (int i = PACK_DEPTH_MAX - 2; i >= 0; i--) {
        strcat(json, i % 2 ? "]" : "}");
        strcat(expected, i % 2 ? "]" : "}");
    }
    assert_redacted(json, expected);
}

static void says_when_the_result_does_not_fit(void **state) {
    (void)state;
    char room[4096], out[4096];
    struct redaction redaction = redaction_of(secrets, COUNT_OF(secrets));
    struct text packed = pack_of("{\"a\":\"some text\",\"token\":1,\"b\":[1,2,3]}", room), result = TEXT_EMPTY;
    int whole = redact_packed(&redaction, packed, out, sizeof(out), &result);
    assert_true(whole > (int)packed.length); /* the mark is longer than what it hides */
    for (int capacity = 0; capacity < whole; capacity++) {
        memset(out, 0xee, sizeof(out));
        assert_int_equal(redact_packed(&redaction, packed, out, (size_t)capacity, &result), -ENOSPC);
        assert_int_equal((unsigned char)out[capacity], 0xee);
    }
    assert_int_equal(redact_packed(&redaction, packed, out, (size_t)whole, &result), whole);
    /* where nothing is hidden no room is needed */
    packed = pack_of("{\"a\":1}", room);
    assert_int_equal(redact_packed(&redaction, packed, NULL, 0, &result), 0);
    assert_ptr_equal(result.data, packed.data);
}

static void takes_keys_of_any_length_up_to_its_limit(void **state) {
    (void)state;
    static char keys[REDACT_KEYS_MAX][REDACT_KEYS_MAX + 40];
    struct redaction redaction = { .count = 0 };
    assert_false(redaction_hides(&redaction, T("key")));
    for (size_t i = 0; i < REDACT_KEYS_MAX; i++) { /* 36 to 99 characters: some share a bit */
        memset(keys[i], 'k', i + 36);
        assert_int_equal(redaction_add(&redaction, text_of(keys[i])), 0);
    }
    assert_int_equal(redaction_add(&redaction, T("one more")), -ENOSPC);
    assert_false(redaction_hides(&redaction, T("one more")));
    for (size_t i = 0; i < REDACT_KEYS_MAX; i++) {
        char key[sizeof(keys[0])];
        strcpy(key, keys[i]);
        assert_true(redaction_hides(&redaction, text_of(key)));
        key[3] = 'K';
        assert_true(redaction_hides(&redaction, text_of(key)));
        key[3] = 'j';
        assert_false(redaction_hides(&redaction, text_of(key)));
    }
    assert_false(redaction_hides(&redaction, TEXT_EMPTY));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_keys_in_any_case_at_any_depth),
        cmocka_unit_test(leaves_all_else_as_it_is),
        cmocka_unit_test(keeps_binary_values_and_extensions),
        cmocka_unit_test(goes_as_deep_as_values_may_nest),
        cmocka_unit_test(says_when_the_result_does_not_fit),
        cmocka_unit_test(takes_keys_of_any_length_up_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
