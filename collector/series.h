/* series.h - the series that the collector knows: what each is, its total that is safe, and the one that the batch in the
 * making will make safe. Found by name, labels, kind and naming, or by number. One thread.
 */
#ifndef TASKFORGE_COLLECTOR_SERIES_H
#define TASKFORGE_COLLECTOR_SERIES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/model/histogram.h"
#include "common/model/metric.h"

struct series_value {
    double value;                /* counters and gauges */
    uint64_t updated_ns;         /* real; 0: never */
    struct histogram *histogram; /* of histograms and timers, else NULL; owned */
};

/* In front what each update and each commit touch: one line of the processor's cache (SERIES_ALIGN). */
struct series {
    struct series_value safe, coming;
    uint32_t id;
    uint32_t described; /* the version of the descriptions that completed it last */
    bool touched;       /* `coming` holds, and the series is on the list of touched ones */
    bool defined;       /* its definition is in the state */
    bool defining;      /* ... or in the batch that is being made */
    bool stale;         /* without updates for so long that it left /metrics: fold_stale.c */
    bool unnamed;       /* its name on /metrics is another's: counted, but not shown */
    bool shown;         /* it is in the segment, as number `position` */
    bool hidden;        /* ... and marked as hidden there */
    bool renewed;       /* its definition was completed since the segment has it */

    uint64_t position;
    struct series *next; /* of its bucket */
    uint64_t hash;
    struct metric_definition definition; /* texts are in bytes */
    uint64_t created_ns;
    struct name *name; /* names.h; set by whoever adds it */
    uid_t user;        /* who brought it: shares.h */
    int share;
    uint32_t coming_bytes;              /* taken of the share for octaves that `coming` has and `safe` has not */
    uint32_t handles;                   /* cells of processes that are folded into it */
    bool adopted;                       /* its total came from the segment */
    bool reserved;                      /* an overflow series: its room came out of the reserve */
    struct gauge_group *gauge;          /* of a gauge with a rule for several processes: gauges.h */
    struct series_exemplars *exemplars; /* owned; NULL: none yet. exemplars.h */
    char bytes[];
};
enum { SERIES_ALIGN = 64 };
static_assert(offsetof(struct series, position) <= SERIES_ALIGN, "what is touched most stands together");

struct series_table {
    struct series **buckets;
    size_t bucket_count, count; /* a power of two, or 0 */
    struct series **by_id;      /* NULL where a number is free */
    size_t by_id_capacity;
    uint32_t next_id;   /* the highest so far */
    uint32_t *free_ids; /* below, that can be given again */
    size_t free_count, free_capacity;
    uint64_t
        seed; /* random, so that nobody can choose labels that all fall into one bucket; set before the first series */
};
#define SERIES_TABLE_EMPTY ((struct series_table) { 0 })

enum { SERIES_ID_MAX = 1 << 24, SERIES_TEXTS = 5 };

/* NULL when there is none. */
struct series *series_find(const struct series_table *table, const struct metric_definition *definition);
/* A new one with the next number, or with `id` where that is not 0. The definition is valid and copied. NULL: out of memory, or of
 * numbers. */
struct series *series_add(struct series_table *table, const struct metric_definition *definition, uint32_t id,
                          uint64_t created_ns);
/* Out of the table, and freed. It is not touched. Its number can be given again once series_free_id says so. */
void series_remove(struct series_table *table, struct series *series);
void series_free_id(struct series_table *table, uint32_t id);
void series_table_finish(struct series_table *table);

/* What it takes in memory and in the segment, without and with the octaves it has. */
enum { SERIES_OCTAVE_BYTES = HISTOGRAM_BUCKETS * 8 + 64 };
uint64_t series_bytes(const struct metric_definition *definition);
uint64_t series_value_bytes(const struct series_value *value);

/* Begin to change `coming`, which is as `safe` then. Then drop it, or make it the safe one. An octave of its histogram is the safe one's
 * until series_own_octave: before an octave is changed. -ENOMEM. */
void series_begin(struct series *series);
int series_own_octave(struct series *series, unsigned octave);
void series_drop(struct series *series);
void series_settle(struct series *series);

#define SERIES_FOR_EACH(table, series)                                                                                 \
    for (size_t bucket_ = 0; bucket_ < (table)->bucket_count; bucket_++)                                               \
        for (struct series *series = (table)->buckets[bucket_]; series; series = series->next)

/* The texts of a definition, in the order in which they are kept. */
void series_definition_texts(struct metric_definition *definition, struct text *ret[SERIES_TEXTS]);

#endif
