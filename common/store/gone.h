/* gone.h - rows whose entries were taken out of a closed partition.
 *
 * Rows keep their sequences, so a block out of which some go still has a row for each: one without a service, which no entry is without, and
 * with nothing else of worth. It compresses to next to nothing, is no match of any filter, and stands in the index value's counts under the
 * empty service. A block of which nothing is left is left out. */
#ifndef TASKFORGE_COMMON_STORE_GONE_H
#define TASKFORGE_COMMON_STORE_GONE_H

#include "common/store/filter_index.h"

/* The services are loaded. */
static inline bool block_row_is_gone(const struct block *block, uint32_t row) {
    return block_text(block, BLOCK_SERVICE, row).length == 0;
}

/* How many of the block's rows. */
static inline uint64_t index_count_gone(const struct index_entry *index) {
    uint64_t gone = 0;
    for (uint32_t i = 0; i < index->count_count; i++)
        for (unsigned level = 0; level < LEVEL_COUNT && index->counts[i].service.length == 0; level++)
            gone += index->counts[i].by_level[level];
    return gone;
}

static inline bool entry_is_gone(const struct entry *entry) {
    return entry->service.length == 0;
}

#endif
