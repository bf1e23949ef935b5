/* spill.h - where batches go while the store cannot be written: one file, SPILL_DIR/spill-ID, of checksummed frames, each
 * on the disk before its lanes' space is freed. The state key "spill" (file id, offset) says how far it is in the store; it
 * moves in the transaction that takes a frame's batch in. A torn last frame was never answered for: it is cut off.
 * A file that is taken in whole is removed; the next has the next id, and is begun only then. A frame whose writing failed may be on the
 * disk all the same: the next one takes its place; or its batch goes into the store, where the same transaction moves the key past the
 * file (`over`), so that a later start takes nothing out of it. One thread. */
#ifndef TASKFORGE_COLLECTOR_SPILL_H
#define TASKFORGE_COLLECTOR_SPILL_H

#include "collector/batch.h"
#include "common/base/error.h"
#include "common/base/paths.h"

struct spill {
    char dir[PATHS_MAX];
    int fd; /* of the file, or -1 while there is none */
    uint64_t id;
    uint64_t taken; /* frames below this offset are in the store */
    uint64_t end;   /* where the next frame goes */
    uint64_t
        over; /* files below that id hold nothing to be taken in: to be said with the next batch that goes into the store; or 0 */
    struct buffer frame;
};

/* Find what an earlier run left and apply the puts of all frames not yet in the store to *state, which was loaded from it. A missing or
 * unusable folder is said and means: no spill. -EIO and the like where a file is there, or may be, but cannot be read. */
int spill_open(struct spill *spill, const char *dir, struct state_map *state, struct error *error);
void spill_close(struct spill *spill);

static inline bool spill_is_empty(const struct spill *spill) {
    return spill->taken == spill->end;
}

/* Append the batch and fsync. -ENOSPC also at SPILL_BYTES_MAX. On failure nothing of it is in the file. */
int spill_append(struct spill *spill, const struct batch *batch, struct error *error);

/* The next frame into an empty batch, with the put of the offset behind it: 1 and *ret_next, 0 when the spill is empty.
 * A frame that is damaged, with whole ones behind it, is said and passed over. The batch borrows until the next call. */
int spill_next(struct spill *spill, struct batch *batch, uint64_t *ret_next, struct error *error);

/* The batch of spill_next is committed. Removes the file when that was the last. */
void spill_taken(struct spill *spill, uint64_t next);

/* A batch that did not come out of the spill is committed, with spill->over. */
void spill_said_over(struct spill *spill);

#endif
