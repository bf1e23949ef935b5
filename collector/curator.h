/* curator.h - the thread that keeps the closed partitions: removes what is too old or too much (retention.h), writes anew what a level or a service goes out
 * of, and takes in what tfctl import has built (adopt.h). It never holds up a commit: its priority is low, its locks are short, and it rests as
 * long as it works. Killed at any moment it leaves files ending in .new, which the next start removes. */
#ifndef TASKFORGE_COLLECTOR_CURATOR_H
#define TASKFORGE_COLLECTOR_CURATOR_H

#include "collector/partitions.h"
#include "collector/retention.h"
#include "collector/room.h"

struct curator;

/* Nothing is done before curator_start. */
int curator_create(struct partitions *partitions, struct curator **ret, struct error *error);
/* The limits from now on; copied. */
void curator_set(struct curator *curator, const struct config_retention *limits);
int curator_start(struct curator *curator, struct error *error);
/* End the thread; what it is at is given up. Its growth can still be used. NULL is fine. */
void curator_stop(struct curator *curator);
void curator_destroy(struct curator *curator);

/* How many partitions retention has removed and written anew since the start; any thread. */
uint64_t curator_removed(const struct curator *curator);
uint64_t curator_rewritten(const struct curator *curator);

/* Have it look now. */
void curator_wake(struct curator *curator);

/* How partitions that are written grow; how others do. */
struct partition_growth curator_growth(struct curator *curator);

/* --- sequences for a partition that is taken in: the curator asks, the writer's thread gives --- */

/* How many are asked for; 0: none. Cheap. */
uint64_t curator_wanted(const struct curator *curator);
/* They begin at `first`; CURATOR_NO_PLACE: it cannot be done now. */
#define CURATOR_NO_PLACE UINT64_MAX
void curator_give(struct curator *curator, uint64_t first);

#endif
