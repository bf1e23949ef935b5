/* samples_integers.c - see samples_codec.h: integers as differences, in frames of as many bits as they need. */
#include "common/base/check.h"
#include "common/store/samples_codec.h"

enum {
    ORDERS = 3,
    ORDER_SAME = 3, /* all are as the first */
    ORDER_BITS = 2,
    WIDTH_MAX = 64,
    WIDTH_ONE_WORD = 56, /* so wide a value lies in the word that begins with its first byte */
    FRAME_BYTES_MAX = 1 + SAMPLES_NUMBER_MAX + SAMPLES_FRAME * 8,
};

uint64_t samples_take_number(struct samples_cursor *cursor) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned byte = samples_take_byte(cursor);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    cursor->bad = true;
    return 0;
}

void samples_put_number(struct buffer *out, uint64_t value) {
    unsigned char bytes[SAMPLES_NUMBER_MAX];
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[length++] = (unsigned char)(value | 0x80);
    bytes[length++] = (unsigned char)value;
    buffer_append(out, bytes, length);
}

/* --- encoding --- */

struct frame {
    int64_t least;
    unsigned width;
};

static unsigned width_of(uint64_t range) {
    return range ? 64 - (unsigned)__builtin_clzll(range) : 0;
}

static struct frame frame_of(const uint64_t *values, size_t count) {
    int64_t least = (int64_t)values[0], most = least;
    for (size_t i = 1; i < count; i++) {
        int64_t value = (int64_t)values[i];
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    return (struct frame) { least, width_of((uint64_t)most - (uint64_t)least) };
}

/* Bits of all frames, which are noted. */
static size_t measure(const uint64_t *values, size_t count, struct frame *frames) {
    size_t bits = 0;
    for (size_t at = 0; at < count; at += SAMPLES_FRAME) {
        size_t length = count - at < SAMPLES_FRAME ? count - at : SAMPLES_FRAME;
        struct frame *frame = &frames[at / SAMPLES_FRAME];
        *frame = frame_of(values + at, length);
        bits += length * frame->width;
    }
    return bits;
}

static void pack(const uint64_t *values, size_t count, struct frame frame, struct buffer *out) {
    uint64_t word = 0;
    unsigned filled = 0;
    if (frame.width == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = values[i] - (uint64_t)frame.least;
        word |= value << filled;
        filled += frame.width;
        if (filled >= 64) {
            uint64_t little = htole64(word);
            memcpy(out->data + out->length, &little, sizeof(little));
            out->length += sizeof(little);
            filled -= 64;
            word = filled > 0 ? value >> (frame.width - filled) : 0;
        }
    }
    word = htole64(word);
    memcpy(out->data + out->length, &word, sizeof(word));
    out->length += (filled + 7) / 8;
}

/* The first difference says nothing (the first value stands apart): it is made like the next one. */
static void difference(const uint64_t *values, size_t count, uint64_t *ret) {
    for (size_t i = count - 1; i > 0; i--)
        ret[i] = values[i] - values[i - 1];
    ret[0] = count > 1 ? ret[1] : 0;
}

/* Likewise the first two differences of differences: *ret_first is the first difference that the next one follows from then. */
static void difference_again(const uint64_t *differences, size_t count, uint64_t *ret, uint64_t *ret_first) {
    for (size_t i = count - 1; i > 1; i--)
        ret[i] = differences[i] - differences[i - 1];
    ret[0] = ret[1] = count > 2 ? ret[2] : 0;
    *ret_first = count > 1 ? differences[1] - ret[1] : 0;
}

void samples_integers_encode(const uint64_t *values, size_t count, struct buffer *out) {
    uint64_t levels[ORDERS][SAMPLES_TICKS_MAX], different = 0, first_delta;
    struct frame frames[ORDERS][SAMPLES_TICKS_MAX / SAMPLES_FRAME];
    check(count > 0 && count <= SAMPLES_TICKS_MAX);
    for (size_t i = 0; i < count; i++)
        different |= levels[0][i] = values[i] - values[0];
    unsigned shift = different ? (unsigned)__builtin_ctzll(different) : 0, order = 0;
    if (!different) {
        buffer_append_char(out, ORDER_SAME);
        samples_put_number(out, samples_zigzag(values[0]));
        return;
    }
    for (size_t i = 0; i < count; i++)
        levels[0][i] = (uint64_t)((int64_t)levels[0][i] >> shift);
    difference(levels[0], count, levels[1]);
    difference_again(levels[1], count, levels[2], &first_delta);
    size_t least = SIZE_MAX;
    for (unsigned i = 0; i < ORDERS; i++) {
        size_t bits = measure(levels[i], count, frames[i]);
        if (bits < least) {
            least = bits;
            order = i;
        }
    }
    if (!buffer_reserve(out, (count / SAMPLES_FRAME + 2) * FRAME_BYTES_MAX))
        return;
    buffer_append_char(out, (char)(order | shift << ORDER_BITS));
    samples_put_number(out, samples_zigzag(values[0]));
    if (order == 2)
        samples_put_number(out, samples_zigzag(first_delta));
    for (size_t at = 0; at < count; at += SAMPLES_FRAME) {
        struct frame frame = frames[order][at / SAMPLES_FRAME];
        buffer_append_char(out, (char)frame.width);
        samples_put_number(out, samples_zigzag((uint64_t)frame.least));
        pack(levels[order] + at, count - at < SAMPLES_FRAME ? count - at : SAMPLES_FRAME, frame, out);
    }
}

/* --- decoding --- */

static inline uint64_t word_at(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

/* Eight values take `width` whole bytes. Where they lie in one word, or in two, they are shifted out of it one after the other. All of these read and write
 * a little further than `count`. */
static void unpack_8(const unsigned char *at, size_t count, unsigned width, uint64_t base, uint64_t *ret) {
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < count; i += 8, at += width, ret += 8) {
        uint64_t word = word_at(at);
#pragma GCC unroll 8
        for (unsigned lane = 0; lane < 8; lane++, word >>= width)
            ret[lane] = base + (word & mask);
    }
}

static void unpack_16(const unsigned char *at, size_t count, unsigned width, uint64_t base, uint64_t *ret) {
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    const unsigned second = width / 2, shift = width % 2 * 4;
    for (size_t i = 0; i < count; i += 8, at += width, ret += 8) {
        uint64_t low = word_at(at), high = word_at(at + second) >> shift;
#pragma GCC unroll 4
        for (unsigned lane = 0; lane < 4; lane++, low >>= width, high >>= width) {
            ret[lane] = base + (low & mask);
            ret[lane + 4] = base + (high & mask);
        }
    }
}

static void unpack_narrow(const unsigned char *at, size_t count, unsigned width, uint64_t base, uint64_t *ret) {
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < count; i += 8, at += width, ret += 8) {
#pragma GCC unroll 8
        for (unsigned lane = 0; lane < 8; lane++)
            ret[lane] = base + (word_at(at + (lane * width >> 3)) >> (lane * width & 7) & mask);
    }
}

static void unpack_wide(const unsigned char *at, size_t count, unsigned width, uint64_t base, uint64_t *ret) {
    const uint64_t mask = width < 64 ? (UINT64_C(1) << width) - 1 : UINT64_MAX;
    for (size_t i = 0, bit = 0; i < count; i++, bit += width) {
        const unsigned char *from = at + (bit >> 3);
        unsigned shift = bit & 7;
        ret[i] = base + ((word_at(from) >> shift | (uint64_t)from[8] << 1 << (63 - shift)) & mask);
    }
}

/* `more` is added to each value. ret has room for a whole frame. */
static void take_frame(struct samples_cursor *cursor, size_t count, uint64_t more, uint64_t *ret) {
    unsigned width = samples_take_byte(cursor);
    uint64_t base = samples_unzigzag(samples_take_number(cursor)) + more;
    cursor->bad |= width > WIDTH_MAX;
    const unsigned char *at = samples_take(cursor, (count * width + 7) / 8);
    if (!at)
        return;
    if (width == 0)
        for (size_t i = 0; i < count; i++)
            ret[i] = base;
    else if (width > WIDTH_ONE_WORD || count % 8 != 0)
        unpack_wide(at, count, width, base, ret);
    else if (width <= 8)
        unpack_8(at, count, width, base, ret);
    else if (width <= 16)
        unpack_16(at, count, width, base, ret);
    else
        unpack_narrow(at, count, width, base, ret);
}

/* The first sum is `first`, whatever the first value is. */
static void add_up(uint64_t *values, size_t count, uint64_t first) {
    uint64_t sum = values[0] = first;
    for (size_t i = 1; i < count; i++)
        values[i] = sum += values[i];
}

void samples_integers_decode(struct samples_cursor *cursor, size_t count, uint64_t *ret) {
    unsigned head = samples_take_byte(cursor), order = head & 3, shift = head >> ORDER_BITS;
    uint64_t first = samples_unzigzag(samples_take_number(cursor));
    if (order == ORDER_SAME) {
        cursor->bad |= shift != 0;
        for (size_t i = 0; i < count; i++)
            ret[i] = first;
        return;
    }
    uint64_t first_delta = order == 2 ? samples_unzigzag(samples_take_number(cursor)) : 0;
    uint64_t least = shift == 0 ? first : 0; /* what the unshifted begin with */
    for (size_t at = 0; at < count && !cursor->bad; at += SAMPLES_FRAME)
        take_frame(cursor, count - at < SAMPLES_FRAME ? count - at : SAMPLES_FRAME, order == 0 ? least : 0, ret + at);
    if (cursor->bad)
        return;
    if (order == 2)
        add_up(ret, count, first_delta);
    if (order >= 1)
        add_up(ret, count, least);
    for (size_t i = 0; i < count && shift > 0; i++)
        ret[i] = first + (ret[i] << shift);
}
