/* losses.h - what was lost, told exactly once: the ledgers of the rings against the totals in the state, each difference
 * an entry in the batch that also holds the new total. One thread. */
#ifndef TASKFORGE_COLLECTOR_LOSSES_H
#define TASKFORGE_COLLECTOR_LOSSES_H

#include "collector/drain.h"

/* Losses that were chosen (a rate limit) are told every LOSS_CHOSEN_NS at most, of each process, reason and level; at its end, and with
 * `whole`, at once; all others always at once. */
void losses_gather(struct drain *drain, bool whole, uint64_t now_ns, struct batch *batch);
void losses_settle(struct collector_ring *ring);
void losses_discard(struct collector_ring *ring);

/* Whether the slot's ledger (ring.slot_count: the anonymous one) holds what is to be told now; false too when it cannot be read. */
bool losses_are_untold(struct collector_ring *ring, uint32_t slot);
/* The same of any; of a ring with many processes some are looked at with each call, the others with the next ones. */
bool losses_any_untold(struct rings *rings);

/* A loss that a producer tells of by a record of its own. */
void losses_add_note(struct drain *drain, const struct record_loss_note *note, uint32_t pid, uint64_t now_ns,
                     struct batch *batch);

#endif
