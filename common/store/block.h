/* block.h - some thousand entries by column, compressed, with a checksum on each column. Version 2; version 1 is read.
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
 * How each column is packed (statements, dictionaries, deltas) is drawn in block_pack.c. A reader decodes only the columns it asks for: a count by level never touches messages.
 * Everything read is hostile: raw sizes are limited before anything is allocated.
 */
#ifndef TASKFORGE_COMMON_STORE_BLOCK_H
#define TASKFORGE_COMMON_STORE_BLOCK_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/model/entry.h"

enum {
    BLOCK_ENTRIES_FULL = 4096,        /* merging aims at this */
    BLOCK_ENTRIES_MAX = 65000,        /* never more in one block: rows are numbered in 16 bits */
    BLOCK_RAW_MAX = 64 * 1024 * 1024, /* never more plain bytes in one column, nor in all messages */
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
    BLOCK_STATEMENT, /* which statement each row is of: loads what level, names and message are made from */
    BLOCK_TEMPLATE,  /* the texts of the statements' messages, with gaps for the arguments */
    BLOCK_ARGUMENT,  /* what stands in the gaps */
    BLOCK_LOOK,      /* what bytes the arguments of each gap are of, by which searches pass gaps over */
    BLOCK_COLUMN_COUNT,
};
enum { BLOCK_GAP = 0x11 }; /* the byte of a template that stands for an argument */

/* One of the distinct (service, module, operation, level, template) of a block; the first three are places in the dictionaries of those columns. */
struct block_statement {
    uint16_t service, module, operation, template;
    uint8_t level, reserved;
};

/* --- writing --- */

struct block_builder; /* grows; reused from block to block; one thread */

int block_builder_create(struct block_builder **ret);
void block_builder_destroy(struct block_builder *builder);
void block_builder_clear(struct block_builder *builder);
/* The partition's host, kept once there: blocks whose rows all have it have no column for it. Copied. -ENOMEM. */
int block_builder_set_host(struct block_builder *builder, struct text host);
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
/* The same of bytes that were allocated: it takes them over, where it fails, too. */
int block_open_taking(char *encoded, size_t size, uint64_t first_sequence, struct block **ret, struct error *error);
/* What stands where the block says "the partition's host"; copied. Before block_load. -ENOMEM. */
int block_set_host(struct block *block, struct text host);
void block_destroy(struct block *block);
uint32_t block_count(const struct block *block);

/* Decode one column (checksum first); called for what a query needs. -EBADMSG, -ENOMEM. Decoding twice is free. */
int block_load(struct block *block, enum block_column column, struct error *error);
int block_load_all(struct block *block, struct error *error);
/* The same for block_entry of these rows alone, until rows are asked for anew: where they are few, texts are put together for them only. */
int block_load_rows(struct block *block, const uint32_t *rows, uint32_t count, struct error *error);

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

/* --- statements: with BLOCK_STATEMENT loaded; in blocks of version 1, too, whose messages are all of one template, a single gap --- */

uint32_t block_statement_count(const struct block *block);
const struct block_statement *block_statements(const struct block *block);
const uint16_t *block_statement_rows(const struct block *block); /* which of them each row is of */

/* With BLOCK_TEMPLATE loaded. */
uint32_t block_template_count(const struct block *block);
struct text block_template_text(const struct block *block, uint32_t template); /* BLOCK_GAP where an argument stands */
/* XXH3-64 of the template's text: the same in every block, shown as 16 hex digits. */
uint64_t block_template_id(const struct block *block, uint32_t template);
/* The same of an entry that is in no block yet (in a block whose messages have very many templates it may stand under another). -ENOMEM. */
int block_template_of(const struct entry *entry, struct buffer *scratch, uint64_t *ret_id);

/* With BLOCK_ARGUMENT loaded: append the message of one row, without putting all of them together as BLOCK_MESSAGE does. */
void block_append_message(const struct block *block, uint32_t row, struct buffer *out);

/* marks[row - from] = 1 for each row of [from, to) whose message contains the bytes (not empty), other marks are left alone. Loads
 * BLOCK_TEMPLATE and BLOCK_LOOK, and BLOCK_ARGUMENT only when arguments may hold some of the bytes; puts messages together only where that alone
 * tells. -EBADMSG, -ENOMEM. */
int block_mark_messages(struct block *block, struct text needle, uint32_t from, uint32_t to, uint8_t *marks,
                        struct error *error);

/* --- metadata by key --- */

/* Load what is needed for one top-level key: 1 and *ret_key for block_metadata_value, 0 when no row has it. -EBADMSG, -ENOMEM. */
int block_load_metadata_key(struct block *block, struct text key, uint32_t *ret_key, struct error *error);
/* The msgpack value (not checked, as metadata) of that key in a row, empty when it has none. */
struct text block_metadata_value(const struct block *block, uint32_t key, uint32_t row);

/* Make an entry of block_entry templated, as its message was stored, so that a builder need not look for arguments again. `room` is used as long as
 * the entry is. With BLOCK_ARGUMENT and BLOCK_MESSAGE loaded. */
void block_entry_arguments(const struct block *block, uint32_t row, struct entry_argument room[ENTRY_ARGUMENTS_MAX],
                           struct entry *entry);

/* The whole entry of a row; all columns loaded, or its row. Borrows from the block until rows are asked for anew. */
void block_entry(const struct block *block, uint32_t row, struct entry *ret);

#endif
