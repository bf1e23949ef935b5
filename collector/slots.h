/* slots.h - the slots of a ring among many: which have changed, whose a producer id is, which process has ended.
 *
 * A ring may have 1,024 processes, and none is to cost anything while nothing happens. So a look at all of them reads one word of each;
 * a record in an overflow lane finds its slot by a hash of the producer's id; and a process is watched by a descriptor (pidfd_open),
 * which tells of its end at once and for nothing. Asking for its record lock costs 3 microseconds with 1,000 of them (the kernel keeps
 * them in a list): that is left for processes that cannot be watched, of another pid namespace, say. One thread. */
#ifndef TASKFORGE_COLLECTOR_SLOTS_H
#define TASKFORGE_COLLECTOR_SLOTS_H

#include "collector/rings.h"

void slots_init(struct rings *rings);

/* Know who is in the slots now: those whose state word has changed are read anew. */
void slots_look(struct rings *rings, struct collector_ring *ring);

/* The slot of a producer, or NULL. Where it is not known, slots are looked at once for each round: it may have come just now. */
struct slot *slots_find(struct rings *rings, struct collector_ring *ring, const uint8_t producer_id[16]);

/* Somebody new is in a slot, and has written already: read who it is and watch him. Whom that comes too late for makes the next scan due. */
void slots_meet(struct rings *rings, struct collector_ring *ring, uint32_t index);

/* Watch a slot's process, once tried: false where that cannot be. */
bool slots_watch(struct rings *rings, struct collector_ring *ring, uint32_t index);
void slot_unwatch(struct slot *slot);

/* Note which watched processes have ended: true when one has. */
bool slots_note_deaths(struct rings *rings);

#endif
