/* samples_column.c - see samples_codec.h: doubles as integers; a series through some ticks. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/samples_codec.h"

enum {
    FORM_BITS = 16,
    FORM_APART = 32,
    APART_EVERY = 16, /* so many of them stand apart at most, and one more */
    APART_MAX = SAMPLES_TICKS_MAX / APART_EVERY + 1,
    FLAG_HISTOGRAM = 1,
    FLAG_HOLES = 2,
};

const double samples_powers[SAMPLES_EXPONENT_MAX + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10 };

/* --- doubles --- */

struct apart {
    size_t count;
    uint16_t positions[APART_MAX];
};

/* As signed integers in the order of the doubles; its own inverse. */
static inline uint64_t in_order(uint64_t bits) {
    return bits ^ ((uint64_t) - (bits >> 63) >> 1);
}

/* The values as m / 10^exponent, of the least exponent at which all are but those few that are at none; where one needs a greater exponent than those
 * before it, these are done again. False: too many are at none. */
static bool scale(const double *values, size_t count, unsigned *exponent, uint64_t *ret, struct apart *apart) {
    uint64_t before = 0;
    apart->count = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t whole;
        unsigned at = *exponent;
        while (at <= SAMPLES_EXPONENT_MAX && !samples_decimal(values[i], at, &whole))
            at++;
        if (at <= SAMPLES_EXPONENT_MAX && at > *exponent) {
            *exponent = at;
            if (i > apart->count)
                return scale(values, count, exponent, ret, apart);
        }
        if (at <= SAMPLES_EXPONENT_MAX) {
            before = (uint64_t)whole;
        } else {
            if (apart->count > count / APART_EVERY)
                return false;
            apart->positions[apart->count++] = (uint16_t)i;
        }
        ret[i] = before;
    }
    return true;
}

/* Before the first that fits, the integers are as that one. */
static void fill_front(uint64_t *wholes, size_t count, const struct apart *apart) {
    size_t first = 0;
    while (first < apart->count && apart->positions[first] == first)
        first++;
    for (size_t i = 0; i < first && first < count; i++)
        wholes[i] = wholes[first];
}

void samples_doubles_encode(const double *values, size_t count, struct buffer *out) {
    uint64_t wholes[SAMPLES_TICKS_MAX];
    struct apart apart;
    unsigned exponent = 0;
    check(count > 0 && count <= SAMPLES_TICKS_MAX);
    if (scale(values, count, &exponent, wholes, &apart) && apart.count < count) {
        fill_front(wholes, count, &apart);
        buffer_append_char(out, (char)(exponent | (apart.count ? FORM_APART : 0)));
        if (apart.count)
            samples_put_number(out, apart.count);
        for (size_t i = 0; i < apart.count; i++) {
            samples_put_number(out, apart.positions[i]);
            samples_put_u64(out, samples_bits_of(values[apart.positions[i]]));
        }
    } else {
        for (size_t i = 0; i < count; i++)
            wholes[i] = in_order(samples_bits_of(values[i]));
        buffer_append_char(out, FORM_BITS);
    }
    samples_integers_encode(wholes, count, out);
}

static void scale_back(const uint64_t *wholes, size_t count, unsigned form, double *ret) {
    if (form == FORM_BITS)
        for (size_t i = 0; i < count; i++)
            ret[i] = samples_of_bits(in_order(wholes[i]));
    else if (form == 0)
        for (size_t i = 0; i < count; i++)
            ret[i] = (double)(int64_t)wholes[i];
    else
        for (size_t i = 0; i < count; i++)
            ret[i] = (double)(int64_t)wholes[i] / samples_powers[form];
}

void samples_doubles_decode(struct samples_cursor *cursor, size_t count, double *ret) {
    uint64_t wholes[SAMPLES_TICKS_MAX], bits[APART_MAX];
    struct apart apart = { 0 };
    unsigned form = samples_take_byte(cursor);
    size_t few = form & FORM_APART ? samples_take_number(cursor) : 0;
    form &= ~(unsigned)FORM_APART;
    cursor->bad |= few > APART_MAX || (form > SAMPLES_EXPONENT_MAX && form != FORM_BITS);
    for (; apart.count < few && !cursor->bad; apart.count++) {
        uint64_t position = samples_take_number(cursor);
        cursor->bad |= position >= count;
        apart.positions[apart.count] = (uint16_t)position;
        bits[apart.count] = samples_take_u64(cursor);
    }
    if (!cursor->bad)
        samples_integers_decode(cursor, count, wholes);
    if (cursor->bad)
        return;
    scale_back(wholes, count, form, ret);
    for (size_t i = 0; i < apart.count; i++)
        ret[apart.positions[i]] = samples_of_bits(bits[i]);
}

/* --- columns: room --- */

int samples_column_init(struct samples_column *column) {
    *column = (struct samples_column) { .values = calloc(SAMPLES_TICKS_MAX, sizeof(double)),
                                        .zeros = calloc(SAMPLES_TICKS_MAX, sizeof(uint64_t)) };
    if (column->values && column->zeros)
        return 0;
    samples_column_finish(column);
    return -ENOMEM;
}

void samples_column_finish(struct samples_column *column) {
    free(column->values);
    free(column->zeros);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        free(column->octaves[i]);
    *column = (struct samples_column) { 0 };
}

void samples_column_clear(struct samples_column *column) {
    memset(column->in_use, 0, sizeof(column->in_use));
    column->histogram = false;
    column->count = 0;
}

static uint64_t *counts_of(const struct samples_column *column, unsigned octave, unsigned bucket) {
    return column->octaves[octave] + (size_t)bucket * SAMPLES_TICKS_MAX;
}

uint64_t *samples_column_bucket(struct samples_column *column, unsigned octave, unsigned bucket) {
    check(octave < HISTOGRAM_OCTAVES && bucket < HISTOGRAM_BUCKETS);
    if (!column->octaves[octave])
        column->octaves[octave] = malloc(sizeof(uint64_t) * HISTOGRAM_BUCKETS * SAMPLES_TICKS_MAX);
    if (!column->octaves[octave])
        return NULL;
    uint64_t *counts = counts_of(column, octave, bucket);
    if (!(column->in_use[octave] >> bucket & 1)) {
        column->in_use[octave] |= UINT64_C(1) << bucket;
        memset(counts, 0, sizeof(uint64_t) * SAMPLES_TICKS_MAX);
    }
    return counts;
}

/* --- columns: coding --- */

struct holes {
    bool any;
    unsigned char bits[SAMPLES_TICKS_MAX / 8];
};

static void find_holes(const struct samples_column *column, struct holes *ret) {
    *ret = (struct holes) { 0 };
    for (size_t i = 0; i < column->count; i++) {
        if (!samples_is_hole(column->values[i]))
            continue;
        ret->bits[i / 8] |= (unsigned char)(1 << i % 8);
        ret->any = true;
    }
}

static bool is_hole(const struct holes *holes, size_t index) {
    return holes->bits[index / 8] >> index % 8 & 1;
}

/* A hole is as what is before it, those in front as the first that is none; of doubles and of counts by their bits alike. */
static void fill_holes(const struct holes *holes, size_t count, void *numbers) {
    char *at = numbers;
    size_t first = 0;
    while (first < count && is_hole(holes, first))
        first++;
    check(first < count);
    for (size_t i = 0; i < first; i++)
        memcpy(at + i * sizeof(uint64_t), at + first * sizeof(uint64_t), sizeof(uint64_t));
    for (size_t i = first + 1; i < count; i++)
        if (is_hole(holes, i))
            memcpy(at + i * sizeof(uint64_t), at + (i - 1) * sizeof(uint64_t), sizeof(uint64_t));
}

static void encode_counts(struct samples_column *column, const struct holes *holes, uint64_t *counts,
                          struct buffer *out) {
    if (holes->any)
        fill_holes(holes, column->count, counts);
    samples_integers_encode(counts, column->count, out);
}

static void encode_histograms(struct samples_column *column, const struct holes *holes, struct buffer *out) {
    unsigned octaves = 0;
    encode_counts(column, holes, column->zeros, out);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        octaves += column->in_use[i] != 0;
    buffer_append_char(out, (char)octaves);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++) {
        if (column->in_use[i] == 0)
            continue;
        buffer_append_char(out, (char)i);
        samples_put_u64(out, column->in_use[i]);
        for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
            if (column->in_use[i] >> bucket & 1)
                encode_counts(column, holes, counts_of(column, i, bucket), out);
    }
}

void samples_column_encode(struct samples_column *column, uint64_t seed, struct buffer *out) {
    struct holes holes;
    size_t begin = out->length;
    find_holes(column, &holes);
    buffer_append_char(out, (char)((column->histogram ? FLAG_HISTOGRAM : 0) | (holes.any ? FLAG_HOLES : 0)));
    if (holes.any) {
        buffer_append(out, holes.bits, (column->count + 7) / 8);
        fill_holes(&holes, column->count, column->values);
    }
    samples_doubles_encode(column->values, column->count, out);
    if (column->histogram)
        encode_histograms(column, &holes, out);
    if (!out->failed)
        samples_put_u32(out, (uint32_t)hash_bytes_seeded(out->data + begin, out->length - begin, seed));
}

/* Checksum, flags and holes. */
static int open_column(struct text bytes, uint64_t seed, size_t count, struct samples_cursor *ret, unsigned *ret_flags,
                       struct holes *holes) {
    check(count > 0 && count <= SAMPLES_TICKS_MAX);
    if (bytes.length < 1 + SAMPLES_COLUMN_SUM)
        return -EBADMSG;
    bytes.length -= SAMPLES_COLUMN_SUM;
    struct samples_cursor sum = samples_cursor_of((struct text) { bytes.data + bytes.length, SAMPLES_COLUMN_SUM });
    if (samples_take_u32(&sum) != (uint32_t)hash_bytes_seeded(bytes.data, bytes.length, seed))
        return -EBADMSG;
    *ret = samples_cursor_of(bytes);
    *ret_flags = samples_take_byte(ret);
    holes->any = *ret_flags & FLAG_HOLES;
    if (holes->any) {
        const unsigned char *bits = samples_take(ret, (count + 7) / 8);
        if (bits)
            memcpy(holes->bits, bits, (count + 7) / 8);
    }
    return ret->bad || (*ret_flags & ~(unsigned)(FLAG_HISTOGRAM | FLAG_HOLES)) ? -EBADMSG : 0;
}

static int decode_values(struct samples_cursor *cursor, const struct holes *holes, size_t count, double *ret) {
    samples_doubles_decode(cursor, count, ret);
    if (cursor->bad)
        return -EBADMSG;
    if (holes->any)
        for (size_t i = 0; i < count; i++)
            if (is_hole(holes, i))
                ret[i] = samples_hole();
    return 0;
}

int samples_column_decode_doubles(struct text bytes, uint64_t seed, size_t count, double *ret) {
    struct samples_cursor cursor;
    struct holes holes;
    unsigned flags;
    int result = open_column(bytes, seed, count, &cursor, &flags, &holes);
    if (result < 0)
        return result;
    if (flags & FLAG_HISTOGRAM)
        return 1;
    result = decode_values(&cursor, &holes, count, ret);
    return result == 0 && cursor.at != cursor.end ? -EBADMSG : result;
}

static int decode_octave(struct samples_cursor *cursor, struct samples_column *column, unsigned *next_octave) {
    unsigned octave = samples_take_byte(cursor);
    uint64_t in_use = samples_take_u64(cursor);
    if (cursor->bad || octave < *next_octave || octave >= HISTOGRAM_OCTAVES || in_use == 0)
        return -EBADMSG;
    *next_octave = octave + 1;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS && !cursor->bad; bucket++) {
        if (!(in_use >> bucket & 1))
            continue;
        uint64_t *counts = samples_column_bucket(column, octave, bucket);
        if (!counts)
            return -ENOMEM;
        samples_integers_decode(cursor, column->count, counts);
    }
    return cursor->bad ? -EBADMSG : 0;
}

static int decode_histograms(struct samples_cursor *cursor, struct samples_column *column) {
    unsigned next_octave = 0;
    int result = 0;
    samples_integers_decode(cursor, column->count, column->zeros);
    unsigned octaves = samples_take_byte(cursor);
    for (unsigned i = 0; i < octaves && result == 0; i++)
        result = decode_octave(cursor, column, &next_octave);
    return cursor->bad ? -EBADMSG : result;
}

int samples_column_decode(struct text bytes, uint64_t seed, size_t count, struct samples_column *column) {
    struct samples_cursor cursor;
    struct holes holes;
    unsigned flags;
    samples_column_clear(column);
    int result = open_column(bytes, seed, count, &cursor, &flags, &holes);
    if (result < 0)
        return result;
    column->count = count;
    column->histogram = flags & FLAG_HISTOGRAM;
    result = decode_values(&cursor, &holes, count, column->values);
    if (result == 0 && column->histogram)
        result = decode_histograms(&cursor, column);
    return result == 0 && cursor.at != cursor.end ? -EBADMSG : result;
}
