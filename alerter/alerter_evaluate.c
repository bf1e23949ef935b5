/* alerter_evaluate.c - one evaluation of all rules. */
#include "alerter/alerter_private.h"

#include "alerter/describe.h"
#include "common/base/diag.h"

#include <errno.h>
#include <stdlib.h>

#define DAY (24 * 3600 * CLOCK_SECOND)
#define RESOLVED_KEPT (7 * DAY)

struct evaluation {
    struct alerter *alerter;
    struct observations *all; /* one for each rule */
    struct alert_changes changes;
    uint64_t now_ns;
    int result; /* of the evaluation itself: -ENOMEM */
    uint64_t slowest_ns;
};

/* --- one label set --- */

static int begin_alert(struct evaluation *evaluation, const struct rule *rule, const struct alert_pairs *labels,
                       const struct observation *observation, bool no_data) {
    struct alerter *alerter = evaluation->alerter;
    const struct alert_slot *before = alert_table_newest(&alerter->table, rule->id, labels);
    struct alert alert = { .rule_id = strdup(rule->id), .entries = strdup("[]") };
    if (alerter->table.open_count + evaluation->changes.new_count >= ALERTS_OPEN_MAX) {
        alerter->counters.alerts_not_begun++;
        alert_finish(&alert);
        return 0;
    }
    int result = alert.rule_id && alert.entries ? alert_pairs_copy(labels, &alert.labels) : -ENOMEM;
    if (result == 0)
        result = describe(&alert, rule, observation, no_data);
    if (result < 0) {
        alert_finish(&alert);
        return result;
    }
    uuid_make(&alerter->ids, evaluation->now_ns, &alert.id);
    struct state_change change = state_begin(&alert, rule, before ? &before->alert : NULL,
                                             alerter->rules->repeat_interval_ns, evaluation->now_ns);
    return alert_changes_add(&evaluation->changes, NULL, &alert, rule, change);
}

/* An alert that is open goes on. observation NULL: nothing to describe it by. */
static int step_alert(struct evaluation *evaluation, const struct rule *rule, struct alert_slot *slot,
                      enum verdict verdict, const struct observation *observation) {
    struct alert alert;
    slot->visited = evaluation->alerter->evaluation;
    int result = alert_copy(&slot->alert, &alert);
    if (result == 0 && verdict == VERDICT_FIRING && observation)
        result = describe(&alert, rule, observation, false);
    if (result < 0) {
        alert_finish(&alert);
        return result;
    }
    struct state_change change =
        state_step(&alert, rule, verdict, evaluation->alerter->rules->repeat_interval_ns, evaluation->now_ns);
    if (change.store)
        return alert_changes_add(&evaluation->changes, slot, &alert, rule, change);
    alert_table_replace(&evaluation->alerter->table, slot, &alert); /* its value alone */
    return 0;
}

static int judge_series(struct evaluation *evaluation, const struct rule *rule, const struct observed_series *series) {
    struct alert_slot *slot = alert_table_newest(&evaluation->alerter->table, rule->id, &series->labels);
    bool open = slot && alert_is_open(&slot->alert);
    if (slot && slot->visited == evaluation->alerter->evaluation)
        return 0; /* two series with these labels: the first one counts */
    enum verdict verdict = evaluate(rule, &series->observation, open && alert_is_firing(&slot->alert));
    if (open)
        return step_alert(evaluation, rule, slot, verdict, &series->observation);
    bool no_data = verdict == VERDICT_NO_DATA && rule->no_data == RULE_ALERT;
    if ((verdict != VERDICT_FIRING && !no_data) || alert_changes_begin(&evaluation->changes, rule->id, &series->labels))
        return 0;
    return begin_alert(evaluation, rule, &series->labels, &series->observation, no_data);
}

/* --- one rule --- */

static void note_outcome(struct rule_state *state, const struct rule *rule, const struct observations *observed,
                         uint64_t now_ns) {
    bool told = state->result == observed->result;
    state->result = observed->result;
    state->evaluated_ns = now_ns;
    memcpy(state->why, observed->error.text, sizeof(state->why));
    if (told || observed->result == -EAGAIN)
        return;
    if (observed->result < 0)
        diag_warn("rule %s cannot be evaluated: %s; its alerts stay as they are", rule->id, observed->error.text);
    else
        diag_info("rule %s is evaluated again", rule->id);
}

static void judge_rule(struct evaluation *evaluation, size_t at) {
    struct alerter *alerter = evaluation->alerter;
    const struct rule *rule = &alerter->rules->rules[at];
    const struct observations *observed = &evaluation->all[at];
    struct rule_state *state = &alerter->states[at];
    note_outcome(state, rule, observed, evaluation->now_ns);
    state->open = 0;
    state->no_data = observed->count == 0;
    bool failed = observed->result < 0 && observed->result != -EAGAIN;
    state->failures += failed;
    alerter->counters.evaluation_failures += failed;
    alerter->counters.alerts_not_begun += observed->omitted;
    uint64_t begun_ns = clock_monotonic_ns();
    for (size_t i = 0; i < observed->count && observed->result == 0 && evaluation->result == 0; i++)
        evaluation->result = judge_series(evaluation, rule, &observed->series[i]);
    uint64_t took_ns = observed->took_ns + (clock_monotonic_ns() - begun_ns);
    if (took_ns > evaluation->slowest_ns)
        evaluation->slowest_ns = took_ns;
}

/* --- the alerts that no observation was about --- */

static int judge_unvisited(struct evaluation *evaluation, struct alert_slot *slot) {
    struct alerter *alerter = evaluation->alerter;
    const struct rule *rule = rules_find(alerter->rules, slot->alert.rule_id);
    if (!rule)
        return step_alert(evaluation, NULL, slot, VERDICT_OK, NULL);
    const struct observations *observed = &evaluation->all[rule - alerter->rules->rules];
    if (observed->result < 0)
        return 0;
    bool other = !rule_fits_labels(rule, &slot->alert.labels); /* the rule is another one since */
    bool data_is_back = slot->alert.no_data && observed->count > 0;
    return step_alert(evaluation, rule, slot, other || data_is_back ? VERDICT_OK : VERDICT_NO_DATA, NULL);
}

/* no_data: alert, and there is no series at all: one alert for the rule, unless one of its alerts says so already. */
static int judge_empty(struct evaluation *evaluation, size_t at) {
    const struct rule *rule = &evaluation->alerter->rules->rules[at];
    const struct observations *observed = &evaluation->all[at];
    if (observed->result < 0 || observed->count > 0 || rule->no_data != RULE_ALERT ||
        evaluation->alerter->states[at].open > 0)
        return 0;
    return begin_alert(evaluation, rule, &rule->metric.labels, NULL, true);
}

/* Resolved ones are kept for a week, and longer while their cooldown still counts. */
static bool is_past(const struct evaluation *evaluation, const struct alert_slot *slot) {
    const struct alerter *alerter = evaluation->alerter;
    const struct alert *alert = &slot->alert;
    if (alert->resolved_at_ns + RESOLVED_KEPT > evaluation->now_ns)
        return false;
    const struct rule *rule = rules_find(alerter->rules, alert->rule_id);
    return !rule || alert->last_firing_ns + rule->cooldown_ns <= evaluation->now_ns ||
           alert_table_newest(&alerter->table, alert->rule_id, &alert->labels) != slot;
}

static int forget(struct evaluation *evaluation, struct alert_slot *slot) {
    struct alert alert;
    int result = alert_copy(&slot->alert, &alert);
    return result < 0 ? result
                      : alert_changes_add(&evaluation->changes, slot, &alert, NULL,
                                          (struct state_change) { .store = true, .dropped = true });
}

static void judge_table(struct evaluation *evaluation) {
    struct alerter *alerter = evaluation->alerter;
    const struct alert_table *table = &alerter->table;
    size_t resolved = table->count - table->open_count;
    size_t excess = resolved > ALERTS_RESOLVED_MAX ? resolved - ALERTS_RESOLVED_MAX : 0;
    for (size_t i = 0; i < table->count && evaluation->result == 0; i++) {
        struct alert_slot *slot = table->slots[i];
        if (alert_is_open(&slot->alert)) {
            const struct rule *rule = rules_find(alerter->rules, slot->alert.rule_id);
            if (rule)
                alerter->states[rule - alerter->rules->rules].open++;
            if (slot->visited != alerter->evaluation)
                evaluation->result = judge_unvisited(evaluation, slot);
        } else if (excess > 0 || is_past(evaluation, slot)) {
            excess -= excess > 0;
            evaluation->result = forget(evaluation, slot);
        }
    }
}

/* --- the whole --- */

static void say_store(struct alerter *alerter, int result, const struct error *error) {
    alerter->counters.evaluation_failures += result < 0;
    if (result < 0 && !alerter->store_fails)
        diag_error("the outcome of an evaluation is not stored, and nothing is notified: %s", error->text);
    if (result == 0 && alerter->store_fails)
        diag_info("alerts are stored again");
    alerter->store_fails = result < 0;
}

void alerter_evaluate(struct alerter *alerter, uint64_t now_ns) {
    struct error error = { "" };
    struct evaluation evaluation = { .alerter = alerter, .now_ns = now_ns };
    const struct rules *rules = alerter->rules;
    uint64_t begin_ns = clock_monotonic_ns(), not_begun = alerter->counters.alerts_not_begun;
    alerter->evaluation++;
    evaluation.all = calloc(rules->rule_count + 1, sizeof(*evaluation.all));
    evaluation.result = evaluation.all ? 0 : -ENOMEM;
    if (evaluation.result == 0)
        observe(alerter->observer, rules, now_ns, evaluation.all);
    for (size_t i = 0; i < rules->rule_count && evaluation.result == 0; i++)
        judge_rule(&evaluation, i);
    if (evaluation.result == 0)
        judge_table(&evaluation);
    for (size_t i = 0; i < rules->rule_count && evaluation.result == 0; i++)
        evaluation.result = judge_empty(&evaluation, i);
    int result = evaluation.result < 0 ? error_set(&error, evaluation.result, "out of memory")
                                       : alerter_commit(alerter, &evaluation.changes, NULL, now_ns, &error);
    say_store(alerter, result, &error);
    if (alerter->counters.alerts_not_begun > not_begun)
        diag_warn("%llu label sets fire beyond the %d alerts there is room for",
                  (unsigned long long)(alerter->counters.alerts_not_begun - not_begun), ALERTS_OPEN_MAX);
    alert_changes_finish(&evaluation.changes);
    for (size_t i = 0; evaluation.all && i < rules->rule_count; i++)
        observations_finish(&evaluation.all[i]);
    free(evaluation.all);
    alerter->counters.evaluations++;
    alerter->counters.last_evaluation_ns = clock_monotonic_ns() - begin_ns;
    alerter->counters.slowest_rule_ns = evaluation.slowest_ns;
    alerter->counters.last_evaluated_ns = clock_real_ns();
    alerter_self_evaluated(alerter);
}
