/* samples_codec.h - how columns and rows of samples are coded: pure, of bytes and numbers. Whatever is decoded is hostile, and bounded by its end.
 *
 * Integers (samples_integers.c), count of them known from outside; all arithmetic is modulo 2^64:
 *
 *   order and shift | first, zigzag | [order 2: first delta, zigzag] | frames of 64: width u8, base zigzag, 64 values of `width` bits each, little-endian
 *   u8: order in the low 2 bits, shift in the upper 6
 *
 *   u[i] = (value[i] - value[0]) >> shift, where no bits are lost. Order 0: frames hold u; 1: its differences; 2: the differences of those, less the base
 *   (the least of the frame). Order 3: all are as the first, and nothing follows. Whichever order takes the fewest bits.
 *
 * Doubles (samples_column.c): those that are m / 10^k for one k of the whole column become the integers m, which is exact (the quotient of two
 * exact doubles is rounded once, and is compared with the value when it is coded); a few others stand apart. Else the bits of all, so mapped that
 * they have the order of the doubles. (With k above 0, m is so small that next to no random double passes for a decimal.)
 *
 *   form u8: 0..10: k; 16: bits; + 32: some stand apart | [count, then (position, bits u64) each] | integers
 *
 * A column is one series through some ticks:
 *
 *   flags u8: 1 histogram, 2 holes | [a bit for each tick: 1 a hole; then as the one before] | doubles: values, of histograms the sums
 *   | histograms: integers: zero counts | octaves in use u8 | each: number u8, buckets in use u64, integers for each | XXH3 of all u32
 *
 * Numbers without a size are LEB128.
 */
#ifndef TASKFORGE_COMMON_STORE_SAMPLES_CODEC_H
#define TASKFORGE_COMMON_STORE_SAMPLES_CODEC_H

#include <endian.h>

#include "common/store/samples.h"

enum {
    SAMPLES_FRAME = 64,
    SAMPLES_TICKS_MAX = SAMPLES_BLOCK_TICKS, /* of a column */
    SAMPLES_SLACK = 16,      /* bytes that must be readable behind what is decoded: it is read by words */
    SAMPLES_NUMBER_MAX = 10, /* bytes of a LEB128 number */
    SAMPLES_EXPONENT_MAX = 10,
    SAMPLES_COLUMN_SUM = 4,
};

extern const double samples_powers[SAMPLES_EXPONENT_MAX + 1]; /* of ten */

/* What is left to decode. Once `bad`, it stays so and gives zeros. */
struct samples_cursor {
    const unsigned char *at, *end;
    bool bad;
};
static inline struct samples_cursor samples_cursor_of(struct text text) {
    const unsigned char *at = (const unsigned char *)text.data;
    return (struct samples_cursor) { .at = at, .end = at + text.length };
}
/* The next `length` bytes; NULL and bad where there are fewer. */
static inline const unsigned char *samples_take(struct samples_cursor *cursor, size_t length) {
    const unsigned char *at = cursor->at;
    cursor->bad |= length > (size_t)(cursor->end - at);
    if (cursor->bad)
        return NULL;
    cursor->at += length;
    return at;
}
static inline unsigned samples_take_byte(struct samples_cursor *cursor) {
    const unsigned char *at = samples_take(cursor, 1);
    return at ? *at : 0;
}
static inline uint32_t samples_take_u32(struct samples_cursor *cursor) {
    uint32_t value = 0;
    const unsigned char *at = samples_take(cursor, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return le32toh(value);
}
static inline uint64_t samples_take_u64(struct samples_cursor *cursor) {
    uint64_t value = 0;
    const unsigned char *at = samples_take(cursor, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return le64toh(value);
}
uint64_t samples_take_number(struct samples_cursor *cursor);

static inline void samples_put_u32(struct buffer *out, uint32_t value) {
    value = htole32(value);
    buffer_append(out, &value, sizeof(value));
}
static inline void samples_put_u64(struct buffer *out, uint64_t value) {
    value = htole64(value);
    buffer_append(out, &value, sizeof(value));
}
void samples_put_number(struct buffer *out, uint64_t value);

static inline uint64_t samples_zigzag(uint64_t value) {
    return value << 1 ^ (uint64_t) - (value >> 63);
}
static inline uint64_t samples_unzigzag(uint64_t value) {
    return value >> 1 ^ (uint64_t) - (value & 1);
}
static inline uint64_t samples_bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}
static inline double samples_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Whether value is m / 10^exponent, bit by bit, for an integer m that is not too large; and m. */
#define SAMPLES_WHOLE_MAX 0x1p53
#define SAMPLES_DECIMAL_MAX 0x1p46
static inline bool samples_decimal(double value, unsigned exponent, int64_t *ret) {
    if (exponent == 0) {
        if (!(value < SAMPLES_WHOLE_MAX && value > -SAMPLES_WHOLE_MAX))
            return false;
        *ret = (int64_t)value;
        return samples_bits_of((double)*ret) == samples_bits_of(value);
    }
    double scaled = value * samples_powers[exponent];
    if (!(scaled < SAMPLES_DECIMAL_MAX && scaled > -SAMPLES_DECIMAL_MAX))
        return false;
    *ret = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
    return samples_bits_of((double)*ret / samples_powers[exponent]) == samples_bits_of(value);
}

/* --- samples_integers.c --- */

void samples_integers_encode(const uint64_t *values, size_t count, struct buffer *out);   /* 1 to SAMPLES_TICKS_MAX */
void samples_integers_decode(struct samples_cursor *cursor, size_t count, uint64_t *ret); /* or the cursor is bad */

/* --- samples_column.c --- */

/* No value is a hole: those are told apart. */
void samples_doubles_encode(const double *values, size_t count, struct buffer *out);
void samples_doubles_decode(struct samples_cursor *cursor, size_t count, double *ret);

/* One series through `count` ticks; of histograms, values are the sums, and holes are at the same places in all of it. */
struct samples_column {
    size_t count;
    double *values; /* samples_is_hole where there is none; room for SAMPLES_TICKS_MAX */
    bool histogram;
    uint64_t *zeros; /* of histograms; room likewise */
    uint64_t *octaves
        [HISTOGRAM_OCTAVES]; /* NULL where not in use; HISTOGRAM_BUCKETS rows of SAMPLES_TICKS_MAX counts; owned */
    uint64_t in_use[HISTOGRAM_OCTAVES]; /* a bit for each bucket */
};
/* Values and zeros are made, too. -ENOMEM. */
int samples_column_init(struct samples_column *column);
void samples_column_finish(struct samples_column *column);
/* Forget what it holds, keep the room. */
void samples_column_clear(struct samples_column *column);
/* The counts of a bucket, made (as zeros) where it was not in use. NULL: out of memory. */
uint64_t *samples_column_bucket(struct samples_column *column, unsigned octave, unsigned bucket);

/* Appended, with its checksum, which is seeded; at least one value is no hole. A failed buffer tells of no memory. Fills holes, where counts of histograms are kept. */
void samples_column_encode(struct samples_column *column, uint64_t seed, struct buffer *out);
/* All of `bytes`, behind which SAMPLES_SLACK can be read. -EBADMSG; -ENOMEM. */
int samples_column_decode(struct text bytes, uint64_t seed, size_t count, struct samples_column *column);
/* The same of a column of doubles alone, straight into the caller's room: 0; 1: it is a histogram. */
int samples_column_decode_doubles(struct text bytes, uint64_t seed, size_t count, double *ret);

#endif
