/* alert.h - one alert: what people see of it (CONTRACT section 7), and the times its state machine goes by.
 *
 * One firing of one rule for one label set is one alert with an id of its own, from pending to resolved; the next firing is
 * the next alert. Plain data that owns its strings; not thread-safe by itself.
 */
#ifndef TASKFORGE_ALERTER_ALERT_H
#define TASKFORGE_ALERTER_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/model/level.h"

enum alert_severity { ALERT_INFO, ALERT_WARNING, ALERT_ERROR, ALERT_CRITICAL };
enum { ALERT_SEVERITY_COUNT = 4 };

enum alert_status { ALERT_PENDING, ALERT_ACTIVE, ALERT_ACKNOWLEDGED, ALERT_RESOLVED };
enum { ALERT_STATUS_COUNT = 4 };

const char *alert_severity_name(enum alert_severity severity); /* "info" "warning" "error" "critical" */
int alert_severity_parse(struct text text, enum alert_severity *ret);
enum level alert_severity_level(enum alert_severity severity); /* info warn error critical */
const char *alert_status_name(enum alert_status status);       /* "pending" "active" "acknowledged" "resolved" */

enum {
    ALERT_ENTRIES_MAX = 10,      /* log lines that travel with an alert */
    ALERT_PAIRS_MAX = 64,        /* labels, annotations */
    ALERT_ENCODED_MAX = 1 << 20, /* bytes of an alert in the store; a damaged length is refused */
};

struct alert_pair {
    char *key;
    char *value;
};

struct alert_pairs { /* ascending by key, keys unique */
    struct alert_pair *items;
    size_t count;
};
#define ALERT_PAIRS_EMPTY ((struct alert_pairs) { 0 })

/* Set key to value (both copied). 0, -ENOMEM, -E2BIG beyond ALERT_PAIRS_MAX. */
int alert_pairs_set(struct alert_pairs *pairs, struct text key, struct text value);
const char *alert_pairs_get(const struct alert_pairs *pairs, const char *key); /* NULL when there is none */
int alert_pairs_copy(const struct alert_pairs *from, struct alert_pairs *ret); /* *ret is new */
bool alert_pairs_equal(const struct alert_pairs *a, const struct alert_pairs *b);
void alert_pairs_append_json(struct buffer *out, const struct alert_pairs *pairs); /* {"key":"value",...} */
void alert_pairs_finish(struct alert_pairs *pairs);

struct alert {
    struct uuid id;
    char *rule_id;
    char *name; /* of the rule */
    enum alert_severity severity;
    enum alert_status status;
    char *message;                  /* one line, for people; the annotation "summary" where there is one */
    char *details;                  /* a JSON object: value, threshold, ... by the kind of condition */
    char *entries;                  /* a JSON array: the lines that made a log alert fire, newest first; "[]" */
    struct alert_pairs labels;      /* of the observed series; empty where there is none */
    struct alert_pairs annotations; /* expanded */
    double value;                   /* last observed */
    bool no_data;                   /* it fired because there was none (no_data: alert) */

    /* Real times in ns; 0: not yet. */
    uint64_t pending_since_ns; /* when the condition was first seen to hold */
    uint64_t timestamp_ns;     /* when it became active; while pending, pending_since_ns */
    uint64_t cleared_since_ns; /* active or acknowledged: since when the condition holds no more; keep_firing_for counts
                                  from there */
    uint64_t last_notified_ns; /* when the last notification of any kind was put out */
    uint64_t last_firing_ns;   /* when the last one that says "active" was, of this alert or an earlier one of the same
                                  rule and labels: cooldown_period and repeat_interval count from there */
    uint64_t resolved_at_ns;
    bool told; /* that it is active was notified: then its end is, too */

    char *acknowledged_by; /* NULL unless it was */
    char *acknowledged_reason;
};

void alert_finish(struct alert *alert);                      /* frees what it owns and zeroes it */
int alert_copy(const struct alert *from, struct alert *ret); /* deep; -ENOMEM */

/* The same for all notifications of one alert: what PagerDuty calls dedup_key. "RULE_ID:" and the alert's id. */
void alert_append_dedup_key(struct buffer *out, const struct alert *alert);

/* Append an alert as its socket and the API have it: an object with the keys of a webhook's body in the contract's order; `entries` last, where
 * with_entries. acknowledged_by, acknowledged_reason and resolved_at stand before it where they apply. */
void alert_append_json(struct buffer *out, const struct alert *alert, bool with_entries);

/* The alert as stored (msgpack, version 1), and back. -EINVAL for anything that is none; -EPROTO for a newer version. */
int alert_encode(const struct alert *alert, struct buffer *out);
int alert_decode(struct text encoded, struct alert *ret);

#endif
