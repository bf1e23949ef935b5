/* An encoded block. First byte even: the rest as it stands. Odd: the rest is a count (u16) and for each column a codec (u8), a raw size
 * (u24) and the stored bytes behind their length (u16); table and checksums are made right, so that what lies behind them is reached. With 2 in the
 * first byte it is a block of version 2, and the number of each column (u8) stands before the codec. */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEQUENCE = 77, COLUMNS = 48 };

static bool has_looks;

static void put(struct buffer *out, uint64_t value, size_t size) {
    buffer_append(out, &value, size);
}

static uint32_t take(const uint8_t **data, size_t *size, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i<count && * size> 0; i++, (*data)++, (*size)--)
        value |= (uint32_t) * *data << (8 * i);
    return value;
}

static void make(const uint8_t *data, size_t size, uint32_t version, struct buffer *out) {
    _cleanup_buffer_ struct buffer table = BUFFER_EMPTY, columns = BUFFER_EMPTY;
    uint32_t count = take(&data, &size, 2);
    for (uint32_t i = 0; size > 0 && i < COLUMNS; i++) {
        uint32_t column = version == 1 ? i : take(&data, &size, 1);
        uint32_t codec = take(&data, &size, 1), raw = take(&data, &size, 3), length = take(&data, &size, 2);
        length = length > size ? (uint32_t)size : length;
        if (length > 0) {
            has_looks |= column == BLOCK_LOOK;
            put(&table, column, 2);
            put(&table, codec, 2);
            put(&table, length, 4);
            put(&table, codec == 0 ? length : raw, 4);
            put(&table, columns.length, 4);
            put(&table, hash_bytes_seeded(data, length, SEQUENCE + column), 8);
            put(&table, 0, 8);
        }
        buffer_append(&columns, data, length);
        data += length;
        size -= length;
    }
    buffer_append(out, "TBLK", 4);
    put(out, version, 2);
    put(out, table.length / 32, 2);
    put(out, count, 4);
    put(out, 0, 4);
    buffer_append_text(out, buffer_text(&table));
    put(out, hash_bytes_seeded(out->data, out->length, SEQUENCE), 8);
    buffer_append_text(out, buffer_text(&columns));
}

/* What is searched where it stands is what is found in the messages, or less where the block tells lies about its arguments. */
static uint64_t search(struct block *block) {
    static const struct text needle = TEXT_INITIALIZER("job 1");
    uint32_t count = block_count(block), found = 0;
    uint8_t *marks = calloc(count, 1);
    check(marks && block_mark_messages(block, needle, 0, count, marks, NULL) == 0);
    bool whole = block_load(block, BLOCK_MESSAGE, NULL) == 0;
    for (uint32_t row = 0; row < count && whole; row++) {
        struct text message = block_text(block, BLOCK_MESSAGE, row);
        bool has = message.length > 0 && memmem(message.data, message.length, needle.data, needle.length);
        check(has || !marks[row]);
        check(has == marks[row] || has_looks);
        found += has;
    }
    free(marks);
    return found;
}

static uint64_t read_key(struct block *block) {
    uint64_t sum = 0;
    uint32_t key;
    if (block_load_metadata_key(block, TEXT_LITERAL("queue"), &key, NULL) != 1)
        return 0;
    for (uint32_t row = 0; row < block_count(block); row++) {
        struct text value = block_metadata_value(block, key, row);
        sum += value.length ? hash_bytes(value.data, value.length) : 0;
    }
    return sum;
}

/* A few rows alone are what they are among all; and whoever has all of a block has any rows of it. */
static void compare_rows(struct block *few, struct block *all) {
    const uint32_t rows[] = { 0, block_count(few) / 2, block_count(few) - 1 };
    int result = block_load_rows(few, rows, 3, NULL);
    if (block_load_all(all, NULL) < 0)
        return;
    check(result == 0);
    for (unsigned i = 0; i < 3; i++) {
        struct entry a, b;
        block_entry(few, rows[i], &a);
        block_entry(all, rows[i], &b);
        check(text_equal(a.message, b.message) && text_equal(a.metadata, b.metadata) &&
              text_equal(a.trace_id, b.trace_id) && text_equal(a.span_id, b.span_id) &&
              text_equal(a.correlation_id, b.correlation_id));
    }
}

static uint64_t read_all(struct block *block) {
    bool loaded[BLOCK_COLUMN_COUNT];
    uint64_t sum = 0;
    bool all = true;
    for (unsigned column = 0; column < BLOCK_COLUMN_COUNT; column++)
        all &= loaded[column] = block_load(block, (enum block_column)column, NULL) == 0;
    if (loaded[BLOCK_MESSAGE]) {
        const uint32_t *offsets;
        struct text bytes = block_message_bytes(block, &offsets);
        sum += hash_bytes(bytes.data, bytes.length) + offsets[block_count(block)];
    }
    if (loaded[BLOCK_TEMPLATE])
        for (uint32_t i = 0; i < block_template_count(block); i++)
            sum += block_template_id(block, i);
    if (loaded[BLOCK_ARGUMENT] && loaded[BLOCK_LOOK])
        sum += search(block);
    sum += read_key(block);
    for (uint32_t row = 0; all && row < block_count(block); row++) {
        struct entry entry;
        struct entry_argument arguments[ENTRY_ARGUMENTS_MAX];
        block_entry(block, row, &entry);
        block_entry_arguments(block, row, arguments, &entry);
        for (unsigned i = 0; entry.templated && i < entry.argument_count; i++)
            check((size_t)arguments[i].begin + arguments[i].length <= entry.message.length);
        const struct text texts[] = { entry.service,       entry.module,  entry.operation, entry.message,
                                      entry.trace_id,      entry.span_id, entry.metadata,  entry.correlation_id,
                                      entry.error_details, entry.host };
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
            sum += texts[i].length ? hash_bytes(texts[i].data, texts[i].length) : 0;
        sum += entry.id.bytes[0] + entry.user_id.bytes[15] + (unsigned)entry.level + entry.pid;
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_buffer_ struct buffer made = BUFFER_EMPTY;
    struct text encoded = { (const char *)data + 1, size - 1 };
    struct block *block;
    if (size < 1)
        return 0;
    has_looks = !(data[0] & 1);
    if (data[0] & 1) {
        make(data + 1, size - 1, data[0] & 2 ? 2 : 1, &made);
        encoded = buffer_text(&made);
    }
    if (block_open(encoded, SEQUENCE, &block, NULL) < 0)
        return 0;
    struct block *few;
    check(block_open(encoded, SEQUENCE, &few, NULL) == 0);
    compare_rows(few, block);
    block_destroy(few);
    uint64_t sum = read_all(block);
    __asm__ volatile("" : : "r"(sum)); /* so that all of it is read */
    block_destroy(block);
    return 0;
}
