/* gauges.h - gauges with a rule for several processes (metric.h, enum metric_combine): the sum, the least or the greatest of what the
 * living have set.
 *
 * Each cell that holds a value is a part of its series' group; a cell never set is none, and the part of a process that has ended, or whose
 * ring is gone, leaves. Whatever changes makes the group due: with the next batch its value is reckoned anew out of all parts, so nothing
 * drifts, and nothing but the value is in the state. The last part gone, the value stays as it was and the series is hidden until
 * there is one again. Groups that the state or an old segment knows are due from the start. One thread. */
#ifndef TASKFORGE_COLLECTOR_GAUGES_H
#define TASKFORGE_COLLECTOR_GAUGES_H

#include "collector/batch.h"
#include "collector/series.h"

struct fold;
struct gauge_group;

/* What one process's cell says; of its cell (cells.c), in the group's list while it holds a value. */
struct gauge_part {
    struct gauge_group *group; /* NULL: none */
    struct gauge_part *next, **link;
    double value;
    uint64_t set_ns;
};

struct gauges {
    struct gauge_group *due, *all; /* two lists */
};

/* Parts may outlive it: they are in no group then. */
void gauges_finish(struct gauges *gauges);

/* The series is one with a rule: it has its group from now on, and that is due. False: out of memory. */
bool gauges_know(struct gauges *gauges, struct series *series);

/* The series, which has no part, goes. */
void gauges_forget(struct gauges *gauges, struct series *series);

/* A cell of the series says this now. */
void gauge_part_set(struct gauge_part *part, struct series *series, double value, uint64_t set_ns);
/* It says nothing any more. Fine for a part that is in no group. */
void gauge_part_leave(struct gauge_part *part);
static inline bool gauge_part_counts(const struct gauge_part *part) {
    return part->group != NULL;
}

/* The coming values of what is due; then it is safe. What is discarded stays due. */
void gauges_gather(struct fold *fold, uint64_t now_ns, struct batch *batch);
void gauges_settle(struct gauges *gauges);
static inline bool gauges_are_due(const struct gauges *gauges) {
    return gauges->due != NULL;
}

/* Nobody living has a value for this series with a rule; not before the cells have been read once. */
bool gauge_is_absent(const struct series *series);

#endif
