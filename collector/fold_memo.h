/* fold_memo.h - updates by name whose series is known by the record's bytes: programs write the same record over and over, but for its value,
 * position and time (agent/client/metric_memo.h). What was decoded and judged once is not decoded again.
 *
 * Two records are taken for the same where 96 bits of hash are, under a seed that nobody knows, and the set they lead to. */
#ifndef TASKFORGE_COLLECTOR_FOLD_MEMO_H
#define TASKFORGE_COLLECTOR_FOLD_MEMO_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/record.h"

struct series;
struct series_table;

enum { FOLD_MEMO_WAYS = 4, FOLD_MEMO_STAY = 16 };

struct fold_memo_set { /* a line of the processor's cache */
    struct fold_memo_entry {
        uint64_t high;
        uint32_t low;
        uint32_t id; /* of the series; 0: free */
    } entries[FOLD_MEMO_WAYS];
};

struct fold_memo {
    struct fold_memo_set *sets;
    size_t count; /* a power of two, or 0 */
    uint64_t seed, full;
};

/* What a record that says what `glance` has is known by. */
void fold_memo_hash(const struct fold_memo *memo, const struct record_update_glance *glance, uint64_t ret[2]);
/* Its series; NULL: not known. */
struct series *fold_memo_find(const struct fold_memo *memo, const struct series_table *table, const uint64_t hash[2]);
/* It will be looked for soon. */
static inline void fold_memo_fetch(const struct fold_memo *memo, const uint64_t hash[2]) {
    if (memo->count > 0)
        __builtin_prefetch(&memo->sets[(hash[0] >> 32) & (memo->count - 1)]);
}
/* Of `table`, by whose size the memo grows. Without memory nothing is kept. */
void fold_memo_keep(struct fold_memo *memo, const struct series_table *table, const uint64_t hash[2],
                    const struct series *series);
/* Series are gone. */
void fold_memo_clear(struct fold_memo *memo);
void fold_memo_finish(struct fold_memo *memo);

#endif
