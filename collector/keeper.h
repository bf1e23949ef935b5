/* keeper.h - the thread that keeps the closed partitions: removes what is too old or too much (retention.h), writes anew what a level or a service goes out
 * of, and takes in what tfctl import has built (adopt.h). It never holds up a commit: its priority is low, its locks are short, and it rests as
 * long as it works. Killed at any moment it leaves files ending in .new, which the next start removes. */
#ifndef TASKFORGE_COLLECTOR_KEEPER_H
#define TASKFORGE_COLLECTOR_KEEPER_H

#include "collector/partitions.h"
#include "collector/retention.h"
#include "collector/room.h"

struct keeper;

/* Nothing is done before keeper_start. */
int keeper_create(struct partitions *partitions, struct keeper **ret, struct error *error);
/* The limits from now on; copied. */
void keeper_set(struct keeper *keeper, const struct config_retention *limits);
int keeper_start(struct keeper *keeper, struct error *error);
/* End the thread; what it is at is given up. Its growth can still be used. NULL is fine. */
void keeper_stop(struct keeper *keeper);
void keeper_destroy(struct keeper *keeper);

/* Have it look now. */
void keeper_wake(struct keeper *keeper);

/* How partitions that are written grow; how others do. */
struct partition_growth keeper_growth(struct keeper *keeper);

/* --- sequences for a partition that is taken in: the keeper asks, the writer's thread gives --- */

/* How many are asked for; 0: none. Cheap. */
uint64_t keeper_wanted(const struct keeper *keeper);
/* They begin at `first`; KEEPER_NO_PLACE: it cannot be done now. */
#define KEEPER_NO_PLACE UINT64_MAX
void keeper_give(struct keeper *keeper, uint64_t first);

#endif
