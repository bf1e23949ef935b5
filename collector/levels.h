/* levels.h - the thresholds that people set while programs run: one of the default, and one for each service named. Pure.
 *
 * A threshold has a lasting level, or one that ends at a time, or both: then the second holds, and the first again after its end. A
 * service without a threshold follows the default; where that has none, every level is wanted. Our own programs follow none: what
 * they say is little, and what was audited is among it. One thread.
 */
#ifndef TASKFORGE_COLLECTOR_LEVELS_H
#define TASKFORGE_COLLECTOR_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/state_map.h"
#include "common/base/text.h"
#include "common/model/entry.h"
#include "common/model/level.h"

enum { LEVEL_NONE = 0xff };

struct threshold {
    char service[ENTRY_NAME_BYTES]; /* of length 0: the default */
    uint16_t service_length;
    uint8_t lasting;   /* enum level, or LEVEL_NONE */
    uint8_t passing;   /* likewise */
    bool ended;        /* the passing one holds no more, and is still to be told and forgotten */
    uint64_t until_ns; /* real: the end of the passing one */
};

struct levels {
    struct threshold *items; /* in the order of their services, so the default first */
    size_t count, capacity;
};
#define LEVELS_EMPTY ((struct levels) { 0 })
#define LEVELS_DEFAULT TEXT_EMPTY /* the service that stands for it */

static inline struct text threshold_service(const struct threshold *threshold) {
    return (struct text) { threshold->service, threshold->service_length };
}

void levels_finish(struct levels *levels);
int levels_copy(struct levels *to, const struct levels *from); /* -ENOMEM leaves `to` as it was */

/* until_ns 0: for good, and whatever would have ended is forgotten. -ENOSPC when LEVELS_MAX services have one, -ENOMEM. */
int levels_set(struct levels *levels, struct text service, enum level level, uint64_t until_ns);
bool levels_reset(struct levels *levels, struct text service);        /* false: there was nothing */
void levels_forget_ended(struct levels *levels, struct text service); /* what has ended of it, if anything */
const struct threshold *levels_find(const struct levels *levels, struct text service); /* or NULL */

/* Mark what has ended by now; true when there is something that was not marked before. */
bool levels_pass(struct levels *levels, uint64_t now_ns);

enum level levels_of(const struct levels *levels, struct text service);
bool levels_are_fixed(struct text service); /* one of our own programs */

/* --- the state's form: key "level/" service, value lasting u8, passing u8, until u64 --- */

enum { LEVELS_VALUE_SIZE = 10 };
void levels_key(struct state_key *key, struct text service);
void levels_encode(const struct threshold *threshold, char out[LEVELS_VALUE_SIZE]);
/* All there are of the state; one that makes no sense is left out. -ENOMEM. */
int levels_load(struct levels *levels, const struct state_map *state);

#endif
