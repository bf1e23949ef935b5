/* partitions.h - the partitions this process has open, each file once (LMDB's rule), shared between the writer and the
 * threads of the output and the curator; and which of them is the authority: the newest ready one, the only one that is written.
 *
 * All functions may be called from any of them unless they say "writer". */
#ifndef TASKFORGE_COLLECTOR_PARTITIONS_H
#define TASKFORGE_COLLECTOR_PARTITIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/state_map.h"
#include "common/base/paths.h"
#include "common/store/partition.h"
#include "common/store/partition_origin.h"

struct partition_ref {
    struct partition_ref *next;
    struct partition *partition; /* NULL only of the authority, while it cannot be opened again after a failure */
    uint64_t first_sequence;
    uint64_t created_ns;
    unsigned references;
    uint64_t committed; /* of the authority that is closed after a failure: partition_committed */
};

struct partitions {
    pthread_mutex_t mutex;
    char data_dir[PATHS_MAX];
    uint64_t map_size;
    struct partition_ref *open;
    struct partition_ref *current; /* the authority; the writer's own reference */
    char current_path[PARTITION_PATH_MAX];
    struct partition_growth growth; /* of the authority's file. The writer's */
    struct partition_origin origin; /* of new ones; borrows from origin_bytes. The writer's */
    char *origin_bytes;
};

/* Writer. What partitions begun from now on say of their entries; copied. Before partitions_open, too, with all else zero. -ENOMEM, -EINVAL. */
int partitions_set_origin(struct partitions *partitions, const struct partition_origin *origin, struct error *error);

/* Writer. How the authority's file grows from now on. */
void partitions_set_growth(struct partitions *partitions, struct partition_growth growth);

/* Writer. Find the authority and load its state; unfinished new partitions are removed, a damaged authority is set aside
 * loudly, and where there is none a new one is made. *state must be empty. *partitions is zero, but for its origin. */
int partitions_open(struct partitions *partitions, const char *data_dir, uint64_t map_size, struct state_map *state,
                    struct error *error);
void partitions_close(struct partitions *partitions);

/* As partitions_roll, but `next_sequence` lies ahead: what is between is left for another partition. */
int partitions_roll_ahead(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence,
                          struct error *error);

/* Writer. Close the authority and begin a new one that holds all of *state. On failure the old one may be closed for good:
 * call again until it succeeds. `next_sequence` is that of the first entry it will hold. */
int partitions_roll(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence,
                    struct error *error);

/* Writer. Close and open the authority again after a failure. Where it is damaged, or `damaged` says that writing to it found that,
 * it is set aside and a new one is made from *state. -EBUSY while the output reads a block of it: try again soon. */
int partitions_reopen(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence,
                      bool damaged, struct error *error);

/* The partition that holds `sequence`, or the oldest there is when that is gone; *ret_next is where the one after it
 * begins, 0 when it is the newest. Give it back. */
int partitions_acquire(struct partitions *partitions, uint64_t sequence, struct partition_ref **ret, uint64_t *ret_next,
                       struct error *error);
/* The partition of that name, for reading. */
int partitions_acquire_named(struct partitions *partitions, const struct partition_name *name,
                             struct partition_ref **ret, struct error *error);
void partitions_release(struct partitions *partitions, struct partition_ref *ref);

#endif
