/* merge.h - small blocks into larger ones, as part of a flush's transaction.
 *
 * Each flush appends what it has, so the end of a partition is a run of small blocks. Tiers by entries: below 16, below 256, below 4096. When 16
 * blocks of one tier stand at the end (smaller ones may stand between them), the run is made one block, so each entry is
 * written a few times at most. Never above BLOCK_ENTRIES_FULL entries or BLOCK_RAW_FULL bytes; at most one merge for each
 * flush. The table of flush times of each block is kept. One thread. */
#ifndef TASKFORGE_COLLECTOR_MERGE_H
#define TASKFORGE_COLLECTOR_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "collector/limits.h"
#include "common/store/block.h"
#include "common/store/partition.h"

struct merge_block {
    uint64_t first_sequence;
    uint32_t count;
    uint64_t raw; /* plain bytes, about */
};

struct merge_tail { /* the blocks at the end of the partition that may still be merged, oldest first */
    struct merge_block blocks[MERGE_TAIL_MAX];
    size_t count;
};

enum { MERGE_FAN = 16, MERGE_TIERS = 3 };
unsigned merge_tier(const struct merge_block *block); /* 0 .. MERGE_TIERS; the last: full, never merged again */

/* Which blocks to merge now: the first's place and how many, or 0 for none. Blocks that are due but too large for any neighbour are let
 * go from the tail. Pure. */
size_t merge_choose(struct merge_tail *tail, size_t *ret_from);

void merge_tail_append(struct merge_tail *tail, struct merge_block block);
/* Blocks [from, from + count) are one now. */
void merge_tail_replace(struct merge_tail *tail, size_t from, size_t count, struct merge_block merged);
/* Blocks [from, from + count) and all before are left as they are from now on. */
void merge_tail_settle(struct merge_tail *tail, size_t from, size_t count);

/* The tail of a partition found at start. */
int merge_tail_load(struct merge_tail *tail, struct partition_txn *txn, struct error *error);

/* Merge `count` blocks inside a write transaction: 0 and *ret; -EBADMSG when one of them is damaged (nothing is changed);
 * other negative errnos spoil the transaction. `builder` is cleared and used. */
int merge_run(struct partition_txn *txn, const struct merge_block *blocks, size_t count, struct block_builder *builder,
              struct merge_block *ret, struct error *error);

#endif
