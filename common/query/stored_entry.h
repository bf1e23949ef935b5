/* stored_entry.h - the whole entry of a row, safe to print.
 *
 * A block's checksums find damage, not malice: a partition may be a copy that somebody else made. What pack.h takes for granted of
 * checked values is checked here; metadata or error details that are no msgpack are left out. */
#ifndef TASKFORGE_COMMON_QUERY_STORED_ENTRY_H
#define TASKFORGE_COMMON_QUERY_STORED_ENTRY_H

#include "common/model/pack.h"
#include "common/store/block.h"

/* Usable as metadata: a map, whole and not nested too deep. */
static inline bool stored_metadata_is_sound(struct text metadata) {
    return metadata.length > 0 && pack_check(metadata) == 0 && pack_is_map(metadata);
}

/* As block_entry (all columns loaded; borrows from the block). */
static inline void stored_entry(const struct block *block, uint32_t row, struct entry *ret) {
    block_entry(block, row, ret);
    if (!stored_metadata_is_sound(ret->metadata))
        ret->metadata = TEXT_EMPTY;
    if (ret->error_details.length > 0 && pack_check(ret->error_details) < 0)
        ret->error_details = TEXT_EMPTY;
}

#endif
