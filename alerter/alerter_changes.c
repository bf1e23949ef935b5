/* alerter_changes.c - changes of alerts: stored together with what they bring about, then taken over. */
#include "alerter/alerter_private.h"

#include "common/base/diag.h"

#include <errno.h>
#include <stdlib.h>

void alert_changes_finish(struct alert_changes *changes) {
    for (size_t i = 0; i < changes->count; i++)
        alert_finish(&changes->items[i].content);
    free(changes->items);
    *changes = ALERT_CHANGES_EMPTY;
}

int alert_changes_add(struct alert_changes *changes, struct alert_slot *target, struct alert *content,
                      const struct rule *rule, struct state_change change) {
    if (changes->count == changes->capacity) {
        size_t capacity = changes->capacity ? changes->capacity * 2 : 16;
        struct alert_change *grown = realloc(changes->items, capacity * sizeof(*grown));
        if (!grown) {
            alert_finish(content);
            return -ENOMEM;
        }
        changes->items = grown;
        changes->capacity = capacity;
    }
    if (change.dropped)
        content->status = ALERT_RESOLVED; /* what the history says of it */
    changes->items[changes->count++] = (struct alert_change) {
        .target = target,
        .content = *content,
        .change = change,
        .rule = rule,
        .hash = target ? 0 : alert_hash(content->rule_id, &content->labels),
        .from = target ? target->alert.status : content->status,
    };
    changes->new_count += !target;
    *content = (struct alert) { 0 };
    return 0;
}

bool alert_changes_begin(const struct alert_changes *changes, const char *rule_id, const struct alert_pairs *labels) {
    uint64_t hash = alert_hash(rule_id, labels);
    for (size_t i = 0; i < changes->count; i++) {
        const struct alert_change *change = &changes->items[i];
        if (!change->target && change->hash == hash && strcmp(change->content.rule_id, rule_id) == 0 &&
            alert_pairs_equal(&change->content.labels, labels))
            return true;
    }
    return false;
}

/* --- storing --- */

/* The lines that made it fire, as they are when it becomes active and when that is notified. */
static void take_entries(struct alerter *alerter, struct alert_change *change, uint64_t now_ns) {
    struct buffer entries = BUFFER_EMPTY;
    struct error error = { "" };
    if (!change->rule || change->rule->kind != RULE_LOG || change->content.status != ALERT_ACTIVE)
        return;
    int result = observe_entries(alerter->observer, change->rule, now_ns, &entries, &error);
    buffer_append_char(&entries, '\0');
    if (result < 0 || entries.failed) { /* the alert matters more than its lines */
        diag_warn("rule %s: the entries cannot be read: %s", change->rule->id, error.text);
        buffer_finish(&entries);
        return;
    }
    free(change->content.entries);
    change->content.entries = entries.data;
}

static int put_alert(struct alert_store_txn *txn, const struct alert_change *change, struct error *error) {
    _cleanup_buffer_ struct buffer encoded = BUFFER_EMPTY;
    if (change->change.dropped)
        return alert_store_delete(txn, ALERT_STORE_ALERTS, alert_key(&change->content), error);
    int result = alert_encode(&change->content, &encoded);
    if (result < 0)
        return error_set(error, result, "rule %s: the alert cannot be stored: %s", change->content.rule_id,
                         strerror(-result));
    return alert_store_put(txn, ALERT_STORE_ALERTS, alert_key(&change->content), buffer_text(&encoded), error);
}

/* What is over needs its lines no more: they went out with the notification. */
static int drop_entries(struct alert_change *change) {
    char *none = strdup("[]");
    if (!none)
        return -ENOMEM;
    free(change->content.entries);
    change->content.entries = none;
    return 0;
}

static int put_change(struct alerter *alerter, struct alert_store_txn *txn, struct alert_change *change,
                      uint64_t now_ns, struct error *error) {
    if (change->change.moved || change->change.notify)
        take_entries(alerter, change, now_ns);
    const struct rule_names *names = rules_channels_of(alerter->rules, change->rule);
    int result = 0;
    for (size_t i = 0; change->change.notify && i < names->count && result == 0; i++)
        result = outbox_put(alerter->outbox, txn, names->items[i], &change->content, now_ns, error);
    if (result == 0 && change->change.moved)
        result = history_put_alert(alerter->history, txn, &change->content, change->from, now_ns, error);
    if (result == 0 && change->content.status == ALERT_RESOLVED && drop_entries(change) < 0)
        result = error_set(error, -ENOMEM, "out of memory");
    return result < 0 ? result : put_alert(txn, change, error);
}

static void take_over(struct alerter *alerter, struct alert_changes *changes) {
    for (size_t i = 0; i < changes->count; i++) {
        struct alert_change *change = &changes->items[i];
        if (change->change.dropped && change->target)
            alert_table_remove(&alerter->table, change->target);
        else if (change->target)
            alert_table_replace(&alerter->table, change->target, &change->content);
        else
            alert_table_add(&alerter->table, &change->content)->visited = alerter->evaluation;
    }
}

int alerter_commit(struct alerter *alerter, struct alert_changes *changes, const struct history_audit *audit,
                   uint64_t now_ns, struct error *error) {
    struct alert_store_txn *txn;
    if (changes->count == 0 && !audit)
        return 0;
    if (alert_table_reserve(&alerter->table, changes->new_count) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    int result = alert_store_begin(alerter->store, true, &txn, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < changes->count && result == 0; i++)
        result = put_change(alerter, txn, &changes->items[i], now_ns, error);
    if (result == 0 && audit)
        result = history_put_audit(alerter->history, txn, audit, now_ns, error);
    if (result == 0)
        result = alert_store_commit(txn, error);
    else
        alert_store_abort(txn);
    history_settle(alerter->history, result == 0);
    if (result < 0) {
        outbox_abort(alerter->outbox);
        return result;
    }
    take_over(alerter, changes);
    outbox_commit(alerter->outbox);
    return 0;
}
