/* alerter.c - the alerter's life: opening, the timer, reloads, the end. */
#include "alerter/alerter_private.h"

#include "common/base/diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STOP_LOOK_MS = 20, STOP_PATIENCE_S = 2 };

/* --- the timer --- */

static void write_history(struct alerter *alerter) {
    struct error error = { "" };
    if (history_write(alerter->history, &error) < 0)
        diag_warn("the history of alerts waits: %s", error.text);
}

static void on_timer(struct loop_timer *timer, void *context) {
    struct alerter *alerter = context;
    uint64_t begin_ns = clock_monotonic_ns();
    alerter_evaluate(alerter, clock_real_ns());
    write_history(alerter);
    uint64_t took_ns = clock_monotonic_ns() - begin_ns;
    loop_set_timer(timer, took_ns < alerter->interval_ns ? alerter->interval_ns - took_ns : alerter->interval_ns / 10);
}

/* --- opening --- */

void alerter_destroy(struct alerter *alerter) {
    if (!alerter)
        return;
    control_destroy(alerter->control);
    loop_remove_timer(alerter->timer);
    loop_remove_timer(alerter->stop_timer);
    loop_remove_timer(alerter->tell_timer);
    alerter_self_close(alerter);
    outbox_close(alerter->outbox);
    http_client_destroy(alerter->http);
    history_destroy(alerter->history);
    producer_close(alerter->producer);
    observer_close(alerter->observer);
    alert_table_finish(&alerter->table);
    alert_store_close(alerter->store);
    rules_destroy(alerter->rules);
    free(alerter->states);
    free(alerter->runtime_dir);
    free(alerter->data_dir);
    free(alerter);
}

static int open_store(struct alerter *alerter, struct error *error) {
    struct error set_aside = { "" };
    size_t unread = 0;
    int result = alert_store_open(alerter->data_dir, &alerter->store, &set_aside, error);
    if (set_aside.text[0] != '\0')
        diag_error("%s", set_aside.text);
    if (result == 0)
        result = alert_table_load(&alerter->table, alerter->store, &unread, error);
    if (result == 0 && unread > 0)
        diag_warn("%zu stored alerts are none and were passed over", unread);
    return result;
}

static int open_producer(struct alerter *alerter, struct error *error) {
    int result = producer_open(alerter->runtime_dir, "taskforge-alerter", &alerter->producer, error);
    if (result == 0 && error->text[0] != '\0')
        diag_warn("%s; the history of alerts waits until that changes", error->text);
    if (result == 0)
        error->text[0] = '\0';
    return result;
}

static int open_all(struct alerter *alerter, struct error *error) {
    int result = alert_table_init(&alerter->table);
    if (result == 0)
        result = uuid_generator_init(&alerter->ids);
    if (result == 0)
        result = loop_add_timer(alerter->loop, on_timer, alerter, &alerter->timer);
    if (result < 0)
        return error_set(error, result, "cannot set up: %s", strerror(-result));
    result = open_store(alerter, error);
    if (result == 0)
        result = observer_open(alerter->data_dir, alerter->runtime_dir, &alerter->observer, error);
    if (result == 0)
        result = open_producer(alerter, error);
    if (result == 0)
        result = history_create(alerter->store, alerter->producer, &alerter->history, error);
    if (result == 0)
        result = http_client_create(alerter->loop, &alerter->http, error);
    if (result == 0)
        result = outbox_open(alerter->loop, alerter->http, alerter->store, &alerter->outbox, error);
    if (result == 0)
        result = alerter_listen(alerter, error);
    if (result == 0)
        result = alerter_self_open(alerter, error);
    return result;
}

int alerter_create(const struct config *config, struct rules *rules, struct loop *loop, struct alerter **ret,
                   struct error *error) {
    struct alerter *alerter = calloc(1, sizeof(*alerter));
    if (!alerter) {
        rules_destroy(rules);
        return error_set(error, -ENOMEM, "out of memory");
    }
    alerter->loop = loop;
    alerter->rules = rules;
    alerter->interval_ns = config->alerter.interval_ns;
    alerter->runtime_dir = strdup(config->runtime_dir);
    alerter->data_dir = strdup(config->data_dir);
    alerter->states = calloc(rules->rule_count + 1, sizeof(*alerter->states));
    int result = !alerter->runtime_dir || !alerter->data_dir || !alerter->states
                     ? error_set(error, -ENOMEM, "out of memory")
                     : open_all(alerter, error);
    if (result < 0) {
        alerter_destroy(alerter);
        return result;
    }
    outbox_set_channels(alerter->outbox, rules->channels, rules->channel_count);
    observer_count_repeats(alerter->observer, config->collector.dedup_window_ns > 0);
    loop_set_timer(alerter->timer, 0);
    *ret = alerter;
    return 0;
}

/* --- reloads --- */

static void audit_reload(struct alerter *alerter) {
    struct alert_changes none = ALERT_CHANGES_EMPTY;
    struct error error = { "" };
    const struct history_audit audit = {
        .operation = "reload",
        .actor = TEXT_LITERAL("signal"),
        .peer_uid = (uint32_t)geteuid(),
        .target = "alerter",
        .reason = TEXT_LITERAL("SIGHUP"),
    };
    if (alerter_commit(alerter, &none, &audit, clock_real_ns(), &error) < 0)
        diag_warn("the reload is not in the log: %s", error.text);
}

int alerter_reload(struct alerter *alerter, const struct config *config, struct rules *rules, struct error *error) {
    struct rule_state *states = calloc(rules->rule_count + 1, sizeof(*states));
    int result = 0;
    if (!states)
        result = error_set(error, -ENOMEM, "out of memory");
    else if (strcmp(config->runtime_dir, alerter->runtime_dir) != 0)
        result = error_set(error, -EINVAL, "runtime_dir has changed: restart the alerter for that");
    else if (strcmp(config->data_dir, alerter->data_dir) != 0)
        result = error_set(error, -EINVAL, "data_dir has changed: restart the alerter for that");
    if (result < 0) {
        rules_destroy(rules);
        free(states);
        return result;
    }
    alerter_self_tell(alerter); /* of channels that may be gone then */
    outbox_set_channels(alerter->outbox, rules->channels, rules->channel_count);
    observer_forget(alerter->observer);
    rules_destroy(alerter->rules);
    free(alerter->states);
    alerter->rules = rules;
    alerter->states = states;
    alerter->interval_ns = config->alerter.interval_ns;
    observer_count_repeats(alerter->observer, config->collector.dedup_window_ns > 0);
    alerter_self_show_channels(alerter);
    audit_reload(alerter);
    loop_set_timer(alerter->timer, 0);
    return 0;
}

/* --- the end --- */

static void on_stop_timer(struct loop_timer *timer, void *context) {
    struct alerter *alerter = context;
    if (outbox_counts(alerter->outbox).waiting > 0 && clock_monotonic_ns() < alerter->stop_before_ns)
        loop_set_timer(timer, STOP_LOOK_MS * CLOCK_MILLISECOND);
    else
        alerter->done(alerter->done_context);
}

void alerter_stop(struct alerter *alerter, void (*done)(void *context), void *context) {
    control_destroy(alerter->control);
    alerter->control = NULL;
    loop_rest_timer(alerter->timer);
    write_history(alerter);
    alerter->done = done;
    alerter->done_context = context;
    alerter->stop_before_ns = clock_monotonic_ns() + STOP_PATIENCE_S * CLOCK_SECOND;
    if (loop_add_timer(alerter->loop, on_stop_timer, alerter, &alerter->stop_timer) < 0)
        done(context);
    else
        loop_set_timer(alerter->stop_timer, 0);
}

void alerter_counters(const struct alerter *alerter, struct alerter_counters *ret) {
    struct outbox_counts outbox = outbox_counts(alerter->outbox);
    *ret = alerter->counters;
    for (size_t i = 0; i < alerter->table.count; i++)
        ret->alerts[alerter->table.slots[i]->alert.status]++;
    ret->notifications_sent = outbox.delivered;
    ret->notifications_failed = outbox.failed + outbox.refused + outbox.expired + outbox.dropped;
    ret->notifications_waiting = outbox.waiting;
    ret->history_waiting = history_waiting(alerter->history);
    ret->rules = alerter->rules->rule_count;
}
