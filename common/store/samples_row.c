/* samples_row.c - see samples_private.h: the values of a group at one tick. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/samples_private.h"

enum {
    ROW_VERSION = 1,
    ROW_SUM = 8,
    ROW_ROOM = SAMPLES_GROUP * 9, /* what a row of numbers takes at most, nearly */
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

/* A tag and the lower bytes of a word, whose room is there as a whole. */
static inline void add_tagged(struct buffer *out, unsigned tag, uint64_t word, unsigned length) {
    if (out->capacity - out->length < 1 + sizeof(word) && !buffer_reserve(out, ROW_ROOM))
        return;
    word = htole64(word);
    out->data[out->length] = (char)tag;
    memcpy(out->data + out->length + 1, &word, sizeof(word));
    out->length += 1 + length;
}

static void add_whole(struct buffer *out, unsigned exponent, int64_t whole) {
    uint64_t zigzag = samples_zigzag((uint64_t)whole);
    unsigned length = zigzag ? (71 - (unsigned)__builtin_clzll(zigzag)) / 8 : 0;
    add_tagged(out, exponent << 4 | length, zigzag, length);
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
    add_tagged(row->out, TAG_BITS, samples_bits_of(value), sizeof(uint64_t));
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
        static const uint64_t masks[] = { 0,          0xff,         0xffff,         0xffffff,
                                          UINT32_MAX, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
                                          UINT64_MAX };
        uint64_t little = 0;
        const unsigned char *bytes = samples_take(cursor, length);
        if (bytes)
            memcpy(&little, bytes, sizeof(little)); /* into the slack, at the end */
        int64_t whole = (int64_t)samples_unzigzag(le64toh(little) & masks[length]);
        ret->value = exponent ? (double)whole / samples_powers[exponent] : (double)whole;
    } else {
        cursor->bad = true;
    }
    return cursor->bad ? -EBADMSG : 0;
}
