/* health.h - what applications report of their health: the newest of each user, service and name, in the state ("health/", state_keys.h), so
 * that the checks (exporter/checks/reported.c) can tell it.
 *
 * At most HEALTH_REPORTS_MAX, and HEALTH_REPORTS_USER of one user: then the oldest goes, of that user, or of who has most. One that came
 * to its end long ago goes too. One thread. */
#ifndef TASKFORGE_COLLECTOR_HEALTH_H
#define TASKFORGE_COLLECTOR_HEALTH_H

#include <sys/types.h>

#include "collector/batch.h"
#include "collector/limits.h"
#include "common/model/health.h"
#include "common/shm/ring_reader.h"
#include "common/store/state_keys.h"

struct health_item {
    char key[sizeof(STATE_HEALTH) - 1 + 4 + 8]; /* of the state */
    uid_t user;
    uint64_t time_ns, ttl_ns;
};

struct health {                    /* what the state holds, with what the batch in hand will make of it */
    const struct state_map *state; /* borrowed */
    struct health_item items[HEALTH_REPORTS_MAX];
    size_t count;
};

void health_init(struct health *health, const struct state_map *state);

/* Into the batch, unless a newer one is known. */
void health_add(struct health *health, uid_t user, const struct origin *origin,
                const struct record_health_report *record, uint64_t time_ns, struct batch *batch);
/* Reports that are over leave with the batch. */
void health_expire(struct health *health, uint64_t now_ns, struct batch *batch);
/* The batch is not safe: back to what the state holds. */
void health_discard(struct health *health);

#endif
