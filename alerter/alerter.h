/* alerter.h - the alerter's live state: rules, alerts, and what is done about them each interval.
 *
 * One evaluation: observe for all rules, step every alert on a copy, store what changed together with its notifications and
 * history in one transaction, and only then take it over and send. A store that cannot be written leaves everything as it
 * was; the next evaluation tries again. All on the loop's thread.
 */
#ifndef TASKFORGE_ALERTER_ALERTER_H
#define TASKFORGE_ALERTER_ALERTER_H

#include "alerter/alert.h"
#include "alerter/rule.h"
#include "common/process/config.h"
#include "common/process/loop.h"

struct alerter;

/* What happened since the start, for metrics. */
struct alerter_counters {
    uint64_t evaluations; /* of all rules */
    uint64_t
        evaluation_failures; /* rules that could not be evaluated, and evaluations whose outcome could not be stored */
    uint64_t last_evaluation_ns;         /* how long the last one took */
    uint64_t slowest_rule_ns;            /* of the last one */
    uint64_t last_evaluated_ns;          /* when it ended, real; 0: there was none */
    uint64_t alerts_not_begun;           /* beyond ALERTS_OPEN_MAX, or label sets beyond OBSERVED_SERIES_MAX */
    uint64_t alerts[ALERT_STATUS_COUNT]; /* now, by status */
    uint64_t notifications_sent, notifications_failed, notifications_waiting;
    uint64_t history_waiting;
    uint64_t rules;
};

/* Open everything and begin to evaluate: at once, then each alerter.interval. `rules` is taken over, also on failure. */
int alerter_create(const struct config *config, struct rules *rules, struct loop *loop, struct alerter **ret,
                   struct error *error);
void alerter_destroy(struct alerter *alerter); /* NULL is fine */

/* A new configuration and its rules, which are taken over, also on failure: 0, or a negative errno and everything is as before. */
int alerter_reload(struct alerter *alerter, const struct config *config, struct rules *rules, struct error *error);

/* Let what is being sent come to its end, for 2 s at most, then `done`. */
void alerter_stop(struct alerter *alerter, void (*done)(void *context), void *context);

void alerter_counters(const struct alerter *alerter, struct alerter_counters *ret);

#endif
