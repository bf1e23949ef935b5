/* recorder_mark.h - what is remembered of the flight recorder's lanes (recorder.h): which times of it are to be stored, and which records
 * above the lane's position were stored already. Pure, but for memory. One thread. */
#ifndef TASKFORGE_COLLECTOR_RECORDER_MARK_H
#define TASKFORGE_COLLECTOR_RECORDER_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/limits.h"
#include "collector/state_map.h"
#include "common/shm/layout.h"

/* --- windows: times of records, both ends included --- */

struct recorder_window {
    uint64_t from_ns, until_ns;
};
struct recorder_windows {
    struct recorder_window items[RECORDER_WINDOWS_MAX];
    uint32_t count;
};
#define RECORDER_WINDOWS_NONE ((struct recorder_windows) { .count = 0 })

/* One more; it is put together with one that it meets. When there is no room for it, with the last: then also what is between them. */
void recorder_windows_add(struct recorder_windows *windows, struct recorder_window window);
void recorder_windows_join(struct recorder_windows *windows, const struct recorder_windows *others);
bool recorder_windows_hold(const struct recorder_windows *windows, uint64_t time_ns);
bool recorder_windows_equal(const struct recorder_windows *a, const struct recorder_windows *b);

/* Where the latest begins: what is older nobody will ask for any more. 0: there is none. */
uint64_t recorder_windows_begin(const struct recorder_windows *windows);

/* As the state has them: two u64 each. */
enum { RECORDER_WINDOWS_SIZE = 16 * RECORDER_WINDOWS_MAX };
size_t recorder_windows_encode(const struct recorder_windows *windows, char out[RECORDER_WINDOWS_SIZE]);
bool recorder_windows_decode(struct text value, struct recorder_windows *ret);

/* --- marks: of one lane --- */

struct recorder_mark {
    struct recorder_windows due;          /* are to be stored */
    uint32_t taken_count;                 /* records that were stored while older ones were left, in order: */
    uint64_t taken[RECORDER_TAKEN_MAX];   /* where they stand, at or above the lane's position */
    uint32_t lengths[RECORDER_TAKEN_MAX]; /* while a lane is walked: theirs */
};

static inline bool recorder_mark_is_empty(const struct recorder_mark *mark) {
    return mark->due.count == 0 && mark->taken_count == 0;
}

/* Add the record at `position`, the greatest so far. When there is no room, some of the oldest are forgotten: *first, up to where all is
 * done with, moves behind them, and what was left in between is given up. */
void recorder_mark_take(struct recorder_mark *mark, uint64_t position, uint32_t length, uint64_t *first);
bool recorder_mark_has(const struct recorder_mark *mark, uint64_t position);

struct recorder_lane {
    struct recorder_mark now, next; /* in the state; in the batch that is being made */
    bool moves;                     /* there is such a batch */
};

/* --- the state's form: key "lane/" ring_id lane "r", value u32 count of windows, the windows, u32 for each record taken: how far above
 * the lane's position --- */

enum { RECORDER_MARK_SIZE = 4 + RECORDER_WINDOWS_SIZE + 4 * RECORDER_TAKEN_MAX };
void recorder_mark_key(struct state_key *key, const uint8_t ring_id[16], uint32_t lane);
size_t recorder_mark_encode(const struct recorder_mark *mark, uint64_t lane_position, char out[RECORDER_MARK_SIZE]);
bool recorder_mark_decode(struct text value, uint64_t lane_position, struct recorder_mark *ret);

/* What the state has of a lane that stands at that position; NULL: nothing. -ENOMEM. */
int recorder_lane_load(const struct state_map *state, const uint8_t ring_id[16], uint32_t lane, uint64_t position,
                       struct recorder_lane **ret);

/* --- what belongs to a lane and to a slot all the time --- */

struct recorder_rest { /* a lane that its thread has left */
    uint64_t owner;    /* word, since when it is seen so */
    uint64_t since_ns; /* monotonic */
    bool over;         /* nobody waits for what it holds any more */
};

struct recorder_slot {
    struct recorder_windows noted; /* by what is in the batch that is being made */
    uint32_t wanted, wanting;      /* requests of the process that are done with; with that batch */
    bool loaded;                   /* `wanted` */
    bool is_asked;                 /* a request counts it */
    bool ended, gone;              /* it is known to write no more; without goodbye */
    bool newest_known;
    uint64_t newest_ns;                         /* of a process that is gone: of all its records */
    uint64_t overflow_heads[RING_OVERFLOW_MAX]; /* of one that has ended: all that it wrote there stands below */
};

#endif
