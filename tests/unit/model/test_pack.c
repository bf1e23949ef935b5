/* msgpack: written small, checked whole, read in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/model/pack.h"
#include "corpora.h"

#define T TEXT_LITERAL
#define I TEXT_INITIALIZER

static char room[70000];

static struct pack_writer writer_of(size_t capacity) {
    return (struct pack_writer) { .data = room, .capacity = capacity };
}

static struct text written(const struct pack_writer *writer) {
    return (struct text) { writer->data, writer->length };
}

static void writes_the_smallest_form(void **state) {
    (void)state;
    struct pack_writer w = writer_of(sizeof(room));
    pack_map(&w, 2);
    pack_text(&w, T("a"));
    pack_uint(&w, 127);
    pack_text(&w, T("b"));
    pack_array(&w, 5);
    pack_int(&w, -32);
    pack_uint(&w, 65536);
    pack_bool(&w, true);
    pack_nil(&w);
    pack_double(&w, 1.5);
    assert_true(text_equal(written(&w), T("\x82\xa1"
                                          "a\x7f\xa1"
                                          "b\x95\xe0\xce\x00\x01\x00\x00\xc3\xc0\xcb\x3f\xf8\0\0\0\0\0\0")));
    assert_int_equal(pack_check(written(&w)), 0);
    assert_true(pack_is_map(written(&w)));
    assert_false(w.failed);
}

static void fails_without_overrunning_its_room(void **state) {
    (void)state;
    for (size_t capacity = 0; capacity < 12; capacity++) {
        struct pack_writer w = writer_of(capacity);
        memset(room, 'x', 32);
        pack_map(&w, 1);
        pack_text(&w, T("key"));
        pack_text(&w, T("value"));
        pack_nil(&w); /* 12 bytes in all */
        assert_true(w.failed);
        assert_true(w.length <= capacity);
        assert_int_equal(room[capacity], 'x');
    }
}

static const struct {
    struct text packed;
    bool good;
} checks[] = {
    { I(""), false },
    { I("\xc0"), true },
    { I("\xc0\xc0"), false }, /* something behind it */
    { I("\xc1"), false },     /* never used */
    { I("\xa3"
        "ab"),
      false }, /* cut */
    { I("\xdb\xff\xff\xff\xff"
        "a"),
      false }, /* claims 4 GiB */
    { I("\xdd\xff\xff\xff\xff\xc0"), false },
    { I("\xdf\xff\xff\xff\xff\xc0"), false },
    { I("\xc6\xff\xff\xff\xff"), false },
    { I("\xc9\xff\xff\xff\xff\x01"), false },
    { I("\x81\x01\x02"), false }, /* a key that is no text */
    { I("\x81\xc0\xc0"), false },
    { I("\x81\x80\xc0"), false },
    { I("\x81\xa1"
        "a"),
      false }, /* a key without a value */
    { I("\x81\xa1"
        "a\x92\x01"),
      false },
    { I("\x82\xa1"
        "a\x81\xa0\xc0\xa1"
        "b\x90"),
      true },
    { I("\xd4\x01\x02"), true },
    { I("\xd4\x01"), false },
    { I("\xcb\x00"), false },
    { I("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), true },
};

static void refuses_what_is_not_one_whole_value(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        /* exact copies, so that a sanitizer sees a step too far */
        char *copy = malloc(checks[i].packed.length + 1);
        memcpy(copy, checks[i].packed.data, checks[i].packed.length);
        copy = realloc(copy, checks[i].packed.length ? checks[i].packed.length : 1);
        assert_int_equal(pack_check((struct text) { copy, checks[i].packed.length }), checks[i].good ? 0 : -EINVAL);
        free(copy);
    }
}

static void allows_a_bounded_depth(void **state) {
    (void)state;
    memset(room, 0x91, 64);
    room[31] = (char)0x90; /* 32 arrays */
    assert_int_equal(pack_check((struct text) { room, 32 }), 0);
    room[31] = (char)0x91;
    room[32] = (char)0x90; /* 33 */
    assert_int_equal(pack_check((struct text) { room, 33 }), -EINVAL);
    room[32] = 1; /* 32 and a number in the innermost */
    assert_int_equal(pack_check((struct text) { room, 33 }), 0);
}

static void walks_step_by_step(void **state) {
    (void)state;
    struct text packed = T("\x82\xa1"
                           "a\x92\x01\xff\xa1"
                           "b\xc4\x01x");
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_value value;
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_int_equal(value.type, PACK_MAP);
    assert_int_equal(value.count, 2);
    assert_true(text_equal(value.whole, packed));
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_TEXT && text_is(value.text, "a"));
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_ARRAY && value.count == 2 && value.whole.length == 3);
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_UINT && value.natural == 1);
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_INT && value.integer == -1);
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_BINARY && text_is(value.text, "x"));
    assert_int_equal(pack_next(&reader, &value), 0);
    reader = (struct pack_reader) { packed.data + 3, packed.data + 5 };
    assert_int_equal(pack_next(&reader, &value), -EINVAL);
}

static void finds_a_key_and_of_two_the_last(void **state) {
    (void)state;
    struct text packed = T("\x83\xa1"
                           "a\x01\xa1"
                           "b\x81\xa1"
                           "a\x02\xa1"
                           "a\x03");
    struct pack_value value;
    assert_int_equal(pack_find(packed, T("a"), &value), 1);
    assert_int_equal(value.natural, 3);
    assert_int_equal(pack_find(packed, T("b"), &value), 1);
    assert_int_equal(value.type, PACK_MAP);
    assert_int_equal(pack_find(packed, T("c"), &value), 0);
    assert_int_equal(pack_find(TEXT_EMPTY, T("a"), &value), 0);
    assert_int_equal(pack_find(T("\x91\x01"), T("a"), &value), 0);
}

/* "c4-01-01" to bytes. */
static size_t from_hex(struct text hex, char *out) {
    size_t length = 0;
    for (size_t i = 0; i + 1 < hex.length; i += 3) {
        char digits[3] = { hex.data[i], hex.data[i + 1], 0 };
        out[length++] = (char)strtoul(digits, NULL, 16);
    }
    return length;
}

static void judge_value(const struct pack_value *expected, const char *kind, const struct pack_value *got) {
    if (strcmp(kind, "nil") == 0)
        assert_int_equal(got->type, PACK_NIL);
    else if (strcmp(kind, "bool") == 0)
        assert_true(got->type == PACK_BOOL && got->boolean == expected->boolean);
    else if (strcmp(kind, "string") == 0)
        assert_true(got->type == PACK_TEXT && text_equal(got->text, expected->text));
    else if (strcmp(kind, "array") == 0)
        assert_true(got->type == PACK_ARRAY && got->count == expected->count);
    else if (strcmp(kind, "map") == 0)
        assert_true(got->type == PACK_MAP && got->count == expected->count);
    else if (strcmp(kind, "number") == 0 && expected->type == got->type && expected->type != PACK_DOUBLE)
        assert_true(got->natural == expected->natural); /* or integer: the same bits */
    else if (strcmp(kind, "number") == 0)
        assert_true(got->type == PACK_DOUBLE);
}

static void judge_case(struct text test_case, int *count) {
    static const char *const kinds[] = { "nil",   "bool", "binary", "number",    "string",
                                         "array", "map",  "ext",    "timestamp", "bignum" };
    struct pack_value expected = { 0 }, encodings, hex;
    const char *kind = "";
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (pack_find(test_case, text_of(kinds[i]), &expected))
            kind = kinds[i];
    if (*kind)
        pack_find(test_case, text_of(kind), &expected);
    assert_int_equal(pack_find(test_case, T("msgpack"), &encodings), 1);
    struct pack_reader reader = { encodings.whole.data, encodings.whole.data + encodings.whole.length };
    pack_next(&reader, &encodings);
    for (uint32_t i = 0; i < encodings.count; i++, (*count)++) {
        char bytes[4096];
        struct pack_value got;
        assert_int_equal(pack_next(&reader, &hex), 1);
        struct text packed = { bytes, from_hex(hex.text, bytes) };
        assert_int_equal(pack_check(packed), 0);
        struct pack_reader one = { packed.data, packed.data + packed.length };
        assert_int_equal(pack_next(&one, &got), 1);
        assert_true(text_equal(got.whole, packed));
        judge_value(&expected, kind, &got);
        for (size_t cut = 0; cut < packed.length; cut++)
            assert_int_equal(pack_check((struct text) { bytes, cut }), -EINVAL);
    }
}

static void takes_every_encoding_of_the_msgpack_test_suite(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    if (!corpora_read("msgpack/msgpack-test-suite.json", &json))
        skip();
    struct pack_writer w = writer_of(sizeof(room));
    struct error error = { "" };
    assert_int_equal(pack_from_json(buffer_text(&json), &w, &error), 0);
    struct pack_reader reader = { w.data, w.data + w.length };
    struct pack_value groups, name, cases, one;
    int count = 0;
    pack_next(&reader, &groups);
    for (uint32_t i = 0; i < groups.count; i++) {
        pack_next(&reader, &name);
        pack_next(&reader, &cases);
        for (uint32_t j = 0; j < cases.count; j++) {
            assert_int_equal(pack_next(&reader, &one), 1);
            judge_case(one.whole, &count);
            reader.at = one.whole.data + one.whole.length;
        }
    }
    assert_true(count > 100);
}

static void enters_maps_only(void **state) {
    (void)state;
    struct pack_reader reader;
    struct pack_value value;
    uint32_t pairs = 7;
    assert_true(pack_enter_map(T("\x81\xa1k\x92\x01\x02"), &reader, &pairs));
    assert_int_equal(pairs, 1);
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_TEXT && text_is(value.text, "k"));
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_true(value.type == PACK_ARRAY && value.count == 2 && value.whole.length == 3);
    assert_true(pack_enter_map(T("\x80"), &reader, &pairs));
    assert_int_equal(pairs, 0);
    assert_int_equal(pack_next(&reader, &value), 0);
    assert_false(pack_enter_map(TEXT_EMPTY, &reader, &pairs));
    assert_false(pack_enter_map(T("\x91\x01"), &reader, &pairs));
    assert_false(pack_enter_map(T("\x82\xa1"), &reader, &pairs)); /* cut */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_smallest_form),
        cmocka_unit_test(fails_without_overrunning_its_room),
        cmocka_unit_test(refuses_what_is_not_one_whole_value),
        cmocka_unit_test(allows_a_bounded_depth),
        cmocka_unit_test(walks_step_by_step),
        cmocka_unit_test(finds_a_key_and_of_two_the_last),
        cmocka_unit_test(takes_every_encoding_of_the_msgpack_test_suite),
        cmocka_unit_test(enters_maps_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
