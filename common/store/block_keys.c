/* Metadata by key, the reading side: shapes, the values of one key, and the maps put together again. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/store/block_reading.h"

enum { SHAPE_KEYS_MAX = 64, HEADER_MAX = 5 };

static size_t shape_size(const struct keys *keys, uint16_t shape) {
    if (shape < BLOCK_SHAPES_FIXED)
        return shape == BLOCK_SHAPE_WHOLE;
    return keys->shape_begins[shape - BLOCK_SHAPES_FIXED + 1] - keys->shape_begins[shape - BLOCK_SHAPES_FIXED];
}

/* The groups of a shape's values; NULL for a map that is kept whole. */
static const uint16_t *shape_keys(const struct keys *keys, uint16_t shape) {
    return shape < BLOCK_SHAPES_FIXED ? NULL : keys->shape_keys + keys->shape_begins[shape - BLOCK_SHAPES_FIXED];
}

static uint32_t group_of(const uint16_t *list, size_t index) {
    return list ? (uint32_t)list[index] + 1 : 0;
}

/* --- shapes --- */

static bool take_u16(const char **at, const char *end, uint16_t *ret) {
    if (end - *at < 2)
        return false;
    *ret = get_u16(*at);
    *at += 2;
    return true;
}

static bool take_u32(const char **at, const char *end, uint32_t *ret) {
    if (end - *at < 4)
        return false;
    *ret = get_u32(*at);
    *at += 4;
    return true;
}

static bool is_column_free(const struct keys *keys, uint32_t group, uint8_t column) {
    if (column == 0)
        return true;
    for (uint32_t i = 1; i < group; i++)
        if (keys->columns[i] == column)
            return false;
    return column >= BLOCK_KEY_FIRST && column < BLOCK_PLACES;
}

static int decode_keys(struct keys *keys, const char **at, const char *end) {
    uint32_t used = 0, headed = 0;
    size_t size = (size_t)(end - *at);
    if (!take_u32(at, end, &keys->count) || keys->count > BLOCK_KEYS_MAX)
        return -EBADMSG;
    keys->names.bytes = malloc(size + 1);
    keys->names.offsets = calloc((size_t)keys->count + 1, sizeof(uint32_t));
    keys->headed.bytes = malloc(size + (size_t)keys->count * HEADER_MAX + 1);
    keys->headed.offsets = calloc((size_t)keys->count + 1, sizeof(uint32_t));
    keys->columns = calloc((size_t)keys->count + 1, 1);
    keys->groups = calloc((size_t)keys->count + 1, sizeof(*keys->groups));
    if (!keys->names.bytes || !keys->names.offsets || !keys->headed.bytes || !keys->headed.offsets || !keys->columns ||
        !keys->groups)
        return -ENOMEM;
    for (uint32_t i = 0; i < keys->count; i++) {
        uint16_t length;
        if (!take_u16(at, end, &length) || end - *at < length + 1)
            return -EBADMSG;
        struct pack_writer writer = { keys->headed.bytes + headed, 0, (size_t)length + HEADER_MAX, false };
        pack_text(&writer, (struct text) { *at, length });
        memcpy(keys->names.bytes + used, *at, length);
        *at += length;
        keys->names.offsets[i + 1] = used += length;
        keys->headed.offsets[i + 1] = headed += (uint32_t)writer.length;
        keys->columns[i + 1] = (uint8_t) * (*at)++;
        if (!is_column_free(keys, i + 1, keys->columns[i + 1]))
            return -EBADMSG;
    }
    return 0;
}

static int decode_shapes(struct keys *keys, uint32_t rows, const char **at, const char *end) {
    uint32_t used = 0;
    if (!take_u32(at, end, &keys->shape_count) || keys->shape_count > rows ||
        keys->shape_count > (size_t)(end - *at) / 2)
        return -EBADMSG;
    keys->shape_begins = calloc((size_t)keys->shape_count + 1, sizeof(uint32_t));
    keys->shape_keys = malloc((size_t)(end - *at) + 1);
    if (!keys->shape_begins || !keys->shape_keys)
        return -ENOMEM;
    for (uint32_t i = 0; i < keys->shape_count; i++) {
        uint16_t size, key;
        if (!take_u16(at, end, &size) || size > SHAPE_KEYS_MAX)
            return -EBADMSG;
        for (uint16_t k = 0; k < size; k++) {
            if (!take_u16(at, end, &key) || key >= keys->count)
                return -EBADMSG;
            keys->shape_keys[used++] = key;
        }
        keys->shape_begins[i + 1] = used;
    }
    return 0;
}

static int decode_all(struct keys *keys, uint32_t rows, struct text raw) {
    const char *at = raw.data, *end = raw.data + raw.length;
    keys->rows = calloc(rows, sizeof(uint16_t));
    if (!keys->rows)
        return -ENOMEM;
    int result = decode_keys(keys, &at, end);
    if (result == 0)
        result = decode_shapes(keys, rows, &at, end);
    if (result == 0)
        result = block_rows_unpack((struct text) { at, (size_t)(end - at) }, rows,
                                   keys->shape_count + BLOCK_SHAPES_FIXED, keys->rows);
    for (uint32_t row = 0; row < rows && result == 0; row++) {
        const uint16_t *list = shape_keys(keys, keys->rows[row]);
        size_t size = shape_size(keys, keys->rows[row]);
        for (size_t k = 0; k < size; k++)
            keys->groups[group_of(list, k)].count++;
    }
    return result;
}

static int fault(const struct block *block, int result, struct error *error) {
    if (result < 0 && (!error || !error->text[0]))
        error_set(error, result, "block %llu%s", (unsigned long long)block->first_sequence,
                  result == -ENOMEM ? ": out of memory" : " is damaged: its metadata makes no sense");
    return result;
}

static int load_shapes(struct block *block, struct error *error) {
    char *plain;
    struct text raw;
    if (block->keys.loaded)
        return 0;
    int result = block_plain(block, BLOCK_METADATA, &plain, &raw, error);
    if (result < 0)
        return result;
    static const char nothing[8] = { 0 }; /* no keys, no shapes: */
    if (raw.length > 0) {
        result = decode_all(&block->keys, block->count, raw);
    } else { /* no row has any */
        const char *at = nothing, *end = nothing + sizeof(nothing);
        block->keys.rows = calloc(block->count, sizeof(uint16_t));
        result = block->keys.rows ? decode_keys(&block->keys, &at, end) : -ENOMEM;
        result = result == 0 ? decode_shapes(&block->keys, block->count, &at, end) : result;
    }
    free(plain);
    if (result < 0)
        block_keys_finish(&block->keys);
    else
        block->keys.loaded = true;
    return fault(block, result, error);
}

/* --- values --- */

static int decode_lengths(struct group *group, struct lengths_reader *reader) {
    group->offsets = calloc((size_t)group->count + 1, sizeof(uint32_t));
    return group->offsets ? block_lengths_unpack(reader, group->count, group->offsets + 1) : -ENOMEM;
}

/* Lengths to offsets: the group's bytes begin at `at`; their end, or NULL. */
static const char *place_values(struct group *group, const char *at, const char *end) {
    uint64_t sum = 0;
    for (uint32_t i = 1; i <= group->count; i++) {
        sum += group->offsets[i];
        if (sum > (size_t)(end - at))
            return NULL;
        group->offsets[i] = (uint32_t)sum;
    }
    group->bytes = at;
    group->loaded = true;
    return at + sum;
}

static int load_column(struct block *block, struct group *group, uint8_t column, struct error *error) {
    struct text raw;
    int result = block_plain(block, column, &group->own, &raw, error);
    if (result < 0)
        return result;
    struct lengths_reader reader = { (const unsigned char *)raw.data, (const unsigned char *)raw.data + raw.length };
    result = decode_lengths(group, &reader);
    const char *end = raw.data + raw.length;
    if (result == 0 && place_values(group, (const char *)reader.at, end) != end)
        result = -EBADMSG;
    return result;
}

static int load_rest(struct block *block, struct error *error) {
    struct keys *keys = &block->keys;
    struct text raw;
    if (keys->rest_loaded)
        return 0;
    int result = block_plain(block, BLOCK_METADATA_REST, &keys->rest, &raw, error);
    if (result < 0)
        return result;
    struct lengths_reader reader = { (const unsigned char *)raw.data, (const unsigned char *)raw.data + raw.length };
    for (uint32_t i = 0; i <= keys->count && result == 0; i++)
        if (keys->columns[i] == 0)
            result = decode_lengths(&keys->groups[i], &reader);
    const char *at = (const char *)reader.at, *end = raw.data + raw.length;
    for (uint32_t i = 0; i <= keys->count && result == 0; i++) {
        if (keys->columns[i] != 0)
            continue;
        at = place_values(&keys->groups[i], at, end);
        result = at ? 0 : -EBADMSG;
    }
    keys->rest_loaded = result == 0 && at == end;
    return result == 0 && at != end ? -EBADMSG : result;
}

static void forget_group(struct group *group) {
    free(group->own);
    free(group->offsets);
    free(group->by_row);
    *group = (struct group) { .count = group->count };
}

static void forget_rest(struct keys *keys) {
    for (uint32_t i = 0; keys->groups && i <= keys->count; i++)
        if (keys->columns[i] == 0)
            forget_group(&keys->groups[i]);
    free(keys->rest);
    keys->rest = NULL;
    keys->rest_loaded = false;
}

static int load_group(struct block *block, uint32_t number, struct error *error) {
    struct keys *keys = &block->keys;
    struct group *group = &keys->groups[number];
    if (group->loaded || group->count == 0)
        return 0;
    int result =
        keys->columns[number] ? load_column(block, group, keys->columns[number], error) : load_rest(block, error);
    if (result < 0 && keys->columns[number])
        forget_group(group);
    else if (result < 0)
        forget_rest(keys);
    return fault(block, result, error);
}

static struct text group_get(const struct group *group, uint32_t index) {
    return (struct text) { group->bytes + group->offsets[index], group->offsets[index + 1] - group->offsets[index] };
}

/* --- whole maps --- */

/* Rows whose maps nobody wants move the groups' values on all the same: they are counted by shape, and added up before a row that is wanted. */
struct passed {
    uint32_t *next;   /* the value of each group that comes next */
    uint32_t *rows;   /* of each shape, not yet added to `next` */
    uint16_t *shapes; /* which of those are not 0 */
    uint32_t count;
};

static void pass_row(struct passed *passed, uint16_t shape) {
    if (passed->rows[shape]++ == 0)
        passed->shapes[passed->count++] = shape;
}

static void add_passed(const struct keys *keys, struct passed *passed) {
    for (uint32_t i = 0; i < passed->count; i++) {
        uint16_t shape = passed->shapes[i];
        const uint16_t *list = shape_keys(keys, shape);
        size_t size = shape_size(keys, shape);
        for (size_t k = 0; k < size; k++)
            passed->next[group_of(list, k)] += passed->rows[shape];
        passed->rows[shape] = 0;
    }
    passed->count = 0;
}

static int append_map(struct keys *keys, uint16_t shape, uint32_t *next, struct buffer *out) {
    const uint16_t *list = shape_keys(keys, shape);
    size_t size = shape_size(keys, shape);
    if (shape == BLOCK_SHAPE_ABSENT)
        return 0;
    if (list) {
        char header[HEADER_MAX];
        struct pack_writer writer = { header, 0, sizeof(header), false };
        pack_map(&writer, (uint32_t)size);
        buffer_append(out, header, writer.length);
    }
    for (size_t k = 0; k < size; k++) {
        uint32_t group = group_of(list, k);
        if (list)
            buffer_append_text(out, run_get(&keys->headed, list[k]));
        buffer_append_text(out, group_get(&keys->groups[group], next[group]++));
    }
    if (out->failed)
        return -ENOMEM;
    return out->length > BLOCK_RAW_MAX ? -EBADMSG : 0;
}

/* The values that the wanted rows are made of. */
static int load_groups(struct block *block, const uint8_t *wanted, struct error *error) {
    struct keys *keys = &block->keys;
    int result = 0;
    for (uint32_t i = 0; i <= keys->count && result == 0 && !wanted; i++)
        result = load_group(block, i, error);
    for (uint32_t row = 0; row < block->count && result == 0 && wanted; row++) {
        const uint16_t *list = shape_keys(keys, keys->rows[row]);
        size_t size = wanted[row] ? shape_size(keys, keys->rows[row]) : 0;
        for (size_t k = 0; k < size && result == 0; k++)
            result = load_group(block, group_of(list, k), error);
    }
    return result;
}

int block_assemble_metadata(struct block *block, const uint8_t *wanted, struct error *error) {
    struct run *run = &block->texts[block_text_of(BLOCK_METADATA)];
    struct buffer out = BUFFER_EMPTY;
    int result = load_shapes(block, error);
    if (result < 0)
        return result;
    struct keys *keys = &block->keys;
    result = load_groups(block, wanted, error);
    size_t shapes = (size_t)keys->shape_count + BLOCK_SHAPES_FIXED;
    struct passed passed = { .next = calloc((size_t)keys->count + 1, sizeof(uint32_t)),
                             .rows = calloc(shapes, sizeof(uint32_t)),
                             .shapes = calloc(shapes, sizeof(uint16_t)) };
    run->offsets = calloc((size_t)block->count + 1, sizeof(uint32_t));
    if (!passed.next || !passed.rows || !passed.shapes || !run->offsets)
        result = result < 0 ? result : -ENOMEM;
    for (uint32_t row = 0; row < block->count && result == 0; row++) {
        if (wanted && !wanted[row]) {
            pass_row(&passed, keys->rows[row]);
        } else {
            add_passed(keys, &passed);
            result = append_map(keys, keys->rows[row], passed.next, &out);
        }
        run->offsets[row + 1] = (uint32_t)out.length;
    }
    free(passed.next);
    free(passed.rows);
    free(passed.shapes);
    run->bytes = out.data;
    return result;
}

/* --- one key --- */

static int make_by_row(struct block *block, uint32_t number) {
    struct keys *keys = &block->keys;
    struct group *group = &keys->groups[number];
    uint32_t next = 0;
    if (group->by_row)
        return 0;
    group->by_row = malloc(block->count * sizeof(uint32_t));
    if (!group->by_row)
        return -ENOMEM;
    for (uint32_t row = 0; row < block->count; row++) {
        const uint16_t *list = shape_keys(keys, keys->rows[row]);
        size_t size = shape_size(keys, keys->rows[row]);
        group->by_row[row] = group->count;
        for (size_t k = 0; k < size; k++)
            if (group_of(list, k) == number)
                group->by_row[row] = next++;
    }
    return 0;
}

static uint32_t find_key(const struct keys *keys, struct text key) {
    for (uint32_t i = 0; i < keys->count; i++)
        if (text_equal(run_get(&keys->names, i), key))
            return i + 1;
    return 0;
}

/* Remember the question: a map that was kept whole is looked into with the key's text. */
static int note_asked(struct keys *keys, struct text key, uint32_t group, uint32_t *ret) {
    for (*ret = 0; *ret < keys->asked_count; ++*ret)
        if (text_equal((struct text) { keys->asked[*ret].key, keys->asked[*ret].length }, key))
            return 0;
    struct asked *grown = reallocarray(keys->asked, keys->asked_count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    keys->asked = grown;
    struct asked *asked = &grown[keys->asked_count];
    *asked = (struct asked) { malloc(key.length + 1), key.length, group };
    if (!asked->key)
        return -ENOMEM;
    if (key.length)
        memcpy(asked->key, key.data, key.length);
    keys->asked_count++;
    return 0;
}

int block_load_metadata_key(struct block *block, struct text key, uint32_t *ret_key, struct error *error) {
    uint32_t group = 0;
    struct error own = { "" };
    bool any = true;
    int result;
    error = error ? error : &own;
    error->text[0] = '\0';
    if (block->version == 1) {
        result = block_load(block, BLOCK_METADATA, error);
    } else {
        result = load_shapes(block, error);
        if (result < 0)
            return result;
        group = find_key(&block->keys, key);
        any = group != 0 || block->keys.groups[0].count > 0;
        for (uint32_t i = 0; i <= group && result == 0; i += group ? group : 1) {
            result = load_group(block, i, error);
            if (result == 0 && block->keys.groups[i].count > 0)
                result = fault(block, make_by_row(block, i), error);
        }
    }
    if (result < 0 || !any)
        return result;
    result = note_asked(&block->keys, key, group, ret_key);
    return result < 0 ? fault(block, result, error) : 1;
}

static struct text find_in(struct text map, struct text key) {
    struct pack_value value;
    if (map.length == 0 || pack_check(map) < 0 || !pack_is_map(map) || !pack_find(map, key, &value))
        return TEXT_EMPTY;
    return value.whole;
}

struct text block_metadata_value(const struct block *block, uint32_t key, uint32_t row) {
    const struct keys *keys = &block->keys;
    check(key < keys->asked_count && row < block->count);
    const struct asked *asked = &keys->asked[key];
    const struct text name = { asked->key, asked->length };
    if (block->version == 1)
        return find_in(block_text(block, BLOCK_METADATA, row), name);
    const struct group *group = &keys->groups[0];
    if (group->by_row && group->by_row[row] < group->count)
        return find_in(group_get(group, group->by_row[row]), name);
    group = &keys->groups[asked->group];
    if (asked->group == 0 || !group->by_row || group->by_row[row] >= group->count)
        return TEXT_EMPTY;
    return group_get(group, group->by_row[row]);
}

void block_keys_finish(struct keys *keys) {
    for (uint32_t i = 0; keys->groups && i <= keys->count; i++)
        forget_group(&keys->groups[i]);
    for (uint32_t i = 0; i < keys->asked_count; i++)
        free(keys->asked[i].key);
    void *const arrays[] = { keys->names.bytes, keys->names.offsets, keys->headed.bytes, keys->headed.offsets,
                             keys->columns,     keys->shape_begins,  keys->shape_keys,   keys->rows,
                             keys->groups,      keys->rest,          keys->asked };
    for (unsigned i = 0; i < COUNT_OF(arrays); i++)
        free(arrays[i]);
    *keys = (struct keys) { .loaded = false };
}
