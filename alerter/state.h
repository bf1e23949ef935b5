/* state.h - the life of an alert: pending, active, acknowledged, resolved. Pure: an alert, what was found, and the time.
 *
 *                 condition holds           held for `for`           acknowledged
 *   (nothing) ──────────────────> pending ───────────────> active ──────────────> acknowledged
 *        ^                           │                       │                        │
 *        └─── holds no more ─────────┘                       └──> resolved <──────────┘   holds no more for keep_firing_for,
 *                                                                                         or resolved by hand
 *
 * Missing data changes nothing (no_data: keep), counts as "holds no more" (ok) or as "holds" (alert). A pending alert whose data
 * is missing stays pending and does not become active.
 *
 * Notified are: active (at once, or when the cooldown_period since the last such notification of the same rule and labels
 * is over and it is still active; again each repeat_interval), and, of alerts whose being active was notified,
 * acknowledged and resolved, at once.
 */
#ifndef TASKFORGE_ALERTER_STATE_H
#define TASKFORGE_ALERTER_STATE_H

#include "alerter/alert.h"
#include "alerter/evaluate.h"

struct state_change {
    bool store;   /* something that must outlive a restart has changed */
    bool moved;   /* the status has: it goes into the history */
    bool notify;  /* a notification is due; last_notified_ns and the like say so already */
    bool dropped; /* it was pending and holds no more: it is forgotten */
};

/* One evaluation of an alert that is open (pending, active, acknowledged). rule NULL: it is gone, the alert ends. Times
 * of the alert that lie in the future (the clock was set back) become now. */
struct state_change state_step(struct alert *alert, const struct rule *rule, enum verdict verdict,
                               uint64_t repeat_interval_ns, uint64_t now_ns);

/* The first step of a new alert whose condition holds: id, rule, name and labels are set. `before`: the alert before it of
 * the same rule and labels, or NULL; cooldown_period counts on from it. */
struct state_change state_begin(struct alert *alert, const struct rule *rule, const struct alert *before,
                                uint64_t repeat_interval_ns, uint64_t now_ns);

/* By hand. 0 and *ret; -EALREADY or -EINVAL with a sentence when that is no change. by and reason are copied; -ENOMEM. */
int state_acknowledge(struct alert *alert, struct text by, struct text reason, uint64_t now_ns,
                      struct state_change *ret, struct error *error);
int state_resolve(struct alert *alert, uint64_t now_ns, struct state_change *ret, struct error *error);

static inline bool alert_is_open(const struct alert *alert) {
    return alert->status != ALERT_RESOLVED;
}
static inline bool alert_is_firing(const struct alert *alert) {
    return alert->status == ALERT_ACTIVE || alert->status == ALERT_ACKNOWLEDGED;
}

#endif
