/* dedup.h - repeats of an entry within a window are counted, not stored, and then told by one entry: never hidden (collector.dedup).
 *
 * The first is stored at once. What is equal to it in user, service, module, operation, level, message, metadata, error details, user and
 * organisation counts as its repeat until the window ends; then the last of them is stored with the metadata `repeated` (how many),
 * `repeated_first` and `repeated_last` (their times). Its trace, span and correlation ids stay where all repeats had the same. Of errors it is
 * told after a second at most, while the window goes on, since alerts count them.
 *
 * What is counted and not told yet is in the state ("dedup/"), committed with the batch that holds it back. So a kill loses none: the next
 * start tells them. Of a batch that is discarded, all counts are as before.
 *
 * The table is bounded: of more different entries than it holds, those without repeats give way, and where none does, an entry is stored as it
 * is. So is one that is large. Our own entries, and what comes out of the flight recorder, are never held back. One thread. */
#ifndef TASKFORGE_COLLECTOR_DEDUP_H
#define TASKFORGE_COLLECTOR_DEDUP_H

#include "collector/batch.h"
#include "common/base/id.h"

enum {
    DEDUP_WAYS = 8,
    DEDUP_SETS = 1024,             /* different entries at once: DEDUP_WAYS times as many */
    DEDUP_ENTRY_BYTES = 4096,      /* of an entry whose repeats are counted */
    DEDUP_BYTES = 8 * 1024 * 1024, /* kept of all entries with repeats */
};

struct dedup_slot {
    uint64_t hash, check;       /* of what makes entries equal; two seeds */
    uint64_t until_ns;          /* monotonic: when the window ends; 0: free */
    uint64_t tell_ns;           /* when the repeats are told; with a count */
    uint64_t count;             /* repeats that are not told */
    uint64_t first_ns, last_ns; /* real: of them */
    uint64_t ids;               /* a hash of the first one's trace, span and correlation ids */
    uint64_t number;            /* its key of the state, while there is a count */
    bool mixed_ids;
    bool touched, fresh; /* by this batch; its record is of this batch */
    uint32_t length;     /* of record */
    char *record;        /* owned: the entry as it will be stored, encoded; NULL without a count */
    uint32_t pid;
};

struct dedup_undo {
    struct dedup_slot *at, before;
};

struct dedup {
    uint64_t window_ns;       /* 0: off */
    struct dedup_slot *slots; /* NULL until the first entry */
    struct dedup_undo *undo;  /* what this batch has touched */
    size_t undo_count, undo_capacity;
    size_t bytes;     /* of records */
    uint64_t next_ns; /* monotonic: when something is to be looked at; 0: never */
    uint64_t next_number;
    uint64_t old_end; /* keys of the state below this are of an earlier life */
    bool old_told, old_telling;
};

/* What the state has of an earlier life is told with the first batch. */
void dedup_init(struct dedup *dedup, const struct state_map *state);
void dedup_finish(struct dedup *dedup);

/* Another window, or none (0): what was counted is told with the next batch. */
void dedup_configure(struct dedup *dedup, uint64_t window_ns);

/* Look an entry up that is about to be stored, repaired and not sealed yet: NULL: store it; else it is a repeat of that slot. `user`: whose ring. */
struct dedup_slot *dedup_find(struct dedup *dedup, uint64_t user, const struct entry *entry, uint64_t now_ns,
                              struct batch *batch);
/* The slot's first repeat needs the entry as it will be stored: asked for while this is true. */
static inline bool dedup_wants_entry(const struct dedup_slot *slot) {
    return !slot->record;
}
bool dedup_keep_entry(struct dedup *dedup, struct dedup_slot *slot,
                      const struct entry *entry); /* false: store it instead */
void dedup_count(struct dedup *dedup, struct dedup_slot *slot, const struct entry *entry, uint64_t now_ns);

/* At the end of a batch: tell what is due (`whole`: everything), and put the rest into the state. `tell` stores an entry. */
typedef void dedup_tell_function(void *context, struct entry *entry, struct batch *batch);
void dedup_gather(struct dedup *dedup, const struct state_map *state, bool whole, uint64_t now_ns, struct batch *batch,
                  dedup_tell_function *tell, void *context);
void dedup_settle(struct dedup *dedup);
void dedup_discard(struct dedup *dedup);

/* Whether a batch is due for it. */
bool dedup_is_due(const struct dedup *dedup, uint64_t now_ns);

#endif
