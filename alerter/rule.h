/* rule.h - alert rules as plain data: what rules_file.c reads and everything else goes by. Immutable once read, but for the
 * patterns' scratch memory inside a log condition's filter: one thread uses a struct rules at a time.
 */
#ifndef TASKFORGE_ALERTER_RULE_H
#define TASKFORGE_ALERTER_RULE_H

#include "alerter/alert.h"
#include "alerter/channel_config.h"
#include "common/query/filter.h"

enum {
    RULES_MAX = 10000, /* in all files */
    RULE_NAME_MAX = 200,
    RULE_CHANNELS_MAX = CHANNELS_MAX,
};

#define RULE_OWN_SERVICE "taskforge" /* of the alerter's own entries, and of other events of the system itself */

enum rule_kind { RULE_LOG, RULE_METRIC, RULE_SILENCE };
enum rule_operator {
    RULE_GREATER,
    RULE_LESS,
    RULE_EQUAL,
    RULE_NOT_EQUAL,
    RULE_GREATER_OR_EQUAL,
    RULE_LESS_OR_EQUAL,
};
enum rule_no_data { RULE_KEEP, RULE_OK, RULE_ALERT };

/* At least count_threshold entries that pass the filter arrived within time_window. */
struct rule_log {
    int level, min_level; /* enum level; -1: not written, at most one of them is */
    char *service;        /* NULL: any */
    char *filter_text;    /* LogQL's form, or NULL */
    uint64_t count_threshold;
    uint64_t time_window_ns;
    struct filter filter; /* all of the above as one filter, without the window */
};

/* The value of each series of that name with these labels, compared. */
struct rule_metric {
    char *name;   /* of /metrics, or the application's own */
    int operator; /* enum rule_operator */
    double threshold;
    struct alert_pairs labels; /* each must be the series' */
};

/* No entry of the service arrived within time_window. */
struct rule_silence {
    char *service;
    uint64_t time_window_ns;
    struct filter filter; /* the service's entries */
};

struct rule_names {
    char **items;
    size_t count;
    bool written; /* false: the default channels */
};

struct rule {
    char *id; /* unique */
    char *name;
    int severity; /* enum alert_severity */
    enum rule_kind kind;
    struct rule_log log;         /* RULE_LOG */
    struct rule_metric metric;   /* RULE_METRIC */
    struct rule_silence silence; /* RULE_SILENCE */
    bool has_resolve_threshold;
    double resolve_threshold; /* metric: of the value; log: of the count */
    struct rule_names channels;
    uint64_t cooldown_ns;
    uint64_t for_ns;
    uint64_t keep_firing_ns;
    int no_data;                    /* enum rule_no_data */
    struct alert_pairs annotations; /* templates */
};

struct rules {
    struct channel_config *channels;
    size_t channel_count;
    struct rule_names default_channels;
    struct rule *rules;
    size_t rule_count;
    uint64_t repeat_interval_ns; /* 0: an alert that stays active is not repeated */
};

const char *rule_kind_name(enum rule_kind kind);             /* "log" "metric" "silence" */
const char *rule_operator_sign(enum rule_operator operator); /* ">" ... */

const struct rule *rules_find(const struct rules *rules, const char *id);                /* NULL: none */
const struct channel_config *rules_channel(const struct rules *rules, const char *name); /* NULL: none */

/* Where a rule's notifications go; for NULL (a rule that is gone) the default channels. */
const struct rule_names *rules_channels_of(const struct rules *rules, const struct rule *rule);

/* Whether an alert with these labels can be of this rule's condition, as it is now. */
bool rule_fits_labels(const struct rule *rule, const struct alert_pairs *labels);

void rule_names_finish(struct rule_names *names);
void rule_finish(struct rule *rule);
void channel_config_finish(struct channel_config *channel);
void rules_destroy(struct rules *rules); /* NULL is fine */

#endif
