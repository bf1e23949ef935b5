#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/metric_repair.h"

#define LABEL(name, value)                                                                                             \
    { TEXT_INITIALIZER(name), TEXT_INITIALIZER(value) }

static void expect_text(struct text text, const char *expected) {
    if (!text_is(text, expected))
        fail_msg("\"%.*s\", not \"%s\"", TEXT_FORMAT(text), expected);
}

/* --- names --- */

static void bad_characters_of_a_name_become_underscores(void **state) {
    (void)state;
    static const struct {
        const char *given, *name, *label;
    } cases[] = {
        { "jobs", "jobs", "jobs" },
        { "a:b", "a:b", "a_b" },
        { "queue.mail-in/out", "queue_mail_in_out", "queue_mail_in_out" },
        { "9lives", "_9lives", "key_9lives" },
        { "", "_", "_" },
        { "Gr\xc3\xb6\xc3\x9f"
          "e",
          "Gr__e", "Gr__e" },              /* one for each character */
        { "a\xff\xf0\x9f", "a__", "a__" }, /* and for each run of bytes that is none */
        { "_x", "_x", "_x" },
        { "__x", "__x", "key__x" },
        { "..x", "__x", "key__x" },
        { "__name__", "__name__", "key__name__" },
        { "le", "le", "key_le" },
        { "quantile", "quantile", "key_quantile" },
        { "Le", "Le", "Le" },
        { "\n", "_", "_" },
    };
    char out[METRIC_NAME_BYTES], label[METRIC_LABEL_NAME_BYTES];
    struct text ret;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool changed = metric_name_repair(text_of(cases[i].given), out, &ret);
        expect_text(ret, cases[i].name);
        assert_int_equal(changed, strcmp(cases[i].given, cases[i].name) != 0);
        changed = metric_label_name_repair(text_of(cases[i].given), label, &ret);
        expect_text(ret, cases[i].label);
        assert_int_equal(changed, strcmp(cases[i].given, cases[i].label) != 0);
    }
}

static void long_ones_are_cut_and_stay_two(void **state) {
    (void)state;
    char one[5000], two[5000], out[2][METRIC_LABEL_VALUE_BYTES];
    struct text a, b;
    memset(one, 'x', sizeof(one));
    memcpy(two, one, sizeof(one));
    two[4999] = 'y';
    const struct text first = { one, sizeof(one) }, second = { two, sizeof(two) };
    assert_true(metric_name_repair(first, out[0], &a) && metric_name_repair(second, out[1], &b));
    assert_true(a.length == METRIC_NAME_BYTES && b.length == METRIC_NAME_BYTES && !text_equal(a, b));
    assert_int_equal(metric_name_check(a, NULL), 0);
    assert_memory_equal(a.data, one, METRIC_NAME_BYTES - 17);
    assert_int_equal(a.data[METRIC_NAME_BYTES - 17], '_');
    assert_true(metric_label_name_repair(first, out[0], &a) && metric_label_name_repair(second, out[1], &b));
    assert_true(a.length == METRIC_LABEL_NAME_BYTES && !text_equal(a, b));
    assert_true(metric_label_value_repair(first, out[0], &a) && metric_label_value_repair(second, out[1], &b));
    assert_true(a.length == METRIC_LABEL_VALUE_BYTES && !text_equal(a, b));
    /* a character is not cut in two */
    for (size_t i = 0; i + 1 < sizeof(one); i += 2)
        memcpy(one + i, "\xc3\xa4", 2);
    one[0] = 'x', one[1] = 'x';
    assert_true(metric_label_value_repair(first, out[0], &a));
    assert_true(a.length < METRIC_LABEL_VALUE_BYTES && text_utf8_valid(a));
    /* what just fits stays */
    memset(one, 'x', sizeof(one));
    assert_false(metric_name_repair((struct text) { one, METRIC_NAME_BYTES }, out[0], &a));
    assert_false(metric_label_name_repair((struct text) { one, METRIC_LABEL_NAME_BYTES }, out[0], &a));
    assert_false(metric_label_value_repair((struct text) { one, METRIC_LABEL_VALUE_BYTES }, out[0], &a));
    one[0] = '\0'; /* three bytes as U+FFFD */
    assert_true(metric_label_value_repair((struct text) { one, METRIC_LABEL_VALUE_BYTES - 2 }, out[0], &a));
    assert_int_equal(a.length, METRIC_LABEL_VALUE_BYTES);
}

static void bad_bytes_of_a_value_become_u_fffd(void **state) {
    (void)state;
    char out[METRIC_LABEL_VALUE_BYTES];
    struct text ret;
    assert_true(metric_label_value_repair(TEXT_LITERAL("a\0b\xff"
                                                       "c\xc3"),
                                          out, &ret));
    expect_text(ret, "a\xef\xbf\xbd"
                     "b\xef\xbf\xbd"
                     "c\xef\xbf\xbd");
    assert_false(
        metric_label_value_repair(TEXT_LITERAL("\"\\\n\x1b\xe2\x80\xae"), out, &ret)); /* all of it is allowed */
    assert_false(metric_label_value_repair(TEXT_EMPTY, out, &ret));
    assert_int_equal(ret.length, 0);
}

/* --- labels --- */

static void expect_label(struct text labels, const char *name, const char *value) {
    expect_text(metric_labels_find(labels, text_of(name)), value);
}

static void labels_of_one_name_are_joined(void **state) {
    (void)state;
    static const struct metric_label labels[] = {
        LABEL("b.c", "second"), LABEL("a", "same"), LABEL("b-c", "first"), LABEL("b_c", "third"),
        LABEL("b/c", ""),       LABEL("le", "1"),   LABEL("empty", ""),
    };
    static const struct metric_label good[] = { LABEL("b", "2"), LABEL("a", "1") };
    struct metric_labels_room room;
    struct text ret;
    assert_int_equal(metric_labels_repair(labels, COUNT_OF(labels), &room, &ret, NULL), 1);
    assert_int_equal(metric_labels_check(ret), 0);
    expect_label(ret, "b_c", "first;second;third");
    expect_label(ret, "a", "same");
    expect_label(ret, "key_le", "1");
    expect_label(ret, "empty", "");
    assert_int_equal(metric_labels_repair(good, COUNT_OF(good), &room, &ret, NULL), 0);
    expect_label(ret, "a", "1");
    assert_int_equal(metric_labels_repair(NULL, 0, &room, &ret, NULL), 0);
    assert_int_equal(ret.length, 0);
}

static void too_many_labels_are_refused_with_the_reason(void **state) {
    (void)state;
    char large[METRIC_LABEL_VALUE_BYTES];
    struct metric_label labels[METRIC_LABELS_MAX + 1];
    static const char names[] = "abcdefghijklmnopqrstuvwxyzABCDEFG";
    struct metric_labels_room room;
    struct error error;
    struct text ret;
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < COUNT_OF(labels); i++)
        labels[i] = (struct metric_label) { { names + i, 1 }, { large, sizeof(large) } };
    assert_int_equal(metric_labels_repair(labels, COUNT_OF(labels), &room, &ret, &error), -EINVAL);
    assert_non_null(strstr(error.text, "32 labels"));
    assert_int_equal(metric_labels_repair(labels, METRIC_LABELS_MAX, &room, &ret, &error), -E2BIG);
    assert_non_null(strstr(error.text, "4096"));
    assert_int_equal(metric_labels_repair(labels, 3, &room, &ret, &error), 0);
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) /* all of one name: joined, and cut */
        labels[i].name = TEXT_LITERAL("x");
    assert_int_equal(metric_labels_repair(labels, METRIC_LABELS_MAX, &room, &ret, &error), 1);
    assert_int_equal(metric_labels_find(ret, TEXT_LITERAL("x")).length, METRIC_LABEL_VALUE_BYTES);
}

/* --- what holds for any bytes --- */

static uint64_t random_next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static struct text random_text(uint64_t *seed, char *out, size_t most) {
    static const char *const pieces[] = { "a",
                                          "Z",
                                          "_",
                                          ":",
                                          "7",
                                          ".",
                                          "-",
                                          "\xc3\xa4",
                                          "\xf0\x9f\x98\x80",
                                          "__",
                                          "le",
                                          "\xff",
                                          "\xed\xa0\x80",
                                          "\n",
                                          "\"",
                                          "\\",
                                          "\xe2\x80\xae",
                                          "quantile" };
    size_t length = 0, want = random_next(seed) % 8 == 0 ? random_next(seed) % most : random_next(seed) % 12;
    while (length < want) {
        const char *piece = pieces[random_next(seed) % COUNT_OF(pieces)];
        size_t size = strlen(piece);
        if (random_next(seed) % 40 == 0)
            piece = "", size = 1; /* NUL */
        if (length + size > most)
            break;
        memcpy(out + length, piece, size);
        length += size;
    }
    return (struct text) { out, length };
}

/* Valid afterwards, untouched where it was valid, nothing to do a second time. */
static void whatever_comes_is_allowed_afterwards(void **state) {
    (void)state;
    char given[3000], out[METRIC_LABEL_VALUE_BYTES], again[METRIC_LABEL_VALUE_BYTES];
    uint64_t seed = 7;
    struct text ret, second;
    unsigned rounds = getenv("TASKFORGE_LONG") ? 3000000 : 30000, changes = 0;
    for (unsigned i = 0; i < rounds; i++) {
        struct text text = random_text(&seed, given, sizeof(given));
        bool was_good = metric_name_check(text, NULL) == 0;
        assert_int_equal(metric_name_repair(text, out, &ret), !was_good);
        assert_true(metric_name_check(ret, NULL) == 0 && (!was_good || ret.data == text.data));
        assert_false(metric_name_repair(ret, again, &second));
        struct metric_label label = { text, TEXT_EMPTY };
        was_good = metric_label_check(&label, NULL) == 0;
        assert_int_equal(metric_label_name_repair(text, out, &label.name), !was_good);
        assert_int_equal(metric_label_check(&label, NULL), 0);
        assert_false(metric_label_name_repair(label.name, again, &second));
        label = (struct metric_label) { TEXT_LITERAL("x"), text };
        was_good = metric_label_check(&label, NULL) == 0;
        assert_int_equal(metric_label_value_repair(text, out, &label.value), !was_good);
        assert_int_equal(metric_label_check(&label, NULL), 0);
        assert_false(metric_label_value_repair(label.value, again, &second));
        changes += !was_good;
    }
    assert_true(changes > rounds / 10 && changes < rounds);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_characters_of_a_name_become_underscores),
        cmocka_unit_test(long_ones_are_cut_and_stay_two),
        cmocka_unit_test(bad_bytes_of_a_value_become_u_fffd),
        cmocka_unit_test(labels_of_one_name_are_joined),
        cmocka_unit_test(too_many_labels_are_refused_with_the_reason),
        cmocka_unit_test(whatever_comes_is_allowed_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
