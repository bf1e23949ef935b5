/* cells.h - metrics by handle: the cells of every process's slot read at each flush, and what they have grown by folded into
 * the series. How far each cell was folded stands in the state, by producer and number, in the same transaction as the totals: reading
 * a cell twice, or not at all, does no harm. One thread.
 *
 *   "cell/" producer_id[16] number u32 -> counters: u64 total; gauges: u64 when it was set; histograms: histogram_encode's bytes
 *
 * Of gauges with a rule nothing stands there: their value is always reckoned out of what the cells hold now (gauges.h).
 */
#ifndef TASKFORGE_COLLECTOR_CELLS_H
#define TASKFORGE_COLLECTOR_CELLS_H

#include "collector/fold.h"
#include "collector/rings.h"
#include "common/shm/slot_metrics.h"

/* Fold what has grown since the last settled batch. */
void cells_gather(struct fold *fold, struct rings *rings, uint64_t now_ns, struct batch *batch);
void cells_settle(struct collector_ring *ring);
void cells_discard(struct collector_ring *ring);

/* Whether a slot's cells hold more than was folded; whether any slot's do that is worth a commit (not gauges that were just set again
 * to what they were). */
bool cells_are_unfolded(struct rings *rings, struct collector_ring *ring, uint32_t slot);
bool cells_are_waiting(struct rings *rings);

#endif
