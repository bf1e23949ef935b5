/* self.h - what the collector tells of itself as metrics. Counters and what is observed are kept here until they are in a batch
 * that is safe; gauges are looked at when a batch is made. They make no commit of their own but each SELF_NS. One thread. */
#ifndef TASKFORGE_COLLECTOR_SELF_H
#define TASKFORGE_COLLECTOR_SELF_H

#include "collector/fold.h"
#include "common/base/clock.h"

enum self_counter {
    SELF_COMMITS,
    SELF_COMMIT_FAILURES,
    SELF_SPILLED,
    SELF_RINGS_BROKEN,
    SELF_HISTORY_TICKS,
    SELF_HISTORY_MISSED,
    SELF_HISTORY_FAILURES,
    SELF_HISTORY_SAMPLES,
    SELF_FORGOTTEN,
    SELF_FLUSH_ASKED, /* what made it time for a commit: the first of these that holds */
    SELF_FLUSH_SPILL,
    SELF_FLUSH_PRESSED,
    SELF_FLUSH_ENTRIES,
    SELF_FLUSH_URGENT,
    SELF_FLUSH_INTERVAL,
    SELF_REMOVED,
    SELF_REWRITTEN,
    SELF_CHECKED_SOUND,
    SELF_CHECKED_PARTLY,
    SELF_CHECKED_UNREADABLE,
    SELF_COUNTER_COUNT,
};

enum self_spread { /* histograms and timers */
                   SELF_COMMIT_TIME,
                   SELF_COMMIT_ENTRIES,
                   SELF_LAG,
                   SELF_DRAIN_TIME,
                   SELF_HISTORY_TIME,
                   SELF_SPREAD_COUNT,
};

enum self_gauge {
    SELF_STORE_BYTES,
    SELF_STORE_PARTITIONS,
    SELF_STORE_FAILING,
    SELF_STORE_DAMAGED,
    SELF_SPILL_BYTES,
    SELF_RINGS,
    SELF_PROCESSES,
    SELF_RING_FILL,
    SELF_RING_WAITING,
    SELF_OUTPUT_WAITING,
    SELF_SERIES,
    SELF_HISTORY_BYTES,
    SELF_HISTORY_FAILING,
    SELF_HISTORY_LAG,
    SELF_STORE_MAP_USED,
    SELF_STATE_BYTES,
    SELF_STALE,
    SELF_BUILD,
    SELF_START,
    SELF_RESIDENT,
    SELF_FILES,
    SELF_GAUGE_COUNT,
};

struct self {
    uint64_t totals[SELF_COUNTER_COUNT], safe[SELF_COUNTER_COUNT], coming[SELF_COUNTER_COUNT];
    uint64_t refused_safe[FOLD_REFUSAL_COUNT], refused_coming[FOLD_REFUSAL_COUNT];
    double gauges[SELF_GAUGE_COUNT];
    double cpu, cpu_safe, cpu_coming; /* seconds of this process */
    uint64_t process_ns;              /* when it was looked at; 0: not yet */
    struct self_observations {
        struct histogram observed, taking; /* not in a batch yet; in the one being made */
    } spreads[SELF_SPREAD_COUNT];
    bool shown; /* counters, if only with 0 */
    bool gathered;
};

void self_finish(struct self *self);
static inline void self_count(struct self *self, enum self_counter counter, uint64_t n) {
    self->totals[counter] += n;
}
static inline void self_set(struct self *self, enum self_gauge gauge, double value) {
    self->gauges[gauge] = value;
}
/* What the process uses, each SELF_NS at most. */
void self_look_at_process(struct self *self, uint64_t now_ns);
void self_observe(struct self *self, enum self_spread spread, double value, uint64_t times);
static inline void self_time(struct self *self, enum self_spread spread, uint64_t duration_ns) {
    self_observe(self, spread, (double)duration_ns / (double)CLOCK_SECOND, 1);
}
/* The batch is safe: how many entries it has, and how old they were. */
void self_observe_batch(struct self *self, const struct batch *batch, uint64_t now_ns);

/* Into the batch: how many entries of each level it holds, and (`all`) everything else that has changed. */
void self_gather(struct self *self, struct fold *fold, bool all, uint64_t now_ns, struct batch *batch);
void self_settle(struct self *self);
void self_discard(struct self *self);

#endif
