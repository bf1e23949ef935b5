/* Each column from its plain bytes, or from the columns it is made of. The packing is drawn in block_pack.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/store/block_reading.h"

/* --- decoding: each takes the column's plain bytes (empty: the column is not there) --- */

static int decode_timestamps(struct block *block, struct text raw) {
    const unsigned char *at = (const unsigned char *)raw.data, *end = at + raw.length;
    uint64_t value = 0, delta;
    block->timestamps = calloc(block->count, sizeof(uint64_t));
    if (!block->timestamps)
        return -ENOMEM;
    for (uint32_t i = 0; i < block->count; i++) {
        unsigned used = varint_get(at, end, &delta);
        if (used == 0)
            return -EBADMSG;
        at += used;
        value += (uint64_t)unzigzag(delta);
        block->timestamps[i] = value;
    }
    return at == end ? 0 : -EBADMSG;
}

static int decode_levels(struct block *block, struct text raw) {
    if (raw.length != block->count)
        return -EBADMSG;
    block->levels = malloc(raw.length);
    if (!block->levels)
        return -ENOMEM;
    memcpy(block->levels, raw.data, raw.length);
    for (uint32_t i = 0; i < block->count; i++) {
        if (block->levels[i] >= LEVEL_COUNT)
            return -EBADMSG;
    }
    return 0;
}

/* The u16 of each row, all below `size`. */
static int decode_rows(const struct block *block, struct text raw, uint32_t size, uint16_t **ret) {
    if (raw.length != (size_t)block->count * sizeof(uint16_t))
        return -EBADMSG;
    uint16_t *rows = *ret = malloc(raw.length);
    if (!rows)
        return -ENOMEM;
    for (uint32_t i = 0; i < block->count; i++) {
        rows[i] = get_u16(raw.data + (size_t)i * sizeof(uint16_t));
        if (rows[i] >= size)
            return -EBADMSG;
    }
    return 0;
}

/* The texts of a dictionary; *ret_rest is what stands behind them. */
static int decode_dictionary(struct block *block, struct names *names, struct text raw, struct text *ret_rest) {
    if (raw.length < 4)
        return -EBADMSG;
    const char *at = raw.data + 4, *end = raw.data + raw.length;
    uint32_t size = get_u32(raw.data), used = 0;
    if (size == 0 || size > block->count)
        return -EBADMSG;
    names->ends = calloc(size, sizeof(uint32_t));
    names->bytes = malloc(raw.length);
    if (!names->ends || !names->bytes)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++) {
        if (end - at < 2 || end - at - 2 < get_u16(at))
            return -EBADMSG;
        uint32_t length = get_u16(at);
        memcpy(names->bytes + used, at + 2, length);
        used += length;
        names->ends[i] = used;
        at += 2 + length;
    }
    names->size = size;
    *ret_rest = (struct text) { at, (size_t)(end - at) };
    return 0;
}

/* The row's place in the dictionary follows from its statement. */
static int expand_names(struct block *block, unsigned name, struct names *names) {
    names->rows = malloc(block->count * sizeof(uint16_t));
    if (!names->rows)
        return -ENOMEM;
    uint16_t *of_statement = calloc(block->statement_count, sizeof(*of_statement));
    int result = of_statement ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < block->statement_count && result == 0; i++) {
        const struct block_statement *statement = &block->statements[i];
        of_statement[i] = name == 0 ? statement->service : name == 1 ? statement->module : statement->operation;
        result = of_statement[i] < names->size ? 0 : -EBADMSG;
    }
    for (uint32_t row = 0; row < block->count && result == 0; row++)
        names->rows[row] = of_statement[block->statement_rows[row]];
    free(of_statement);
    return result;
}

/* A block whose rows all have the partition's host. */
static int decode_no_host(struct block *block, struct names *names) {
    struct text host = block->has_partition_host ? block->partition_host : TEXT_EMPTY;
    names->ends = calloc(1, sizeof(uint32_t));
    names->bytes = malloc(host.length + 1);
    names->rows = calloc(block->count, sizeof(uint16_t));
    if (!names->ends || !names->bytes || !names->rows)
        return -ENOMEM;
    if (host.length)
        memcpy(names->bytes, host.data, host.length);
    names->ends[0] = (uint32_t)host.length;
    names->size = 1;
    return 0;
}

static int decode_names(struct block *block, enum block_column column, struct text raw) {
    unsigned name = (unsigned)block_name_of(column);
    struct names *names = &block->names[name];
    struct text rest;
    if (column == BLOCK_HOST && block->version > 1 && raw.length == 0)
        return decode_no_host(block, names);
    int result = decode_dictionary(block, names, raw, &rest);
    if (result < 0)
        return result;
    if (column == BLOCK_HOST || block->version == 1)
        return decode_rows(block, rest, names->size, &names->rows);
    return rest.length > 0 ? -EBADMSG : expand_names(block, name, names);
}

static int expand_levels(struct block *block) {
    block->levels = malloc(block->count);
    if (!block->levels)
        return -ENOMEM;
    for (uint32_t row = 0; row < block->count; row++)
        block->levels[row] = block->statements[block->statement_rows[row]].level;
    return 0;
}

static int decode_texts(struct block *block, struct run *run, struct text raw) {
    const unsigned char *at = (const unsigned char *)raw.data, *end = at + raw.length;
    uint64_t total = 0, length;
    run->offsets = calloc((size_t)block->count + 1, sizeof(uint32_t));
    if (!run->offsets)
        return -ENOMEM;
    if (raw.length == 0)
        return 0;
    for (uint32_t i = 0; i < block->count; i++) {
        unsigned used = varint_get(at, end, &length);
        if (used == 0 || length > raw.length)
            return -EBADMSG;
        at += used;
        total += length;
        if (total > raw.length)
            return -EBADMSG;
        run->offsets[i + 1] = (uint32_t)total;
    }
    if ((uint64_t)(end - at) != total)
        return -EBADMSG;
    run->bytes = malloc(total ? total : 1);
    if (!run->bytes)
        return -ENOMEM;
    memcpy(run->bytes, at, total);
    return 0;
}

static int decode_hex(struct block *block, struct run *run, struct text raw, const uint8_t *wanted) {
    run->offsets = calloc((size_t)block->count + 1, sizeof(uint32_t));
    if (!run->offsets)
        return -ENOMEM;
    if (raw.length == 0)
        return 0;
    struct buffer bytes = BUFFER_EMPTY;
    int result = block_hex_unpack(raw, block->count, wanted, &bytes, run->offsets + 1);
    run->bytes = bytes.data;
    return result;
}

/* Which of `size` values each row has; free it. */
static int decode_value_rows(const struct block *block, struct text raw, uint32_t size, uint16_t **ret) {
    if (block->version == 1)
        return decode_rows(block, raw, size, ret);
    *ret = calloc(block->count, sizeof(uint16_t));
    return *ret ? block_rows_unpack(raw, block->count, size, *ret) : -ENOMEM;
}

static int decode_uuids(struct block *block, struct uuid **ret, struct text raw) {
    uint16_t *rows = NULL;
    *ret = calloc(block->count, sizeof(struct uuid));
    if (!*ret)
        return -ENOMEM;
    if (raw.length == 0)
        return 0;
    uint32_t size = raw.length < 4 ? 0 : get_u32(raw.data);
    if (size == 0 || size > block->count + 1 || raw.length - 4 < (size_t)size * UUID_SIZE)
        return -EBADMSG;
    const char *values = raw.data + 4, *rest = values + (size_t)size * UUID_SIZE;
    int result = decode_value_rows(block, (struct text) { rest, (size_t)(raw.data + raw.length - rest) }, size, &rows);
    for (uint32_t i = 0; result == 0 && i < block->count; i++)
        memcpy((*ret)[i].bytes, values + (size_t)rows[i] * UUID_SIZE, UUID_SIZE);
    free(rows);
    return result;
}

static int decode_pids(struct block *block, struct text raw) {
    uint16_t *rows = NULL;
    block->pids = calloc(block->count, sizeof(uint32_t));
    if (!block->pids)
        return -ENOMEM;
    if (raw.length == 0)
        return 0;
    uint32_t size = raw.length < 4 ? 0 : get_u32(raw.data);
    if (size == 0 || size > block->count + 1 || raw.length - 4 < (size_t)size * sizeof(uint32_t))
        return -EBADMSG;
    const char *values = raw.data + 4, *rest = values + (size_t)size * sizeof(uint32_t);
    int result = decode_value_rows(block, (struct text) { rest, (size_t)(raw.data + raw.length - rest) }, size, &rows);
    for (uint32_t i = 0; result == 0 && i < block->count; i++)
        block->pids[i] = get_u32(values + (size_t)rows[i] * sizeof(uint32_t));
    free(rows);
    return result;
}

static int decode_ids(struct block *block, struct text raw) {
    block->uuids[0] = malloc(block->count * sizeof(struct uuid));
    return block->uuids[0] ? block_ids_unpack(raw, block->timestamps, block->count, block->uuids[0]) : -ENOMEM;
}

int block_decode(struct block *block, enum block_column column, struct text raw, char **plain, const uint8_t *wanted,
                 struct error *error) {
    bool old = block->version == 1;
    int text = block_text_of(column);
    if (block_name_of(column) >= 0)
        return decode_names(block, column, raw);
    switch (column) {
    case BLOCK_TIMESTAMP:
        return decode_timestamps(block, raw);
    case BLOCK_LEVEL:
        return old ? decode_levels(block, raw) : expand_levels(block);
    case BLOCK_STATEMENT:
        return old ? block_make_statements(block) : block_decode_statements(block, raw);
    case BLOCK_TEMPLATE:
        return old ? block_make_template(block) : block_decode_templates(block, raw);
    case BLOCK_ARGUMENT:
        return old ? block_make_arguments(block) : block_decode_arguments(block, raw, plain, error);
    case BLOCK_LOOK:
        return old ? 0 : block_decode_looks(block, raw);
    case BLOCK_ID:
        return decode_ids(block, raw);
    case BLOCK_USER_ID:
        return decode_uuids(block, &block->uuids[1], raw);
    case BLOCK_ORGANIZATION_ID:
        return decode_uuids(block, &block->uuids[2], raw);
    case BLOCK_PID:
        return decode_pids(block, raw);
    case BLOCK_TRACE_ID:
    case BLOCK_SPAN_ID:
    case BLOCK_CORRELATION_ID:
        return decode_hex(block, &block->texts[text], raw, wanted);
    case BLOCK_MESSAGE:
        return old ? decode_texts(block, &block->texts[text], raw) : block_assemble_messages(block, wanted);
    case BLOCK_METADATA:
        return old ? decode_texts(block, &block->texts[text], raw) : block_assemble_metadata(block, wanted, error);
    default:
        return decode_texts(block, &block->texts[text], raw);
    }
}
