#include "collector/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/store/filter_index.h"
#include "common/store/partition_origin.h"

/* --- the choice --- */

unsigned merge_tier(const struct merge_block *block) {
    if (block->raw >= BLOCK_RAW_FULL)
        return MERGE_TIERS;
    unsigned tier = 0;
    for (uint32_t limit = MERGE_FAN; tier < MERGE_TIERS && block->count >= limit; limit *= MERGE_FAN)
        tier++;
    return tier;
}

static void drop_first(struct merge_tail *tail, size_t count) {
    memmove(tail->blocks, tail->blocks + count, (tail->count - count) * sizeof(tail->blocks[0]));
    tail->count -= count;
}

/* How many of the blocks from `from` on fit into one; *ret_same is how many of them are of that tier. */
static size_t fitting(const struct merge_tail *tail, size_t from, unsigned tier, size_t *ret_same) {
    uint64_t entries = 0, raw = 0;
    size_t at = from;
    *ret_same = 0;
    for (; at < tail->count; at++) {
        entries += tail->blocks[at].count;
        raw += tail->blocks[at].raw;
        if (entries > BLOCK_ENTRIES_FULL || raw > BLOCK_RAW_FULL)
            break;
        *ret_same += merge_tier(&tail->blocks[at]) == tier;
    }
    return at - from;
}

size_t merge_choose(struct merge_tail *tail, size_t *ret_from) {
    for (unsigned tier = 0; tier < MERGE_TIERS; tier++) {
        size_t from = tail->count, same = 0;
        while (from > 0 && merge_tier(&tail->blocks[from - 1]) <= tier)
            same += merge_tier(&tail->blocks[--from]) == tier;
        if (same < MERGE_FAN)
            continue;
        while (from < tail->count) {
            /* With small ones alone a large block would be written anew again and again: it takes two of a tier. */
            size_t count = fitting(tail, from, tier, &same);
            if (same > 1) {
                *ret_from = from;
                return count;
            }
            drop_first(tail, from + 1);
            from = 0;
        }
    }
    return 0;
}

/* --- the list --- */

void merge_tail_append(struct merge_tail *tail, struct merge_block block) {
    if (tail->count == MERGE_TAIL_MAX)
        drop_first(tail, 1);
    tail->blocks[tail->count++] = block;
    if (merge_tier(&block) == MERGE_TIERS)
        tail->count = 0; /* what stands before a full block is never at the end again */
}

void merge_tail_replace(struct merge_tail *tail, size_t from, size_t count, struct merge_block merged) {
    check(count > 0 && from + count <= tail->count);
    tail->blocks[from] = merged;
    memmove(tail->blocks + from + 1, tail->blocks + from + count,
            (tail->count - from - count) * sizeof(tail->blocks[0]));
    tail->count -= count - 1;
    if (merge_tier(&merged) == MERGE_TIERS)
        drop_first(tail, from + 1);
}

void merge_tail_settle(struct merge_tail *tail, size_t from, size_t count) {
    check(from + count <= tail->count);
    drop_first(tail, from + count);
}

int merge_tail_load(struct merge_tail *tail, struct partition_txn *txn, struct error *error) {
    uint64_t key = UINT64_MAX;
    struct merge_block found[MERGE_TAIL_MAX];
    size_t count = 0;
    tail->count = 0;
    while (count < MERGE_TAIL_MAX) {
        struct text encoded, block;
        struct index_entry index;
        int result = partition_index_seek(txn, key, true, &key, &encoded, error);
        if (result <= 0 || index_decode(encoded, &index) < 0)
            break;
        struct merge_block *at = &found[count];
        *at = (struct merge_block) { .first_sequence = key, .count = index.count };
        index_entry_finish(&index);
        if (partition_block_get(txn, key, &block, error) < 0)
            break;
        at->raw = block.length * UINT64_C(4); /* a usual ratio; only a limit hangs on it */
        if (merge_tier(at) == MERGE_TIERS)
            break;
        count++;
        if (key == 0)
            break;
        key--;
    }
    while (count > 0)
        merge_tail_append(tail, found[--count]);
    return 0;
}

/* --- the work --- */

static int add_rows(struct partition_txn *txn, const struct merge_block *from, struct block_builder *builder,
                    struct error *error) {
    struct text encoded;
    struct block *block;
    int result = partition_block_get(txn, from->first_sequence, &encoded, error);
    if (result < 0)
        return result == -ENOENT ? -EBADMSG : result;
    result = partition_block_open(partition_of(txn), encoded, from->first_sequence, &block, error);
    if (result < 0)
        return result;
    result = block_count(block) == from->count ? block_load_all(block, error) : -EBADMSG;
    for (uint32_t row = 0; result == 0 && row < from->count; row++) {
        struct entry entry;
        struct entry_argument arguments[ENTRY_ARGUMENTS_MAX];
        block_entry(block, row, &entry);
        block_entry_arguments(block, row, arguments, &entry);
        result = block_builder_add(builder, &entry);
    }
    block_destroy(block);
    return result;
}

struct flush_table {
    struct index_flush *flushes;
    size_t count, capacity;
};

static int add_flushes(struct partition_txn *txn, const struct merge_block *from, uint32_t first_row,
                       struct flush_table *table, struct error *error) {
    uint64_t key;
    struct text encoded;
    struct index_entry index;
    int result = partition_index_seek(txn, from->first_sequence, false, &key, &encoded, error);
    if (result < 0)
        return result;
    if (result == 0 || key != from->first_sequence)
        return -EBADMSG;
    result = index_decode(encoded, &index);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < index.flush_count && result == 0; i++) {
        if (table->count == table->capacity) {
            size_t capacity = table->capacity ? table->capacity * 2 : 64;
            struct index_flush *grown = realloc(table->flushes, capacity * sizeof(*grown));
            if (!grown) {
                result = -ENOMEM;
                break;
            }
            table->flushes = grown;
            table->capacity = capacity;
        }
        table->flushes[table->count++] =
            (struct index_flush) { first_row + index.flushes[i].first_row, index.flushes[i].flush_ns };
    }
    index_entry_finish(&index);
    return result;
}

static int write_merged(struct partition_txn *txn, const struct merge_block *blocks, size_t count,
                        struct block_builder *builder, const struct flush_table *table, struct error *error) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    uint64_t first = blocks[0].first_sequence;
    struct index_before before = index_before(txn, first);
    int result = block_builder_encode(builder, first, &block);
    if (result == 0)
        result = index_encode_behind(builder, first, &before, table->flushes, (uint32_t)table->count, &index);
    if (result < 0)
        return error_set(error, result, "cannot encode a merged block: %s", strerror(-result));
    for (size_t i = 0; i < count && result == 0; i++)
        result = partition_block_delete(txn, blocks[i].first_sequence, error);
    if (result == 0)
        result = partition_block_put(txn, first, buffer_text(&block), buffer_text(&index), error);
    /* From here on the transaction is spoilt by any failure, damage included. */
    return result == -EBADMSG ? -EIO : result;
}

int merge_run(struct partition_txn *txn, const struct merge_block *blocks, size_t count, struct block_builder *builder,
              struct merge_block *ret, struct error *error) {
    struct flush_table table = { 0 };
    int result = 0;
    block_builder_clear(builder);
    for (size_t i = 0; i < count && result == 0; i++) {
        result = add_flushes(txn, &blocks[i], block_builder_count(builder), &table, error);
        if (result == 0)
            result = add_rows(txn, &blocks[i], builder, error);
    }
    if (result == -E2BIG || result == -EPROTO)
        result = -EBADMSG; /* not to be merged, for whatever reason: leave them */
    *ret = (struct merge_block) { blocks[0].first_sequence, block_builder_count(builder),
                                  block_builder_raw_size(builder) };
    if (result == 0)
        result = write_merged(txn, blocks, count, builder, &table, error);
    free(table.flushes);
    return result;
}
