/* series.h - the series that the collector knows: what each is, its total that is safe, and the one that the batch in the
 * making will make safe. Found by name, labels, kind and naming. Also their form in the state. One thread.
 *
 *   "metric/" id u32 -> u8 version 1, u8 kind, u8 naming, u8 combine, u32 user, u64 created ns, then name, labels, unit, help and
 *                       bounds, each u16 length and bytes
 *   "value/" id u32  -> double value, u64 updated ns, then (histograms) histogram_encode's bytes
 */
#ifndef TASKFORGE_COLLECTOR_SERIES_H
#define TASKFORGE_COLLECTOR_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collector/state_map.h"
#include "common/model/histogram.h"
#include "common/model/metric.h"

struct series_value {
    double value;                /* counters and gauges */
    uint64_t updated_ns;         /* real; 0: never */
    struct histogram *histogram; /* of histograms and timers, else NULL; owned */
};

struct series {
    struct series *next; /* of its bucket */
    uint64_t hash;
    uint32_t id;
    struct metric_definition definition; /* texts are in bytes */
    uint64_t created_ns;
    uid_t user; /* who brought it: shares.h */
    int share;
    struct name *name; /* names.h; set by whoever adds it */
    uint32_t handles;  /* cells of processes that are folded into it */
    bool stale;        /* without updates for so long that it left /metrics: fold_stale.c */
    bool hidden;       /* in the segment, and marked as hidden there */
    bool reserved;     /* an overflow series: its room came out of the reserve */
    struct series_value safe, coming;
    struct gauge_group *gauge;          /* of a gauge with a rule for several processes: gauges.h */
    uint32_t described;                 /* the version of the descriptions that completed it last */
    bool renewed;                       /* its definition was completed since the segment has it */
    struct series_exemplars *exemplars; /* owned; NULL: none yet. exemplars.h */
    uint64_t coming_bytes;              /* taken of the share for octaves that `coming` has and `safe` has not */
    bool touched;                       /* `coming` holds, and the series is on the list of touched ones */
    bool defined;                       /* its definition is in the state */
    bool defining;                      /* ... or in the batch that is being made */
    bool adopted;                       /* its total came from the segment */
    bool unnamed;                       /* its name on /metrics is another's: counted, but not shown */
    bool shown;                         /* it is in the segment, as number `position` */
    uint64_t position;
    char bytes[];
};

struct series_table {
    struct series **buckets;
    size_t bucket_count, count; /* a power of two, or 0 */
    uint32_t next_id;
    uint64_t
        seed; /* random, so that nobody can choose labels that all fall into one bucket; set before the first series */
};
#define SERIES_TABLE_EMPTY ((struct series_table) { 0 })

/* NULL when there is none. */
struct series *series_find(const struct series_table *table, const struct metric_definition *definition);
/* A new one with the next number, or with `id` where that is not 0. The definition is valid and copied. NULL: out of memory. */
struct series *series_add(struct series_table *table, const struct metric_definition *definition, uint32_t id,
                          uint64_t created_ns);
/* Out of the table, and freed. It is not touched. */
void series_remove(struct series_table *table, struct series *series);
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

/* --- in the state --- */

void series_key(struct state_key *key, const char *prefix, uint32_t id); /* STATE_METRIC or STATE_VALUE */
void series_encode_definition(const struct series *series, struct buffer *out);
void series_encode_value(const struct series_value *value, enum metric_kind kind, struct buffer *out);

/* All series of the state into an empty table. What makes no sense there is left out and counted in *ret_bad. -ENOMEM. */
int series_load(struct series_table *table, const struct state_map *state, size_t *ret_bad);

#endif
