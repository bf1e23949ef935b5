/* block_private.h - what the files of the block share; only common/store includes it. */
#ifndef TASKFORGE_COMMON_STORE_BLOCK_PRIVATE_H
#define TASKFORGE_COMMON_STORE_BLOCK_PRIVATE_H

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "common/store/block.h"

#define BLOCK_MAGIC UINT32_C(0x4b4c4254) /* "TBLK" */

enum {
    BLOCK_VERSION = 2, /* 1 is read, too */
    BLOCK_HEADER_SIZE = 16,
    BLOCK_TABLE_ENTRY_SIZE = 32,
    BLOCK_CHECKSUM_SIZE = 8,
    BLOCK_CODEC_PLAIN = 0,
    BLOCK_CODEC_ZSTD = 1,
    BLOCK_NAMES = 4,     /* service module operation host: dictionaries */
    BLOCK_TEXTS = 6,     /* message metadata error trace span correlation: a run of bytes */
    BLOCK_FLAG_HOST = 1, /* in the header's flags: all rows have the partition's host */
    /* Columns that only these files know; those of metadata keys come last. */
    BLOCK_ARGUMENT_LENGTH = 24,
    BLOCK_METADATA_REST = 25,
    BLOCK_KEY_FIRST = 32,
    BLOCK_KEY_COLUMNS = 16,
    BLOCK_PLACES = BLOCK_KEY_FIRST + BLOCK_KEY_COLUMNS,
    /* Shapes of metadata: none, one that is kept whole; what the others are is a list of keys. */
    BLOCK_SHAPE_ABSENT = 0,
    BLOCK_SHAPE_WHOLE = 1,
    BLOCK_SHAPES_FIXED = 2,
    SHAPE_GUESSES = 16,
    BUILDER_SLACK = 16, /* bytes that may be read behind a builder's arguments */
    BLOCK_KEYS_MAX = 1024, /* different ones in a block's shapes, and in one shape; what has more is kept whole */
};
static_assert((int)BLOCK_COLUMN_COUNT <= (int)BLOCK_ARGUMENT_LENGTH, "columns of the header have ids of their own");

/* Which of the name columns / text columns it is, or -1. */
int block_name_of(enum block_column column);
int block_text_of(enum block_column column);

/* --- distinct texts, numbered as they came (block_dictionary.c) --- */

struct dictionary {
    struct buffer bytes;
    uint32_t *ends; /* of each text in bytes */
    uint64_t *hashes;
    uint32_t size, capacity;
    uint32_t *table; /* open addressing: index + 1 */
    uint32_t table_size;
};

/* The text's number, entered if it is new; -ENOMEM. The hash is hash_bytes of it. */
int dictionary_add_hashed(struct dictionary *dictionary, struct text text, uint64_t hash);
int dictionary_add(struct dictionary *dictionary, struct text text);
/* The number or -ENOENT. */
int dictionary_find(const struct dictionary *dictionary, struct text text, uint64_t hash);
void dictionary_clear(struct dictionary *dictionary);
void dictionary_finish(struct dictionary *dictionary);

static inline struct text dictionary_get(const struct dictionary *dictionary, uint32_t index) {
    uint32_t begin = index ? dictionary->ends[index - 1] : 0;
    /* no bytes at all while every text is empty */
    return (struct text) { begin ? dictionary->bytes.data + begin : dictionary->bytes.data,
                           dictionary->ends[index] - begin };
}

/* --- the builder --- */

struct text_run { /* each row's text, one after the other */
    struct buffer bytes;
    uint32_t *ends;
};

struct value_run { /* some values for each row */
    struct buffer bytes;
    uint32_t *ends;
    uint32_t count, capacity;
};

/* Room for `more` values; value_run_add sees to it itself. -ENOMEM. */
int value_run_reserve(struct value_run *run, uint32_t more);
int value_run_add(struct value_run *run, struct text value);

static inline struct text value_run_get(const struct value_run *run, uint32_t index) {
    uint32_t begin = index ? run->ends[index - 1] : 0;
    return (struct text) { begin ? run->bytes.data + begin : run->bytes.data, run->ends[index] - begin };
}

struct block_builder {
    uint32_t count, capacity;
    uint64_t *timestamps;
    struct uuid *ids, *users, *organizations;
    uint32_t *pids;
    struct dictionary names[BLOCK_NAMES];
    struct dictionary templates;  /* of messages */
    struct dictionary statements; /* each a struct block_statement */
    uint16_t *hosts, *statement_rows, *shape_rows;
    uint16_t *template_statements; /* a statement of each template, + 1: its last one; and */
    uint16_t *statement_next;      /* of each statement, the one before it of the same template, + 1 */
    uint32_t template_capacity, statement_capacity;
    uint32_t *first_arguments, *first_values; /* of each row */
    struct value_run arguments;
    struct dictionary keys, shapes; /* of metadata; a shape: the numbers of its keys, u16 each */
    struct value_run values;
    uint16_t guesses[SHAPE_GUESSES];    /* the key at each place of the map before */
    uint16_t last_shape;
    bool weighed; /* by metadata that is kept whole */
    struct text_run texts[BLOCK_TEXTS]; /* but message and metadata */
    struct buffer host;                 /* the partition's */
    struct buffer scratch;
    size_t raw_size;
    struct buffer column; /* one packed column, while encoding */
    struct buffer packed; /* all columns */
};

static inline struct text text_run_get(const struct text_run *run, uint32_t row) {
    uint32_t begin = row ? run->ends[row - 1] : 0;
    return (struct text) { begin ? run->bytes.data + begin : run->bytes.data, run->ends[row] - begin };
}

static inline const struct block_statement *builder_statements(const struct block_builder *builder) {
    return (const struct block_statement *)builder->statements.bytes.data;
}

static inline const struct block_statement *builder_statement(const struct block_builder *builder, uint32_t row) {
    return &builder_statements(builder)[builder->statement_rows[row]];
}

/* Append the message of a row. */
void builder_append_message(const struct block_builder *builder, uint32_t row, struct buffer *out);

/* --- messages to template and arguments (block_mine.c) --- */

struct mined {
    struct entry_argument arguments[ENTRY_ARGUMENTS_MAX];
    unsigned count;
};

/* Where the arguments of an entry's message stand: as the call site gave them, or found in the text. */
void block_mine(const struct entry *entry, struct mined *ret);
/* All of the message is one argument. */
void block_mine_whole(struct text message, struct mined *ret);
/* The template's text into *out, whose content goes. */
void block_mine_template(struct text message, const struct mined *mined, struct buffer *out);
/* How many gaps a template has. */
uint32_t block_gaps(struct text template);

/* --- the looks of arguments (block_looks.c) --- */

#define BLOCK_CLASS_DIGITS UINT64_C(1)
#define BLOCK_CLASS_ALL_HAVE_DIGITS (UINT64_C(1) << 55) /* not a class: there is one in every argument */

struct block_look { /* of all arguments in a gap */
    uint64_t classes;
    uint32_t shortest, longest;
};

/* A bit for each class of bytes that the text has. */
uint64_t block_classes(struct text text);
/* Of a gap's arguments, which stand one behind the other; from the beginning of each on BUILDER_SLACK bytes may be read. */
struct block_look block_look_make(const char *bytes, const uint32_t *lengths, uint32_t count);
void block_looks_pack(const struct block_look *looks, uint32_t count, struct buffer *out);
/* May an argument have the text in it; may it begin with the text, or be the beginning of it, with the rest in what is behind the gap (`last`: nothing
 * follows that); may it end with it? NULL: nothing is known of the gap. `classes` are the text's. */
bool block_may_hold(const struct block_look *look, struct text text, uint64_t classes);
bool block_may_begin(const struct block_look *look, struct text text, struct text behind, bool last);
bool block_may_end(const struct block_look *look, struct text text);

/* --- metadata by key (block_metadata.c) --- */

/* Put a row's metadata into shapes, keys and values of the builder; -ENOMEM. */
int block_metadata_add(struct block_builder *builder, struct text metadata, uint32_t row);
/* Whether entries that stand for others (entry_weight) may be among the rows. */
bool block_metadata_is_weighed(const struct block_builder *builder);

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

/* Lengths of values: varint 2 * length + 1 where all are the same; else varint 0 and a varint each. */
struct lengths_reader {
    const unsigned char *at, *end;
};
void block_append_varint(struct buffer *out, uint64_t value);
void block_lengths_pack(const uint32_t *lengths, uint32_t count, struct buffer *out);
/* The lengths of `count` values into ret[0..count); 0 or -EBADMSG. Any one is below BLOCK_RAW_MAX. */
int block_lengths_unpack(struct lengths_reader *reader, uint32_t count, uint32_t *ret);

/* Numbers below 65536, one a row: a byte each when all there can be are below 256, else all low bytes, then all high ones. */
void block_rows_pack(const uint16_t *rows, uint32_t count, uint32_t size, struct buffer *out);
int block_rows_unpack(struct text packed, uint32_t count, uint32_t size, uint16_t *ret);

/* Ids as uuid_make gives them: see block_ids.c. */
void block_ids_pack(const struct uuid *ids, const uint64_t *timestamps, uint32_t count, struct buffer *out);
int block_ids_unpack(struct text packed, const uint64_t *timestamps, uint32_t count, struct uuid *ret_ids);

/* Trace, span and correlation ids: hex as raw bytes; see block_hex.c. ends: count ends in out, whose bytes they are. */
void block_hex_pack(const struct text_run *run, uint32_t count, struct buffer *out);
int block_hex_unpack(struct text packed, uint32_t count, const uint8_t *wanted, struct buffer *out, uint32_t *ret_ends);

/* One packed column into packed and table; -ENOMEM. (block_pack.c) */
struct block_packing {
    struct block_builder *builder;
    uint64_t first_sequence;
    struct buffer table;
    unsigned columns;
};
int block_pack_column(struct block_packing *packing, unsigned column, const struct buffer *plain);
/* Metadata's columns, of which there is no fixed number. */
int block_metadata_pack(struct block_packing *packing);

/* --- the one owner of zstd (block_codec.c) --- */

/* Append `raw` to out, compressed when that makes it smaller; returns the codec, or -ENOMEM. */
int block_compress(struct text raw, struct buffer *out);
/* Undo: exactly raw_size bytes into ret. -EBADMSG. */
int block_decompress(unsigned codec, struct text stored, char *ret, size_t raw_size);

#endif
