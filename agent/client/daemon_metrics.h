/* daemon_metrics.h - a daemon's metrics of itself (common/model/own_metrics.h), through its producer.
 *
 * A series is registered when it is used first, also with 0, so that it is on /metrics from then on. Counters are told where
 * things happen, or about once a second by what a struct of counters has grown (daemon_metrics_grown); gauges at most as often,
 * and a gauge that has not changed is not written again: an idle daemon makes the collector no work. Nothing blocks.
 *
 * One thread; but handles that daemon_metrics_handle gave may be updated by any (tf_timer_observe and so on of taskforge.h).
 * What a kill takes with it is what was not told yet.
 */
#ifndef TASKFORGE_AGENT_CLIENT_DAEMON_METRICS_H
#define TASKFORGE_AGENT_CLIENT_DAEMON_METRICS_H

#include <stdint.h>

#include "agent/client/producer.h"
#include "agent/client/taskforge.h"
#include "common/base/clock.h"
#include "common/model/own_metrics.h"

struct daemon_metrics;

#define DAEMON_METRICS_TELL_NS CLOCK_SECOND         /* how often a daemon tells */
#define DAEMON_METRICS_USAGE_NS (10 * CLOCK_SECOND) /* how often a process is looked at */

/* Begin, with build_info and when the process began. `producer` is borrowed, `program` ("taskforge-agent") a literal. -ENOMEM. */
int daemon_metrics_create(struct producer *producer, const char *program, struct daemon_metrics **ret,
                          struct error *error);
void daemon_metrics_destroy(
    struct daemon_metrics *metrics); /* NULL is fine; tells once more what the process used; before the producer */

/* The handle of a series; first and second are the values of its labels, NULL for those it has not. NULL when it cannot be had
 * (out of memory, more than a client may have): updates of a NULL handle are refused, and change nothing. */
struct tf_metric *daemon_metrics_handle(struct daemon_metrics *metrics, enum own_metric metric, const char *first,
                                        const char *second);

/* A counter grows by n; n may be 0. */
void daemon_metrics_count(struct daemon_metrics *metrics, enum own_metric metric, const char *first, const char *second,
                          uint64_t n);
/* A gauge is `value`. */
void daemon_metrics_set(struct daemon_metrics *metrics, enum own_metric metric, const char *first, const char *second,
                        double value);

/* Tell what the process uses, unless that was told less than DAEMON_METRICS_USAGE_NS ago. */
void daemon_metrics_tell_usage(struct daemon_metrics *metrics);

/* By how much a count has grown since *told, which becomes it. */
static inline uint64_t daemon_metrics_grown(uint64_t *told, uint64_t now) {
    uint64_t grown = now - *told;
    *told = now;
    return grown;
}

#endif
