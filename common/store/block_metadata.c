/* Metadata by key, the writing side: a map is a shape (the ordered list of its keys) and a value for each key. What would not come out byte for byte the
 * same - no map, headers longer than needed, keys that are no text - is kept whole, as one value. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/model/pack.h"
#include "common/store/block_private.h"

enum {
    SHAPE_KEYS = 64,        /* of one map; more: whole */
    COLUMN_BYTES_MIN = 128, /* of values, for which a column pays */
};

struct shape {
    uint16_t keys[SHAPE_KEYS];
    struct text values[SHAPE_KEYS];
    uint32_t count;
};

static size_t text_header(size_t length) {
    return length < 32 ? 1 : length < 256 ? 2 : length < 65536 ? 3 : 5;
}

/* Maps mostly have the keys of the one before, as far as they go. */
static bool is_guess_right(const struct block_builder *builder, uint32_t index, struct text key) {
    uint16_t number = index < SHAPE_GUESSES ? builder->guesses[index] : UINT16_MAX;
    return number < builder->keys.size && text_equal(dictionary_get(&builder->keys, number), key);
}

static bool add_key(struct block_builder *builder, struct shape *shape, struct text key, int *result) {
    if (is_guess_right(builder, shape->count, key)) {
        shape->keys[shape->count] = builder->guesses[shape->count];
        return true;
    }
    uint64_t hash = hash_bytes(key.data, key.length);
    int number = dictionary_find(&builder->keys, key, hash);
    if (number < 0 && builder->keys.size < BLOCK_KEYS_MAX && key.length <= UINT16_MAX)
        number = *result = dictionary_add_hashed(&builder->keys, key, hash);
    if (number < 0)
        return false;
    shape->keys[shape->count] = (uint16_t)number;
    if (shape->count < SHAPE_GUESSES)
        builder->guesses[shape->count] = (uint16_t)number;
    return true;
}

/* True when the map is its keys and values and nothing else. */
static bool take_apart(struct block_builder *builder, struct text metadata, struct shape *shape, int *result) {
    struct pack_reader reader = { metadata.data, metadata.data + metadata.length };
    struct pack_value map, key, value;
    shape->count = 0;
    if (pack_next(&reader, &map) != 1 || map.type != PACK_MAP || map.count > SHAPE_KEYS ||
        map.whole.length != metadata.length || reader.at != metadata.data + (map.count < 16 ? 1 : 3))
        return false;
    for (uint32_t i = 0; i < map.count; i++, shape->count++) {
        if (pack_next(&reader, &key) != 1 || key.type != PACK_TEXT ||
            key.whole.length != text_header(key.text.length) + key.text.length || pack_next(&reader, &value) != 1)
            return false;
        reader.at = value.whole.data + value.whole.length;
        if (!add_key(builder, shape, key.text, result))
            return false;
        shape->values[i] = value.whole;
    }
    return true;
}

static int add_shape(struct block_builder *builder, const struct shape *shape) {
    uint16_t last = builder->last_shape;
    if (last < builder->shapes.size &&
        text_equal(dictionary_get(&builder->shapes, last),
                   (struct text) { (const char *)shape->keys, shape->count * sizeof(shape->keys[0]) }))
        return last + BLOCK_SHAPES_FIXED;
    int number = dictionary_add(&builder->shapes,
                                (struct text) { (const char *)shape->keys, shape->count * sizeof(shape->keys[0]) });
    if (number < 0)
        return number;
    builder->last_shape = (uint16_t)number;
    return number + BLOCK_SHAPES_FIXED;
}

static bool holds(struct text text, const char *word) {
    return text.data && memmem(text.data, text.length, word, strlen(word));
}

int block_metadata_add(struct block_builder *builder, struct text metadata, uint32_t row) {
    struct shape shape;
    int result = 0, number = BLOCK_SHAPE_ABSENT;
    builder->first_values[row] = builder->values.count;
    if (metadata.length > 0 && take_apart(builder, metadata, &shape, &result)) {
        number = add_shape(builder, &shape);
    } else if (metadata.length > 0) {
        number = BLOCK_SHAPE_WHOLE;
        shape.count = 1;
        shape.values[0] = metadata;
        builder->weighed |= holds(metadata, ENTRY_SAMPLE_SHARE) || holds(metadata, ENTRY_REPEATED);
    } else {
        shape.count = 0;
    }
    result = number < 0 ? number : result < 0 ? result : 0;
    for (uint32_t i = 0; i < shape.count && result == 0; i++)
        result = value_run_add(&builder->values, shape.values[i]);
    builder->shape_rows[row] = (uint16_t)number;
    return result;
}

bool block_metadata_is_weighed(const struct block_builder *builder) {
    static const struct text keys[] = { TEXT_INITIALIZER(ENTRY_SAMPLE_SHARE), TEXT_INITIALIZER(ENTRY_REPEATED) };
    bool weighed = builder->weighed;
    for (size_t i = 0; i < COUNT_OF(keys) && builder->keys.size > 0; i++)
        weighed |= dictionary_find(&builder->keys, keys[i], hash_bytes(keys[i].data, keys[i].length)) >= 0;
    return weighed;
}

/* --- packing --- */

struct by_key { /* group 0: what is kept whole; group k + 1: key k */
    uint32_t groups;
    uint32_t *begins; /* of each group in values; one more */
    uint32_t *values; /* numbers of the builder's */
    uint32_t *lengths;
    uint8_t *columns; /* of each group; 0: none */
};

static uint32_t shape_size(const struct block_builder *builder, uint16_t shape) {
    if (shape < BLOCK_SHAPES_FIXED)
        return shape == BLOCK_SHAPE_WHOLE;
    return (uint32_t)(dictionary_get(&builder->shapes, shape - BLOCK_SHAPES_FIXED).length / sizeof(uint16_t));
}

static uint32_t group_of(const struct block_builder *builder, uint16_t shape, uint32_t index) {
    uint16_t key;
    if (shape == BLOCK_SHAPE_WHOLE)
        return 0;
    memcpy(&key, dictionary_get(&builder->shapes, shape - BLOCK_SHAPES_FIXED).data + index * sizeof(key), sizeof(key));
    return (uint32_t)key + 1;
}

/* The values by group, in order of the rows: a counting sort. */
static void order_values(const struct block_builder *builder, struct by_key *by) {
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t row = 0; row < builder->count; row++) {
            uint16_t shape = builder->shape_rows[row];
            uint32_t size = shape_size(builder, shape);
            for (uint32_t i = 0; i < size; i++) {
                uint32_t group = group_of(builder, shape, i);
                if (pass == 0)
                    by->begins[group + 1]++;
                else
                    by->values[by->begins[group]++] = builder->first_values[row] + i;
            }
        }
        for (uint32_t i = 1; i <= by->groups && pass == 0; i++)
            by->begins[i] += by->begins[i - 1];
    }
    memmove(by->begins + 1, by->begins, by->groups * sizeof(uint32_t));
    by->begins[0] = 0;
}

/* The keys that most rows have get columns. */
static void choose_columns(struct by_key *by, const struct block_builder *builder) {
    for (uint8_t column = 0; column < BLOCK_KEY_COLUMNS; column++) {
        uint32_t best = 0, most = 0;
        for (uint32_t group = 1; group < by->groups; group++) {
            uint32_t count = by->begins[group + 1] - by->begins[group];
            if (by->columns[group] == 0 && count > most) {
                best = group;
                most = count;
            }
        }
        size_t bytes = 0;
        for (uint32_t i = by->begins[best]; best && i < by->begins[best + 1] && bytes < COLUMN_BYTES_MIN; i++)
            bytes += value_run_get(&builder->values, by->values[i]).length;
        if (bytes < COLUMN_BYTES_MIN)
            return;
        by->columns[best] = (uint8_t)(BLOCK_KEY_FIRST + column);
    }
}

static void pack_group(const struct block_builder *builder, const struct by_key *by, uint32_t group,
                       struct buffer *lengths, struct buffer *bytes) {
    uint32_t begin = by->begins[group], count = by->begins[group + 1] - begin;
    for (uint32_t i = 0; i < count; i++) {
        struct text value = value_run_get(&builder->values, by->values[begin + i]);
        by->lengths[i] = (uint32_t)value.length;
        buffer_append_text(bytes, value);
    }
    block_lengths_pack(by->lengths, count, lengths);
}

static int pack_shapes(struct block_packing *packing, const struct by_key *by) {
    struct block_builder *builder = packing->builder;
    struct buffer *out = &builder->column;
    buffer_clear(out);
    append_u32(out, builder->keys.size);
    for (uint32_t i = 0; i < builder->keys.size; i++) {
        struct text key = dictionary_get(&builder->keys, i);
        append_u16(out, (uint16_t)key.length);
        buffer_append_text(out, key);
        buffer_append_char(out, (char)by->columns[i + 1]);
    }
    append_u32(out, builder->shapes.size);
    for (uint32_t i = 0; i < builder->shapes.size; i++) {
        uint16_t shape = (uint16_t)(i + BLOCK_SHAPES_FIXED);
        append_u16(out, (uint16_t)shape_size(builder, shape));
        for (uint32_t k = 0; k < shape_size(builder, shape); k++)
            append_u16(out, (uint16_t)(group_of(builder, shape, k) - 1));
    }
    block_rows_pack(builder->shape_rows, builder->count, builder->shapes.size + BLOCK_SHAPES_FIXED, out);
    return block_pack_column(packing, BLOCK_METADATA, out);
}

static int pack_values(struct block_packing *packing, const struct by_key *by) {
    struct block_builder *builder = packing->builder;
    _cleanup_buffer_ struct buffer lengths = BUFFER_EMPTY;
    struct buffer *bytes = &builder->column;
    int result = 0;
    for (uint32_t group = 0; group < by->groups && result == 0; group++) {
        if (by->columns[group] == 0)
            continue;
        _cleanup_buffer_ struct buffer own = BUFFER_EMPTY;
        buffer_clear(bytes);
        pack_group(builder, by, group, &own, bytes);
        buffer_append_text(&own, buffer_text(bytes));
        result = bytes->failed ? -ENOMEM : block_pack_column(packing, by->columns[group], &own);
    }
    buffer_clear(bytes);
    for (uint32_t group = 0; group < by->groups; group++)
        if (by->columns[group] == 0)
            pack_group(builder, by, group, &lengths, bytes);
    buffer_append_text(&lengths, buffer_text(bytes));
    if (result == 0)
        result = bytes->failed ? -ENOMEM : block_pack_column(packing, BLOCK_METADATA_REST, &lengths);
    return result;
}

int block_metadata_pack(struct block_packing *packing) {
    struct block_builder *builder = packing->builder;
    struct by_key by = { .groups = builder->keys.size + 1 };
    bool any = builder->values.count > 0 || builder->shapes.size > 0;
    if (!any)
        return 0;
    by.begins = calloc((size_t)by.groups + 1, sizeof(uint32_t));
    by.values = calloc((size_t)builder->values.count + 1, sizeof(uint32_t));
    by.lengths = calloc((size_t)builder->values.count + 1, sizeof(uint32_t));
    by.columns = calloc(by.groups, 1);
    int result = by.begins && by.values && by.lengths && by.columns ? 0 : -ENOMEM;
    if (result == 0) {
        order_values(builder, &by);
        choose_columns(&by, builder);
        result = pack_shapes(packing, &by);
    }
    if (result == 0)
        result = pack_values(packing, &by);
    free(by.begins);
    free(by.values);
    free(by.lengths);
    free(by.columns);
    return result;
}
