/* recorder_private.h - what the recorder's files share: recorder.c (what is to be stored, and how far a lane is done with), recorder_traces.c, recorder_take.c (out
 * of a lane into the batch), recorder_ask.c (requests). */
#ifndef TASKFORGE_COLLECTOR_RECORDER_PRIVATE_H
#define TASKFORGE_COLLECTOR_RECORDER_PRIVATE_H

#include "collector/drain.h"
#include "collector/recorder.h"

/* --- recorder.c --- */

/* The last `keep` before a time, which is not believed to be in the future. */
struct recorder_window recorder_window_before(const struct recorder *recorder, uint64_t time_ns, uint64_t now_ns);
void recorder_note(struct recorder *recorder, struct slot *slot, struct recorder_window window);

/* The process whose lane it is, or NULL. */
struct slot *recorder_slot_of(struct rings *rings, struct lane *lane);

/* The lane's mark in the batch that is being made. */
void recorder_set_mark(struct lane *lane, const struct recorder_mark *mark, struct batch *batch);

/* --- recorder_traces.c --- */

/* Look for what is recorded of a trace (text; none where it is empty) in that window, too. */
void recorder_note_trace(struct recorder *recorder, struct text trace, struct recorder_window window);

/* The trace with these bytes, if it is looked for, or NULL. */
const struct recorder_trace *recorder_find_trace(const struct recorder *recorder, bool raw, struct text trace);

void recorder_load_traces(struct recorder *recorder, const struct state_map *state);
void recorder_put_traces(struct recorder *recorder, struct batch *batch);
void recorder_settle_traces(struct recorder *recorder);
void recorder_discard_traces(struct recorder *recorder);

/* --- recorder_take.c --- */

/* Look through the lane: what is wanted of it, by `due` or by its trace, becomes an item; how much of it is taken moves, and its mark. Below
 * `end` all is done with then, wanted or not. */
void recorder_walk(struct drain *drain, struct lane *lane, const struct recorder_windows *due, uint64_t end,
                   struct batch *batch);

/* The items into the batch, by time, in front of all that is in it. */
void recorder_add_items(struct drain *drain, uint64_t now_ns, struct batch *batch);

/* The greatest time of the lane's records; 0: it has none. */
uint64_t recorder_newest(struct recorder *recorder, struct lane *lane);

/* --- recorder_ask.c --- */

/* Note what processes and people ask for, and tell of the latter. */
void recorder_note_requests(struct drain *drain, uint64_t now_ns, struct batch *batch);
/* Whether the slot's process asks for something that is not done. */
bool recorder_wants(struct rings *rings, struct collector_ring *ring, uint32_t index);
void recorder_count_entry(struct recorder *recorder, const struct slot *slot); /* for those who have asked for it */
void recorder_settle_requests(struct drain *drain);
void recorder_discard_requests(struct drain *drain);
void recorder_fail_requests(struct recorder *recorder);

#endif
