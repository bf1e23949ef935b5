/* Gathers entries as plain arrays and packs them by column:
 *
 *   timestamp             zigzag varints of the difference to the row before (the first: to 0)
 *   level                 a byte each
 *   service .. host       u32 number of texts; u16 length and bytes of each; then a u16 each row
 *   user, organization    u32 number of UUIDs; 16 bytes each (the first all zero: absent); then a u16 each row
 *   pid                   u32 number of pids; u32 each; then a u16 each row
 *   message metadata      a varint length each row, then all bytes
 *   error_details
 *   id                    block_ids.c
 *   trace, span,          block_hex.c
 *   correlation
 *
 * A column in which no row has anything is left out.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_private.h"

enum {
    ROWS_FIRST = 256,
    ROWS_MAX = BLOCK_ENTRIES_MAX - 1, /* one less: "absent" and a different UUID in each row still fit a u16 */
    ENTRY_RAW_FIXED = 64,
};

int block_name_of(enum block_column column) {
    switch (column) {
    case BLOCK_SERVICE:
        return 0;
    case BLOCK_MODULE:
        return 1;
    case BLOCK_OPERATION:
        return 2;
    case BLOCK_HOST:
        return 3;
    default:
        return -1;
    }
}

int block_text_of(enum block_column column) {
    switch (column) {
    case BLOCK_MESSAGE:
        return 0;
    case BLOCK_METADATA:
        return 1;
    case BLOCK_ERROR_DETAILS:
        return 2;
    case BLOCK_TRACE_ID:
        return 3;
    case BLOCK_SPAN_ID:
        return 4;
    case BLOCK_CORRELATION_ID:
        return 5;
    default:
        return -1;
    }
}

int block_builder_create(struct block_builder **ret) {
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void block_builder_destroy(struct block_builder *builder) {
    if (!builder)
        return;
    free(builder->timestamps);
    free(builder->levels);
    free(builder->ids);
    free(builder->users);
    free(builder->organizations);
    free(builder->pids);
    for (unsigned i = 0; i < BLOCK_NAMES; i++) {
        buffer_finish(&builder->names[i].bytes);
        free(builder->names[i].ends);
        free(builder->names[i].table);
        free(builder->names[i].rows);
    }
    for (unsigned i = 0; i < BLOCK_TEXTS; i++) {
        buffer_finish(&builder->texts[i].bytes);
        free(builder->texts[i].ends);
    }
    buffer_finish(&builder->column);
    buffer_finish(&builder->packed);
    free(builder);
}

void block_builder_clear(struct block_builder *builder) {
    builder->count = 0;
    builder->raw_size = 0;
    for (unsigned i = 0; i < BLOCK_NAMES; i++) {
        struct dictionary *dictionary = &builder->names[i];
        buffer_clear(&dictionary->bytes);
        dictionary->size = 0;
        if (dictionary->table)
            memset(dictionary->table, 0, dictionary->table_size * sizeof(dictionary->table[0]));
    }
    for (unsigned i = 0; i < BLOCK_TEXTS; i++)
        buffer_clear(&builder->texts[i].bytes);
}

uint32_t block_builder_count(const struct block_builder *builder) {
    return builder->count;
}
size_t block_builder_raw_size(const struct block_builder *builder) {
    return builder->raw_size;
}

static bool grow(void **array, size_t count, size_t size) {
    void *grown = reallocarray(*array, count, size);
    if (grown)
        *array = grown;
    return grown != NULL;
}

static int grow_rows(struct block_builder *builder) {
    uint32_t rows = builder->capacity ? builder->capacity * 2 : ROWS_FIRST;
    bool grown = grow((void **)&builder->timestamps, rows, sizeof(uint64_t)) &&
                 grow((void **)&builder->levels, rows, 1) && grow((void **)&builder->ids, rows, sizeof(struct uuid)) &&
                 grow((void **)&builder->users, rows, sizeof(struct uuid)) &&
                 grow((void **)&builder->organizations, rows, sizeof(struct uuid)) &&
                 grow((void **)&builder->pids, rows, sizeof(uint32_t));
    for (unsigned i = 0; grown && i < BLOCK_NAMES; i++)
        grown = grow((void **)&builder->names[i].rows, rows, sizeof(uint16_t));
    for (unsigned i = 0; grown && i < BLOCK_TEXTS; i++)
        grown = grow((void **)&builder->texts[i].ends, rows, sizeof(uint32_t));
    if (!grown)
        return -ENOMEM;
    builder->capacity = rows;
    return 0;
}

static struct text dictionary_get(const struct dictionary *dictionary, uint32_t index) {
    uint32_t begin = index ? dictionary->ends[index - 1] : 0;
    /* no bytes at all while every text is empty */
    return (struct text) { begin ? dictionary->bytes.data + begin : dictionary->bytes.data,
                           dictionary->ends[index] - begin };
}

static void dictionary_enter(struct dictionary *dictionary, uint32_t index) {
    struct text text = dictionary_get(dictionary, index);
    uint32_t at = (uint32_t)hash_bytes(text.data, text.length) & (dictionary->table_size - 1);
    while (dictionary->table[at])
        at = (at + 1) & (dictionary->table_size - 1);
    dictionary->table[at] = index + 1;
}

static int dictionary_grow(struct dictionary *dictionary) {
    uint32_t size = dictionary->table_size ? dictionary->table_size * 2 : 64;
    uint32_t *table = calloc(size, sizeof(*table));
    if (!table || !grow((void **)&dictionary->ends, size / 2, sizeof(uint32_t))) {
        free(table);
        return -ENOMEM;
    }
    free(dictionary->table);
    dictionary->table = table;
    dictionary->table_size = size;
    dictionary->capacity = size / 2;
    for (uint32_t i = 0; i < dictionary->size; i++)
        dictionary_enter(dictionary, i);
    return 0;
}

/* The text's index in the dictionary, entered if it is new; rows come in runs, so the row before is looked at first. */
static int dictionary_add(struct dictionary *dictionary, struct text text, uint32_t row) {
    if (row > 0 && text_equal(dictionary_get(dictionary, dictionary->rows[row - 1]), text)) {
        dictionary->rows[row] = dictionary->rows[row - 1];
        return 0;
    }
    if (dictionary->size >= dictionary->capacity && dictionary_grow(dictionary) < 0)
        return -ENOMEM;
    uint32_t at = (uint32_t)hash_bytes(text.data, text.length) & (dictionary->table_size - 1);
    for (; dictionary->table[at]; at = (at + 1) & (dictionary->table_size - 1)) {
        if (text_equal(dictionary_get(dictionary, dictionary->table[at] - 1), text)) {
            dictionary->rows[row] = (uint16_t)(dictionary->table[at] - 1);
            return 0;
        }
    }
    buffer_append_text(&dictionary->bytes, text);
    if (dictionary->bytes.failed)
        return -ENOMEM;
    dictionary->ends[dictionary->size] = (uint32_t)dictionary->bytes.length;
    dictionary->rows[row] = (uint16_t)dictionary->size;
    dictionary->table[at] = ++dictionary->size;
    return 0;
}

static int text_run_add(struct text_run *run, struct text text, uint32_t row) {
    buffer_append_text(&run->bytes, text);
    run->ends[row] = (uint32_t)run->bytes.length;
    return run->bytes.failed ? -ENOMEM : 0;
}

int block_builder_add(struct block_builder *builder, const struct entry *entry) {
    size_t size = ENTRY_RAW_FIXED + entry->message.length + entry->metadata.length + entry->error_details.length +
                  entry->trace_id.length + entry->span_id.length + entry->correlation_id.length;
    uint32_t row = builder->count;
    if (row >= ROWS_MAX || builder->raw_size + size > BLOCK_RAW_MAX / 2)
        return -E2BIG;
    check(entry->trace_id.length <= ENTRY_TRACE_BYTES && entry->span_id.length <= ENTRY_TRACE_BYTES &&
          entry->correlation_id.length <= ENTRY_TRACE_BYTES);
    if (row >= builder->capacity && grow_rows(builder) < 0)
        return -ENOMEM;
    builder->timestamps[row] = entry->timestamp_ns;
    builder->levels[row] = (uint8_t)entry->level;
    builder->ids[row] = entry->id;
    builder->users[row] = entry->user_id;
    builder->organizations[row] = entry->organization_id;
    builder->pids[row] = entry->pid;
    const struct text names[BLOCK_NAMES] = { entry->service, entry->module, entry->operation, entry->host };
    const struct text texts[BLOCK_TEXTS] = { entry->message,  entry->metadata, entry->error_details,
                                             entry->trace_id, entry->span_id,  entry->correlation_id };
    for (unsigned i = 0; i < BLOCK_NAMES; i++) {
        if (dictionary_add(&builder->names[i], names[i], row) < 0)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < BLOCK_TEXTS; i++) {
        if (text_run_add(&builder->texts[i], texts[i], row) < 0)
            return -ENOMEM;
    }
    builder->count++;
    builder->raw_size += size;
    return 0;
}

/* --- packing --- */

static void pack_timestamps(const struct block_builder *builder, struct buffer *out) {
    uint64_t before = 0;
    if (!buffer_reserve(out, (size_t)builder->count * 10))
        return;
    for (uint32_t i = 0; i < builder->count; i++) {
        out->length +=
            varint_put((unsigned char *)out->data + out->length, zigzag((int64_t)(builder->timestamps[i] - before)));
        before = builder->timestamps[i];
    }
}

static void pack_rows(const uint16_t *rows, uint32_t count, struct buffer *out) {
    for (uint32_t i = 0; i < count; i++)
        append_u16(out, rows[i]);
}

static void pack_names(const struct dictionary *dictionary, uint32_t count, struct buffer *out) {
    append_u32(out, dictionary->size);
    for (uint32_t i = 0; i < dictionary->size; i++) {
        struct text text = dictionary_get(dictionary, i);
        append_u16(out, (uint16_t)text.length);
        buffer_append_text(out, text);
    }
    pack_rows(dictionary->rows, count, out);
}

static void pack_texts(const struct text_run *run, uint32_t count, struct buffer *out) {
    if (run->bytes.length == 0 || !buffer_reserve(out, (size_t)count * 5 + run->bytes.length))
        return;
    for (uint32_t i = 0; i < count; i++)
        out->length += varint_put((unsigned char *)out->data + out->length, text_run_get(run, i).length);
    buffer_append(out, run->bytes.data, run->bytes.length);
}

/* Fixed-size values as a dictionary; the first `fixed` of it is `zero`. Blocks hold few distinct ones: a hash table of their hashes. */
static void pack_values(const void *values, size_t size, uint32_t count, struct buffer *out) {
    static const unsigned char zero[UUID_SIZE];
    const unsigned char *bytes = values;
    struct dictionary dictionary = { .rows = calloc(count ? count : 1, sizeof(uint16_t)) };
    bool any = false, failed = dictionary.rows == NULL;
    failed = failed || dictionary_grow(&dictionary) < 0;
    if (!failed) { /* so that "absent" is number 0, and a row of it the cheapest */
        buffer_append(&dictionary.bytes, zero, size);
        dictionary.ends[0] = (uint32_t)size;
        dictionary.size = 1;
        failed = dictionary.bytes.failed;
    }
    if (!failed)
        dictionary_enter(&dictionary, 0);
    for (uint32_t i = 0; i < count && !failed; i++) {
        struct text text = { (const char *)bytes + i * size, size };
        any |= memcmp(text.data, zero, size) != 0;
        failed = dictionary.size > UINT16_MAX || dictionary_add(&dictionary, text, i) < 0;
    }
    if (failed)
        out->failed = true;
    if (any && !failed) {
        append_u32(out, dictionary.size);
        buffer_append(out, dictionary.bytes.data, dictionary.bytes.length);
        pack_rows(dictionary.rows, count, out);
    }
    buffer_finish(&dictionary.bytes);
    free(dictionary.ends);
    free(dictionary.table);
    free(dictionary.rows);
}

/* The pids little-endian, whatever the host is. */
static void pack_pids(const struct block_builder *builder, struct buffer *out) {
    uint32_t *pids = calloc(builder->count ? builder->count : 1, sizeof(*pids));
    if (!pids) {
        out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < builder->count; i++)
        pids[i] = htole32(builder->pids[i]);
    pack_values(pids, sizeof(*pids), builder->count, out);
    free(pids);
}

static void pack_column(struct block_builder *builder, enum block_column column, struct buffer *out) {
    int name = block_name_of(column), text = block_text_of(column);
    if (name >= 0) {
        pack_names(&builder->names[name], builder->count, out);
        return;
    }
    switch (column) {
    case BLOCK_TIMESTAMP:
        pack_timestamps(builder, out);
        break;
    case BLOCK_LEVEL:
        buffer_append(out, builder->levels, builder->count);
        break;
    case BLOCK_ID:
        block_ids_pack(builder->ids, builder->timestamps, builder->count, out);
        break;
    case BLOCK_USER_ID:
        pack_values(builder->users, UUID_SIZE, builder->count, out);
        break;
    case BLOCK_ORGANIZATION_ID:
        pack_values(builder->organizations, UUID_SIZE, builder->count, out);
        break;
    case BLOCK_PID:
        pack_pids(builder, out);
        break;
    case BLOCK_TRACE_ID:
    case BLOCK_SPAN_ID:
    case BLOCK_CORRELATION_ID:
        if (builder->texts[text].bytes.length > 0)
            block_hex_pack(&builder->texts[text], builder->count, out);
        break;
    default:
        pack_texts(&builder->texts[text], builder->count, out);
    }
}

int block_builder_encode(struct block_builder *builder, uint64_t first_sequence, struct buffer *out) {
    struct buffer table = BUFFER_EMPTY;
    unsigned columns = 0;
    check(builder->count > 0);
    buffer_clear(&builder->packed);
    for (unsigned column = 0; column < BLOCK_COLUMN_COUNT; column++) {
        buffer_clear(&builder->column);
        pack_column(builder, (enum block_column)column, &builder->column);
        if (builder->column.failed || builder->column.length > BLOCK_RAW_MAX)
            goto no_memory;
        if (builder->column.length == 0)
            continue;
        size_t at = builder->packed.length;
        int codec = block_compress(buffer_text(&builder->column), &builder->packed);
        if (codec < 0)
            goto no_memory;
        size_t stored = builder->packed.length - at;
        append_u16(&table, (uint16_t)column);
        append_u16(&table, (uint16_t)codec);
        append_u32(&table, (uint32_t)stored);
        append_u32(&table, (uint32_t)builder->column.length);
        append_u32(&table, (uint32_t)at);
        append_u64(&table, hash_bytes_seeded(builder->packed.data + at, stored, first_sequence + column));
        append_u64(&table, 0);
        columns++;
    }
    size_t begin = out->length;
    append_u32(out, BLOCK_MAGIC);
    append_u16(out, BLOCK_VERSION);
    append_u16(out, (uint16_t)columns);
    append_u32(out, builder->count);
    append_u32(out, 0);
    buffer_append_text(out, buffer_text(&table));
    if (!out->failed)
        append_u64(out, hash_bytes_seeded(out->data + begin, out->length - begin, first_sequence));
    buffer_append_text(out, buffer_text(&builder->packed));
    bool failed = table.failed || out->failed;
    buffer_finish(&table);
    return failed ? -ENOMEM : 0;

no_memory:
    buffer_finish(&table);
    return -ENOMEM;
}
