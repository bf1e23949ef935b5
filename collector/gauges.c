#include "collector/gauges.h"

#include <math.h>
#include <stdlib.h>

#include "collector/fold.h"
#include "common/base/check.h"

struct gauge_group {
    struct gauge_group *next, *next_due;
    struct gauges *gauges;
    bool is_due;
    bool is_read; /* its cells have been since the start: a group without parts has none */
    struct series *series;
    struct gauge_part *parts;
};

void gauges_finish(struct gauges *gauges) {
    for (struct gauge_group *group = gauges->all, *next; group; group = next) {
        next = group->next;
        for (struct gauge_part *part = group->parts; part; part = part->next)
            part->group = NULL;
        group->series->gauge = NULL;
        free(group);
    }
    *gauges = (struct gauges) { .due = NULL };
}

static void make_due(struct gauge_group *group) {
    struct gauges *gauges = group->gauges;
    if (group->is_due)
        return;
    group->is_due = true;
    group->next_due = gauges->due;
    gauges->due = group;
}

bool gauges_know(struct gauges *gauges, struct series *series) {
    if (series->definition.combine == METRIC_COMBINE_LAST || series->gauge)
        return true;
    struct gauge_group *group = calloc(1, sizeof(*group));
    if (!group)
        return false;
    group->gauges = gauges;
    group->series = series;
    group->next = gauges->all;
    gauges->all = group;
    series->gauge = group;
    make_due(group);
    return true;
}

static void unlink_group(struct gauge_group **at, const struct gauge_group *group, bool due) {
    while (*at && *at != group)
        at = due ? &(*at)->next_due : &(*at)->next;
    if (*at)
        *at = due ? group->next_due : group->next;
}

void gauges_forget(struct gauges *gauges, struct series *series) {
    struct gauge_group *group = series->gauge;
    if (!group)
        return;
    check(!group->parts);
    unlink_group(&gauges->all, group, false);
    unlink_group(&gauges->due, group, true);
    series->gauge = NULL;
    free(group);
}

/* --- parts --- */

void gauge_part_leave(struct gauge_part *part) {
    if (!part->group)
        return;
    make_due(part->group);
    *part->link = part->next;
    if (part->next)
        part->next->link = part->link;
    part->group = NULL;
}

void gauge_part_set(struct gauge_part *part, struct series *series, double value, uint64_t set_ns) {
    struct gauge_group *group = series->gauge;
    if (!part->group) {
        part->group = group;
        part->next = group->parts;
        part->link = &group->parts;
        if (part->next)
            part->next->link = &part->next;
        group->parts = part;
    }
    part->value = value;
    part->set_ns = set_ns;
    make_due(group);
}

/* --- reckoning --- */

/* As PromQL's sum, min and max over the processes: NaN makes a sum NaN, and is the least or greatest only where nothing else is there. */
static double combine(enum metric_combine rule, double a, double b) {
    if (rule == METRIC_COMBINE_SUM)
        return a + b;
    return rule == METRIC_COMBINE_MIN ? fmin(a, b) : fmax(a, b);
}

static void reckon(const struct gauge_group *group, uint64_t now_ns, struct series_value *coming) {
    const struct gauge_part *part = group->parts;
    uint64_t newest = 0;
    if (!part)
        return;
    coming->value = part->value;
    for (; part; part = part->next) {
        if (part != group->parts)
            coming->value = combine((enum metric_combine)group->series->definition.combine, coming->value, part->value);
        newest = part->set_ns > newest ? part->set_ns : newest;
    }
    coming->updated_ns = newest < now_ns ? newest : now_ns;
}

void gauges_gather(struct fold *fold, uint64_t now_ns, struct batch *batch) {
    for (struct gauge_group *group = fold->gauges.due; group && !batch->failed; group = group->next_due) {
        if (!group->parts && !group->series->defined && !group->series->shown)
            continue; /* nobody has ever heard of it, and nobody is to now */
        if (fold_touch(fold, group->series, batch))
            reckon(group, now_ns, &group->series->coming);
    }
}

void gauges_settle(struct gauges *gauges) {
    for (struct gauge_group *group = gauges->due; group; group = group->next_due) {
        group->is_due = false;
        group->is_read = true;
    }
    gauges->due = NULL;
}

bool gauge_is_absent(const struct series *series) {
    return series->gauge && series->gauge->is_read && !series->gauge->parts;
}
