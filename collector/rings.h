/* rings.h - the rings that exist: found in RUNTIME_DIR/rings, opened, watched, set aside, removed. And what the collector
 * remembers of each: its lanes (how far each is safe, what is in hand of it) and its slots (who they are, what was told).
 *
 *   ACTIVE    its file stands at rings/UID
 *   LEAVING   retired and unlinked (idle, or its owner put another file in its place): drained to the end, then closed
 *   BROKEN    cut or scribbled on: already renamed into quarantine/; only what is in hand is still to be committed
 *
 * Everything in a ring's file is hostile; ring_reader.h is the only way to it. One thread.
 */
#ifndef TASKFORGE_COLLECTOR_RINGS_H
#define TASKFORGE_COLLECTOR_RINGS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collector/fold_ahead.h"
#include "collector/limits.h"
#include "collector/recorder_mark.h"
#include "collector/state_map.h"
#include "common/base/paths.h"
#include "common/shm/ring_reader.h"
#include "common/shm/slot_metrics.h"
#include "common/store/state_keys.h"

struct site { /* a call site, copied once for each claim of a slot */
    enum level level;
    struct text module, operation, format; /* in bytes */
    char bytes[];
};

struct loss_totals {
    uint64_t counts[LOSS_REASON_COUNT][LEVEL_COUNT];
};

struct level_keeper; /* level_keeper.h, which looks into rings */
struct loss_times {
    uint64_t ns[LOSS_REASON_COUNT][LEVEL_COUNT];
};

/* How a process is seen to end (slots.h). */
struct slot_watch {
    bool tried;
    bool ended; /* the descriptor said so: to be looked at */
    int fd;     /* -1: none: its lock is looked at, now and then */
    int deaths_fd;
};

/* The end of a process, from the moment at which it was noticed (reap.h, crash.h). */
struct slot_end {
    uint64_t noticed_ns, noticed_real_ns;       /* the first is monotonic */
    uint64_t age_ns;                            /* of the process then */
    uint64_t overflow_heads[RING_OVERFLOW_MAX]; /* all that it wrote there stands below */
    uint32_t lanes, lanes_left;                 /* that it had; that are not drained yet */
    bool lanes_counted;
    bool drained;       /* all that it wrote is safe */
    bool gone;          /* without goodbye */
    bool late;          /* while no collector ran: nobody knows when */
    bool telling, told; /* that it is gone: in the batch that is being made; safe */
};

struct slot {
    bool known;  /* claimed by a process; the rest is its */
    bool ending; /* dead or closed: drained, then freed */
    struct slot_watch watch;
    struct slot_end end;
    struct slot_info info;
    struct site **sites;              /* by number, SLOT_SITES_MAX + 1; NULL until the first */
    struct loss_totals told, telling; /* safe in the state; in the batch that is being made */
    struct loss_times told_ns;        /* when each was told last; 0: never by us */
    uint64_t telling_ns;
    bool is_telling;
    struct cells *cells;      /* of its metrics by handle (cells.h); NULL until the first */
    bool is_folding;          /* some of them are in the batch that is being made */
    bool was_there;           /* when the collector started */
    uint64_t control_version; /* of the level keeper, which its control word was made of; 0: not yet */
    struct recorder_slot recorder;
};
#define SLOT_UNKNOWN ((struct slot) { .watch = { .fd = -1, .deaths_fd = -1 } })
void cells_destroy(struct cells *cells); /* NULL is fine */

struct lane {
    struct collector_ring *ring;
    uint32_t index;
    bool overflow;
    bool truncated; /* the lane holds more than was copied in the last round */
    uint64_t size;
    uint64_t position; /* everything below is safe, and the file's tail stands here */
    uint64_t hand_end; /* in hand: [position, hand_end), whole records */
    struct buffer hand;
    uint64_t hand_time;             /* the greatest record time in hand */
    struct lane_state state;        /* as last seen */
    struct recorder_lane *recorder; /* what is remembered of one of the flight recorder (recorder.h); NULL: nothing */
    struct recorder_rest rest;      /* likewise */
    /* while a batch is made */
    uint64_t taken; /* it holds the records below */
    uint64_t after; /* the position behind `record` */
    uint64_t key;
    struct span_reader reader;
    struct fold_ahead ahead;
    struct record record;
};

enum ring_phase { RING_ACTIVE, RING_LEAVING, RING_BROKEN };

struct collector_ring {
    enum ring_phase phase;
    struct ring ring;
    uid_t uid;
    dev_t device;
    ino_t inode;
    struct lane *lanes;   /* ring.lane_count */
    struct slot *slots;   /* ring.slot_count, and one more for the anonymous ledger */
    uint32_t slots_used;  /* of them, those that were ever claimed, the first ones */
    uint32_t next_look;   /* of slots whose locks are looked at: where the next scan goes on */
    uint32_t next_ledger; /* the same of ledgers */
    uint16_t *producers;  /* a hash table of slots by producer id, number + 1 (slots.h); NULL until it is needed */
    bool producers_are_old;
    bool looked_again;   /* for a producer that was not known, since the last round */
    uint64_t cut_ns;     /* records made later wait, see order.h */
    uint64_t busy_ns;    /* monotonic: when a process or a record was last seen */
    uint64_t leaving_ns; /* monotonic: since when */
};

/* The slot behind i that has a ledger; behind the last of them the anonymous one. */
static inline uint32_t rings_next_ledger(const struct collector_ring *ring, uint32_t i) {
    return i + 1 < ring->slots_used || i == ring->ring.slot_count ? i + 1 : ring->ring.slot_count;
}

/* What all keys of a ring's lanes, a producer's losses, its cells or its end begin with. */
enum { REMOVAL_BYTES = sizeof(STATE_LANE) - 1 + 16 };
static_assert(sizeof(STATE_LOSS) == sizeof(STATE_LANE) && sizeof(STATE_CELL) == sizeof(STATE_LANE) &&
                  sizeof(STATE_GONE) == sizeof(STATE_LANE) && sizeof(STATE_WANT) == sizeof(STATE_LANE),
              "one length");
struct removal {
    char prefix[REMOVAL_BYTES];
};

/* What was said of files that others put into the folder: they must not fill our log. */
enum { RINGS_SAID_OPEN = 16 };
struct rings_said {
    uint64_t since_ns; /* monotonic: RINGS_SAY_MAX lines within RINGS_SAY_NS from here */
    unsigned lines;
    uint64_t unsaid;
    struct {
        ino_t inode;
        int why;
    } open[RINGS_SAID_OPEN]; /* that cannot be opened: once for each file and reason */
    unsigned next;
};

struct rings {
    char runtime_dir[PATHS_MAX];
    int folder_fd;    /* RUNTIME_DIR/rings */
    int watch_fd;     /* inotify on it, or -1 */
    int deaths_fd;    /* epoll of the processes' descriptors: readable when one has ended; or -1 */
    int watch_fd_end; /* descriptors from this number on are kept for other things */
    struct collector_ring *items[RINGS_MAX];
    size_t count;
    struct state_map *state; /* borrowed */
    struct level_keeper
        *level_keeper;        /* borrowed; sets the control word of each slot that is seen. NULL: nobody does */
    struct removal *removals; /* of what is gone for good, to be deleted with a later commit */
    size_t removal_count, removal_capacity;
    uint64_t broken_count; /* rings set aside so far */
    bool said_full;        /* one line for each stretch of too many rings */
    struct rings_said said;
    bool starting; /* what is found now was there before us */
    bool deaths;   /* a watched process has ended since the last scan */
    bool
        hurry; /* somebody may be waiting for the lanes of a process that ended: what is in them is to be stored at once */
    struct slot_metrics_view cells_view; /* of the slot being read */
};

#define RINGS_CLOSED ((struct rings) { .folder_fd = -1, .watch_fd = -1, .deaths_fd = -1 })

/* The folders exist (daemon_runtime_dirs). Opens nothing yet: rings_scan does. */
int rings_init(struct rings *rings, const char *runtime_dir, struct state_map *state, struct error *error);
void rings_finish(struct rings *rings);

/* Look at the folder: open new rings, remove squatters and stale temporary files, notice files that were replaced. Returns true when every
 * ring there could be opened. */
bool rings_scan(struct rings *rings);
bool rings_changed(struct rings *rings); /* whether inotify saw something since the last call; reads it away */

/* The once-a-second look at every ring: cut, scribbled on, idle, at its end. */
void rings_maintain(struct rings *rings, uint64_t now_monotonic_ns);

/* Set a ring aside for the reason given: retired, renamed and said at once; closed when what is in hand is safe. */
void rings_break(struct rings *rings, struct collector_ring *ring, const char *why);

/* Close the rings that are at their end: broken with nothing in hand, leaving with nothing left. */
void rings_sweep(struct rings *rings, uint64_t now_monotonic_ns);

/* Look how many slots are in use by now. */
void rings_slots_count(struct collector_ring *ring);

/* The slot's own facts, read anew when its generation changed: false when nobody can be read there. */
bool rings_slot_refresh(struct rings *rings, struct collector_ring *ring, uint32_t slot);
/* Whether the slot still has the owner that is known, to be asked behind a copy of what is his: a process that used nothing of its slot
 * gives it back itself, and the next one may have counted there since the last look. */
bool rings_slot_is_same(struct collector_ring *ring, uint32_t slot);
void slot_forget(struct slot *slot);

/* State keys that begin as this one does, up to the end of the id, are of something gone for good. */
void rings_remove_state(struct rings *rings, const struct state_key *prefix);
/* Sort what is to be removed, each once, for rings_removes. */
void rings_sort_removals(struct rings *rings);
bool rings_removes(const struct rings *rings, struct text key);

/* Whether nothing of a lane is left to read, by its last snapshot. */
static inline bool lane_is_drained(const struct lane *lane) {
    return lane->position == lane->state.head;
}

#endif
