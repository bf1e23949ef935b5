/* fold_memo.h - updates by name whose series is known by the record's bytes: programs write the same record over and over, but for its value,
 * position and time (agent/client/metric_memo.h). What was decoded and judged once is not decoded again.
 *
 * A table of hashes; an entry holds only while the bytes of its record say the same name and labels as its series. */
#ifndef TASKFORGE_COLLECTOR_FOLD_MEMO_H
#define TASKFORGE_COLLECTOR_FOLD_MEMO_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/record.h"

struct series;

struct fold_memo_entry {
    uint64_t hash;
    struct series *series; /* NULL: free */
};

struct fold_memo {
    struct fold_memo_entry *entries; /* two for each place */
    size_t size;                     /* a power of two, or 0 */
    uint64_t seed;
};

/* Of a record with these bytes that says what `glance` has: its series, which is not stale, or NULL. *ret_hash: to be kept by. */
struct series *fold_memo_find(const struct fold_memo *memo, const struct record_update_glance *glance,
                              uint64_t *ret_hash);
/* series_count: how many there are, by which the table grows. Without memory nothing is kept. */
void fold_memo_keep(struct fold_memo *memo, uint64_t hash, struct series *series, size_t series_count);
/* Series are gone. */
void fold_memo_clear(struct fold_memo *memo);
void fold_memo_finish(struct fold_memo *memo);

#endif
