/* block_private.h - what the files of the block share; only common/store includes it. */
#ifndef TASKFORGE_COMMON_STORE_BLOCK_PRIVATE_H
#define TASKFORGE_COMMON_STORE_BLOCK_PRIVATE_H

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "common/store/block.h"

#define BLOCK_MAGIC UINT32_C(0x4b4c4254) /* "TBLK" */

enum {
    BLOCK_VERSION = 1,
    BLOCK_HEADER_SIZE = 16,
    BLOCK_TABLE_ENTRY_SIZE = 32,
    BLOCK_CHECKSUM_SIZE = 8,
    BLOCK_CODEC_PLAIN = 0,
    BLOCK_CODEC_ZSTD = 1,
    BLOCK_NAMES = 4, /* service module operation host: dictionaries */
    BLOCK_TEXTS = 6, /* message metadata error trace span correlation: a run of bytes */
};

/* Which of the name columns / text columns it is, or -1. */
int block_name_of(enum block_column column);
int block_text_of(enum block_column column);

struct dictionary { /* distinct texts, and which of them each row has */
    struct buffer bytes;
    uint32_t *ends; /* of each text in bytes */
    uint32_t size, capacity;
    uint32_t *table; /* open addressing: index + 1 */
    uint32_t table_size;
    uint16_t *rows;
};

struct text_run { /* each row's text, one after the other */
    struct buffer bytes;
    uint32_t *ends;
};

struct block_builder {
    uint32_t count, capacity;
    uint64_t *timestamps;
    uint8_t *levels;
    struct uuid *ids, *users, *organizations;
    uint32_t *pids;
    struct dictionary names[BLOCK_NAMES];
    struct text_run texts[BLOCK_TEXTS];
    size_t raw_size;
    struct buffer column; /* one packed column, while encoding */
    struct buffer packed; /* all columns */
};

static inline struct text text_run_get(const struct text_run *run, uint32_t row) {
    uint32_t begin = row ? run->ends[row - 1] : 0;
    return (struct text) { begin ? run->bytes.data + begin : run->bytes.data, run->ends[row] - begin };
}

/* --- integers, little-endian wherever they stand --- */

static inline uint16_t get_u16(const void *at) {
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

static inline uint32_t get_u32(const void *at) {
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static inline uint64_t get_u64(const void *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static inline void append_u16(struct buffer *out, uint16_t value) {
    value = htole16(value);
    buffer_append(out, &value, sizeof(value));
}

static inline void append_u32(struct buffer *out, uint32_t value) {
    value = htole32(value);
    buffer_append(out, &value, sizeof(value));
}

static inline void append_u64(struct buffer *out, uint64_t value) {
    value = htole64(value);
    buffer_append(out, &value, sizeof(value));
}

/* --- varints: 7 bits a byte, low first --- */

static inline unsigned varint_put(unsigned char *out, uint64_t value) {
    unsigned length = 0;
    while (value >= 0x80) {
        out[length++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    out[length++] = (unsigned char)value;
    return length;
}

/* The bytes used, 0 when they end too early or run too long. */
static inline unsigned varint_get(const unsigned char *at, const unsigned char *end, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && at + i < end; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

static inline uint64_t zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}
static inline int64_t unzigzag(uint64_t value) {
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* --- columns with a packing of their own --- */

/* Ids as uuid_make gives them: see block_ids.c. */
void block_ids_pack(const struct uuid *ids, const uint64_t *timestamps, uint32_t count, struct buffer *out);
int block_ids_unpack(struct text packed, const uint64_t *timestamps, uint32_t count, struct uuid *ret_ids);

/* Trace, span and correlation ids: hex as raw bytes; see block_hex.c. ends: count ends in out, whose bytes they are. */
void block_hex_pack(const struct text_run *run, uint32_t count, struct buffer *out);
int block_hex_unpack(struct text packed, uint32_t count, struct buffer *out, uint32_t *ret_ends);

/* --- the one owner of zstd (block_codec.c) --- */

/* Append `raw` to out, compressed when that makes it smaller; returns the codec, or -ENOMEM. */
int block_compress(struct text raw, struct buffer *out);
/* Undo: exactly raw_size bytes into ret. -EBADMSG. */
int block_decompress(unsigned codec, struct text stored, char *ret, size_t raw_size);

#endif
