/* samples_row.c - see samples_private.h: the values of a group at one tick, and some such rows by column. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/samples_private.h"

enum {
    ROW_VERSION = 1,
    ROW_SUM = 8,
    TAG_BITS = 0xf8,
    TAG_HISTOGRAM = 0xf0,
    HINT_BITS = 0xff,   /* the series had a value of which bits are all that can be said */
    HINT_AGAIN = 1 << 6 /* one tick of so many looks anew whether that is still so */
};

/* --- writing --- */

void samples_row_begin(struct samples_row_writer *row, const unsigned char bitmap[SAMPLES_BITMAP], struct buffer *out) {
    unsigned bytes = SAMPLES_BITMAP;
    while (bytes > 0 && bitmap[bytes - 1] == 0)
        bytes--;
    *row = (struct samples_row_writer) { out, out->length };
    buffer_append_char(out, ROW_VERSION);
    buffer_append_char(out, (char)bytes);
    buffer_append(out, bitmap, bytes);
}

static void add_whole(struct buffer *out, unsigned exponent, int64_t whole) {
    unsigned char bytes[1 + sizeof(uint64_t)];
    uint64_t zigzag = samples_zigzag((uint64_t)whole), little = htole64(zigzag);
    unsigned length = zigzag ? (71 - (unsigned)__builtin_clzll(zigzag)) / 8 : 0;
    bytes[0] = (unsigned char)(exponent << 4 | length);
    memcpy(bytes + 1, &little, sizeof(little));
    buffer_append(out, bytes, 1 + length);
}

/* The exponents from that of the value before on; then those below it. */
static bool find_whole(double value, uint8_t *hint, int64_t *ret) {
    unsigned first = *hint <= SAMPLES_EXPONENT_MAX ? *hint : 0;
    for (unsigned i = 0; i <= SAMPLES_EXPONENT_MAX; i++) {
        unsigned exponent = (first + i) % (SAMPLES_EXPONENT_MAX + 1);
        if (samples_decimal(value, exponent, ret)) {
            *hint = (uint8_t)exponent;
            return true;
        }
    }
    *hint = HINT_BITS;
    return false;
}

void samples_row_add(struct samples_row_writer *row, double value, uint8_t *hint) {
    int64_t whole;
    bool look = *hint != HINT_BITS || samples_bits_of(value) % HINT_AGAIN == 0;
    if (look && find_whole(value, hint, &whole)) {
        add_whole(row->out, *hint, whole);
        return;
    }
    unsigned char bytes[1 + sizeof(uint64_t)] = { TAG_BITS };
    uint64_t bits = htole64(samples_bits_of(value));
    memcpy(bytes + 1, &bits, sizeof(bits));
    buffer_append(row->out, bytes, sizeof(bytes));
}

void samples_row_add_histogram(struct samples_row_writer *row, struct text encoded) {
    buffer_append_char(row->out, (char)TAG_HISTOGRAM);
    samples_put_number(row->out, encoded.length);
    buffer_append_text(row->out, encoded);
}

void samples_row_end(struct samples_row_writer *row, uint64_t seed) {
    struct buffer *out = row->out;
    if (!out->failed)
        samples_put_u64(out, hash_bytes_seeded(out->data + row->begin, out->length - row->begin, seed));
}

/* --- reading one --- */

int samples_row_open(struct text bytes, uint64_t seed, struct samples_row *ret) {
    if (bytes.length < 2 + ROW_SUM)
        return -EBADMSG;
    bytes.length -= ROW_SUM;
    struct samples_cursor sum = samples_cursor_of((struct text) { bytes.data + bytes.length, ROW_SUM });
    struct samples_cursor cursor = samples_cursor_of(bytes);
    if (samples_take_u64(&sum) != hash_bytes_seeded(bytes.data, bytes.length, seed) ||
        samples_take_byte(&cursor) != ROW_VERSION)
        return -EBADMSG;
    unsigned count = samples_take_byte(&cursor);
    const unsigned char *bitmap = samples_take(&cursor, count);
    if (!bitmap || count > SAMPLES_BITMAP)
        return -EBADMSG;
    memset(ret->bitmap, 0, sizeof(ret->bitmap));
    memcpy(ret->bitmap, bitmap, count);
    ret->cursor = cursor;
    return 0;
}

int samples_row_next(struct samples_row *row, struct samples_entry *ret) {
    struct samples_cursor *cursor = &row->cursor;
    unsigned tag = samples_take_byte(cursor), exponent = tag >> 4, length = tag & 15;
    *ret = (struct samples_entry) { .histogram = tag == TAG_HISTOGRAM };
    if (tag == TAG_HISTOGRAM) {
        uint64_t size = samples_take_number(cursor);
        const unsigned char *bytes = samples_take(cursor, size);
        ret->encoded = (struct text) { (const char *)bytes, bytes ? size : 0 };
    } else if (tag == TAG_BITS) {
        ret->value = samples_of_bits(samples_take_u64(cursor));
    } else if (exponent <= SAMPLES_EXPONENT_MAX && length <= sizeof(uint64_t)) {
        uint64_t little = 0;
        const unsigned char *bytes = samples_take(cursor, length);
        if (bytes && length > 0)
            memcpy(&little, bytes, length);
        ret->value = (double)(int64_t)samples_unzigzag(le64toh(little)) / samples_powers[exponent];
    } else {
        cursor->bad = true;
    }
    return cursor->bad ? -EBADMSG : 0;
}

/* --- rows by column --- */

void samples_rows_finish(struct samples_rows *rows) {
    buffer_finish(&rows->bytes);
}

static int keep_row(struct samples_rows *rows, struct partition_txn *txn, uint64_t tick, struct partition_piece piece,
                    struct error *error) {
    struct buffer *bytes = &rows->bytes;
    if (!buffer_reserve(bytes, piece.size + SAMPLES_SLACK))
        return error_set(error, -ENOMEM, "out of memory");
    int result = partition_piece_take(txn, piece, 0, piece.size, bytes->data + bytes->length, error);
    if (result < 0)
        return result;
    rows->ticks[rows->loaded] = tick;
    rows->offsets[rows->loaded] = bytes->length;
    rows->lengths[rows->loaded++] = piece.size;
    bytes->length += piece.size;
    return 0;
}

int samples_rows_load(struct samples_rows *rows, struct partition_txn *txn, uint32_t group, uint64_t from,
                      struct error *error) {
    uint64_t tick = from;
    rows->count = rows->loaded = 0;
    buffer_clear(&rows->bytes);
    while (rows->loaded < SAMPLES_ROWS_MAX) {
        uint64_t found;
        uint32_t of;
        struct partition_piece piece;
        int result = partition_row_seek(txn, tick, group, false, &found, &of, &piece, error);
        if (result <= 0)
            return result;
        if (found < tick || (found == tick && of < group)) /* of a damaged tree: it ends all the same */
            return error_set(error, -EBADMSG, "%s: its rows are out of order", partition_path(partition_of(txn)));
        if (of == group)
            result = keep_row(rows, txn, found, piece, error);
        if (result < 0)
            return result;
        if (of >= group && found == UINT64_MAX)
            return 0;
        tick = of >= group ? found + 1 : found;
    }
    return 0;
}

void samples_rows_open(struct samples_rows *rows, uint32_t group) {
    rows->count = 0;
    if (rows->loaded > 0)
        memset(rows->bytes.data + rows->bytes.length, 0, SAMPLES_SLACK);
    for (size_t i = 0; i < rows->loaded; i++) {
        uint64_t tick = rows->ticks[i];
        struct text bytes = { rows->bytes.data + rows->offsets[i], rows->lengths[i] };
        if (samples_row_open(bytes, samples_seed(group, tick), &rows->rows[rows->count]) == 0)
            rows->rows[rows->count++].tick = tick;
        else
            rows->damaged_tick = tick;
    }
}

static int add_histogram(struct samples_column *column, size_t at, struct text encoded) {
    struct histogram histogram = HISTOGRAM_EMPTY;
    int result = histogram_decode(encoded, &histogram);
    if (result < 0)
        return result;
    column->values[at] = histogram.sum;
    column->zeros[at] = histogram.zero;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES && result == 0; octave++) {
        for (unsigned bucket = 0; histogram.octaves[octave] && bucket < HISTOGRAM_BUCKETS; bucket++) {
            if (histogram.octaves[octave][bucket] == 0)
                continue;
            uint64_t *counts = samples_column_bucket(column, octave, bucket);
            if (!counts) {
                result = -ENOMEM;
                break;
            }
            counts[at] = histogram.octaves[octave][bucket];
        }
    }
    histogram_finish(&histogram);
    return result;
}

/* What cannot be read, or is of another kind than what is before it, is a hole. */
static int add_entry(struct samples_rows *rows, size_t at, unsigned index, struct samples_column *column, bool *any) {
    struct samples_row *row = &rows->rows[at];
    struct samples_entry entry;
    if (!samples_bit(row->bitmap, index) || samples_row_next(row, &entry) < 0 ||
        (*any && entry.histogram != column->histogram))
        return 0;
    if (entry.histogram) {
        int result = add_histogram(column, at, entry.encoded);
        if (result < 0)
            return result == -ENOMEM ? result : 0;
    } else {
        column->values[at] = entry.value;
    }
    if (!samples_is_hole(column->values[at])) {
        column->histogram = entry.histogram;
        *any = true;
    }
    return 0;
}

int samples_rows_column(struct samples_rows *rows, unsigned index, struct samples_column *column) {
    bool any = false;
    samples_column_clear(column);
    column->count = rows->count;
    for (size_t i = 0; i < rows->count; i++) {
        column->values[i] = samples_hole();
        column->zeros[i] = 0;
        int result = add_entry(rows, i, index, column, &any);
        if (result < 0)
            return result;
    }
    return any;
}
