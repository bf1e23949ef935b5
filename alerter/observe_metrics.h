/* observe_metrics.h - metric conditions, out of the segment in one pass over its series; and whether a collector lives. */
#ifndef TASKFORGE_ALERTER_OBSERVE_METRICS_H
#define TASKFORGE_ALERTER_OBSERVE_METRICS_H

#include "alerter/observe.h"

enum metrics_collector {
    METRICS_COLLECTOR_DEAD,    /* no heartbeat for long, or no segment that could be read: values are old */
    METRICS_COLLECTOR_LATE,    /* no heartbeat for a moment: what was written since may not be in the store */
    METRICS_COLLECTOR_LIVES,   /* but it has only just begun: what waited in the rings may not be in the store yet */
    METRICS_COLLECTOR_SETTLED, /* what is not there has not been written */
};

struct metrics_observer;

int metrics_observer_open(const char *runtime_dir, struct metrics_observer **ret, struct error *error);
void metrics_observer_close(struct metrics_observer *observer); /* NULL is fine */

/* Observe for the metric rules; others' observations are left alone. Without a living collector there are no values (they
 * would be old ones); in the alerter's first seconds that is not told as missing data but as -EAGAIN, since the collector
 * may be starting as well. */
void metrics_observe(struct metrics_observer *observer, const struct rules *rules, uint64_t now_ns,
                     struct observations *all);

/* As of the last observation. */
enum metrics_collector metrics_observer_collector(const struct metrics_observer *observer);
uint64_t metrics_observer_collector_since(const struct metrics_observer *observer); /* real ns; 0: not known */

#endif
