/* alerter_private.h - what the rooms of the alerter's live state share; nobody else includes it. */
#ifndef TASKFORGE_ALERTER_ALERTER_PRIVATE_H
#define TASKFORGE_ALERTER_ALERTER_PRIVATE_H

#include "agent/client/daemon_metrics.h"
#include "alerter/alert_table.h"
#include "alerter/alerter.h"
#include "alerter/history.h"
#include "alerter/observe.h"
#include "alerter/outbox.h"
#include "alerter/state.h"
#include "common/process/control.h"

enum {
    ALERTER_PATH_MAX = 600,
    RULES_APART_MAX = 100, /* rules whose failures are counted apart; those of further ones are counted together */
};

/* What is known of a rule's last evaluation; one for each of rules->rules. */
struct rule_state {
    int result;
    char why[ERROR_TEXT_SIZE];
    uint64_t evaluated_ns; /* real; 0: not yet */
    bool no_data;          /* nothing could be said of any label set */
    size_t open;           /* alerts */
    uint64_t failures;     /* evaluations that failed and are not told yet */
};

struct alerter {
    struct loop *loop;
    char *runtime_dir, *data_dir;
    uint64_t interval_ns;
    struct rules *rules;
    struct rule_state *states;
    struct alert_store *store;
    struct alert_table table;
    struct observer *observer;
    struct producer *producer;
    struct daemon_metrics *metrics;
    struct tf_metric *evaluation_time;
    struct alerter_counters told; /* as metrics */
    char *apart[RULES_APART_MAX]; /* ids of rules that have failed, whether or not they are still there; owned */
    size_t apart_count;
    struct history *history;
    struct http_client *http;
    struct outbox *outbox;
    struct control *control;
    char control_path[ALERTER_PATH_MAX];
    struct loop_timer *timer, *stop_timer, *tell_timer;
    struct uuid_generator ids;
    uint64_t evaluation; /* its number */
    struct alerter_counters counters;
    bool store_fails; /* told already */
    uint64_t stop_before_ns;
    void (*done)(void *context);
    void *done_context;
};

/* --- alerter_changes.c: a batch of changes that are stored together --- */

struct alert_change {
    struct alert_slot *target; /* NULL: a new alert */
    struct alert content;      /* what it becomes; owned */
    struct state_change change;
    const struct rule *rule; /* NULL: its rule is gone */
    uint64_t hash;           /* of a new one */
    enum alert_status from;
};

struct alert_changes {
    struct alert_change *items;
    size_t count, capacity, new_count;
};
#define ALERT_CHANGES_EMPTY ((struct alert_changes) { 0 })
void alert_changes_finish(struct alert_changes *changes);

/* Takes *content over (also on -ENOMEM). */
int alert_changes_add(struct alert_changes *changes, struct alert_slot *target, struct alert *content,
                      const struct rule *rule, struct state_change change);
/* Whether a new alert of this rule and labels is among them. */
bool alert_changes_begin(const struct alert_changes *changes, const char *rule_id, const struct alert_pairs *labels);

/* Store, take over, send. `audit` may be NULL. On failure nothing has changed. */
int alerter_commit(struct alerter *alerter, struct alert_changes *changes, const struct history_audit *audit,
                   uint64_t now_ns, struct error *error);

/* --- alerter_evaluate.c --- */

/* Evaluate all rules once. */
void alerter_evaluate(struct alerter *alerter, uint64_t now_ns);

/* --- alerter_self.c: the metrics of itself --- */

int alerter_self_open(struct alerter *alerter, struct error *error); /* once all else is there */
void alerter_self_tell(struct alerter *alerter);                     /* what happened since the last time */
void alerter_self_show_channels(struct alerter *alerter);            /* those of the rules, which are new */
void alerter_self_evaluated(struct alerter *alerter);                /* how long the last evaluation took */
void alerter_self_close(struct alerter *alerter);                    /* tells once more; before the outbox */

/* --- alerter_control.c --- */

int alerter_listen(struct alerter *alerter, struct error *error);

#endif
