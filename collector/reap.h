/* reap.h - the dead and the closed: their lanes drained, their losses told, then lanes and slot back to the pool; and lanes
 * that a thread has left. Order: what a slot held is safe -> lanes free -> slot free -> its totals may be deleted (a producer's
 * id is never used again, so a kill between these steps tells nothing twice). One thread. */
#ifndef TASKFORGE_COLLECTOR_REAP_H
#define TASKFORGE_COLLECTOR_REAP_H

#include "collector/rings.h"

/* Who came, who died: look at every slot (a few times a second). */
void reap_scan(struct rings *rings);

/* Give back what is drained and safe; after each settle. Returns true when something ending still waits for a flush. */
bool reap_finish(struct rings *rings);

#endif
