/* drain.h - rings to batch: copy what is committed in the lanes, put it in order, and note when it is safe.
 *
 *   round    takes a cut (the time it begins), then copies each lane up to its head as seen after that
 *   gather   merges what is in hand by record time into a batch; a record made after its ring's cut waits for the next round,
 *            so that of one thread's records in two lanes the earlier is never committed later
 *   settle   the batch is safe (store or spill): positions and the files' tails advance
 *   discard  it is not: everything is still in hand
 *
 * One thread. */
#ifndef TASKFORGE_COLLECTOR_DRAIN_H
#define TASKFORGE_COLLECTOR_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/batch.h"
#include "collector/crash.h"
#include "collector/fold.h"
#include "collector/health.h"
#include "collector/intake.h"
#include "collector/order.h"
#include "collector/recorder.h"
#include "collector/rings.h"

struct drain {
    struct rings *rings;
    struct fold *fold;         /* where metric updates go; NULL: they are passed over (tests of the rest) */
    struct health *health;     /* likewise health reports */
    struct intake *intake;     /* what is done to entries and spans; NULL: nothing (likewise) */
    struct recorder *recorder; /* the flight recorder; NULL: nothing is stored out of its lanes (likewise) */
    char host[ENTRY_HOST_BYTES + 1];
    struct uuid_generator ids; /* of entries of our own */
    struct crash crash;        /* which signals ended processes, as it was told lately */
    struct order order;
    struct buffer text;        /* a message being formatted */
    size_t next_ring;          /* where the next round begins: each ring is first in its turn */
    uint64_t entries;          /* gathered since the start */
    uint64_t passed_over[256]; /* records of kinds that nobody reads yet */
};

struct drain_state { /* what a round found */
    uint64_t hand_bytes;
    uint64_t hand_records; /* new ones only */
    bool urgent;           /* an error or critical entry is among the new */
    bool pressed;          /* a lane is more than a quarter full, or was not copied whole */
    bool half_full;        /* a lane is more than half full */
};

/* The name of this host, as entries have it. */
void drain_host(char out[ENTRY_HOST_BYTES + 1]);

int drain_init(struct drain *drain, struct rings *rings, struct fold *fold, struct error *error);
void drain_finish(struct drain *drain);

void drain_round(struct drain *drain, struct drain_state *ret);

/* Fill an empty batch. `whole`: nothing waits (at the end, and for rings set aside). False when out of memory: discard. */
bool drain_gather(struct drain *drain, bool whole, uint64_t now_ns, struct batch *batch);
void drain_settle(struct drain *drain);
void drain_discard(struct drain *drain);

/* Give back memory that was kept for what might have come. */
void drain_trim(struct drain *drain);

/* An entry of our own: service "taskforge"; module, operation, message and metadata are the caller's. */
void drain_own_entry(struct drain *drain, struct batch *batch, uint64_t time_ns, enum level level, const char *module,
                     const char *operation, struct text message, struct text metadata);

#endif
