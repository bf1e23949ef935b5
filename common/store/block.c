/* Reading a block: header and table are checked once, each column when it is asked for (block_decode.c). The packing is drawn in block_pack.c. */
#include "common/store/block.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_reading.h"

static const struct uuid zero_uuid;

static int damaged(const struct block *block, struct error *error, const char *what) {
    return error_set(error, -EBADMSG, "block %llu is damaged: %s", (unsigned long long)block->first_sequence, what);
}

static int no_memory(const struct block *block, struct error *error) {
    return error_set(error, -ENOMEM, "block %llu: out of memory", (unsigned long long)block->first_sequence);
}

/* One entry of the column table; columns lie in [0, size) of what follows it. */
static int read_place(struct block *block, const char *at, size_t size, struct error *error) {
    unsigned column = get_u16(at);
    struct place place = { .codec = get_u16(at + 2),
                           .stored = get_u32(at + 4),
                           .raw = get_u32(at + 8),
                           .at = get_u32(at + 12),
                           .checksum = get_u64(at + 16) };
    if (place.stored == 0 || place.at > size || place.stored > size - place.at || place.raw > BLOCK_RAW_MAX)
        return damaged(block, error, "a column lies outside it");
    if (column >= BLOCK_PLACES) /* of a later minor version: not ours to read */
        return 0;
    if (block->places[column].stored)
        return damaged(block, error, "a column stands twice in it");
    block->places[column] = place;
    return 0;
}

static int open_checked(struct block *block, struct text encoded, struct error *error) {
    if (encoded.length < BLOCK_HEADER_SIZE + BLOCK_CHECKSUM_SIZE || get_u32(encoded.data) != BLOCK_MAGIC)
        return damaged(block, error, "it does not begin as a block");
    unsigned version = get_u16(encoded.data + 4), columns = get_u16(encoded.data + 6);
    if (version == 0 || version > BLOCK_VERSION)
        return error_set(error, -EPROTO, "block %llu: written by another TaskForge (format %u; this program knows %d)",
                         (unsigned long long)block->first_sequence, version, BLOCK_VERSION);
    size_t table_end = BLOCK_HEADER_SIZE + (size_t)columns * BLOCK_TABLE_ENTRY_SIZE;
    if (encoded.length < table_end + BLOCK_CHECKSUM_SIZE)
        return damaged(block, error, "its table is cut");
    block->version = version;
    block->count = get_u32(encoded.data + 8);
    block->has_partition_host = version > 1 && get_u32(encoded.data + 12) & BLOCK_FLAG_HOST;
    if (get_u64(encoded.data + table_end) != hash_bytes_seeded(encoded.data, table_end, block->first_sequence))
        return damaged(block, error, "the checksum of its table is wrong");
    if (block->count == 0 || block->count > BLOCK_ENTRIES_MAX)
        return damaged(block, error, "it claims an impossible number of entries");
    size_t at = table_end + BLOCK_CHECKSUM_SIZE, size = encoded.length - at;
    for (unsigned i = 0; i < columns; i++) {
        int result =
            read_place(block, encoded.data + BLOCK_HEADER_SIZE + (size_t)i * BLOCK_TABLE_ENTRY_SIZE, size, error);
        if (result < 0)
            return result;
    }
    block->columns = encoded.data + at;
    return 0;
}

int block_open(struct text encoded, uint64_t first_sequence, struct block **ret, struct error *error) {
    char *copy = malloc(encoded.length + 1);
    if (!copy)
        return error_set(error, -ENOMEM, "block %llu: out of memory", (unsigned long long)first_sequence);
    if (encoded.length > 0)
        memcpy(copy, encoded.data, encoded.length);
    return block_open_taking(copy, encoded.length, first_sequence, ret, error);
}

int block_open_taking(char *encoded, size_t size, uint64_t first_sequence, struct block **ret, struct error *error) {
    struct block *block = calloc(1, sizeof(*block));
    if (!block) {
        free(encoded);
        return error_set(error, -ENOMEM, "block %llu: out of memory", (unsigned long long)first_sequence);
    }
    block->encoded = encoded;
    block->first_sequence = first_sequence;
    int result = open_checked(block, (struct text) { encoded, size }, error);
    if (result < 0) {
        block_destroy(block);
        return result;
    }
    *ret = block;
    return 0;
}

int block_set_host(struct block *block, struct text host) {
    if (!block->has_partition_host)
        return 0;
    char *copy = malloc(host.length + 1);
    if (!copy)
        return -ENOMEM;
    if (host.length)
        memcpy(copy, host.data, host.length);
    free(block->host_copy);
    block->host_copy = copy;
    block->partition_host = (struct text) { copy, host.length };
    return 0;
}

void block_destroy(struct block *block) {
    if (!block)
        return;
    block_undo_arguments(block); /* before the messages, which they may be */
    block_undo_templates(block);
    block_undo_statements(block);
    block_keys_finish(&block->keys);
    free(block->encoded);
    free(block->host_copy);
    free(block->wanted);
    free(block->timestamps);
    free(block->levels);
    free(block->pids);
    free(block->looks);
    for (unsigned i = 0; i < COUNT_OF(block->uuids); i++)
        free(block->uuids[i]);
    for (unsigned i = 0; i < BLOCK_NAMES; i++) {
        free(block->names[i].bytes);
        free(block->names[i].ends);
        free(block->names[i].rows);
    }
    for (unsigned i = 0; i < BLOCK_TEXTS; i++) {
        free(block->texts[i].bytes);
        free(block->texts[i].offsets);
    }
    free(block);
}

uint32_t block_count(const struct block *block) {
    return block->count;
}

/* --- loading --- */

static void drop(void *array) {
    void *before, *none = NULL;
    memcpy(&before, array, sizeof(before));
    free(before);
    memcpy(array, &none, sizeof(none));
}

/* Forget a half-decoded column, so that a second try begins anew. */
static void undo(struct block *block, enum block_column column) {
    int name = block_name_of(column), text = block_text_of(column);
    if (column == BLOCK_STATEMENT)
        block_undo_statements(block);
    if (column == BLOCK_TEMPLATE)
        block_undo_templates(block);
    if (column == BLOCK_ARGUMENT)
        block_undo_arguments(block);
    void *const all[] = { column == BLOCK_TIMESTAMP         ? (void *)&block->timestamps
                          : column == BLOCK_LEVEL           ? (void *)&block->levels
                          : column == BLOCK_PID             ? (void *)&block->pids
                          : column == BLOCK_LOOK            ? (void *)&block->looks
                          : column == BLOCK_ID              ? (void *)&block->uuids[0]
                          : column == BLOCK_USER_ID         ? (void *)&block->uuids[1]
                          : column == BLOCK_ORGANIZATION_ID ? (void *)&block->uuids[2]
                                                            : NULL,
                          name >= 0 ? (void *)&block->names[name].bytes : NULL,
                          name >= 0 ? (void *)&block->names[name].ends : NULL,
                          name >= 0 ? (void *)&block->names[name].rows : NULL,
                          text >= 0 ? (void *)&block->texts[text].bytes : NULL,
                          text >= 0 ? (void *)&block->texts[text].offsets : NULL };
    for (unsigned i = 0; i < COUNT_OF(all); i++)
        if (all[i])
            drop(all[i]);
}

int block_plain(struct block *block, unsigned column, char **ret, struct text *ret_text, struct error *error) {
    const struct place *place = &block->places[column];
    *ret = NULL;
    *ret_text = (struct text) { "", 0 };
    if (place->stored == 0)
        return 0;
    struct text stored = { block->columns + place->at, place->stored };
    if (hash_bytes_seeded(stored.data, stored.length, block->first_sequence + column) != place->checksum)
        return damaged(block, error, "the checksum of a column is wrong");
    char *plain = malloc((size_t)place->raw + BLOCK_SLACK);
    if (!plain)
        return no_memory(block, error);
    int result = block_decompress(place->codec, stored, plain, place->raw);
    if (result < 0) {
        free(plain);
        return result == -ENOMEM ? no_memory(block, error) : damaged(block, error, "a column makes no sense");
    }
    *ret = plain;
    *ret_text = (struct text) { plain, place->raw };
    return 0;
}

/* What has to be there before a column can be decoded: of blocks of now, and of version 1. */
struct needs {
    uint8_t count, columns[4];
};
static const struct needs needs[BLOCK_COLUMN_COUNT] = {
    [BLOCK_LEVEL] = { 1, { BLOCK_STATEMENT } },    [BLOCK_SERVICE] = { 1, { BLOCK_STATEMENT } },
    [BLOCK_MODULE] = { 1, { BLOCK_STATEMENT } },   [BLOCK_OPERATION] = { 1, { BLOCK_STATEMENT } },
    [BLOCK_TEMPLATE] = { 1, { BLOCK_STATEMENT } }, [BLOCK_ARGUMENT] = { 1, { BLOCK_TEMPLATE } },
    [BLOCK_MESSAGE] = { 1, { BLOCK_ARGUMENT } },   [BLOCK_ID] = { 1, { BLOCK_TIMESTAMP } },
    [BLOCK_LOOK] = { 1, { BLOCK_TEMPLATE } },
};
static const struct needs needs_1[BLOCK_COLUMN_COUNT] = {
    [BLOCK_LOOK] = { 1, { BLOCK_TEMPLATE } },
    [BLOCK_STATEMENT] = { 4, { BLOCK_LEVEL, BLOCK_SERVICE, BLOCK_MODULE, BLOCK_OPERATION } },
    [BLOCK_TEMPLATE] = { 1, { BLOCK_STATEMENT } },
    [BLOCK_ARGUMENT] = { 2, { BLOCK_TEMPLATE, BLOCK_MESSAGE } },
    [BLOCK_ID] = { 1, { BLOCK_TIMESTAMP } },
};

static int load_needs(struct block *block, enum block_column column, struct error *error) {
    const struct needs *need = block->version == 1 ? &needs_1[column] : &needs[column];
    int result = 0;
    for (unsigned i = 0; i < need->count && result == 0; i++)
        result = block_load(block, (enum block_column)need->columns[i], error);
    return result;
}

/* Columns that are made of others have no bytes of their own. */
static bool is_made(const struct block *block, enum block_column column) {
    return block->version > 1 ? column == BLOCK_LEVEL || column == BLOCK_MESSAGE || column == BLOCK_METADATA
                              : column == BLOCK_STATEMENT || column == BLOCK_TEMPLATE || column == BLOCK_ARGUMENT ||
                                    column == BLOCK_LOOK;
}

int block_load_some(struct block *block, enum block_column column, const uint8_t *wanted, struct error *error) {
    check((unsigned)column < BLOCK_COLUMN_COUNT);
    struct error own = { "" };
    if (block->loaded[column])
        return 0;
    if (block->some[column])
        undo(block, column);
    block->some[column] = false;
    error = error ? error : &own;
    int result = load_needs(block, column, error);
    char *plain = NULL;
    struct text raw = { "", 0 };
    if (result == 0 && !is_made(block, column))
        result = block_plain(block, column, &plain, &raw, error);
    if (result < 0)
        return result;
    error->text[0] = '\0';
    result = block_decode(block, column, raw, &plain, wanted, error);
    free(plain);
    if (result < 0) {
        undo(block, column);
        if (error->text[0])
            return result;
        return result == -ENOMEM ? no_memory(block, error) : damaged(block, error, "a column makes no sense");
    }
    block->loaded[column] = !wanted;
    block->some[column] = wanted;
    return 0;
}

int block_load(struct block *block, enum block_column column, struct error *error) {
    return block_load_some(block, column, NULL, error);
}

int block_load_all(struct block *block, struct error *error) {
    int result = 0;
    for (unsigned column = 0; column < BLOCK_COLUMN_COUNT && result == 0; column++)
        result = block_load(block, (enum block_column)column, error);
    return result;
}

/* --- values --- */

uint64_t block_timestamp(const struct block *block, uint32_t row) {
    check(row < block->count && block->loaded[BLOCK_TIMESTAMP]);
    return block->timestamps[row];
}

enum level block_level(const struct block *block, uint32_t row) {
    check(row < block->count && block->loaded[BLOCK_LEVEL]);
    return (enum level)block->levels[row];
}

uint32_t block_pid(const struct block *block, uint32_t row) {
    check(row < block->count && block->loaded[BLOCK_PID]);
    return block->pids[row];
}

const struct uuid *block_uuid(const struct block *block, enum block_column column, uint32_t row) {
    check(row < block->count && block->loaded[column]);
    switch (column) {
    case BLOCK_ID:
        return &block->uuids[0][row];
    case BLOCK_USER_ID:
        return &block->uuids[1][row];
    case BLOCK_ORGANIZATION_ID:
        return &block->uuids[2][row];
    default:
        return &zero_uuid;
    }
}

static const struct names *names_of(const struct block *block, enum block_column column) {
    int name = block_name_of(column);
    check(name >= 0 && block->loaded[column]);
    return &block->names[name];
}

uint32_t block_dictionary_size(const struct block *block, enum block_column column) {
    return names_of(block, column)->size;
}

struct text block_dictionary_text(const struct block *block, enum block_column column, uint32_t index) {
    const struct names *names = names_of(block, column);
    check(index < names->size);
    uint32_t begin = index ? names->ends[index - 1] : 0;
    return (struct text) { names->bytes + begin, names->ends[index] - begin };
}

const uint16_t *block_dictionary_rows(const struct block *block, enum block_column column) {
    return names_of(block, column)->rows;
}

struct text block_text(const struct block *block, enum block_column column, uint32_t row) {
    check(row < block->count && (block->loaded[column] || (block->some[column] && block->wanted[row])));
    if (block_name_of(column) >= 0)
        return block_dictionary_text(block, column, names_of(block, column)->rows[row]);
    int text = block_text_of(column);
    check(text >= 0);
    const struct run *run = &block->texts[text];
    return (struct text) { run->bytes ? run->bytes + run->offsets[row] : NULL,
                           run->offsets[row + 1] - run->offsets[row] };
}

struct text block_message_bytes(const struct block *block, const uint32_t **ret_offsets) {
    check(block->loaded[BLOCK_MESSAGE]);
    const struct run *run = &block->texts[block_text_of(BLOCK_MESSAGE)];
    *ret_offsets = run->offsets;
    return (struct text) { run->bytes, run->offsets[block->count] };
}

void block_entry(const struct block *block, uint32_t row, struct entry *ret) {
    *ret = (struct entry) {
        .id = *block_uuid(block, BLOCK_ID, row),
        .timestamp_ns = block_timestamp(block, row),
        .level = block_level(block, row),
        .service = block_text(block, BLOCK_SERVICE, row),
        .module = block_text(block, BLOCK_MODULE, row),
        .operation = block_text(block, BLOCK_OPERATION, row),
        .message = block_text(block, BLOCK_MESSAGE, row),
        .trace_id = block_text(block, BLOCK_TRACE_ID, row),
        .span_id = block_text(block, BLOCK_SPAN_ID, row),
        .correlation_id = block_text(block, BLOCK_CORRELATION_ID, row),
        .user_id = *block_uuid(block, BLOCK_USER_ID, row),
        .organization_id = *block_uuid(block, BLOCK_ORGANIZATION_ID, row),
        .metadata = block_text(block, BLOCK_METADATA, row),
        .error_details = block_text(block, BLOCK_ERROR_DETAILS, row),
        .host = block_text(block, BLOCK_HOST, row),
        .pid = block_pid(block, row),
    };
}
