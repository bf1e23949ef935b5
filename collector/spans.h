/* spans.h - spans: out of a lane's record into the batch, out of the batch into the store, and those that are open now. One thread. */
#ifndef TASKFORGE_COLLECTOR_SPANS_H
#define TASKFORGE_COLLECTOR_SPANS_H

#include "collector/drain.h"
#include "common/process/control.h"
#include "common/store/partition.h"

/* Add the span that the record says, with what of it only its origin knows. */
void spans_add(const struct drain *drain, const struct origin *origin, const struct record *record,
               struct batch *batch);

/* The batch's spans into the partition; the first gets the sequence `first`. */
int spans_put(struct partition_txn *txn, const struct batch *batch, uint64_t first, struct error *error);

/* The control verb `spans [TRACE]`: those, of that trace, that are open in the rings now, a line of JSON each (common/model/span.h); of the asker's own rings, or of
 * all, if he may read the store. Beyond SPANS_ANSWER_BYTES the last line is {"more":true}. */
void spans_answer(struct rings *rings, const char *host, struct control_call *call, struct text trace);

#endif
