/* alerter_self.c - what the alerter tells of itself as metrics. */
#include "alerter/alerter_private.h"

#include <string.h>

static void count(struct alerter *alerter, enum own_metric metric, uint64_t now, uint64_t *told) {
    daemon_metrics_count(alerter->metrics, metric, NULL, NULL, daemon_metrics_grown(told, now));
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
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_WAITING, channel, NULL, (double)grown->waiting);
}

/* Channels are there from the beginning, with zeroes. */
void alerter_self_show_channels(struct alerter *alerter) {
    static const struct outbox_counts none = { 0 };
    for (size_t i = 0; i < alerter->rules->channel_count; i++)
        tell_channel(alerter, alerter->rules->channels[i].name, &none);
}

void alerter_self_tell(struct alerter *alerter) {
    struct alerter_counters now, *told = &alerter->told;
    alerter_counters(alerter, &now);
    count(alerter, OWN_ALERTER_EVALUATIONS, now.evaluations, &told->evaluations);
    count(alerter, OWN_ALERTER_FAILURES, now.evaluation_failures, &told->evaluation_failures);
    count(alerter, OWN_ALERTER_NOT_BEGUN, now.alerts_not_begun, &told->alerts_not_begun);
    for (int i = 0; i < ALERT_STATUS_COUNT; i++)
        daemon_metrics_set(alerter->metrics, OWN_ALERTER_ALERTS, alert_status_name((enum alert_status)i), NULL,
                           (double)now.alerts[i]);
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_RULES, NULL, NULL, (double)now.rules);
    daemon_metrics_set(alerter->metrics, OWN_ALERTER_HISTORY_WAITING, NULL, NULL, (double)now.history_waiting);
    if (now.last_evaluated_ns > 0)
        daemon_metrics_set(alerter->metrics, OWN_ALERTER_LAST, NULL, NULL,
                           (double)now.last_evaluated_ns / (double)CLOCK_SECOND);
    outbox_take_counts(alerter->outbox, tell_channel, alerter);
    daemon_metrics_tell_usage(alerter->metrics);
}

void alerter_self_evaluated(struct alerter *alerter) {
    tf_timer_observe(alerter->evaluation_time, (double)alerter->counters.last_evaluation_ns / (double)CLOCK_SECOND);
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
    alerter->evaluation_time = daemon_metrics_handle(alerter->metrics, OWN_ALERTER_TIME, NULL, NULL);
    result = loop_add_timer(alerter->loop, on_tell, alerter, &alerter->tell_timer);
    if (result < 0)
        return error_set(error, result, "cannot set up a timer: %s", strerror(-result));
    loop_set_timer(alerter->tell_timer, 0);
    return 0;
}
