/* slot_metrics.h - metrics by handle: definitions and cells in the second part of a process's slot (layout.h).
 *
 * An update is one relaxed atomic operation on a cell; the collector reads the cells at each flush and folds what they have
 * grown by. So nothing is ever dropped, a full ring loses no increment, and the totals of a killed process are still there.
 *
 *   counter            u64 total
 *   gauge, unknown     u64 bits of a double, u64 real ns of the last change (0: never set)
 *   histogram, timer   u64 bits of the sum (a double), u64 zero count, u16 chunk number + 1 for each octave; a chunk is
 *                      HISTOGRAM_BUCKETS u64, taken from the area's end when an octave is first used
 *
 * Definitions and cells grow from the area's begin, chunks from its end; one word holds both marks. The pages are allocated when
 * the first metric is registered. Cells only ever grow (counters, histograms), and start at zero with each claim of a slot.
 */
#ifndef TASKFORGE_COMMON_SHM_SLOT_METRICS_H
#define TASKFORGE_COMMON_SHM_SLOT_METRICS_H

#include "common/model/histogram.h"
#include "common/model/metric.h"
#include "common/shm/ring_reader.h"

enum { SLOT_METRICS_MAX = 512 /* series by handle of one process */ };

/* How values of several processes come together in one series. */
enum metric_merge { METRIC_MERGE_LAST /* gauges: who set it last; stays when the process goes */ };

/* --- the producer --- */

struct slot_cell; /* opaque to the client: a place in the slot, or in private memory while there is no slot */

/* Register a series in the slot: *ret is its number (from 0). The definition is valid. The caller serialises.
 * -ENOSPC: no room in the slot, or no memory for its pages. */
int slot_metric_add(struct ring *ring, const struct slot_claim *claim, const struct metric_definition *definition,
                    uint32_t *ret);

/* Updates; wait-free but for the compare-and-swap loops on doubles; any thread; async-signal-safe. */
void slot_counter_add(const struct slot_claim *claim, uint32_t metric, uint64_t n);
void slot_gauge_set(const struct slot_claim *claim, uint32_t metric, double value, uint64_t now_ns);
void slot_gauge_add(const struct slot_claim *claim, uint32_t metric, double n, uint64_t now_ns);
/* -ENOSPC when the octave is new and no chunk is left: nothing was counted, send it by name. */
int slot_histogram_observe(const struct slot_claim *claim, uint32_t metric, double value);

/* --- the reader (the collector) --- */

/* A private copy of the used part of a slot's area, checked; as of one moment for each cell, not for all. */
struct slot_metrics_view {
    struct buffer bytes;
    uint32_t count;
};
void slot_metrics_view_finish(struct slot_metrics_view *view);

/* How many series the slot has now: one guarded load, to pass over slots without any. 0 also for one that makes no sense. */
uint32_t ring_reader_metric_count(struct ring *ring, uint32_t slot);
/* Copy and check: -EBADMSG for what makes no sense, -EFAULT, -ENOMEM. The view is used again. */
int ring_reader_metrics(struct ring *ring, uint32_t slot, struct slot_metrics_view *view);

/* The definition of one; texts borrow the view; valid by metric_definition_check. */
int slot_metrics_definition(const struct slot_metrics_view *view, uint32_t metric, struct metric_definition *ret);

struct slot_metric_values {
    uint64_t total;             /* counters */
    double value;               /* gauges */
    uint64_t set_ns;            /* gauges: 0: never set */
    struct histogram histogram; /* histograms: the octaves borrow the view, never to be finished */
};
int slot_metrics_values(const struct slot_metrics_view *view, uint32_t metric, struct slot_metric_values *ret);

#endif
