#include "collector/fold_memo.h"

#include <stdlib.h>
#include <string.h>

#include "collector/series.h"
#include "common/base/hash.h"

enum { FIRST = 256, LARGEST = 1 << 20 };

static struct fold_memo_set *set_of(const struct fold_memo *memo, const uint64_t hash[2]) {
    return &memo->sets[(hash[0] >> 32) & (memo->count - 1)];
}

void fold_memo_hash(const struct fold_memo *memo, const struct record_update_glance *glance, uint64_t ret[2]) {
    uint64_t seed = memo->seed ^ ((uint64_t)glance->kind << 8 | glance->naming);
    struct hash_wide hash = hash_bytes_wide(glance->rest.data, glance->rest.length, seed);
    ret[0] = hash.low;
    ret[1] = hash.high | 1; /* 0, 0 says that there is none */
}

struct series *fold_memo_find(const struct fold_memo *memo, const struct series_table *table, const uint64_t hash[2]) {
    if (memo->count == 0)
        return NULL;
    const struct fold_memo_entry *entries = set_of(memo, hash)->entries;
    for (int i = 0; i < FOLD_MEMO_WAYS; i++)
        if (entries[i].high == hash[1] && entries[i].low == (uint32_t)hash[0] && entries[i].id != 0)
            return table->by_id[entries[i].id];
    return NULL;
}

/* Twice as many places as series; what was kept is learned anew. */
static void grow(struct fold_memo *memo, size_t series_count) {
    size_t count = memo->count ? memo->count : FIRST;
    struct fold_memo_set *sets;
    while (count * FOLD_MEMO_WAYS < series_count + series_count / 2 && count < LARGEST)
        count *= 2;
    if (count == memo->count || posix_memalign((void **)&sets, sizeof(*sets), count * sizeof(*sets)) != 0)
        return;
    memset(sets, 0, count * sizeof(*sets));
    free(memo->sets);
    memo->sets = sets;
    memo->count = count;
}

void fold_memo_keep(struct fold_memo *memo, const struct series_table *table, const uint64_t hash[2],
                    const struct series *series) {
    grow(memo, table->count);
    if (memo->count == 0)
        return;
    struct fold_memo_entry *entries = set_of(memo, hash)->entries;
    unsigned way = 0;
    while (way < FOLD_MEMO_WAYS && entries[way].id != 0)
        way++;
    if (way == FOLD_MEMO_WAYS) {
        /* Those that are there mostly stay: of five that take turns, four are known. */
        if (++memo->full % (FOLD_MEMO_STAY * FOLD_MEMO_WAYS) >= FOLD_MEMO_WAYS)
            return;
        way = memo->full % FOLD_MEMO_WAYS;
    }
    entries[way] = (struct fold_memo_entry) { hash[1], (uint32_t)hash[0], series->id };
}

void fold_memo_clear(struct fold_memo *memo) {
    if (memo->count > 0)
        memset(memo->sets, 0, memo->count * sizeof(*memo->sets));
}

void fold_memo_finish(struct fold_memo *memo) {
    free(memo->sets);
    *memo = (struct fold_memo) { 0 };
}
