/* samples_private.h - what the files of the samples share: the values in a partition of samples, and the partition's own record. */
#ifndef TASKFORGE_COMMON_STORE_SAMPLES_PRIVATE_H
#define TASKFORGE_COMMON_STORE_SAMPLES_PRIVATE_H

#include "common/base/hash.h"
#include "common/store/partition_samples.h"
#include "common/store/samples_codec.h"

enum {
    SAMPLES_GROUP = 256,       /* series of a row, and of a chunk */
    SAMPLES_CHUNK_TICKS = 128, /* so many rows become columns */
    SAMPLES_ROWS_MAX =
        2 * SAMPLES_CHUNK_TICKS, /* a group that had to wait for others has more of them: all become one chunk */
    SAMPLES_BITMAP = SAMPLES_GROUP / 8,
};

/* What the checksums of a group's values at a tick are seeded with: in another place they are no values. */
static inline uint64_t samples_seed(uint32_t group, uint64_t tick) {
    const uint64_t key[2] = { htole64(group), htole64(tick) };
    return hash_bytes(key, sizeof(key));
}

static inline bool samples_bit(const unsigned char *bitmap, unsigned index) {
    return bitmap[index / 8] >> index % 8 & 1;
}

/* --- samples_series.c: the record of a partition, the definition of a series --- */

/* State "samples": version u32, ticks a chunk u32, interval u64. */
struct samples_head {
    uint32_t version, chunk_ticks;
    uint64_t interval_ns;
};
int samples_head_put(struct partition_txn *txn, const struct samples_head *head, struct error *error);
/* -EPROTO: a newer version; -EBADMSG. */
int samples_head_get(struct partition_txn *txn, struct samples_head *ret, struct error *error);

/* version u8: 1 | kind u8 | naming u8 | created u64 | family, name, labels, unit, help, bounds: each a length and bytes | XXH3 u64, seeded with the
 * number. The decoded one borrows from bytes. -EBADMSG. */
void samples_definition_encode(const struct samples_definition *definition, uint32_t number, struct buffer *out);
int samples_definition_decode(struct text bytes, uint32_t number, struct samples_definition *ret);
/* By what a series is the same in another partition; of equal hashes these tell whether it is. */
uint64_t samples_definition_hash(const struct samples_definition *definition);
bool samples_definition_same(const struct samples_definition *a, const struct samples_definition *b);
/* Which comes first: family, labels, kind. */
int samples_definition_compare(const struct samples_definition *a, const struct samples_definition *b);

/* --- samples_row.c: a group at one tick ---
 *
 *   version u8: 1 | bytes of bitmap u8 | a bit for each series of the group: 1 it has a value | the values of those, in order | XXH3 u64
 *
 *   value: 16 k + n u8, k 0..10, n 0..8, then m in n bytes, zigzag, little-endian: m / 10^k
 *          0xf8, then the bits u64
 *          0xf0, then a length and a histogram (histogram_encode) */
struct samples_row_writer {
    struct buffer *out;
    size_t begin;
};
/* Values are added in the order of their bits. hint: of the series, which the row writer keeps what it found out in; 0 at first. */
void samples_row_begin(struct samples_row_writer *row, const unsigned char bitmap[SAMPLES_BITMAP], struct buffer *out);
void samples_row_add(struct samples_row_writer *row, double value, uint8_t *hint);
void samples_row_add_histogram(struct samples_row_writer *row, struct text encoded);
void samples_row_end(struct samples_row_writer *row, uint64_t seed);

struct samples_row {
    unsigned char bitmap[SAMPLES_BITMAP];
    struct samples_cursor cursor; /* at the value of the next bit */
};
/* Behind the bytes SAMPLES_SLACK can be read. -EBADMSG. */
int samples_row_open(struct text bytes, uint64_t seed, struct samples_row *ret);
struct samples_entry {
    bool histogram;
    double value;
    struct text encoded; /* of a histogram */
};
/* The value of the next bit. -EBADMSG. */
int samples_row_next(struct samples_row *row, struct samples_entry *ret);

/* --- samples_rows.c: some rows of a group, by column --- */

enum {
    SAMPLES_LANES = 8
}; /* series that are turned from rows to columns together: the values of a row in a line of the cache */

struct samples_rows {
    struct buffer bytes; /* of all that were loaded */
    size_t loaded, offsets[SAMPLES_ROWS_MAX], lengths[SAMPLES_ROWS_MAX];
    uint64_t loaded_ticks[SAMPLES_ROWS_MAX];
    size_t count;                                   /* of those, the sound ones */
    uint64_t ticks[SAMPLES_ROWS_MAX], damaged_tick; /* damaged_tick: one of the others */
    uint64_t (*values)
        [SAMPLES_GROUP]; /* of each sound row: bits of a double; or where a histogram stands in bytes, and its length */
    unsigned char present[SAMPLES_ROWS_MAX][SAMPLES_BITMAP],
        kinds[SAMPLES_ROWS_MAX][SAMPLES_BITMAP]; /* kinds: 1 a histogram */
    unsigned turned;                  /* the lanes below are these series / SAMPLES_LANES; else SAMPLES_GROUP */
    unsigned char any, any_histogram; /* a bit for each lane */
    uint64_t lanes[SAMPLES_LANES][SAMPLES_ROWS_MAX];
};
struct samples_rows *samples_rows_create(void); /* NULL: out of memory */
void samples_rows_destroy(struct samples_rows *rows);
/* Copy those of the group at from and behind (at most SAMPLES_ROWS_MAX): 0; failures of the store. */
int samples_rows_load(struct samples_rows *rows, struct partition_txn *txn, uint32_t group, uint64_t from,
                      struct error *error);
/* Check and decode what was loaded; needs no transaction. */
void samples_rows_open(struct samples_rows *rows, uint32_t group);
/* 1 with the column of the series; 0: it has no value in them; -ENOMEM. */
int samples_rows_column(struct samples_rows *rows, unsigned index, struct samples_column *column);

/* --- samples_chunk.c: a group through some ticks ---
 *
 *   version u8: 1 | bytes of bitmap u8 | ticks u16 | runs u16 | columns u16 | bytes of head u32 | bytes of all u32 | first tick u64
 *   | runs: ticks that are missing before it (0 of the first), ticks in it | a bit for each series of the group: 1 it has a column
 *   | bytes of each column | XXH3 of the head u64                                                          -- up to here the head
 *   | columns (samples_codec.h), seeded with the chunk's seed + index in the group */
enum { SAMPLES_CHUNK_FIXED = 24 };
/* The chunk of opened rows (at least one), in out, by way of the column and the room; *ret_columns: how many it has. -ENOMEM. */
int samples_chunk_encode(struct samples_rows *rows, uint32_t group, struct samples_column *column, struct buffer *room,
                         struct buffer *out, size_t *ret_columns);

struct samples_run {
    uint64_t first;   /* tick */
    size_t at, count; /* in the columns */
};
struct samples_chunk {
    size_t ticks, head_length, run_count;
    struct samples_run runs[SAMPLES_TICKS_MAX];
    unsigned char bitmap[SAMPLES_BITMAP];
    size_t offsets[SAMPLES_GROUP], lengths[SAMPLES_GROUP]; /* of the columns, by index in the group; 0: none */
};
/* How long the head is, by its first SAMPLES_CHUNK_FIXED bytes; 0: damaged. */
size_t samples_chunk_head_length(const unsigned char fixed[SAMPLES_CHUNK_FIXED], size_t size);
/* -EBADMSG; -EPROTO: a newer version. size: of the whole value; last: the tick in its key. */
int samples_chunk_open(struct text head, size_t size, uint32_t group, uint64_t last, struct samples_chunk *ret);

/* --- samples_folder.c --- */

/* Remove what was killed while it was made: files that end in .new. */
void samples_clear_folder(const char *folder);
int samples_make_path(const char *data_dir, uint64_t first_ns, uint64_t created_ns, char out[PARTITION_PATH_MAX]);
static inline uint64_t samples_day_of(uint64_t time_ns) {
    return time_ns / SAMPLES_DAY_NS;
}

/* The last tick in a partition: 1, 0: it has none. */
int samples_last_tick(struct partition_txn *txn, uint64_t *ret, struct error *error);

#endif
