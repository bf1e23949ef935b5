/* The reader's way along the index, and around what is damaged or missing in it: blocks stand for themselves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/guard.h"
#include "common/store/partition_origin.h"
#include "common/store/reader_private.h"

struct copy {
    char *to;
    struct text from;
};

static int copy_guarded(void *argument) {
    struct copy *copy = argument;
    memcpy(copy->to, copy->from.data, copy->from.length);
    return 0;
}

/* A private copy in reader->value of what LMDB gave: the file may be cut at any moment. */
int reader_take_copy(struct store_reader *reader, struct text text, struct error *error) {
    buffer_clear(&reader->value);
    if (!buffer_reserve(&reader->value, text.length + 1))
        return error_set(error, -ENOMEM, "out of memory");
    struct copy copy = { reader->value.data, text };
    if (text.length > 0 && guard_run(GUARD_ALL, copy_guarded, &copy) < 0)
        return error_set(error, -EBADMSG, "the file was cut while it was read");
    reader->value.length = text.length;
    return 0;
}

/* --- an index value made anew --- */

static int fill_builder(struct block_builder *builder, struct block *block, uint64_t *ret_newest) {
    int result = 0;
    *ret_newest = 0;
    for (uint32_t row = 0; row < block_count(block) && result == 0; row++) {
        struct entry entry;
        block_entry(block, row, &entry);
        result = block_builder_add(builder, &entry);
        if (entry.timestamp_ns > *ret_newest)
            *ret_newest = entry.timestamp_ns;
    }
    return result;
}

/* When its entries arrived was known to the index alone: not before the newest of them. */
static int encode_index(struct store_reader *reader, struct block *block, uint64_t first) {
    struct block_builder *builder;
    struct index_flush flush = { .first_row = 0 };
    int result = block_builder_create(&builder);
    if (result < 0)
        return result;
    result = fill_builder(builder, block, &flush.flush_ns);
    buffer_clear(&reader->value);
    if (result == 0)
        result = index_encode(builder, first, &flush, 1, &reader->value);
    block_builder_destroy(builder);
    return result;
}

static int copy_block(struct store_reader *reader, struct partition_txn *txn, uint64_t first, struct error *error) {
    struct text encoded;
    int result = partition_block_get(txn, first, &encoded, error);
    return result < 0 ? result : reader_take_copy(reader, encoded, error);
}

/* 1 and the index value of the block that stands at `first`; -EILSEQ when it is damaged, too. */
static int make_anew(struct store_reader *reader, struct member *member, struct partition_txn *txn, uint64_t first,
                     struct index_entry *index, struct error *error) {
    struct block *block;
    char line[128];
    int result = copy_block(reader, txn, first, error);
    if (result < 0)
        return result;
    result = partition_block_open(member->partition, buffer_text(&reader->value), first, &block, error);
    if (result == 0) {
        result = block_load_all(block, error);
        if (result == 0)
            result = encode_index(reader, block, first);
        block_destroy(block);
    }
    if (result == 0)
        result = index_decode(buffer_text(&reader->value), index);
    if (result < 0)
        return error_set(error, result == -ENOMEM ? result : -EILSEQ, "block %llu and its index value are damaged",
                         (unsigned long long)first);
    snprintf(line, sizeof(line), "the index value of block %llu is damaged or missing; it is made anew from the block",
             (unsigned long long)first);
    reader_tell_once(reader, member, line);
    return 1;
}

/* --- along the index --- */

int reader_decode_index(const struct index_parts *parts, uint64_t key, struct index_entry *index, struct error *error) {
    int result = index_decode_parts(parts, index);
    if (result < 0)
        return error_set(error, result == -ENOMEM ? result : -EILSEQ, "the index value of block %llu is damaged",
                         (unsigned long long)key);
    if (index->first_sequence != key || index->count == 0 || index->count > UINT64_MAX - key)
        return error_set(error, -EILSEQ, "the index value of block %llu is another block's", (unsigned long long)key);
    return 0;
}

/* The index value next to `sequence`, decoded and checked against its key: 1, 0, -EILSEQ. */
static int next_value(struct store_reader *reader, struct partition_txn *txn, uint64_t sequence, bool descending,
                      uint64_t *ret_key, struct index_entry *index, struct error *error) {
    struct text value;
    uint64_t key = 0;
    int result = partition_index_seek(txn, sequence, descending, &key, &value, error);
    *ret_key = key;
    if (result != 1)
        return result;
    if (descending ? key > sequence : key < sequence) /* so that a walk over a damaged tree always ends */
        return error_set(error, -EBADMSG, "the index is out of order");
    result = reader_take_copy(reader, value, error);
    if (result < 0)
        return result;
    const struct index_parts whole = { reader->value.length, false, 1, { { 0, reader->value.length, reader->value.data } } };
    *index = (struct index_entry) { 0 };
    result = reader_decode_index(&whole, key, index, error);
    if (result < 0)
        index_entry_finish(index);
    return result < 0 ? result : 1;
}

/* Blocks follow each other without a gap: where the index leaves one, a block that it does not know may stand. */
bool reader_leaves_gap(const struct index_entry *index, uint64_t sequence, bool descending) {
    return descending ? index->first_sequence + index->count <= sequence : index->first_sequence > sequence;
}

/* A block nearer to `sequence` than the index's answer (`result` and `key`), or the one of its damaged value: 1 and its place. */
static int find_stray(struct partition_txn *txn, uint64_t sequence, bool descending, int result, uint64_t key,
                      uint64_t *ret_stray, struct error *error) {
    uint64_t stray = 0;
    int found = partition_block_seek(txn, sequence, descending, &stray, error);
    if (found != 1)
        return found;
    if (descending ? stray > sequence : stray < sequence)
        return error_set(error, -EBADMSG, "the blocks are out of order");
    *ret_stray = stray;
    return result == 0 || (descending ? stray > key : stray < key) || (result == -EILSEQ && stray == key);
}

static int next_in(struct store_reader *reader, struct member *member, struct partition_txn *txn, uint64_t sequence,
                   bool descending, uint64_t *ret_key, struct index_entry *index, struct error *error) {
    uint64_t stray = 0;
    struct error why = { "" };
    int result = next_value(reader, txn, sequence, descending, ret_key, index, error);
    if ((result < 0 && result != -EILSEQ) || (result == 1 && !reader_leaves_gap(index, sequence, descending)))
        return result;
    int found = find_stray(txn, sequence, descending, result, *ret_key, &stray, &why);
    if (found == 0)
        return result;
    if (result == 1)
        index_entry_finish(index);
    if (found < 0)
        return error_set(error, found, "%s", why.text);
    *ret_key = stray;
    return make_anew(reader, member, txn, stray, index, error);
}

int reader_next_block(struct store_reader *reader, struct member *member, uint64_t sequence, bool descending,
                      uint64_t *ret_key, struct index_entry *index, struct error *error) {
    struct partition_txn *txn;
    *ret_key = 0;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = next_in(reader, member, txn, sequence, descending, ret_key, index, error);
    partition_abort(txn);
    return result;
}
