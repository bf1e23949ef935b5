/* block.h - some thousand entries by column, compressed, with a checksum on each column. Version 1.
 *
 * A block holds the entries of sequences first .. first + count - 1 in order of arrival:
 *
 *    0      4         6        8       12            16                      ...
 *   +------+---------+--------+-------+-------------+-----------------------+----------------------------+
 *   |magic | version | columns| count | reserved    | column table          | columns, back to back      |
 *   +------+---------+--------+-------+-------------+-----------------------+----------------------------+
 *   column table entry, 32 bytes: id u16, codec u16 (0 plain, 1 zstd), stored u32, raw u32, at u32, checksum u64 (XXH3 of the stored bytes, seeded
 *   with first sequence and id), reserved u64; the table itself is followed by its own checksum u64.
 *
 * How each column is packed (dictionaries, deltas) is drawn in block.c. A reader decodes only the columns it asks for: a count by level never touches messages.
 * Everything read is hostile: raw sizes are limited before anything is allocated.
 */
#ifndef TASKFORGE_COMMON_STORE_BLOCK_H
#define TASKFORGE_COMMON_STORE_BLOCK_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/model/entry.h"

enum {
    BLOCK_ENTRIES_FULL = 4096,        /* merging aims at this */
    BLOCK_ENTRIES_MAX = 65000,           /* never more in one block: rows are numbered in 16 bits */
    BLOCK_RAW_MAX = 64 * 1024 * 1024, /* never more plain bytes in one column */
    BLOCK_RAW_FULL = 8 * 1024 * 1024, /* a block is full at this many plain bytes, too */
};

enum block_column {
    BLOCK_TIMESTAMP,
    BLOCK_LEVEL,
    BLOCK_SERVICE,
    BLOCK_MODULE,
    BLOCK_OPERATION,
    BLOCK_MESSAGE,
    BLOCK_ID,
    BLOCK_TRACE_ID,
    BLOCK_SPAN_ID,
    BLOCK_CORRELATION_ID,
    BLOCK_USER_ID,
    BLOCK_ORGANIZATION_ID,
    BLOCK_METADATA,
    BLOCK_ERROR_DETAILS,
    BLOCK_HOST,
    BLOCK_PID,
    BLOCK_COLUMN_COUNT,
};

/* --- writing --- */

struct block_builder; /* grows; reused from block to block; one thread */

int block_builder_create(struct block_builder **ret);
void block_builder_destroy(struct block_builder *builder);
void block_builder_clear(struct block_builder *builder);
/* Copies what the entry borrows. The entry is valid (entry_repair ran). -ENOMEM, -E2BIG when a limit is reached. */
int block_builder_add(struct block_builder *builder, const struct entry *entry);
uint32_t block_builder_count(const struct block_builder *builder);
size_t block_builder_raw_size(const struct block_builder *builder);
/* Append the encoded block to out. The builder keeps its content. */
int block_builder_encode(struct block_builder *builder, uint64_t first_sequence, struct buffer *out);

/* --- reading --- */

struct block; /* a private copy of an encoded block, columns decoded as they are asked for; one thread */

/* Check header and table, copy the bytes. -EBADMSG and a sentence for anything that does not fit. */
int block_open(struct text encoded, uint64_t first_sequence, struct block **ret, struct error *error);
void block_destroy(struct block *block);
uint32_t block_count(const struct block *block);

/* Decode one column (checksum first); called for what a query needs. -EBADMSG, -ENOMEM. Decoding twice is free. */
int block_load(struct block *block, enum block_column column, struct error *error);
int block_load_all(struct block *block, struct error *error);

/* Values of row 0 .. count - 1 of a loaded column; borrowed until block_destroy. */
uint64_t block_timestamp(const struct block *block, uint32_t row);
enum level block_level(const struct block *block, uint32_t row);
struct text block_text(const struct block *block, enum block_column column,
                       uint32_t row); /* service module operation message trace span correlation metadata error host */
const struct uuid *block_uuid(const struct block *block, enum block_column column,
                              uint32_t row); /* id user organization; zero UUID when absent */
uint32_t block_pid(const struct block *block, uint32_t row);

/* For scanning without a call for each row: the dictionary of a loaded name column (service, module, operation, host) and each row's index in it. */
uint32_t block_dictionary_size(const struct block *block, enum block_column column);
struct text block_dictionary_text(const struct block *block, enum block_column column, uint32_t index);
const uint16_t *block_dictionary_rows(const struct block *block, enum block_column column);
/* The loaded message column's bytes as one run, and the offset of each row in it (count + 1 offsets): for one search over all rows. */
struct text block_message_bytes(const struct block *block, const uint32_t **ret_offsets);

/* The whole entry of a row; all columns loaded. Borrows from the block. */
void block_entry(const struct block *block, uint32_t row, struct entry *ret);

#endif
