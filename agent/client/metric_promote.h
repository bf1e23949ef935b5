/* metric_promote.h - series by name that are updated at a high rate get a cell of the process's slot, as those by handle have one:
 * aggregation at the source. From then on an update is an atomic add, costs the ring and the collector nothing, is never dropped
 * and survives SIGKILL.
 *
 * A series is promoted once a thread has made METRIC_HOT_UPDATES updates of it within METRIC_HOT_NS, where half of the slot's
 * series and of its metric area is left to handles; it stays so as long as its client. Its handle is known to nobody else: one that
 * the application registers for the same series is another, so that tf_metric_get_own tells what was counted by that.
 * Both, and what went by name before, add up in the collector. A record or a cell takes an update, never both, so totals are exact.
 *
 * Not promoted are gauges (whose order with other processes' updates by name is that of their records), and a counter's n
 * that is no whole number goes by name also where there is a cell. Nor is anything in a call that is nested in another. */
#ifndef TASKFORGE_AGENT_CLIENT_METRIC_PROMOTE_H
#define TASKFORGE_AGENT_CLIENT_METRIC_PROMOTE_H

#include "agent/client/client_internal.h"
#include "common/model/metric.h"

enum { METRIC_HOT_UPDATES = 1000, METRIC_HEATS = 1024 /* a power of two */ };
#define METRIC_HOT_NS (10 * CLOCK_SECOND)

/* How often a thread has updated a series that its memory of series (metric_memo.h) did not have. Where two fall into one place the
 * other's updates count down, so that the hotter one comes through. Zeros: none. */
struct metric_heat {
    uint64_t hash;
    uint32_t count;
    uint32_t reserved;
    uint64_t since_ns;
};

/* Whether a cell can hold such an update: it adds up, and a counter's n is a whole number that a double holds. */
static inline bool metric_cell_takes(enum metric_kind kind, double value) {
    static const double most = 0x1p53;
    if (kind != METRIC_COUNTER)
        return metric_kind_is_histogram(kind);
    return value <= most && (double)(int64_t)value == value;
}

/* The handle of the series of this update, whose words are judged, or NULL: it goes by name. is_hot: its updates were counted already, and
 * are many. Not nested, not under the lock. */
struct tf_metric *metric_promote(struct tf_client *client, struct thread *thread,
                                 const struct record_metric_update *update, bool is_hot, uint64_t now_ns);

#endif
