/* Packs what a builder holds by column:
 *
 *   timestamp             zigzag varints of the difference to the row before (the first: to 0)
 *   service .. operation  u32 number of texts; u16 length and bytes of each
 *   statement             u32 number of statements; of all of them service, then module, operation, template, u16 each, then level, u8; then the
 *                         statement of each row
 *   template              u32 number of texts; a varint length each, then all bytes; 0x11 where an argument stands
 *   argument lengths      of each template, of each of its gaps: the lengths of the arguments of all its rows
 *   argument              their bytes in the same order
 *   look                  block_looks.c
 *   metadata              u32 number of keys; u16 length and bytes of each, u8 its column (0: none of its own); u32 number of shapes, each u16 number of
 *                         keys and u16 each; then the shape of each row: 0 absent, 1 kept whole, 2 the first shape
 *   metadata key          the lengths of the values of all rows that have the key, then their bytes (msgpack)
 *   metadata rest         for what is kept whole, then for each key without a column the same; all lengths before all bytes
 *   host                  u32 number of texts; u16 length and bytes of each; then a u16 each row. Left out where all rows have the partition's
 *   user, organization    u32 number of UUIDs; 16 bytes each (the first all zero: absent); then which of them each row has
 *   pid                   u32 number of pids; u32 each; then which of them each row has
 *   error_details         a varint length each row, then all bytes
 *   id                    block_ids.c
 *   trace, span,          block_hex.c
 *   correlation
 *
 * What "each row" has of a numbered list (but for host) is block_rows_pack's, lengths are block_lengths_pack's. A column in which no row has anything is left out.
 *
 * Version 1 had neither statement, template nor argument, but: level, a byte each; service .. operation packed as host is; message and metadata as
 * error_details; and user, organization and pid with a u16 each row.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_private.h"

enum { SEEN = 512 };

void block_rows_pack(const uint16_t *rows, uint32_t count, uint32_t size, struct buffer *out) {
    if (!buffer_reserve(out, (size_t)count * 2))
        return;
    unsigned char *to = (unsigned char *)out->data + out->length;
    for (uint32_t i = 0; i < count; i++)
        to[i] = (unsigned char)rows[i];
    out->length += count;
    if (size <= 256)
        return;
    for (uint32_t i = 0; i < count; i++)
        to[count + i] = (unsigned char)(rows[i] >> 8);
    out->length += count;
}

int block_rows_unpack(struct text packed, uint32_t count, uint32_t size, uint16_t *ret) {
    const unsigned char *low = (const unsigned char *)packed.data, *high = low + count;
    if (packed.length != (size > 256 ? 2 : 1) * (size_t)count)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++)
        ret[i] = low[i];
    for (uint32_t i = 0; i < count && size > 256; i++)
        ret[i] = (uint16_t)(ret[i] | high[i] << 8);
    uint16_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = ret[i] > most ? ret[i] : most;
    return most < size ? 0 : -EBADMSG;
}

void block_append_varint(struct buffer *out, uint64_t value) {
    unsigned char room[10];
    buffer_append(out, room, varint_put(room, value));
}

void block_lengths_pack(const uint32_t *lengths, uint32_t count, struct buffer *out) {
    bool same = true;
    for (uint32_t i = 1; i < count && same; i++)
        same = lengths[i] == lengths[0];
    if (count == 0 || !buffer_reserve(out, (size_t)count * 5 + 10))
        return;
    block_append_varint(out, same ? (uint64_t)lengths[0] * 2 + 1 : 0);
    for (uint32_t i = 0; i < count && !same; i++)
        out->length += varint_put((unsigned char *)out->data + out->length, lengths[i]);
}

int block_lengths_unpack(struct lengths_reader *reader, uint32_t count, uint32_t *ret) {
    uint64_t length;
    if (count == 0)
        return 0;
    unsigned used = varint_get(reader->at, reader->end, &length);
    bool same = length & 1;
    if (used == 0 || (!same && length != 0) || length / 2 >= BLOCK_RAW_MAX)
        return -EBADMSG;
    reader->at += used;
    for (uint32_t i = 0; i < count; i++) {
        if (same) {
            ret[i] = (uint32_t)(length / 2);
        } else if (reader->at < reader->end && *reader->at < 0x80) {
            ret[i] = *reader->at++;
        } else {
            used = varint_get(reader->at, reader->end, &length);
            if (used == 0 || length >= BLOCK_RAW_MAX)
                return -EBADMSG;
            reader->at += used;
            ret[i] = (uint32_t)length;
        }
    }
    return 0;
}

static void pack_timestamps(struct block_builder *builder, struct buffer *out) {
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

static void pack_names(const struct dictionary *dictionary, struct buffer *out) {
    append_u32(out, dictionary->size);
    for (uint32_t i = 0; i < dictionary->size; i++) {
        struct text text = dictionary_get(dictionary, i);
        append_u16(out, (uint16_t)text.length);
        buffer_append_text(out, text);
    }
}

static void pack_service(struct block_builder *builder, struct buffer *out) {
    pack_names(&builder->names[block_name_of(BLOCK_SERVICE)], out);
}
static void pack_module(struct block_builder *builder, struct buffer *out) {
    pack_names(&builder->names[block_name_of(BLOCK_MODULE)], out);
}
static void pack_operation(struct block_builder *builder, struct buffer *out) {
    pack_names(&builder->names[block_name_of(BLOCK_OPERATION)], out);
}

static bool has_one_host(const struct block_builder *builder) {
    const struct dictionary *hosts = &builder->names[block_name_of(BLOCK_HOST)];
    return hosts->size == 1 && text_equal(dictionary_get(hosts, 0), buffer_text(&builder->host));
}

static void pack_host(struct block_builder *builder, struct buffer *out) {
    if (has_one_host(builder))
        return;
    pack_names(&builder->names[block_name_of(BLOCK_HOST)], out);
    pack_rows(builder->hosts, builder->count, out);
}

static void pack_statements(struct block_builder *builder, struct buffer *out) {
    const struct block_statement *statements = builder_statements(builder);
    uint32_t size = builder->statements.size;
    append_u32(out, size);
    for (uint32_t i = 0; i < size; i++)
        append_u16(out, statements[i].service);
    for (uint32_t i = 0; i < size; i++)
        append_u16(out, statements[i].module);
    for (uint32_t i = 0; i < size; i++)
        append_u16(out, statements[i].operation);
    for (uint32_t i = 0; i < size; i++)
        append_u16(out, statements[i].template);
    for (uint32_t i = 0; i < size; i++)
        buffer_append_char(out, (char)statements[i].level);
    block_rows_pack(builder->statement_rows, builder->count, size, out);
}

static void pack_templates(struct block_builder *builder, struct buffer *out) {
    const struct dictionary *templates = &builder->templates;
    append_u32(out, templates->size);
    for (uint32_t i = 0; i < templates->size; i++)
        block_append_varint(out, dictionary_get(templates, i).length);
    buffer_append_text(out, buffer_text(&templates->bytes));
}

/* Of 4 or 16 bytes. */
static inline bool is_same_value(const char *a, const char *b, size_t size) {
    return size == UUID_SIZE ? memcmp(a, b, UUID_SIZE) == 0 : memcmp(a, b, sizeof(uint32_t)) == 0;
}

/* Fixed-size values as a dictionary; the first `fixed` of it is `zero`. Blocks hold few distinct ones: a hash table of their hashes. */
static void pack_values(const void *values, size_t size, uint32_t count, struct buffer *out) {
    static const unsigned char zero[UUID_SIZE];
    const unsigned char *bytes = values;
    struct dictionary dictionary = { .size = 0 };
    uint16_t *rows = calloc(count ? count : 1, sizeof(*rows));
    uint16_t seen[SEEN] = { 0 }; /* by their first bytes: the number of a value that was there lately */
    bool any = false, failed = rows == NULL;
    /* so that "absent" is number 0, and a row of it the cheapest */
    failed = failed || dictionary_add(&dictionary, (struct text) { (const char *)zero, size }) < 0;
    for (uint32_t i = 0; i < count && !failed; i++) {
        struct text text = { (const char *)bytes + i * size, size };
        uint16_t *slot = &seen[(get_u16(text.data) ^ get_u16(text.data + 2)) % SEEN];
        if (is_same_value(dictionary.bytes.data + *slot * size, text.data, size)) {
            rows[i] = *slot;
            continue;
        }
        int number = dictionary_add(&dictionary, text);
        any |= number > 0;
        failed = number < 0 || number > UINT16_MAX;
        rows[i] = *slot = (uint16_t)number;
    }
    if (failed)
        out->failed = true;
    if (any && !failed) {
        append_u32(out, dictionary.size);
        buffer_append(out, dictionary.bytes.data, dictionary.bytes.length);
        block_rows_pack(rows, count, dictionary.size, out);
    }
    dictionary_finish(&dictionary);
    free(rows);
}

/* The pids little-endian, whatever the host is. */
static void pack_pids(struct block_builder *builder, struct buffer *out) {
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

static void pack_users(struct block_builder *builder, struct buffer *out) {
    pack_values(builder->users, UUID_SIZE, builder->count, out);
}
static void pack_organizations(struct block_builder *builder, struct buffer *out) {
    pack_values(builder->organizations, UUID_SIZE, builder->count, out);
}

static void pack_ids(struct block_builder *builder, struct buffer *out) {
    block_ids_pack(builder->ids, builder->timestamps, builder->count, out);
}

static void pack_hex(const struct block_builder *builder, enum block_column column, struct buffer *out) {
    const struct text_run *run = &builder->texts[block_text_of(column)];
    if (run->bytes.length > 0)
        block_hex_pack(run, builder->count, out);
}
static void pack_traces(struct block_builder *builder, struct buffer *out) {
    pack_hex(builder, BLOCK_TRACE_ID, out);
}
static void pack_spans(struct block_builder *builder, struct buffer *out) {
    pack_hex(builder, BLOCK_SPAN_ID, out);
}
static void pack_correlations(struct block_builder *builder, struct buffer *out) {
    pack_hex(builder, BLOCK_CORRELATION_ID, out);
}

static void pack_error_details(struct block_builder *builder, struct buffer *out) {
    const struct text_run *run = &builder->texts[block_text_of(BLOCK_ERROR_DETAILS)];
    if (run->bytes.length == 0 || !buffer_reserve(out, (size_t)builder->count * 5 + run->bytes.length))
        return;
    for (uint32_t i = 0; i < builder->count; i++)
        out->length += varint_put((unsigned char *)out->data + out->length, text_run_get(run, i).length);
    buffer_append(out, run->bytes.data, run->bytes.length);
}

/* --- arguments, gathered by template and gap --- */

struct arguments {
    uint32_t *rows;           /* by template */
    uint32_t *begins;         /* of each template in rows; one more */
    uint32_t *lengths;        /* of one gap */
    struct block_look *looks; /* of all gaps */
    uint32_t look_count;
};

/* The rows by their templates: a counting sort. */
static void order_rows(const struct block_builder *builder, struct arguments *arguments) {
    uint32_t templates = builder->templates.size;
    for (uint32_t row = 0; row < builder->count; row++)
        arguments->begins[builder_statement(builder, row)->template + 1]++;
    for (uint32_t i = 1; i <= templates; i++)
        arguments->begins[i] += arguments->begins[i - 1];
    for (uint32_t row = 0; row < builder->count; row++)
        arguments->rows[arguments->begins[builder_statement(builder, row)->template]++] = row;
    memmove(arguments->begins + 1, arguments->begins, templates * sizeof(uint32_t));
    arguments->begins[0] = 0;
}

static void pack_gap(const struct block_builder *builder, const uint32_t *rows, uint32_t count, uint32_t gap,
                     struct arguments *arguments, struct buffer *out_lengths, struct buffer *out_bytes) {
    const struct value_run *run = &builder->arguments;
    const char *from = run->bytes.data;
    size_t first = out_bytes->length;
    uint32_t *lengths = arguments->lengths;
    char *to = out_bytes->data + out_bytes->length; /* reserved: all arguments together */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t argument = builder->first_arguments[rows[i]] + gap;
        uint32_t begin = argument ? run->ends[argument - 1] : 0;
        lengths[i] = run->ends[argument] - begin;
        if (lengths[i] <= BUILDER_SLACK)
            memcpy(to, from + begin, BUILDER_SLACK);
        else
            memcpy(to, from + begin, lengths[i]);
        to += lengths[i];
    }
    out_bytes->length = (size_t)(to - out_bytes->data);
    block_lengths_pack(lengths, count, out_lengths);
    arguments->looks[arguments->look_count++] = block_look_make(out_bytes->data + first, lengths, count);
}

static int pack_arguments(struct block_packing *packing) {
    struct block_builder *builder = packing->builder;
    _cleanup_buffer_ struct buffer lengths = BUFFER_EMPTY;
    uint32_t templates = builder->templates.size;
    struct text all = buffer_text(&builder->templates.bytes);
    struct arguments arguments = { .rows = calloc(builder->count, sizeof(uint32_t)),
                                   .begins = calloc((size_t)templates + 1, sizeof(uint32_t)),
                                   .lengths = calloc(builder->count, sizeof(uint32_t)),
                                   .looks = calloc((size_t)block_gaps(all) + 1, sizeof(*arguments.looks)) };
    int result = arguments.rows && arguments.begins && arguments.lengths && arguments.looks &&
                         buffer_reserve(&builder->column, builder->arguments.bytes.length + BUILDER_SLACK)
                     ? 0
                     : -ENOMEM;
    if (result == 0)
        order_rows(builder, &arguments);
    for (uint32_t i = 0; i < templates && result == 0 && builder->arguments.count > 0; i++) {
        uint32_t begin = arguments.begins[i], gaps = block_gaps(dictionary_get(&builder->templates, i));
        for (uint32_t gap = 0; gap < gaps; gap++)
            pack_gap(builder, arguments.rows + begin, arguments.begins[i + 1] - begin, gap, &arguments, &lengths,
                     &builder->column);
    }
    if (result == 0)
        result = block_pack_column(packing, BLOCK_ARGUMENT, &builder->column);
    if (result == 0)
        result = block_pack_column(packing, BLOCK_ARGUMENT_LENGTH, &lengths);
    buffer_clear(&builder->column);
    if (result == 0) {
        block_looks_pack(arguments.looks, arguments.look_count, &builder->column);
        result = block_pack_column(packing, BLOCK_LOOK, &builder->column);
    }
    free(arguments.rows);
    free(arguments.begins);
    free(arguments.lengths);
    free(arguments.looks);
    return result;
}

/* --- the block --- */

static const struct {
    enum block_column column;
    void (*pack)(struct block_builder *builder, struct buffer *out);
} columns[] = {
    { BLOCK_TIMESTAMP, pack_timestamps },
    { BLOCK_SERVICE, pack_service },
    { BLOCK_MODULE, pack_module },
    { BLOCK_OPERATION, pack_operation },
    { BLOCK_STATEMENT, pack_statements },
    { BLOCK_TEMPLATE, pack_templates },
    { BLOCK_ID, pack_ids },
    { BLOCK_TRACE_ID, pack_traces },
    { BLOCK_SPAN_ID, pack_spans },
    { BLOCK_CORRELATION_ID, pack_correlations },
    { BLOCK_USER_ID, pack_users },
    { BLOCK_ORGANIZATION_ID, pack_organizations },
    { BLOCK_ERROR_DETAILS, pack_error_details },
    { BLOCK_HOST, pack_host },
    { BLOCK_PID, pack_pids },
};

int block_pack_column(struct block_packing *packing, unsigned column, const struct buffer *plain) {
    struct buffer *packed = &packing->builder->packed, *table = &packing->table;
    if (plain->failed || plain->length > BLOCK_RAW_MAX)
        return -ENOMEM;
    if (plain->length == 0)
        return 0;
    size_t at = packed->length;
    int codec = block_compress(buffer_text(plain), packed);
    if (codec < 0)
        return -ENOMEM;
    size_t stored = packed->length - at;
    append_u16(table, (uint16_t)column);
    append_u16(table, (uint16_t)codec);
    append_u32(table, (uint32_t)stored);
    append_u32(table, (uint32_t)plain->length);
    append_u32(table, (uint32_t)at);
    append_u64(table, hash_bytes_seeded(packed->data + at, stored, packing->first_sequence + column));
    append_u64(table, 0);
    packing->columns++;
    return table->failed ? -ENOMEM : 0;
}

static int pack_columns(struct block_packing *packing) {
    struct block_builder *builder = packing->builder;
    int result = 0;
    buffer_clear(&builder->packed);
    for (unsigned i = 0; i < COUNT_OF(columns) && result == 0; i++) {
        buffer_clear(&builder->column);
        columns[i].pack(builder, &builder->column);
        result = block_pack_column(packing, columns[i].column, &builder->column);
    }
    buffer_clear(&builder->column);
    if (result == 0)
        result = pack_arguments(packing);
    return result == 0 ? block_metadata_pack(packing) : result;
}

int block_builder_encode(struct block_builder *builder, uint64_t first_sequence, struct buffer *out) {
    struct block_packing packing = { .builder = builder, .first_sequence = first_sequence };
    check(builder->count > 0);
    int result = pack_columns(&packing);
    if (result == 0) {
        size_t begin = out->length;
        append_u32(out, BLOCK_MAGIC);
        append_u16(out, BLOCK_VERSION);
        append_u16(out, (uint16_t)packing.columns);
        append_u32(out, builder->count);
        append_u32(out, has_one_host(builder) ? BLOCK_FLAG_HOST : 0);
        buffer_append_text(out, buffer_text(&packing.table));
        if (!out->failed)
            append_u64(out, hash_bytes_seeded(out->data + begin, out->length - begin, first_sequence));
        buffer_append_text(out, buffer_text(&builder->packed));
        result = out->failed ? -ENOMEM : 0;
    }
    buffer_finish(&packing.table);
    return result;
}
