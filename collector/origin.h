/* origin.h - from a record to an entry, a span or whatever it is: whose it is, what its call site says, its message put together. One thread. */
#ifndef TASKFORGE_COLLECTOR_ORIGIN_H
#define TASKFORGE_COLLECTOR_ORIGIN_H

#include "collector/drain.h"

/* Add what lane->record says to the batch: its entry, its span, its input position. Kinds that nobody reads yet are counted. */
void origin_add_record(struct drain *drain, struct lane *lane, struct batch *batch);

/* Add what lane->record says, an entry out of the flight recorder, and mark it so. It asks for no others, and moves no input: what it would
 * say is older than what is known. */
void origin_add_recorded(struct drain *drain, struct lane *lane, struct batch *batch);

#endif
