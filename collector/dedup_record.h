/* dedup_record.h - repeats that are not told yet, as the state has them, and the entry that tells of them. Pure.
 *
 *   version u8 (1)  flags u8 (1: ids differ)  0 u16   pid u32   count u64   first u64   last u64   | the entry's record (record.h)
 *
 * Integers little-endian; the key is "dedup/" and a u64. */
#ifndef TASKFORGE_COLLECTOR_DEDUP_RECORD_H
#define TASKFORGE_COLLECTOR_DEDUP_RECORD_H

#include "collector/batch.h"
#include "common/store/state_keys.h"

enum { DEDUP_KEY_SIZE = sizeof(STATE_DEDUP) - 1 + 8, DEDUP_HEAD_SIZE = 32 };

struct dedup_told {
    uint64_t count, first_ns, last_ns;
    uint32_t pid;
    bool mixed_ids;
};

bool dedup_record_size(const struct entry *entry, uint32_t *ret);
void dedup_record_encode(const struct entry *entry, char *out, uint32_t size);

/* The state's value, in the batch's arena; and read again: false for what is none. */
struct text dedup_record_value(const struct dedup_told *told, struct text record, struct batch *batch);
bool dedup_record_read(struct text value, struct dedup_told *ret, struct text *ret_record);

/* The entry that tells, but for its id and host; in the batch's arena. False when the record cannot be read, or out of memory. */
bool dedup_record_tell(const struct dedup_told *told, struct text record, struct batch *batch, struct entry *ret);

#endif
