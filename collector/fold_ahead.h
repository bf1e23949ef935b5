/* fold_ahead.h - updates by name looked at before their turn, so that what the memory is slow to bring of their series is there when it comes:
 * with a hundred thousand series that is most of an update's time. One for each lane. */
#ifndef TASKFORGE_COLLECTOR_FOLD_AHEAD_H
#define TASKFORGE_COLLECTOR_FOLD_AHEAD_H

#include "collector/fold_memo.h"

enum { FOLD_AHEAD = 16 };

struct fold_ahead {
    const struct fold_memo *memo;
    const struct series_table *table;
    const char *next; /* the record behind the last one that was looked at */
    uint64_t position;
    unsigned first, count;
    struct fold_ahead_item {
        const char *bytes;
        struct record_update_glance glance;
        uint64_t hash[2];
        struct series *series; /* NULL: not known, or not looked for */
    } items[FOLD_AHEAD];
};

void fold_ahead_init(struct fold_ahead *ahead, const struct fold_memo *memo, const struct series_table *table);

/* For span_reader.known, with a fold_ahead as context: whether an update is of a series that its bytes tell. */
bool fold_ahead_knows(void *ahead, const void *bytes, size_t available, const struct record_header *header,
                      struct record_metric_update *ret);

#endif
