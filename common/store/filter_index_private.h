/* filter_index_private.h - what the files of the index value share: its layout, integers little-endian.
 *
 *    0      4        6       8       16       20        24        28          32           36    44    52          56      60        64           68      76       84     92
 *   +------+--------+-------+-------+--------+---------+---------+-----------+------------+-----+-----+-----------+-------+---------+------------+-------+--------+------+---
 *   |magic | version| flags | first | count  | services| flushes | id filter | word filter| min | max | templates | head  | flushes | templates  | min   | max    | late |
 *   |      |        |       |       |        | how many| how many| bytes     | bytes      |     |     | how many  | bytes | bytes   | bytes      | before| before |      |
 *   +------+--------+-------+-------+--------+---------+---------+-----------+------------+-----+-----+-----------+-------+---------+------------+-------+--------+------+---
 *   The head goes on with the services: u16 length, bytes, a varint for each level.
 *   Then the flushes: varint first row, u64 time; the templates: u64 id, varint number of rows, the most frequent first (flag 1: there are more; flag 2: entries
 *   that stand for others are among them); and
 *   the two filters, in pieces of 512 bytes. Behind head, flushes, templates and each piece stands its own u64 checksum (XXH3), so that each can be
 *   read without the others; all but the head's are seeded with the head's and their place: what is another value's is none. The sizes in the head say how long the
 *   whole is.
 *
 * Version 1 had no templates, one checksum at the end of all, and the services at 52.
 *
 * A filter is a split-block Bloom filter (Putze, Sanders, Singler 2007; as Impala and Parquet have it): 32-byte blocks, eight bits of a value, one in each
 * word of one block. No values: no bytes, which says "certainly not" to everything.
 */
#ifndef TASKFORGE_COMMON_STORE_FILTER_INDEX_PRIVATE_H
#define TASKFORGE_COMMON_STORE_FILTER_INDEX_PRIVATE_H

#include "common/base/hash.h"
#include "common/store/block_private.h"
#include "common/store/filter_index.h"

#define INDEX_MAGIC UINT32_C(0x58444954) /* "TIDX" */

enum {
    INDEX_VERSION = 2,        /* 1 is read, too */
    INDEX_MORE_TEMPLATES = 1, /* flag: the rarest are not listed */
    INDEX_WEIGHED = 2,        /* flag: an entry may stand for others (entry_weight) */
    INDEX_FIXED_SIZE = INDEX_PEEK,
    INDEX_FIXED_SIZE_1 = 52,
    INDEX_TEMPLATES_MAX = 512, /* listed */
    INDEX_CHECKSUM = 8,
    INDEX_PIECE = 512, /* of a filter */
    FILTER_BLOCK = 32,
    FILTER_WORDS = 8,
    WORD_MIN = 2,
};

enum { INDEX_AT_IDS = 28, INDEX_AT_WORDS = 32, INDEX_AT_HEAD = 56, INDEX_AT_FLUSHES = 60, INDEX_AT_TEMPLATES = 64 };

/* --- the parts --- */

/* Where each begins, and where the last one ends: as its first bytes claim, version 2. All with their checksums. */
struct index_layout {
    size_t flushes, templates, ids, words, end;
};
struct index_layout index_layout_of(const char *fixed);

/* Bytes of a filter with the checksums of its pieces. */
static inline size_t index_filter_room(size_t size) {
    return size + (size + INDEX_PIECE - 1) / INDEX_PIECE * INDEX_CHECKSUM;
}

/* Where byte `at` of a filter stands in it. */
static inline size_t index_filter_place(size_t at) {
    return at / INDEX_PIECE * (INDEX_PIECE + INDEX_CHECKSUM) + at % INDEX_PIECE;
}

/* The piece that holds that byte, without its checksum. */
static inline struct index_place index_filter_piece(const struct index_filter *filter, size_t at) {
    size_t begin = at - at % INDEX_PIECE, left = filter->size - begin;
    return (struct index_place) { filter->at + index_filter_place(begin), left < INDEX_PIECE ? left : INDEX_PIECE,
                                  NULL };
}

/* A part's checksum but the head's. */
static inline uint64_t index_part_sum(uint64_t head_sum, size_t at, const char *bytes, size_t length) {
    return hash_bytes_seeded(bytes, length, head_sum + at);
}

/* --- filters and words --- */

extern const uint32_t filter_salts[FILTER_WORDS];

/* The block of a filter of `size` bytes that a hash belongs to: where it begins. */
static inline size_t filter_block(size_t size, uint64_t hash) {
    return (size_t)((hash >> 32) * (size / FILTER_BLOCK) >> 32) * FILTER_BLOCK;
}

static inline uint32_t filter_bit(uint64_t hash, unsigned word) {
    return UINT32_C(1) << ((uint32_t)hash * filter_salts[word] >> 27);
}

/* Never 0. */
static inline uint64_t filter_hash(enum index_filter_kind kind, const void *data, size_t size) {
    uint64_t hash = hash_bytes_seeded(data, size, (uint64_t)kind);
    return hash ? hash : 1;
}

extern const bool word_bytes[256];

static inline bool is_word_byte(char c) {
    return word_bytes[(unsigned char)c];
}

/* The next word of text from *at on: true and its place. */
bool next_word(struct text text, size_t *at, size_t *ret_begin, size_t *ret_end);

#endif
