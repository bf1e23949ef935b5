/* alerter_self.c - what the alerter tells of itself as metrics. */
#include "alerter/alerter_private.h"

#include <stdlib.h>
#include <string.h>

static void count(struct alerter *alerter, enum own_metric metric, uint64_t now, uint64_t *told) {
    daemon_metrics_count(alerter->metrics, metric, NULL, NULL, daemon_metrics_grown(told, now));
}

static double seconds(uint64_t ns) {
    return (double)ns / (double)CLOCK_SECOND;
}

static void tell_channel(void *context, const char *channel, const struct outbox_counts *grown) {
    struct alerter *alerter = context;
    const struct {
        const char *name;
        uint64_t count;
    } outcomes[] = {
        { "sent", grown->delivered },  { "failed", grown->failed },   { "refused", grown->refused },
        { "expired", grown->expired }, { "dropped", grown->dropped }, { "damaged", grown->damaged },
    };
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        daemon_metrics_count(alerter->metrics, OWN_ALERTER_NOTIFICATIONS, channel, outcomes[i].name, outcomes[i].count);
    for (int i = 0; i < CHANNEL_CAUSE_COUNT; i++)
        daemon_metrics_count(alerter->metrics, OWN_ALERTER_NOTIFICATION_FAILURES, channel,
                             channel_cause_name((enum channel_cause)i), grown->causes[i]);
    uint64_t now = clock_real_ns(), oldest = grown->oldest_ns > 0 && grown->oldest_ns < now ? grown->oldest_ns : now;
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_WAITING, channel, NULL, (double)grown->waiting);
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_OLDEST, channel, NULL, seconds(now - oldest));
}

static struct tf_metric *time_of(struct alerter *alerter, const char *channel) {
    return daemon_metrics_handle(alerter->metrics, OWN_ALERTER_NOTIFICATION_TIME, channel, NULL);
}

static void on_delivered(void *context, const char *channel, uint64_t age_ns) {
    tf_timer_observe(time_of(context, channel), seconds(age_ns));
}

/* --- rules that fail --- */

/* The rule's name in the metric; NULL: there are too many, it goes with the others. */
static const char *apart(struct alerter *alerter, const char *id) {
    for (size_t i = 0; i < alerter->apart_count; i++)
        if (strcmp(alerter->apart[i], id) == 0)
            return alerter->apart[i];
    if (alerter->apart_count == RULES_APART_MAX)
        return NULL;
    char *copy = strdup(id);
    if (copy)
        alerter->apart[alerter->apart_count++] = copy;
    return copy;
}

static void tell_rules(struct alerter *alerter) {
    uint64_t others = 0;
    for (size_t i = 0; i < alerter->rules->rule_count; i++) {
        uint64_t failures = alerter->states[i].failures;
        if (failures == 0)
            continue;
        const char *name = apart(alerter, alerter->rules->rules[i].id);
        alerter->states[i].failures = 0;
        if (name)
            daemon_metrics_count(alerter->metrics, OWN_ALERTER_RULE_FAILURES, name, NULL, failures);
        else
            others += failures;
    }
    if (others > 0)
        daemon_metrics_count(alerter->metrics, OWN_ALERTER_RULE_FAILURES, NULL, NULL, others);
}

/* --- the whole --- */

/* Channels are there from the beginning, with zeroes. */
void alerter_self_show_channels(struct alerter *alerter) {
    static const struct outbox_counts none = { 0 };
    for (size_t i = 0; i < alerter->rules->channel_count; i++)
        tell_channel(alerter, alerter->rules->channels[i].name, &none);
    for (size_t i = 0; i < alerter->rules->channel_count; i++)
        (void)time_of(alerter, alerter->rules->channels[i].name);
}

void alerter_self_tell(struct alerter *alerter) {
    struct alerter_counters now, *told = &alerter->told;
    alerter_counters(alerter, &now);
    count(alerter, OWN_ALERTER_EVALUATIONS, now.evaluations, &told->evaluations);
    if (now.evaluation_failures > told->evaluation_failures)
        tell_rules(alerter);
    count(alerter, OWN_ALERTER_FAILURES, now.evaluation_failures, &told->evaluation_failures);
    count(alerter, OWN_ALERTER_NOT_BEGUN, now.alerts_not_begun, &told->alerts_not_begun);
    for (int i = 0; i < ALERT_STATUS_COUNT; i++)
        daemon_metrics_set(alerter->metrics, OWN_ALERTER_ALERTS, alert_status_name((enum alert_status)i), NULL,
                           (double)now.alerts[i]);
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_RULES, NULL, NULL, (double)now.rules);
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_HISTORY_WAITING, NULL, NULL, (double)now.history_waiting);
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_SLOWEST, NULL, NULL, seconds(now.slowest_rule_ns));
    if (now.last_evaluated_ns > 0)
        daemon_metrics_set(alerter->metrics, OWN_ALERTER_LAST, NULL, NULL, seconds(now.last_evaluated_ns));
    outbox_take_counts(alerter->outbox, tell_channel, alerter);
    daemon_metrics_tell_usage(alerter->metrics);
}

void alerter_self_evaluated(struct alerter *alerter) {
    tf_timer_observe(alerter->evaluation_time, seconds(alerter->counters.last_evaluation_ns));
}

static void on_tell(struct loop_timer *timer, void *context) {
    alerter_self_tell(context);
    loop_set_timer(timer, DAEMON_METRICS_TELL_NS);
}

int alerter_self_open(struct alerter *alerter, struct error *error) {
    int result = daemon_metrics_create(alerter->producer, "taskforge-alerter", &alerter->metrics, error);
    if (result < 0)
        return result;
    uint64_t damaged = outbox_counts(alerter->outbox).damaged; /* found at the start: whose they were nobody knows */
    if (damaged > 0)
        daemon_metrics_count(alerter->metrics, OWN_ALERTER_NOTIFICATIONS, NULL, "damaged", damaged);
    alerter_self_show_channels(alerter);
    outbox_watch(alerter->outbox, on_delivered, alerter);
    alerter->evaluation_time = daemon_metrics_handle(alerter->metrics, OWN_ALERTER_TIME, NULL, NULL);
    result = loop_add_timer(alerter->loop, on_tell, alerter, &alerter->tell_timer);
    if (result < 0)
        return error_set(error, result, "cannot set up a timer: %s", strerror(-result));
    loop_set_timer(alerter->tell_timer, 0);
    return 0;
}

void alerter_self_close(struct alerter *alerter) {
    if (alerter->metrics)
        alerter_self_tell(alerter);
    daemon_metrics_destroy(alerter->metrics);
    alerter->metrics = NULL;
    for (size_t i = 0; i < alerter->apart_count; i++)
        free(alerter->apart[i]);
}
