#include "exporter/deflate.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "exporter/deflate_code.h"
#include "exporter/gzip.h"

enum {
    HASH_BITS = 14,
    TOKENS_MAX = 32768, /* of a block */
    MATCH_LEAST = 4,
    MATCH_MOST = 258,
    WINDOW = 32768,
    LITERALS = 286, /* and lengths */
    END_OF_BLOCK = 256,
    DISTANCES = 30,
    LENGTH_CODES = 19,
    LENGTH_CODE_MOST = 7,
    SLACK = 8,           /* the bits are written 8 bytes at a time */
    BLOCK_HEAD_MAX = 600 /* bytes of a block's codes */
};

struct deflate {
    uint32_t heads[1 << HASH_BITS]; /* the place behind the newest four bytes of that hash; 0: none */
    uint32_t tokens[TOKENS_MAX];    /* a literal; or IS_MATCH, length << 16, distance - 1 */
    uint32_t token_count;
    uint32_t literals[LITERALS], distances[DISTANCES]; /* how often each comes in this block */
    uint8_t length_symbol[MATCH_MOST + 1];             /* less 257 */
    uint8_t near_symbol[256], far_symbol[256];         /* of distance - 1, and of that / 128 */
    struct buffer packed;
    char *at; /* where the bits go, in packed */
    uint64_t bits;
    unsigned bit_count;
};
#define IS_MATCH (UINT32_C(1) << 31)

static const uint16_t length_bases[29] = { 3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                           31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 };
static const uint8_t length_extras[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                           2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
static const uint16_t distance_bases[DISTANCES] = { 1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                                    33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                                    1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };
static const uint8_t distance_extras[DISTANCES] = { 0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                    6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13 };

/* --- made --- */

struct deflate *deflate_create(void) {
    struct deflate *deflate = calloc(1, sizeof(*deflate));
    if (!deflate)
        return NULL;
    for (unsigned symbol = 0; symbol < 29; symbol++)
        for (unsigned length = length_bases[symbol]; length <= MATCH_MOST; length++)
            deflate->length_symbol[length] = (uint8_t)symbol;
    for (unsigned symbol = 0; symbol < DISTANCES; symbol++)
        for (unsigned distance = distance_bases[symbol] - 1U; distance < WINDOW; distance++) {
            if (distance < 256)
                deflate->near_symbol[distance] = (uint8_t)symbol;
            if (distance >> 7 << 7 == distance)
                deflate->far_symbol[distance >> 7] = (uint8_t)symbol;
        }
    return deflate;
}

void deflate_destroy(struct deflate *deflate) {
    if (!deflate)
        return;
    buffer_finish(&deflate->packed);
    free(deflate);
}

/* --- bits --- */

static inline void put(struct deflate *deflate, uint64_t bits, unsigned count) {
    deflate->bits |= bits << deflate->bit_count;
    deflate->bit_count += count;
}

/* Whole bytes out; fewer than 8 bits stay. At most 56 may have been put since the last time. */
static inline void flush(struct deflate *deflate) {
    uint64_t bits = deflate->bits, bytes = htole64(bits);
    memcpy(deflate->at, &bytes, sizeof(bytes));
    deflate->at += deflate->bit_count >> 3;
    deflate->bits = deflate->bit_count < 64 ? bits >> (deflate->bit_count & ~7U) : 0;
    deflate->bit_count &= 7;
}

/* --- a block's head: the lengths of both codes, themselves coded --- */

struct lengths { /* symbols of the code for lengths, and what follows each */
    uint8_t symbols[LITERALS + DISTANCES], extras[LITERALS + DISTANCES];
    unsigned count;
    uint32_t frequencies[LENGTH_CODES];
};

static void add_length(struct lengths *lengths, unsigned symbol, unsigned extra) {
    lengths->symbols[lengths->count] = (uint8_t)symbol;
    lengths->extras[lengths->count++] = (uint8_t)extra;
    lengths->frequencies[symbol]++;
}

/* Runs of one length: 16 repeats the one before 3 to 6 times, 17 is 3 to 10 zeros, 18 is 11 to 138. */
static void add_run(struct lengths *lengths, uint8_t length, unsigned run) {
    if (length > 0 && run > 0) {
        add_length(lengths, length, 0);
        run--;
    }
    while (run >= 3) {
        unsigned most = length > 0 ? 6 : run > 10 ? 138 : 10, part = run < most ? run : most;
        unsigned symbol = length > 0 ? 16 : run > 10 ? 18 : 17;
        add_length(lengths, symbol, part - (symbol == 18 ? 11 : 3));
        run -= part;
    }
    for (; run > 0; run--)
        add_length(lengths, length, 0);
}

static unsigned used_of(const struct deflate_code *code, unsigned count, unsigned least) {
    while (count > least && code->lengths[count - 1] == 0)
        count--;
    return count;
}

static void put_codes(struct deflate *deflate, const struct deflate_code *literals,
                      const struct deflate_code *distances) {
    static const uint8_t order[LENGTH_CODES] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
    static const uint8_t extra_bits[LENGTH_CODES] = { [16] = 2, [17] = 3, [18] = 7 };
    unsigned literal_count = used_of(literals, LITERALS, 257), distance_count = used_of(distances, DISTANCES, 1),
             code_count = LENGTH_CODES, all = literal_count + distance_count;
    uint8_t both[LITERALS + DISTANCES];
    struct lengths lengths = { .count = 0 };
    struct deflate_code code;
    memcpy(both, literals->lengths, literal_count);
    memcpy(both + literal_count, distances->lengths, distance_count);
    for (unsigned i = 0, run; i < all; i += run) {
        for (run = 1; i + run < all && both[i + run] == both[i];)
            run++;
        add_run(&lengths, both[i], run);
    }
    deflate_code_make(lengths.frequencies, LENGTH_CODES, LENGTH_CODE_MOST, &code);
    while (code_count > 4 && code.lengths[order[code_count - 1]] == 0)
        code_count--;
    put(deflate, 2 << 1, 3); /* not the last; codes of its own */
    put(deflate, literal_count - 257, 5);
    put(deflate, distance_count - 1, 5);
    put(deflate, code_count - 4, 4);
    flush(deflate);
    for (unsigned i = 0; i < code_count; i++) {
        put(deflate, code.lengths[order[i]], 3);
        flush(deflate);
    }
    for (unsigned i = 0; i < lengths.count; i++) {
        put(deflate, code.bits[lengths.symbols[i]], code.lengths[lengths.symbols[i]]);
        put(deflate, lengths.extras[i], extra_bits[lengths.symbols[i]]);
        flush(deflate);
    }
}

/* --- a block --- */

static inline unsigned distance_symbol(const struct deflate *deflate, unsigned before) {
    return before < 256 ? deflate->near_symbol[before] : deflate->far_symbol[before >> 7];
}

static void put_tokens(struct deflate *deflate, const struct deflate_code *literals,
                       const struct deflate_code *distances) {
    for (uint32_t i = 0; i < deflate->token_count; i++) {
        uint32_t token = deflate->tokens[i];
        if (token & IS_MATCH) {
            unsigned length = token >> 16 & 0x1ff, before = token & 0x7fff;
            unsigned symbol = deflate->length_symbol[length], far = distance_symbol(deflate, before);
            put(deflate, literals->bits[symbol + 257], literals->lengths[symbol + 257]);
            put(deflate, length - length_bases[symbol], length_extras[symbol]);
            put(deflate, distances->bits[far], distances->lengths[far]);
            put(deflate, before + 1 - distance_bases[far], distance_extras[far]);
        } else {
            put(deflate, literals->bits[token], literals->lengths[token]);
        }
        flush(deflate);
    }
    put(deflate, literals->bits[END_OF_BLOCK], literals->lengths[END_OF_BLOCK]);
    flush(deflate);
}

static void end_block(struct deflate *deflate) {
    struct deflate_code literals, distances;
    if (deflate->token_count == 0)
        return;
    deflate->literals[END_OF_BLOCK] = 1;
    deflate_code_make(deflate->literals, LITERALS, DEFLATE_LENGTH_MAX, &literals);
    deflate_code_make(deflate->distances, DISTANCES, DEFLATE_LENGTH_MAX, &distances);
    put_codes(deflate, &literals, &distances);
    put_tokens(deflate, &literals, &distances);
    deflate->token_count = 0;
    memset(deflate->literals, 0, sizeof(deflate->literals));
    memset(deflate->distances, 0, sizeof(deflate->distances));
}

/* --- what repeats --- */

static inline uint32_t load_four(const char *at) {
    uint32_t four;
    memcpy(&four, at, sizeof(four));
    return four;
}

static inline uint64_t load_eight(const char *at) {
    uint64_t eight;
    memcpy(&eight, at, sizeof(eight));
    return eight;
}

static inline void add_literal(struct deflate *deflate, unsigned char c) {
    if (deflate->token_count == TOKENS_MAX)
        end_block(deflate);
    deflate->tokens[deflate->token_count++] = c;
    deflate->literals[c]++;
}

static inline void add_match(struct deflate *deflate, unsigned length, unsigned distance) {
    if (deflate->token_count == TOKENS_MAX)
        end_block(deflate);
    deflate->tokens[deflate->token_count++] = IS_MATCH | length << 16 | (distance - 1);
    deflate->literals[deflate->length_symbol[length] + 257]++;
    deflate->distances[distance_symbol(deflate, distance - 1)]++;
}

/* How many bytes from the fifth on are the same, at most `most` in all. */
static inline unsigned match_length(const char *a, const char *b, unsigned most) {
    unsigned length = MATCH_LEAST;
    for (; length + 8 <= most; length += 8) {
        uint64_t differ = load_eight(a + length) ^ load_eight(b + length);
        if (differ != 0)
            return length + ((unsigned)__builtin_ctzll(differ) >> 3);
    }
    while (length < most && a[length] == b[length])
        length++;
    return length;
}

/* Digits are cheap as literals: few of them far away are not worth a match. */
static inline bool is_worth(unsigned length, size_t distance) {
    return length >= 6 || distance <= 128 || (length == 5 && distance <= 1024);
}

static void find_matches(struct deflate *deflate, struct text in) {
    const char *data = in.data;
    size_t at = 0;
    memset(deflate->heads, 0, sizeof(deflate->heads));
    while (at + MATCH_LEAST <= in.length) {
        const uint32_t four = load_four(data + at);
        uint32_t *head = &deflate->heads[four * UINT32_C(0x9e3779b1) >> (32 - HASH_BITS)];
        const size_t before = *head;
        *head = (uint32_t)(at + 1);
        if (before != 0 && at + 1 - before <= WINDOW && load_four(data + before - 1) == four) {
            size_t most = in.length - at < MATCH_MOST ? in.length - at : MATCH_MOST;
            unsigned length = match_length(data + before - 1, data + at, (unsigned)most);
            if (is_worth(length, at + 1 - before)) {
                add_match(deflate, length, (unsigned)(at + 1 - before));
                at += length;
                continue;
            }
        }
        add_literal(deflate, (unsigned char)data[at++]);
    }
    while (at < in.length)
        add_literal(deflate, (unsigned char)data[at++]);
}

/* --- a piece --- */

/* A literal takes 15 bits at most, a match of 4 bytes 48. */
static size_t bound_of(size_t length) {
    return 2 * length + (length / TOKENS_MAX + 1) * BLOCK_HEAD_MAX + 4 * (size_t)SLACK;
}

int deflate_append(struct deflate *deflate, struct text in, struct buffer *out, struct deflate_sum *ret) {
    static const char empty[] = { 0, 0, '\xff', '\xff' };
    buffer_clear(&deflate->packed);
    if (in.length >= UINT32_MAX || !buffer_reserve(&deflate->packed, bound_of(in.length)))
        return -ENOMEM;
    deflate->at = deflate->packed.data;
    deflate->bits = deflate->bit_count = 0;
    find_matches(deflate, in);
    end_block(deflate);
    put(deflate, 0, 3); /* an empty block, stored: its length begins at a byte */
    deflate->bit_count = (deflate->bit_count + 7) & ~7U;
    flush(deflate);
    memcpy(deflate->at, empty, sizeof(empty));
    deflate->at += sizeof(empty);
    size_t length = (size_t)(deflate->at - deflate->packed.data);
    if (!buffer_reserve(out, length))
        return -ENOMEM;
    buffer_append(out, deflate->packed.data, length);
    *ret = (struct deflate_sum) { gzip_sum(in), in.length };
    return 0;
}

/* --- the whole --- */

void deflate_head(struct buffer *out) {
    static const unsigned char head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };
    buffer_append(out, head, sizeof(head));
}

/* a * b of polynomials over two values modulo that of CRC-32, lowest power in the highest bit. */
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = UINT32_C(1) << 31; bit != 0; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b & 1 ? b >> 1 ^ UINT32_C(0xedb88320) : b >> 1;
    }
    return product;
}

/* The CRC of two pieces, one behind the other: the first one's times x^(8 length), plus the second one's. */
static uint32_t join(uint32_t first, uint32_t second, uint64_t length) {
    uint32_t power = UINT32_C(1) << 23, all = UINT32_C(1) << 31; /* x^8, x^0 */
    for (; length > 0; length >>= 1) {
        if (length & 1)
            all = multiply(all, power);
        power = multiply(power, power);
    }
    return multiply(all, first) ^ second;
}

void deflate_tail(const struct deflate_sum *sums, size_t count, struct buffer *out) {
    unsigned char tail[13] = { 1, 0, 0, 0xff, 0xff }; /* the last block: empty, stored */
    uint64_t length = 0;
    uint32_t crc = 0;
    for (size_t i = 0; i < count; i++) {
        crc = join(crc, sums[i].crc, sums[i].length);
        length += sums[i].length;
    }
    for (unsigned i = 0; i < 4; i++) {
        tail[5 + i] = (unsigned char)(crc >> 8 * i);
        tail[9 + i] = (unsigned char)(length >> 8 * i);
    }
    buffer_append(out, tail, sizeof(tail));
}
