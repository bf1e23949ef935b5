/* samples_chunk.c - see samples_private.h: a group's columns of some ticks in one value. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/samples_private.h"

enum { CHUNK_VERSION = 1, HEAD_SUM = 8, AT_HEAD_LENGTH = 8 };

/* --- writing --- */

struct encoding {
    unsigned char bitmap[SAMPLES_BITMAP];
    size_t lengths[SAMPLES_GROUP], columns;
    struct buffer runs, *bytes; /* bytes: the columns */
    size_t run_count;
};

static void end_run(struct encoding *encoding, uint64_t missing, size_t length) {
    samples_put_number(&encoding->runs, missing);
    samples_put_number(&encoding->runs, length);
    encoding->run_count++;
}

static void find_runs(const struct samples_rows *rows, struct encoding *encoding) {
    uint64_t missing = 0;
    size_t begin = 0;
    for (size_t i = 1; i <= rows->count; i++) {
        if (i < rows->count && rows->ticks[i] == rows->ticks[i - 1] + 1)
            continue;
        end_run(encoding, missing, i - begin);
        if (i < rows->count)
            missing = rows->ticks[i] - rows->ticks[i - 1] - 1;
        begin = i;
    }
}

static int encode_columns(struct samples_rows *rows, uint64_t seed, struct samples_column *column,
                          struct encoding *encoding) {
    for (unsigned index = 0; index < SAMPLES_GROUP; index++) {
        int result = samples_rows_column(rows, index, column);
        if (result < 0)
            return result;
        if (result == 0)
            continue;
        size_t before = encoding->bytes->length;
        samples_column_encode(column, seed + index, encoding->bytes);
        encoding->bitmap[index / 8] |= (unsigned char)(1 << index % 8);
        encoding->lengths[encoding->columns++] = encoding->bytes->length - before;
    }
    return 0;
}

static void put_u16(struct buffer *out, size_t value) {
    uint16_t little = htole16((uint16_t)value);
    buffer_append(out, &little, sizeof(little));
}

static void put_head(const struct encoding *encoding, const struct samples_rows *rows, uint64_t seed,
                     struct buffer *out) {
    unsigned bytes = SAMPLES_BITMAP;
    while (bytes > 0 && encoding->bitmap[bytes - 1] == 0)
        bytes--;
    buffer_append_char(out, CHUNK_VERSION);
    buffer_append_char(out, (char)bytes);
    put_u16(out, rows->count);
    put_u16(out, encoding->run_count);
    put_u16(out, encoding->columns);
    samples_put_u64(out, 0); /* the lengths, later */
    samples_put_u64(out, rows->ticks[0]);
    buffer_append_text(out, buffer_text(&encoding->runs));
    buffer_append(out, encoding->bitmap, bytes);
    for (size_t i = 0; i < encoding->columns; i++)
        samples_put_number(out, encoding->lengths[i]);
    if (out->failed)
        return;
    uint32_t lengths[2] = { htole32((uint32_t)(out->length + HEAD_SUM)),
                            htole32((uint32_t)(out->length + HEAD_SUM + encoding->bytes->length)) };
    memcpy(out->data + AT_HEAD_LENGTH, lengths, sizeof(lengths));
    samples_put_u64(out, hash_bytes_seeded(out->data, out->length, seed));
}

int samples_chunk_encode(struct samples_rows *rows, uint32_t group, struct samples_column *column, struct buffer *room,
                         struct buffer *out, size_t *ret_columns) {
    struct encoding encoding = { .bytes = room };
    check(rows->count > 0);
    uint64_t seed = samples_seed(group, rows->ticks[rows->count - 1]);
    buffer_clear(out);
    buffer_clear(room);
    int result = encode_columns(rows, seed, column, &encoding);
    find_runs(rows, &encoding);
    put_head(&encoding, rows, seed, out);
    buffer_append_text(out, buffer_text(room));
    if (room->failed || encoding.runs.failed || out->failed || out->length > UINT32_MAX)
        result = -ENOMEM;
    *ret_columns = encoding.columns;
    buffer_finish(&encoding.runs);
    return result;
}

/* --- reading --- */

static uint32_t word_at(const void *bytes, size_t at) {
    uint32_t word;
    memcpy(&word, (const char *)bytes + at, sizeof(word));
    return le32toh(word);
}

size_t samples_chunk_head_length(const unsigned char fixed[SAMPLES_CHUNK_FIXED], size_t size) {
    uint32_t head = word_at(fixed, AT_HEAD_LENGTH), all = word_at(fixed, AT_HEAD_LENGTH + sizeof(head));
    return all == size && head >= SAMPLES_CHUNK_FIXED + HEAD_SUM && head <= all ? head : 0;
}

static size_t take_u16(struct samples_cursor *cursor) {
    size_t low = samples_take_byte(cursor);
    return low | (size_t)samples_take_byte(cursor) << 8;
}

/* The last run ends with the tick that the key has. */
static bool take_runs(struct samples_cursor *cursor, uint64_t first, uint64_t last, struct samples_chunk *ret) {
    size_t at = 0;
    for (size_t i = 0; i < ret->run_count; i++) {
        uint64_t missing = samples_take_number(cursor), count = samples_take_number(cursor);
        if (cursor->bad || first > last || missing > last - first || count == 0 || count > ret->ticks - at ||
            count - 1 > last - first - missing)
            return false;
        ret->runs[i] = (struct samples_run) { first + missing, at, count };
        first += missing + count;
        at += count;
    }
    return at == ret->ticks && first == last + 1;
}

static bool take_columns(struct samples_cursor *cursor, size_t columns, size_t size, struct samples_chunk *ret) {
    size_t offset = ret->head_length, taken = 0;
    for (unsigned index = 0; index < SAMPLES_GROUP; index++) {
        ret->lengths[index] = 0;
        if (!samples_bit(ret->bitmap, index))
            continue;
        uint64_t length = samples_take_number(cursor);
        if (cursor->bad || taken++ == columns || length == 0 || length > size - offset)
            return false;
        ret->offsets[index] = offset;
        ret->lengths[index] = length;
        offset += length;
    }
    return taken == columns && offset == size;
}

int samples_chunk_open(struct text head, size_t size, uint32_t group, uint64_t last, struct samples_chunk *ret) {
    if (head.length < SAMPLES_CHUNK_FIXED + HEAD_SUM)
        return -EBADMSG;
    ret->head_length = head.length;
    head.length -= HEAD_SUM;
    struct samples_cursor sum = samples_cursor_of((struct text) { head.data + head.length, HEAD_SUM });
    struct samples_cursor cursor = samples_cursor_of(head);
    if (samples_take_u64(&sum) != hash_bytes_seeded(head.data, head.length, samples_seed(group, last)))
        return -EBADMSG;
    if (samples_take_byte(&cursor) != CHUNK_VERSION)
        return -EPROTO;
    size_t bytes = samples_take_byte(&cursor);
    ret->ticks = take_u16(&cursor);
    ret->run_count = take_u16(&cursor);
    size_t columns = take_u16(&cursor);
    (void)samples_take_u64(&cursor);
    uint64_t first = samples_take_u64(&cursor);
    if (bytes > SAMPLES_BITMAP || ret->ticks == 0 || ret->ticks > SAMPLES_TICKS_MAX || ret->run_count > ret->ticks ||
        !take_runs(&cursor, first, last, ret))
        return -EBADMSG;
    const unsigned char *bitmap = samples_take(&cursor, bytes);
    if (!bitmap)
        return -EBADMSG;
    memset(ret->bitmap, 0, sizeof(ret->bitmap));
    memcpy(ret->bitmap, bitmap, bytes);
    return take_columns(&cursor, columns, size, ret) && cursor.at == cursor.end ? 0 : -EBADMSG;
}
