/* state.c - see state.h. */
#include "alerter/state.h"

#include "common/base/check.h"

#include <errno.h>
#include <stdlib.h>

static void notify(struct alert *alert, uint64_t now_ns, struct state_change *change) {
    change->notify = change->store = true;
    alert->last_notified_ns = now_ns;
    if (alert->status != ALERT_ACTIVE)
        return;
    alert->last_firing_ns = now_ns;
    alert->told = true;
}

static void move(struct alert *alert, enum alert_status status, struct state_change *change) {
    alert->status = status;
    change->moved = change->store = true;
}

static void end(struct alert *alert, uint64_t now_ns, struct state_change *change) {
    move(alert, ALERT_RESOLVED, change);
    alert->resolved_at_ns = now_ns;
    if (alert->told)
        notify(alert, now_ns, change);
}

/* That it is active: the first time when the cooldown lets it, later only where repeats are asked for. */
static void notify_if_due(struct alert *alert, const struct rule *rule, uint64_t repeat_interval_ns, uint64_t now_ns,
                          struct state_change *change) {
    uint64_t pause = rule->cooldown_ns;
    if (alert->status != ALERT_ACTIVE || (alert->told && repeat_interval_ns == 0))
        return;
    if (alert->told && repeat_interval_ns > pause)
        pause = repeat_interval_ns;
    if (alert->last_firing_ns == 0 || now_ns - alert->last_firing_ns >= pause)
        notify(alert, now_ns, change);
}

static void step_pending(struct alert *alert, const struct rule *rule, enum verdict verdict, uint64_t now_ns,
                         struct state_change *change) {
    if (verdict == VERDICT_OK)
        change->dropped = change->moved = change->store = true;
    if (verdict != VERDICT_FIRING || now_ns - alert->pending_since_ns < rule->for_ns)
        return;
    move(alert, ALERT_ACTIVE, change);
    alert->timestamp_ns = now_ns;
}

static void step_firing(struct alert *alert, const struct rule *rule, enum verdict verdict, uint64_t now_ns,
                        struct state_change *change) {
    if (verdict == VERDICT_FIRING && alert->cleared_since_ns != 0) {
        alert->cleared_since_ns = 0;
        change->store = true;
    }
    if (verdict != VERDICT_OK)
        return;
    if (alert->cleared_since_ns == 0) {
        alert->cleared_since_ns = now_ns;
        change->store = true;
    }
    if (now_ns - alert->cleared_since_ns >= rule->keep_firing_ns)
        end(alert, now_ns, change);
}

static void not_after(uint64_t *time_ns, uint64_t now_ns) {
    if (*time_ns > now_ns)
        *time_ns = now_ns;
}

static enum verdict settle(const struct rule *rule, enum verdict verdict) {
    if (verdict != VERDICT_NO_DATA)
        return verdict;
    return rule->no_data == RULE_OK ? VERDICT_OK : rule->no_data == RULE_ALERT ? VERDICT_FIRING : VERDICT_NO_DATA;
}

struct state_change state_step(struct alert *alert, const struct rule *rule, enum verdict verdict,
                               uint64_t repeat_interval_ns, uint64_t now_ns) {
    struct state_change change = { 0 };
    check(alert_is_open(alert));
    uint64_t *const times[] = { &alert->pending_since_ns, &alert->timestamp_ns, &alert->cleared_since_ns,
                                &alert->last_notified_ns, &alert->last_firing_ns };
    for (size_t i = 0; i < COUNT_OF(times); i++)
        not_after(times[i], now_ns);
    if (!rule && alert->status == ALERT_PENDING)
        change.dropped = change.moved = change.store = true;
    else if (!rule)
        end(alert, now_ns, &change);
    else if (alert->status == ALERT_PENDING)
        step_pending(alert, rule, settle(rule, verdict), now_ns, &change);
    else
        step_firing(alert, rule, settle(rule, verdict), now_ns, &change);
    if (rule)
        notify_if_due(alert, rule, repeat_interval_ns, now_ns, &change);
    return change;
}

struct state_change state_begin(struct alert *alert, const struct rule *rule, const struct alert *before,
                                uint64_t repeat_interval_ns, uint64_t now_ns) {
    alert->status = ALERT_PENDING;
    alert->pending_since_ns = alert->timestamp_ns = now_ns;
    alert->last_firing_ns = before ? before->last_firing_ns : 0;
    struct state_change change = state_step(alert, rule, VERDICT_FIRING, repeat_interval_ns, now_ns);
    change.moved = change.store = true;
    return change;
}

int state_acknowledge(struct alert *alert, struct text by, struct text reason, uint64_t now_ns,
                      struct state_change *ret, struct error *error) {
    struct state_change change = { 0 };
    if (alert->status == ALERT_ACKNOWLEDGED)
        return error_set(error, -EALREADY, "the alert is acknowledged already, by %s", alert->acknowledged_by);
    if (alert->status != ALERT_ACTIVE)
        return error_set(error, -EINVAL, "the alert is %s; only an active one can be acknowledged",
                         alert_status_name(alert->status));
    char *by_copy = strndup(by.length ? by.data : "", by.length);
    char *reason_copy = strndup(reason.length ? reason.data : "", reason.length);
    if (!by_copy || !reason_copy) {
        free(by_copy);
        free(reason_copy);
        return error_set(error, -ENOMEM, "out of memory");
    }
    alert->acknowledged_by = by_copy;
    alert->acknowledged_reason = reason_copy;
    move(alert, ALERT_ACKNOWLEDGED, &change);
    if (alert->told)
        notify(alert, now_ns, &change);
    *ret = change;
    return 0;
}

int state_resolve(struct alert *alert, uint64_t now_ns, struct state_change *ret, struct error *error) {
    struct state_change change = { 0 };
    if (!alert_is_open(alert))
        return error_set(error, -EALREADY, "the alert is resolved already");
    end(alert, now_ns, &change);
    *ret = change;
    return 0;
}
