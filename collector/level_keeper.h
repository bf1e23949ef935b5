/* level_keeper.h - keeps the levels (levels.h): takes changes in, has them committed with the next batch, and then applies them: to the
 * control word of every slot, at once, and to the settings file, which says what new slots start with. A level whose time is over
 * holds no more from that moment on; that it ended is committed and told when that can be.
 *
 *   level set LEVEL FOR|- [SERVICE]   FOR a duration; without SERVICE the default. Answer: its line of `levels`
 *   level reset [SERVICE]             without SERVICE all there are
 *   levels                            {"service":NAME or null,"level":...,"processes":N}, while one passes "until" and "then", too
 *
 * Also the bits of the control word that say which settings there are. One thread (the loop's). */
#ifndef TASKFORGE_COLLECTOR_LEVEL_KEEPER_H
#define TASKFORGE_COLLECTOR_LEVEL_KEEPER_H

#include "collector/drain.h"
#include "collector/levels.h"
#include "collector/rings.h"
#include "common/process/config.h"
#include "common/process/control.h"

struct level_change { /* asked for, and not committed yet */
    struct control_call *call;
    bool is_reset;
    char service[ENTRY_NAME_BYTES];
    size_t service_length; /* 0: the default; of a reset: all */
    enum level level;
    uint64_t until_ns;    /* real; 0: for good */
    uint32_t uid;         /* whose it is */
    uint64_t deadline_ns; /* monotonic */
    int result;           /* of the last try to make it */
};

struct level_keeper {
    struct levels now;  /* what holds; but for what ended it is what the state has */
    struct levels next; /* what the batch that is being made has */
    bool is_telling;    /* there is such a batch */
    bool ended;         /* something of `now` is marked so, and not told yet */
    struct level_change changes[LEVEL_CALLS_MAX];
    size_t change_count;
    struct shared_settings told; /* to the library */
    const char *runtime_dir;     /* borrowed */
    struct rings *rings;         /* borrowed; their slots follow */
    uint64_t version;            /* of what a control word is made of, from 1 */
};

/* What the state has. runtime_dir is where the settings are told. */
int level_keeper_init(struct level_keeper *keeper, const struct state_map *state, const char *runtime_dir,
                      struct rings *rings, struct error *error);
void level_keeper_finish(struct level_keeper *keeper); /* answers what is left with an error */

/* Tell the library its part of the configuration, at start and when it was read again. Slots follow at their next refresh. */
int level_keeper_tell(struct level_keeper *keeper, const struct config *config, struct error *error);

/* A slot that was seen: its control word becomes what it should be, where it is not yet. */
void level_keeper_apply(struct level_keeper *keeper, struct collector_ring *ring, uint32_t slot);

/* The control verbs. */
void level_keeper_ask(struct level_keeper *keeper, struct control_call *call, struct text arguments);
void level_keeper_show(struct level_keeper *keeper, struct control_call *call, struct text arguments);

/* Now and then: what ends now. */
void level_keeper_pass(struct level_keeper *keeper, uint64_t now_real_ns);

/* With a batch: what is to be committed and told; it is safe, it is not. */
void level_keeper_gather(struct level_keeper *keeper, struct drain *drain, uint64_t now_ns, struct batch *batch);
void level_keeper_settle(struct level_keeper *keeper);
void level_keeper_discard(struct level_keeper *keeper);

/* Answer those who have waited too long for the store. */
void level_keeper_give_up(struct level_keeper *keeper, uint64_t now_monotonic_ns);

static inline bool level_keeper_is_asked(const struct level_keeper *keeper) {
    return keeper->change_count > 0;
}

#endif
