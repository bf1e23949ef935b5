#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/block.h"

static const struct text shapes[] = {
    TEXT_INITIALIZER(""),
    TEXT_INITIALIZER("\x80"),
    TEXT_INITIALIZER("\x82\xa5queue\xa4mail\xa3job\xcd\x10\x20"),
    TEXT_INITIALIZER("\x82\xa3job\x07\xa5queue\xa3low"),
    TEXT_INITIALIZER("\x81\xa5queue\x82\xa1n\xc0\xa1m\x93\x01\x02\x03"),
    TEXT_INITIALIZER("\x82\xa5queue\x01\xa5queue\x02"), /* a key twice: the last holds */
    TEXT_INITIALIZER("\xde\x00\x01\xa5queue\x03"),      /* a longer header than needed */
    TEXT_INITIALIZER("\x81\xd9\x05queue\x04"),          /* a longer one of the key */
    TEXT_INITIALIZER("\x81\x05\x06"),                   /* a key that is no text */
    TEXT_INITIALIZER("\xa5queue"),                      /* no map */
    TEXT_INITIALIZER("\x81\xa5queue"),                  /* cut */
    TEXT_INITIALIZER("\x81\xa0\x08"),                   /* the empty key */
    TEXT_INITIALIZER("\x81\xa5queue\x09\x0a"),          /* something behind it */
};
static const struct text queues[COUNT_OF(shapes)] = {
    [2] = TEXT_INITIALIZER("\xa4mail"),
    [3] = TEXT_INITIALIZER("\xa3low"),
    [4] = TEXT_INITIALIZER("\x82\xa1n\xc0\xa1m\x93\x01\x02\x03"),
    [5] = TEXT_INITIALIZER("\x02"),
    [6] = TEXT_INITIALIZER("\x03"),
    [7] = TEXT_INITIALIZER("\x04"),
};

static struct block *build(const struct text *metadata, uint32_t rows, struct buffer *out) {
    struct block_builder *builder;
    struct block *block;
    assert_int_equal(block_builder_create(&builder), 0);
    for (uint32_t i = 0; i < rows; i++) {
        const struct entry entry = { .message = TEXT_LITERAL("m"), .metadata = metadata[i] };
        assert_int_equal(block_builder_add(builder, &entry), 0);
    }
    assert_int_equal(block_builder_encode(builder, 1, out), 0);
    block_builder_destroy(builder);
    assert_int_equal(block_open(buffer_text(out), 1, &block, NULL), 0);
    return block;
}

enum { ROWS = 1000 };

static struct block *build_all(struct buffer *out) {
    static struct text metadata[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        metadata[i] = shapes[i * 7 % COUNT_OF(shapes)];
    return build(metadata, ROWS, out);
}

static void gives_the_maps_of_a_few_rows_alone(void **state) {
    (void)state;
    struct buffer out = BUFFER_EMPTY;
    struct block *block = build_all(&out);
    for (uint32_t first = 0; first < 40; first++) {
        const uint32_t rows[] = { first, first * 3 + 1, first * 5 + 300, ROWS - 1 };
        assert_int_equal(block_load_rows(block, rows, COUNT_OF(rows), NULL), 0);
        for (uint32_t i = 0; i < COUNT_OF(rows); i++)
            assert_true(text_equal(block_text(block, BLOCK_METADATA, rows[i]), shapes[rows[i] * 7 % COUNT_OF(shapes)]));
    }
    block_destroy(block);
    buffer_finish(&out);
}

static void gives_every_map_back_as_it_was(void **state) {
    (void)state;
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block = build_all(&encoded);
    assert_int_equal(block_load(block, BLOCK_METADATA, NULL), 0);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(text_equal(block_text(block, BLOCK_METADATA, i), shapes[i * 7 % COUNT_OF(shapes)]));
    block_destroy(block);
    buffer_finish(&encoded);
}

static void gives_the_value_of_a_key_however_the_map_is_kept(void **state) {
    (void)state;
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block = build_all(&encoded);
    uint32_t key, again, none;
    assert_int_equal(block_load_metadata_key(block, TEXT_LITERAL("queue"), &key, NULL), 1);
    assert_int_equal(block_load_metadata_key(block, TEXT_LITERAL("queue"), &again, NULL), 1);
    assert_int_equal(key, again);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(text_equal(block_metadata_value(block, key, i), queues[i * 7 % COUNT_OF(shapes)]));
    /* there are maps that were kept whole, which alone tell */
    assert_int_equal(block_load_metadata_key(block, TEXT_LITERAL("nothing"), &none, NULL), 1);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(block_metadata_value(block, none, i).length, 0);
    block_destroy(block);
    buffer_finish(&encoded);
}

static void says_at_once_that_no_row_has_a_key(void **state) {
    (void)state;
    const struct text metadata[] = { shapes[2], shapes[0], shapes[3] };
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block = build(metadata, 3, &encoded);
    uint32_t key;
    assert_int_equal(block_load_metadata_key(block, TEXT_LITERAL("nothing"), &key, NULL), 0);
    assert_int_equal(block_load_metadata_key(block, TEXT_LITERAL("job"), &key, NULL), 1);
    assert_true(text_is(block_metadata_value(block, key, 2), "\x07"));
    assert_int_equal(block_metadata_value(block, key, 1).length, 0);
    block_destroy(block);
    buffer_finish(&encoded);
}

/* More keys than columns, and in some maps more than a shape takes. */
static void keeps_maps_of_very_many_keys(void **state) {
    (void)state;
    enum { MANY = 300 };
    static struct buffer maps[MANY];
    static struct text metadata[MANY];
    struct buffer encoded = BUFFER_EMPTY;
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t keys = i % 80;
        char header[3] = { (char)0xde, 0, (char)keys };
        if (keys < 16)
            buffer_append_char(&maps[i], (char)(0x80 | keys));
        else
            buffer_append(&maps[i], header, 3);
        for (uint32_t k = 0; k < keys; k++)
            buffer_append_format(&maps[i], "\xa5k%04u\xa6v%05u", (i * 3 + k) % 500, i + k);
        metadata[i] = buffer_text(&maps[i]);
    }
    struct block *block = build(metadata, MANY, &encoded);
    assert_int_equal(block_load(block, BLOCK_METADATA, NULL), 0);
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(text_equal(block_text(block, BLOCK_METADATA, i), metadata[i]));
    uint32_t key;
    assert_int_equal(block_load_metadata_key(block, TEXT_LITERAL("k0003"), &key, NULL), 1);
    assert_true(text_is(block_metadata_value(block, key, 1), "\xa6v00001"));
    block_destroy(block);
    for (uint32_t i = 0; i < MANY; i++)
        buffer_finish(&maps[i]);
    buffer_finish(&encoded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_maps_of_a_few_rows_alone),
        cmocka_unit_test(gives_every_map_back_as_it_was),
        cmocka_unit_test(gives_the_value_of_a_key_however_the_map_is_kept),
        cmocka_unit_test(says_at_once_that_no_row_has_a_key),
        cmocka_unit_test(keeps_maps_of_very_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
