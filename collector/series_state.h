/* series_state.h - series as the state has them: in pages of many, since a transaction is the quicker the fewer keys it puts.
 *
 *   "metrics/" page u32  -> u8 version 1, then for each series with a number of this page: u8 place, u16 length, and what it is:
 *                           u8 version 1, u8 kind, u8 naming, u8 combine, u32 user, u64 created ns, then name, labels, unit, help and bounds,
 *                           each u16 length and bytes; length 0xffff: as of the series before
 *   "values/" page u32   -> u64 number, then of each of the page's counters and gauges: double value, u64 updated ns
 *   "changes/" number    -> for each that changed: u32 series, double value, u64 updated ns
 *   "value/" series u32  -> of a histogram: double 0, u64 updated ns, histogram_encode's bytes
 *
 * A transaction in which many values of a page changed puts the page; of the others only what changed, under its number. A page takes in
 * the changes up to its number, so that those of a higher one hold beyond it. Page numbers are big-endian, so that neighbours stand together,
 * all else little-endian. What a collector before these pages left ("metric/" series u32, what it is; "value/" series u32, of
 * counters and gauges too) is read, and put anew.
 */
#ifndef TASKFORGE_COLLECTOR_SERIES_STATE_H
#define TASKFORGE_COLLECTOR_SERIES_STATE_H

#include "collector/series.h"
#include "collector/state_map.h"

enum {
    SERIES_OF_DEFINITION_PAGE = 16,
    SERIES_OF_VALUE_PAGE = 120, /* so that two pages, with key and checksum, fit one of LMDB's */
};

void series_key(struct state_key *key, const char *prefix, uint32_t id); /* STATE_METRIC or STATE_VALUE */
void series_page_key(struct state_key *key, const char *prefix, uint32_t page);
void series_changes_key(struct state_key *key, uint64_t number);

/* previous: NULL, or the series before in the page. */
void series_encode_definition(const struct series *series, const struct series *previous, struct buffer *out);
/* "value/" series. */
void series_encode_value(const struct series_value *value, enum metric_kind kind, struct buffer *out);
/* A page of what is defined or about to be; empty where there is nothing. */
void series_encode_definitions(const struct series_table *table, uint32_t page, struct buffer *out);
/* A page of values: the coming ones where a series is touched. */
void series_encode_values(const struct series_table *table, uint32_t page, uint64_t number, struct buffer *out);
void series_encode_change(const struct series *series, struct buffer *out);

/* What is told of pages and changes while they are read. */
struct series_loaded {
    size_t bad;                                                    /* what made no sense and is left out */
    bool old;                                                      /* something stands as before there were pages */
    uint64_t number;                                               /* the highest */
    void *context;                                                 /* for the two: 0 or -ENOMEM */
    int (*change)(void *context, uint64_t number, size_t bytes);   /* a key, in the order of numbers */
    int (*changed)(void *context, uint32_t page, uint64_t number); /* a value of that page is newer than the page */
};

/* All series of the state into an empty table. -ENOMEM. */
int series_load(struct series_table *table, const struct state_map *state, struct series_loaded *ret);

#endif
