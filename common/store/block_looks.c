/* The looks of the arguments in each gap of each template: what bytes they are of and about how long they are. By them a search knows most gaps that
 * cannot hold what it seeks, without loading the arguments.
 *
 * The column, of all gaps in the order of the templates: 7 bytes each, first the lowest byte of each gap's classes, then the next one of each; then a
 * byte each for the lengths, high half the longest, low half the shortest: 0 is 0; the longest is at most 2^(half - 1) bytes, 15: any; the shortest at
 * least 2^(half - 1). A block without the column, as it was written before there was one, is searched whole. Looks are only ever used to leave out a
 * search: a block that lies about them is one in which less is found. */
#include <errno.h>
#include <stdlib.h>

#include "common/store/block_reading.h"

enum { CLASS_BYTES = 7, LOOK_BYTES = CLASS_BYTES + 1, LENGTH_MOST = 15 };

/* A number for each byte: digits 0, small letters 1 to 26, A to F 27, other capitals 28; a number of its own for each of .-_:/ "'@%=,+#()[]{}&? and
 * space; 51 control characters, 52 the rest of ASCII, 53 what is not. */
#define HIGH 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53
/* clang-format off */
static const unsigned char class_of[256] = {
    51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51,
    51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51,
    34, 52, 35, 42, 52, 38, 49, 36, 43, 44, 52, 41, 40, 30, 29, 33,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 52, 52, 39, 52, 50,
    37, 27, 27, 27, 27, 27, 27, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 45, 52, 46, 52, 31,
    52, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 47, 52, 48, 52, 51,
    HIGH, HIGH, HIGH, HIGH, HIGH, HIGH, HIGH, HIGH,
};
/* clang-format on */

uint64_t block_classes(struct text text) {
    uint64_t even = 0, odd = 0;
    size_t i = 0;
    for (; i + 4 <= text.length; i += 4) {
        even |= UINT64_C(1) << class_of[(unsigned char)text.data[i]];
        odd |= UINT64_C(1) << class_of[(unsigned char)text.data[i + 1]];
        even |= UINT64_C(1) << class_of[(unsigned char)text.data[i + 2]];
        odd |= UINT64_C(1) << class_of[(unsigned char)text.data[i + 3]];
    }
    for (; i < text.length; i++)
        even |= UINT64_C(1) << class_of[(unsigned char)text.data[i]];
    return even | odd;
}

/* As many bytes as BUILDER_SLACK may be read from `bytes` on. */
static inline bool has_digit(const char *bytes, uint32_t length) {
    uint32_t i = 0;
#ifdef __SSE2__
    typedef unsigned char vector __attribute__((vector_size(16)));
    typedef char marks __attribute__((vector_size(16)));
    vector at;
    memcpy(&at, bytes, sizeof(at));
    unsigned digits = (unsigned)__builtin_ia32_pmovmskb128((marks)((vector)(at - '0') < 10));
    if (length <= sizeof(at))
        return (digits & ((1u << length) - 1)) != 0;
    if (digits)
        return true;
    i = sizeof(at);
#endif
    while (i < length && class_of[(unsigned char)bytes[i]] != 0)
        i++;
    return i < length;
}

struct block_look block_look_make(const char *bytes, const uint32_t *lengths, uint32_t count) {
    uint32_t shortest = UINT32_MAX, longest = 0, size = 0;
    bool all = true;
    for (uint32_t i = 0; i < count; i++) {
        all = all && has_digit(bytes + size, lengths[i]);
        shortest = lengths[i] < shortest ? lengths[i] : shortest;
        longest = lengths[i] > longest ? lengths[i] : longest;
        size += lengths[i];
    }
    return (struct block_look) { block_classes((struct text) { bytes, size }) | (all ? BLOCK_CLASS_ALL_HAVE_DIGITS : 0),
                                 shortest, longest };
}

static unsigned length_code(uint32_t length, bool up) {
    unsigned code = length == 0 ? 0 : 32 - (unsigned)__builtin_clz(length);
    if (up && length & (length - 1))
        code++;
    return code < LENGTH_MOST ? code : LENGTH_MOST;
}

void block_looks_pack(const struct block_look *looks, uint32_t count, struct buffer *out) {
    if (!buffer_reserve(out, (size_t)count * LOOK_BYTES))
        return;
    for (unsigned byte = 0; byte < CLASS_BYTES; byte++)
        for (uint32_t i = 0; i < count; i++)
            out->data[out->length++] = (char)(looks[i].classes >> (8 * byte));
    for (uint32_t i = 0; i < count; i++)
        out->data[out->length++] =
            (char)(length_code(looks[i].longest, true) << 4 | length_code(looks[i].shortest, false));
}

int block_decode_looks(struct block *block, struct text raw) {
    uint32_t count = block->templates.gap_begins[block->templates.count];
    if (raw.length == 0)
        return 0;
    if (raw.length != (size_t)count * LOOK_BYTES)
        return -EBADMSG;
    struct block_look *looks = block->looks = calloc(count, sizeof(*looks));
    if (!looks)
        return -ENOMEM;
    const unsigned char *at = (const unsigned char *)raw.data;
    for (uint32_t i = 0; i < count; i++) {
        unsigned lengths = at[(size_t)count * CLASS_BYTES + i], longest = lengths >> 4, shortest = lengths & 15;
        for (unsigned byte = 0; byte < CLASS_BYTES; byte++)
            looks[i].classes |= (uint64_t)at[(size_t)count * byte + i] << (8 * byte);
        looks[i].longest = longest == 0 ? 0 : longest == LENGTH_MOST ? BLOCK_RAW_MAX : 1u << (longest - 1);
        looks[i].shortest = shortest == 0 ? 0 : 1u << (shortest - 1);
    }
    return 0;
}

/* --- what a gap can hold; never no when it can --- */

bool block_may_hold(const struct block_look *look, struct text text, uint64_t classes) {
    return !look || (text.length <= look->longest && !(classes & ~look->classes));
}

bool block_may_begin(const struct block_look *look, struct text text, struct text behind, bool last) {
    bool digit = look ? !(look->classes & BLOCK_CLASS_ALL_HAVE_DIGITS) : true;
    if (!look)
        return true;
    for (size_t length = 0; length <= look->longest; length++) { /* of the argument, as far as the text reaches */
        if (length == text.length)
            return true;
        size_t left = text.length - length, common = left < behind.length ? left : behind.length;
        if (length >= look->shortest && digit && !(last && left > behind.length) &&
            (common == 0 || memcmp(behind.data, text.data + length, common) == 0))
            return true;
        unsigned class = class_of[(unsigned char)text.data[length]];
        if (!(look->classes & UINT64_C(1) << class))
            return false;
        digit |= (UINT64_C(1) << class & BLOCK_CLASS_DIGITS) != 0;
    }
    return false;
}

bool block_may_end(const struct block_look *look, struct text text) {
    return !look || block_may_hold(look, text, block_classes(text));
}
