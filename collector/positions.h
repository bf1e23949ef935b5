/* positions.h - the control verb `positions INPUT`: how far the store (or the spill) goes for an input of the asker's user,
 * once everything that this user's processes had committed to their rings when they asked is safe. With it a restarted
 * agent goes on exactly where the store ends. Answer: lines "hexkey hexvalue". One thread (the loop's). */
#ifndef TASKFORGE_COLLECTOR_POSITIONS_H
#define TASKFORGE_COLLECTOR_POSITIONS_H

#include "collector/rings.h"
#include "common/process/control.h"

struct position_target { /* by name, since the ring may go meanwhile: then there is nothing left to wait for */
    uint8_t ring_id[16];
    uint32_t lane;
    uint64_t head;
};

struct position_targets {
    struct position_target *items;
    size_t count;
};
#define POSITION_TARGETS_EMPTY ((struct position_targets) { 0 })
enum { POSITIONS_ANY_USER = -1 };

/* Every lane of the user's rings that holds more than is safe, as of now. -ENOMEM. */
int position_targets_mark(struct position_targets *targets, struct rings *rings, int64_t uid);
bool position_targets_are_safe(const struct position_targets *targets, const struct rings *rings);
void position_targets_finish(struct position_targets *targets);

struct position_call {
    struct control_call *call;
    uid_t uid;
    struct text input; /* owned */
    struct position_targets targets;
    uint64_t deadline_ns; /* monotonic */
};

struct positions {
    struct position_call calls[POSITION_CALLS_MAX];
    size_t count;
};

/* Take a call in; answers at once what cannot be taken. */
void positions_ask(struct positions *positions, struct rings *rings, struct control_call *call, struct text input);

/* Answer the calls whose targets are safe, and those whose time is over. */
void positions_answer(struct positions *positions, struct rings *rings, uint64_t now_monotonic_ns);

static inline bool positions_are_waiting(const struct positions *positions) {
    return positions->count > 0;
}
void positions_finish(struct positions *positions); /* answers what is left with an error */

#endif
