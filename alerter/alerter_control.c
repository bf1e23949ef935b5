/* alerter_control.c - RUNTIME_DIR/alerter.sock: what tfctl and the exporter ask and tell. Whoever may open the socket (0660: root,
 * the alerter's own user, its group) may ask, acknowledge and resolve; who did is in the log. */
#include "alerter/alerter_private.h"

#include "common/base/check.h"
#include "common/model/pack.h"

#include <errno.h>
#include <stdio.h>

enum {
    ALERTS_BYTES_MAX = CONTROL_ANSWER_MAX / 2, /* of one answer; what would be more is left out, the oldest first */
};
enum { SOCKET_MODE = 0660, ACTOR_MAX = 200, REASON_MAX = 2000 };

/* --- alerts [all] --- */

static size_t add_alert(struct control_call *call, const struct alert *alert, struct buffer *line) {
    buffer_clear(line);
    alert_append_json(line, alert, false);
    if (!line->failed)
        control_add_text(call, buffer_text(line));
    return line->length;
}

static void serve_alerts(struct control_call *call, struct text arguments, void *context) {
    const struct alerter *alerter = context;
    struct text which = control_word(&arguments);
    bool all = text_is(which, "all");
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    if ((which.length > 0 && !all) || arguments.length > 0) {
        control_fail(call, "usage: alerts [all]");
        return;
    }
    size_t bytes = 0;
    for (size_t i = alerter->table.count; i > 0 && bytes < ALERTS_BYTES_MAX; i--) {
        const struct alert *alert = &alerter->table.slots[i - 1]->alert;
        if (alert_is_firing(alert) || (all && alert->status == ALERT_RESOLVED))
            bytes += add_alert(call, alert, &line);
    }
    if (line.failed)
        control_fail(call, "out of memory");
    else
        control_done(call);
}

/* --- ack, resolve --- */

static int step_by_hand(struct alert *alert, bool acknowledge, const struct history_audit *audit, uint64_t now_ns,
                        struct state_change *change, struct error *error) {
    if (acknowledge)
        return state_acknowledge(alert, audit->actor, audit->reason, now_ns, change, error);
    return state_resolve(alert, now_ns, change, error);
}

static int change_by_hand(struct alerter *alerter, const struct uuid *id, bool acknowledge,
                          const struct history_audit *audit, struct buffer *line, struct error *error) {
    struct alert_slot *slot = alert_table_find(&alerter->table, id);
    struct alert_changes changes = ALERT_CHANGES_EMPTY;
    struct state_change change;
    struct alert alert;
    uint64_t now_ns = clock_real_ns();
    if (!slot)
        return error_set(error, -ENOENT, "there is no alert %s", audit->target);
    int result = alert_copy(&slot->alert, &alert);
    if (result < 0)
        return error_set(error, result, "out of memory");
    result = step_by_hand(&alert, acknowledge, audit, now_ns, &change, error);
    if (result < 0) {
        alert_finish(&alert);
        return result;
    }
    const struct rule *rule = rules_find(alerter->rules, alert.rule_id);
    if (alert_changes_add(&changes, slot, &alert, rule, change) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    result = alerter_commit(alerter, &changes, audit, now_ns, error);
    if (result == 0)
        alert_append_json(line, &slot->alert, false);
    alert_changes_finish(&changes);
    return result;
}

static void serve_change(struct control_call *call, struct text arguments, struct alerter *alerter, bool acknowledge) {
    const char *verb = acknowledge ? "ack" : "resolve";
    struct text target = control_word(&arguments), actor = control_word(&arguments), reason = text_trim(arguments);
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    struct error error = { "" };
    struct uuid id;
    char id_text[UUID_TEXT_SIZE];
    if (actor.length == 0 || actor.length > ACTOR_MAX || reason.length > REASON_MAX) {
        control_fail(call, "usage: %s ID ACTOR [REASON...], the reason at most %d bytes", verb, REASON_MAX);
        return;
    }
    if (uuid_parse(target, &id) < 0) {
        control_fail(call, "\"%.*s\" is no alert's id", TEXT_FORMAT(target));
        return;
    }
    uuid_format(&id, id_text);
    const struct history_audit audit = {
        .operation = acknowledge ? "acknowledge" : "resolve",
        .actor = actor,
        .peer_uid = (uint32_t)control_peer(call).uid,
        .target = id_text,
        .reason = reason,
    };
    if (change_by_hand(alerter, &id, acknowledge, &audit, &line, &error) < 0) {
        control_fail(call, "%s", error.text);
        return;
    }
    control_add_text(call, buffer_text(&line));
    control_done(call);
    loop_set_timer(alerter->timer, 0); /* the history is written, and a resolved one looked at again */
}

static void serve_ack(struct control_call *call, struct text arguments, void *context) {
    serve_change(call, arguments, context, true);
}

static void serve_resolve(struct control_call *call, struct text arguments, void *context) {
    serve_change(call, arguments, context, false);
}

/* --- rules --- */

/* The state of a rule is that of its worst alert. */
static const char *state_of(const struct alerter *alerter, size_t at, size_t counts[ALERT_STATUS_COUNT]) {
    const struct rule_state *state = &alerter->states[at];
    for (size_t i = 0; i < alerter->table.count; i++) {
        const struct alert *alert = &alerter->table.slots[i]->alert;
        if (alert_is_open(alert) && strcmp(alert->rule_id, alerter->rules->rules[at].id) == 0)
            counts[alert->status]++;
    }
    if (counts[ALERT_ACTIVE] > 0)
        return "active";
    if (counts[ALERT_ACKNOWLEDGED] > 0)
        return "acknowledged";
    if (counts[ALERT_PENDING] > 0)
        return "pending";
    if (state->evaluated_ns == 0)
        return "unknown";
    return state->result < 0 ? "error" : state->no_data ? "no_data" : "inactive";
}

static void append_names(struct buffer *out, const struct rule_names *names) {
    buffer_append_char(out, '[');
    for (size_t i = 0; i < names->count; i++) {
        buffer_append_string(out, i > 0 ? "," : "");
        json_append_string(out, text_of(names->items[i]));
    }
    buffer_append_char(out, ']');
}

static void append_rule(struct buffer *out, const struct alerter *alerter, size_t at) {
    const struct rule *rule = &alerter->rules->rules[at];
    const struct rule_state *state = &alerter->states[at];
    size_t counts[ALERT_STATUS_COUNT] = { 0 };
    char time[CLOCK_RFC3339_SIZE];
    buffer_append_string(out, "{\"id\":");
    json_append_string(out, text_of(rule->id));
    buffer_append_string(out, ",\"name\":");
    json_append_string(out, text_of(rule->name));
    buffer_append_format(out, ",\"severity\":\"%s\",\"condition\":\"%s\"",
                         alert_severity_name((enum alert_severity)rule->severity), rule_kind_name(rule->kind));
    buffer_append_format(out, ",\"state\":\"%s\"", state_of(alerter, at, counts));
    buffer_append_format(out, ",\"pending\":%zu,\"active\":%zu,\"acknowledged\":%zu", counts[ALERT_PENDING],
                         counts[ALERT_ACTIVE], counts[ALERT_ACKNOWLEDGED]);
    buffer_append_string(out, ",\"channels\":");
    append_names(out, rules_channels_of(alerter->rules, rule));
    if (state->evaluated_ns > 0) {
        clock_format(state->evaluated_ns, time);
        buffer_append_format(out, ",\"last_evaluation\":\"%s\"", time);
    }
    if (state->result < 0) {
        buffer_append_string(out, ",\"error\":");
        json_append_string(out, text_of(state->why));
    }
    buffer_append_char(out, '}');
}

static void serve_rules(struct control_call *call, struct text arguments, void *context) {
    const struct alerter *alerter = context;
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    if (arguments.length > 0) {
        control_fail(call, "usage: rules");
        return;
    }
    for (size_t i = 0; i < alerter->rules->rule_count; i++) {
        buffer_clear(&line);
        append_rule(&line, alerter, i);
        if (!line.failed)
            control_add_text(call, buffer_text(&line));
    }
    if (line.failed)
        control_fail(call, "out of memory");
    else
        control_done(call);
}

int alerter_listen(struct alerter *alerter, struct error *error) {
    static const struct control_verb verbs[] = {
        { "alerts", "[all]", serve_alerts },
        { "ack", "ID ACTOR [REASON...]", serve_ack },
        { "resolve", "ID ACTOR [REASON...]", serve_resolve },
        { "rules", "", serve_rules },
    };
    int length =
        snprintf(alerter->control_path, sizeof(alerter->control_path), "%s/alerter.sock", alerter->runtime_dir);
    if (length >= (int)sizeof(alerter->control_path))
        return error_set(error, -ENAMETOOLONG, "runtime_dir is too long");
    return control_listen(alerter->loop, alerter->control_path, SOCKET_MODE, verbs, COUNT_OF(verbs), alerter,
                          &alerter->control, error);
}
