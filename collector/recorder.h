/* recorder.h - the flight recorder: what is stored of the lanes that processes overwrite, and when.
 *
 * Entries of the levels that the configuration names stand in recorder lanes (layout.h), which nobody drains. They are stored when something
 * goes wrong, those of the last `keep` before it:
 *
 *   an error (or critical entry) of a process    all lanes of that process
 *   with a trace id                              of the lanes of all other processes, what has that trace
 *   a process ends without goodbye               all its lanes, up to its last word
 *   on request                                   a process's own (tf_recorder_store), or a person's: the control verb
 *                                                recorder store [SERVICE]
 *
 * note      while a batch is made: an entry that passes asks for it
 * gather    the lanes that are asked for are copied, and what is wanted of them goes into the same batch, in front, ordered by time
 * settle    the batch is safe
 *
 * Exactly once: a lane's position in the state says that all below it is done with, stored or too old for any error to come; a mark beside
 * it, which records above it were stored (by a trace, which leaves the lane's others for later). Both are in the transaction of the entries
 * taken, and that is the one of the error: a kill before it finds error and lanes as they were, and after it nothing is left to do.
 *
 * Bounded: a batch takes so many entries out of lanes, in all (limits.h). What it did not get to stays due: the times asked for are put
 * into the state of each such lane, and the traces beside them, in that same transaction; the batches that follow see to them, after
 * a kill, too. Making the one batch as large as it would take instead has no limit that holds for 64 users and all their threads. Only what
 * is overwritten in between is lost, which is what a flight recorder does. Traces are looked for in all lanes, so that takes a
 * limited part of the time: the next look waits for nine times as long as the last one took.
 *
 * Lanes: one whose thread has ended is kept for `keep` from then on, or until less than an eighth of the ring's lanes are free, the oldest
 * first; those of a process that has ended are given up with what that brings about. Given up means: the position moves to the head, and
 * then reap.h frees a lane that is drained like any other.
 *
 * One thread. */
#ifndef TASKFORGE_COLLECTOR_RECORDER_H
#define TASKFORGE_COLLECTOR_RECORDER_H

#include "collector/batch.h"
#include "collector/rings.h"
#include "common/process/control.h"

struct drain;

struct recorder_trace {                    /* looked for in all lanes */
    struct recorder_windows windows, safe; /* `safe`: as the state has them */
    uint64_t hash;
    bool raw; /* 16 bytes, which text of 32 hex digits becomes */
    uint8_t length;
    char bytes[ENTRY_TRACE_BYTES];
};

struct recorder_item { /* a record that is wanted */
    uint64_t key;      /* the greatest record time so far in its lane */
    size_t number;
    struct lane *lane;
    const char *bytes; /* in the batch's arena */
    uint64_t position;
    uint32_t length;
};

struct recorder_call { /* a person's request */
    struct control_call *call;
    char service[ENTRY_NAME_BYTES];
    size_t service_length; /* 0: all */
    uint32_t uid;
    uint64_t deadline_ns; /* monotonic */
    unsigned processes;   /* that had something recorded */
    uint64_t entries, coming;
    bool telling,
        told; /* the audit entry is in the batch that is being made; safe: then its entries are all that is waited for */
};

struct recorder {
    uint64_t keep_ns;              /* 0: there is none, and nothing is stored */
    struct recorder_trace *traces; /* RECORDER_TRACES_MAX, or NULL before the first */
    size_t trace_count;
    uint16_t trace_index[2 * RECORDER_TRACES_MAX]; /* a hash table of them, number + 1 */
    bool noted;                                    /* slots have windows */
    bool scanned;                                  /* the batch that is being made has done with all traces */
    uint64_t next_scan_ns;                         /* monotonic */
    size_t first_lane;                             /* each is first in its turn */
    char *room;                                    /* for the copy of a lane */
    struct recorder_item *items;
    size_t item_count, item_capacity, item_bytes;
    struct recorder_call calls[RECORDER_CALLS_MAX];
    size_t call_count;
};

/* -ENOMEM. */
int recorder_init(struct recorder *recorder, const struct state_map *state);
void recorder_finish(struct recorder *recorder); /* answers what is left with an error */

/* What the configuration says now; 0: there is no recorder. */
void recorder_configure(struct recorder *recorder, uint64_t keep_ns);

/* An entry of level error or above that goes into the batch, made at that time (record time). slot NULL: not known. */
void recorder_note_error(struct recorder *recorder, struct slot *slot, uint64_t time_ns, struct text trace_id);

/* A process was seen to have ended just now, and writes no more. */
void recorder_note_end(struct collector_ring *ring, struct slot *slot, bool gone);

/* With a batch, when all else that lanes have for it is in it. */
void recorder_gather(struct drain *drain, uint64_t now_ns, struct batch *batch);
void recorder_settle(struct drain *drain);
void recorder_discard(struct drain *drain);

/* Now and then: whether a batch made now would have something to do. */
bool recorder_is_due(struct recorder *recorder, struct rings *rings);

/* recorder_ask.c: the control verb. */
void recorder_ask(struct recorder *recorder, struct control_call *call, struct text arguments);
static inline bool recorder_is_asked(const struct recorder *recorder) {
    return recorder->call_count > 0;
}
/* Answer those who have waited too long for the store. */
void recorder_give_up(struct recorder *recorder, uint64_t now_monotonic_ns);

#endif
