/* JSON to msgpack and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <math.h>

#include "common/model/pack.h"
#include "corpora.h"

#define T TEXT_LITERAL
#define I TEXT_INITIALIZER

static char room[200000];

static int parse(struct text json, struct text *ret, struct error *error) {
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    int rc = pack_from_json(json, &writer, error);
    if (rc < 0) {
        assert_int_equal(writer.length, 0);
        return rc;
    }
    *ret = (struct text) { writer.data, writer.length };
    assert_int_equal(pack_check(*ret), 0);
    return 0;
}

/* What a JSON text is after going through msgpack. */
static void assert_becomes(struct text json, const char *expected) {
    struct text packed;
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    struct error error = { "" };
    if (parse(json, &packed, &error) < 0)
        fail_msg("%.*s: %s", TEXT_FORMAT(json), error.text);
    pack_append_json(&out, packed);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
}

static void keeps_what_it_reads(void **state) {
    (void)state;
    assert_becomes(T(" { \"a\" : [ 1 , -2 , true , false , null , { } , [ ] , \"x\" ] } \n"),
                   "{\"a\":[1,-2,true,false,null,{},[],\"x\"]}");
    assert_becomes(T("18446744073709551615"), "18446744073709551615");
    assert_becomes(T("-9223372036854775808"), "-9223372036854775808");
    assert_becomes(T("18446744073709551616"), "1.8446744073709552e+19");
    assert_becomes(T("-0"), "0");
    assert_becomes(T("-0.0"), "-0.0");
    assert_becomes(T("1.0"), "1.0");
    assert_becomes(T("0.1"), "0.1");
    assert_becomes(T("1e2"), "100.0");
    assert_becomes(T("1E-7"), "1e-07");
    assert_becomes(T("3.141592653589793"), "3.141592653589793");
    assert_becomes(T("5e-324"), "5e-324");
    assert_becomes(T("1.7976931348623157e308"), "1.7976931348623157e+308");
}

static void writes_strings_that_harm_nobody(void **state) {
    (void)state;
    assert_becomes(T("\"\\u0041\\n\\/\\u00e9\\ud83d\\ude00\""), "\"A\\n/\xc3\xa9\xf0\x9f\x98\x80\"");
    assert_becomes(T("\"\\u0000\\u001b\\u007f\\u009b\\u202e\""), "\"\\u0000\\u001b\\u007f\\u009b\\u202e\"");
    assert_becomes(T("\"\\ud800x\\udc00\\ud800\\u0041\""), "\"\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
                                                           "A\"");
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    json_append_string(&out, T("clean run of ASCII \"quoted\" \\ \t \xff bad"));
    assert_true(text_is(buffer_text(&out), "\"clean run of ASCII \\\"quoted\\\" \\\\ \\t \xef\xbf\xbd bad\""));
}

static void escapes_at_every_offset(void **state) {
    (void)state;
    static const char specials[] = { '"', '\\', 0, 0x1f, 0x7f };
    for (size_t s = 0; s < sizeof(specials); s++)
        for (size_t at = 0; at < 20; at++) {
            char text[20];
            memset(text, 'a', sizeof(text));
            text[at] = specials[s];
            _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
            struct text packed;
            json_append_string(&out, (struct text) { text, sizeof(text) });
            assert_true(out.length > sizeof(text) + 2);
            assert_int_equal(parse(buffer_text(&out), &packed, NULL), 0);
            struct pack_reader reader = { packed.data, packed.data + packed.length };
            struct pack_value value;
            assert_int_equal(pack_next(&reader, &value), 1);
            assert_true(text_equal(value.text, (struct text) { text, sizeof(text) }));
        }
}

static void says_where_it_went_wrong(void **state) {
    (void)state;
    static const struct {
        struct text json;
        const char *says;
    } cases[] = {
        { I(""), "character 1: the text is empty" },
        { I("{\"a\":1,}"), "character 8: a key in quotes must stand here" },
        { I("[1 2]"), "character 4: a comma or ] must stand here" },
        { I("{\"\xc3\xa9\" 1}"), "character 6: a colon must stand behind the key" },
        { I("tru"), "character 1: a value must stand here" },
        { I("1 1"), "character 3: nothing may follow the value" },
        { I("[1,"), "character 4: the text ends where a value must stand" },
        { I("\"a"), "character 3: the string does not end" },
        { I("\"\xff\""), "character 1: the text is not UTF-8" },
        { I("01"), "character 3: a number must not begin with 0" },
        { I("1e999"), "character 6: the number is too large" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = { "" };
        struct text packed;
        assert_int_equal(parse(cases[i].json, &packed, &error), -EINVAL);
        assert_string_equal(error.text, cases[i].says);
    }
}

static void bounds_depth_and_room(void **state) {
    (void)state;
    char json[80];
    struct text packed;
    memset(json, '[', 32);
    memset(json + 32, ']', 32);
    assert_int_equal(parse((struct text) { json, 64 }, &packed, NULL), 0);
    memset(json, '[', 33);
    memset(json + 33, ']', 33);
    assert_int_equal(parse((struct text) { json, 66 }, &packed, NULL), -EINVAL);
    struct text three = T("[\"abc\",{\"k\":1.5}]"); /* 1 + 4 + 1 + 2 + 9 */
    for (size_t capacity = 0; capacity <= 17; capacity++) {
        struct pack_writer writer = { .data = room, .capacity = capacity };
        memset(room, 'x', 32);
        assert_int_equal(pack_from_json(three, &writer, NULL), capacity < 17 ? -E2BIG : 0);
        assert_int_equal(room[capacity], 'x');
    }
}

static void keeps_the_last_of_equal_keys(void **state) {
    (void)state;
    assert_becomes(T("{\"a\":1,\"b\":2,\"a\":3}"), "{\"b\":2,\"a\":3}");
    assert_becomes(T("{\"a\":{\"x\":1,\"x\":2},\"a\":{\"x\":3,\"\\u0078\":4}}"), "{\"a\":{\"x\":4}}");
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY, expected = BUFFER_EMPTY;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2000; i++)
            buffer_append_format(&json, "%c\"key%d\":%d", json.length ? ',' : '{', i, round);
    for (int i = 0; i < 2000; i++)
        buffer_append_format(&expected, "%c\"key%d\":2", i ? ',' : '{', i);
    buffer_append_char(&json, '}');
    buffer_append(&expected, "}", 2);
    assert_becomes(buffer_text(&json), expected.data);
}

static void takes_as_many_keys_as_64_kib_can_hold(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    int count = 0;
    while (json.length < 65536 - 12)
        buffer_append_format(&json, "%c\"%x\":1", count ? ',' : '{', count), count++;
    buffer_append_char(&json, '}');
    struct text packed;
    assert_int_equal(parse(buffer_text(&json), &packed, NULL), 0);
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_value map;
    assert_int_equal(pack_next(&reader, &map), 1);
    assert_int_equal(map.count, count);
    buffer_clear(&json);
    for (count = 0; count < 15000; count++)
        buffer_append_format(&json, "%c\"%x\":1", count ? ',' : '{', count);
    buffer_append_char(&json, '}');
    assert_int_equal(parse(buffer_text(&json), &packed, NULL), -E2BIG);
}

static void writes_what_json_has_no_word_for(void **state) {
    (void)state;
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    pack_array(&writer, 8);
    pack_double(&writer, (double)NAN);
    pack_double(&writer, (double)INFINITY);
    pack_binary(&writer, T("\x00\xff"));
    pack_binary(&writer, T(""));
    pack_binary(&writer, T("abc"));
    pack_binary(&writer, T("a"));
    pack_raw(&writer, T("\xd4\x05x"));
    pack_text(&writer, T("\xc3"));
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    pack_append_json(&out, (struct text) { writer.data, writer.length });
    assert_true(text_is(buffer_text(&out), "[null,null,\"AP8=\",\"\",\"YWJj\",\"YQ==\",\"eA==\",\"\xef\xbf\xbd\"]"));
}

static void stays_json_on_damaged_bytes(void **state) {
    (void)state;
    static const struct text damaged[] = { I("\x82\xa1"
                                             "a"),
                                           I("\x92\x01"), I("\x81\x01\x02"),
                                           I("\x82\xa1"
                                             "a\x91\xc1"),
                                           I("") };
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
        struct text packed;
        pack_append_json(&out, damaged[i]);
        assert_int_equal(parse(buffer_text(&out), &packed, NULL), 0);
    }
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Also where it takes a short cut. */
static void writes_decimals_as_printf_does(void **state) {
    (void)state;
    static const double scales[] = { 1e1, 1e2, 1e3, 1e6, 1e7, 1e9, 1e13 };
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    for (uint64_t i = 1; i < 20000; i++) {
        char expected[40];
        double number =
            (double)(i * UINT64_C(2654435761) % 1000000007) / scales[i % (sizeof(scales) / sizeof(scales[0]))];
        if (number == (double)(int64_t)number)
            continue;
        number = i % 3 ? number : -number;
        snprintf(expected, sizeof(expected), "%.15g", number);
        buffer_clear(&json);
        json_append_double(&json, number);
        if (!text_is(buffer_text(&json), expected))
            fail_msg("%s became %.*s", expected, TEXT_FORMAT(buffer_text(&json)));
    }
}

static void reads_back_every_double_it_writes(void **state) {
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = next_random(&seed);
        if (i % 3 == 0)
            bits &= UINT64_C(0x800fffffffffffff); /* subnormal */
        double number;
        memcpy(&number, &bits, sizeof(number));
        if (i % 3 == 1)
            number = (double)(int64_t)(bits % 2000000000) / 1000.0;
        if (!isfinite(number))
            continue;
        _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
        struct text packed;
        json_append_double(&out, number);
        assert_int_equal(parse(buffer_text(&out), &packed, NULL), 0);
        struct pack_reader reader = { packed.data, packed.data + packed.length };
        struct pack_value value;
        assert_int_equal(pack_next(&reader, &value), 1);
        assert_int_equal(value.type, PACK_DOUBLE);
        assert_memory_equal(&value.number, &number, sizeof(number));
    }
}

/* A locale with a decimal comma, from those installed, or made for the test where localedef is. */
static bool set_comma_locale(const char *folder) {
    static const char *const names[] = { "de_DE.UTF-8", "id_ID.UTF-8", "fr_FR.UTF-8" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (setlocale(LC_ALL, names[i]) && localeconv()->decimal_point[0] == ',')
            return true;
    char command[256];
    snprintf(command, sizeof(command), "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
    if (system(command) != 0)
        return false;
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_ALL, "de_DE.UTF-8") && localeconv()->decimal_point[0] == ',';
}

static void does_not_care_about_the_locale(void **state) {
    (void)state;
    char folder[] = "/tmp/taskforge-locale-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    bool set = set_comma_locale(folder);
    if (set) {
        char text[16];
        snprintf(text, sizeof(text), "%.1f", 1.5);
        assert_string_equal(text, "1,5"); /* it is on */
        assert_becomes(T("[1.5,1.2345678901234567,1e-7]"), "[1.5,1.2345678901234567,1e-07]");
        setlocale(LC_ALL, "C");
    }
    unsetenv("LOCPATH");
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    if (!set)
        skip();
}

static void passes_the_json_test_suite(void **state) {
    (void)state;
    char path[1024];
    snprintf(path, sizeof(path), "%s/json", corpora_folder());
    DIR *folder = opendir(path);
    if (!folder)
        skip();
    int accepted = 0, refused = 0;
    for (struct dirent *file; (file = readdir(folder));) {
        if (file->d_name[0] == '.' || file->d_name[1] != '_')
            continue;
        _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
        struct text packed;
        snprintf(path, sizeof(path), "json/%s", file->d_name);
        assert_true(corpora_read(path, &json));
        struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
        int rc = pack_from_json(buffer_text(&json), &writer, NULL);
        if ((file->d_name[0] == 'y' && rc < 0) || (file->d_name[0] == 'n' && rc == 0))
            fail_msg("%s: %d", file->d_name, rc);
        accepted += file->d_name[0] == 'y';
        refused += file->d_name[0] == 'n';
        if (rc == 0) { /* what was accepted is a checked value, and its JSON reads back as the same bytes */
            packed = (struct text) { writer.data, writer.length };
            assert_int_equal(pack_check(packed), 0);
        }
    }
    closedir(folder);
    assert_true(accepted > 90 && refused > 150);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_reads),
        cmocka_unit_test(writes_strings_that_harm_nobody),
        cmocka_unit_test(escapes_at_every_offset),
        cmocka_unit_test(says_where_it_went_wrong),
        cmocka_unit_test(bounds_depth_and_room),
        cmocka_unit_test(keeps_the_last_of_equal_keys),
        cmocka_unit_test(takes_as_many_keys_as_64_kib_can_hold),
        cmocka_unit_test(writes_what_json_has_no_word_for),
        cmocka_unit_test(stays_json_on_damaged_bytes),
        cmocka_unit_test(writes_decimals_as_printf_does),
        cmocka_unit_test(reads_back_every_double_it_writes),
        cmocka_unit_test(does_not_care_about_the_locale),
        cmocka_unit_test(passes_the_json_test_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
