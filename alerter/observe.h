/* observe.h - what the rules are about, as it stands now: the store and the metric segment. Reads only; asks no process.
 *
 * Windows are counted by arrival, that is, by when the collector committed an entry, so that one which comes late is counted
 * in the windows after it came. Whether a collector lives is its heartbeat in the segment.
 */
#ifndef TASKFORGE_ALERTER_OBSERVE_H
#define TASKFORGE_ALERTER_OBSERVE_H

#include "alerter/evaluate.h"
#include "common/base/error.h"

enum {
    OBSERVED_SERIES_MAX = 10000, /* label sets of one rule; more are left out and told */
};

struct observed_series {
    struct alert_pairs labels;
    struct observation observation;
};

/* What one rule was shown. */
struct observations {
    struct observed_series *series; /* metric: maybe none */
    size_t count, capacity;
    size_t omitted;
    int result; /* 0, or a negative errno: nothing could be observed, nothing is to change */
    struct error error;
    uint64_t took_ns; /* to observe; of a metric rule: all of them, which are read in one pass */
};
#define OBSERVATIONS_EMPTY ((struct observations) { 0 })
void observations_finish(struct observations *observations);

struct observer;

/* Both folders are copied. Neither needs to hold anything yet. */
int observer_open(const char *data_dir, const char *runtime_dir, struct observer **ret, struct error *error);
void observer_close(struct observer *observer); /* NULL is fine */

/* Observe for all rules at `now_ns` (real), the same ones at each call until observer_forget. `all` has one for each, empty; the caller finishes them. */
void observe(struct observer *observer, const struct rules *rules, uint64_t now_ns, struct observations *all);

/* The rules are others from now on: forget what was counted for those before. */
void observer_forget(struct observer *observer);

/* Whether entries stand for repeats that were not stored (collector.dedup): each counts as many, and every one is read for that. */
void observer_count_repeats(struct observer *observer, bool repeats);

/* Append the newest entries that a log rule counted in its last observation as a JSON array, at most
 * ALERT_ENTRIES_MAX, newest first. 0 or a negative errno; then nothing was appended. */
int observe_entries(struct observer *observer, const struct rule *rule, uint64_t now_ns, struct buffer *out,
                    struct error *error);

/* Whether a collector was alive at the last observation. */
bool observer_collector_lives(const struct observer *observer);

#endif
