/* names.h - the metric names that have series: how many each, which of them takes the updates of those beyond its limit, and how many
 * such updates there were. Found by naming and name (a bare one). One thread. */
#ifndef TASKFORGE_COLLECTOR_NAMES_H
#define TASKFORGE_COLLECTOR_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"
#include "common/model/metric.h"

struct series;

struct name {
    struct name *next; /* of its bucket */
    uint64_t hash;
    enum metric_naming naming;
    uint64_t series, stale;  /* that count towards its limit, and that left /metrics */
    struct series *overflow; /* NULL: none yet */
    /* Updates that went there: in all, of settled batches, of the batch that is being made when they were told, told. */
    uint64_t overflowed, overflowed_safe, telling, told;
    struct name *next_overflowing;
    bool overflowing; /* on the list of those that have something to be told */
    bool warned;      /* an entry told of it */
    size_t length;
    char bytes[];
};

struct names {
    struct name **buckets;
    size_t bucket_count, count; /* a power of two, or 0 */
    struct name *overflowing;
};
#define NAMES_EMPTY ((struct names) { 0 })

/* NULL when there is none. */
struct name *names_find(const struct names *names, enum metric_naming naming, struct text name);
/* The same, made where there is none: NULL: out of memory. It goes with names_drop_unused where it gets no series. */
struct name *names_get(struct names *names, enum metric_naming naming, struct text name);
/* Forget it unless it has series: true when it went. */
bool names_drop_unused(struct names *names, struct name *name);
void names_finish(struct names *names);

static inline struct text name_text(const struct name *name) {
    return (struct text) { name->bytes, name->length };
}

/* One more update went to the overflow series. The batch's fate: settled, or as if it had not been. */
void names_note_overflow(struct names *names, struct name *name);
void names_settle(struct names *names);
void names_discard(struct names *names);

#endif
