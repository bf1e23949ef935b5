/* fold_private.h - what the files of the fold have of each other. */
#ifndef TASKFORGE_COLLECTOR_FOLD_PRIVATE_H
#define TASKFORGE_COLLECTOR_FOLD_PRIVATE_H

#include "collector/fold.h"

/* The series that the walk over all that are touched comes to soon. */
static inline void fold_fetch_ahead(const struct fold *fold, size_t i) {
    enum { AHEAD = 12 };
    if (i + AHEAD < fold->touched_count)
        __builtin_prefetch(fold->touched[i + AHEAD]);
}

/* A sentence for the log, unless there were many within a short time: then false. */
bool fold_tell(struct fold *fold, const char *operation, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The family's name on /metrics. */
struct text fold_family_of(const struct fold *fold, const struct metric_definition *definition,
                           char out[METRIC_FAMILY_BYTES]);
/* Take a name, the application's and that on /metrics: 0, -EEXIST with the reason, -ENOMEM. */
int fold_add_family(struct fold *fold, const struct metric_definition *definition, struct error *error);

/* Note a series that is there already, of `user`: its share, and its name. -ENOMEM. */
int fold_know(struct fold *fold, struct series *series, uid_t user);

/* The series, which the segment has, hidden there or not. */
void fold_hide(struct fold *fold, struct series *series, bool hidden);
/* The series in the segment, with its safe value; hidden only where nobody living has one. */
int fold_show(struct fold *fold, struct series *series);
void fold_segment_fails(struct fold *fold, const char *why);

/* A stale series is one of the living again, and shown; false where it finds no room. */
bool fold_revive(struct fold *fold, struct series *series, struct error *error);
/* Room for one more series of that name: 0, -ENOSPC with the reason. */
int fold_take_room(struct fold *fold, int share, const struct name *name, uint64_t bytes, struct error *error);

/* The claims of names that have no series any more are given up. */
void fold_rebuild_names(struct fold *fold);

/* fold_put.c: all series of the state, and how they stand there; the fate of what fold_put did. -ENOMEM. */
int fold_load(struct fold *fold, size_t *ret_bad);
void fold_pages_settle(struct fold *fold);
void fold_pages_discard(struct fold *fold);
void fold_pages_finish(struct fold_pages *pages);

/* fold_stale.c: what left, what is forgotten; called each second. */
void fold_look_for_stale(struct fold *fold, uint64_t now_ns);

#endif
