/* metrics.h - metrics by handle, for the rooms of the client library: who holds which count, and how it gets on.
 *
 *   tf_metric ──> cell in the slot of the client's present session        what the collector reads
 *      │      └──> own cell, in private memory                            what could not go there yet: pending
 *      └──> left: what sessions that ended, and records by name, have taken
 *
 * A thread that comes the ordinary way updates a slot's cell only while it holds the session by a lane (client_internal.h), so a slot
 * is never given back under its update. It then opens the quick way: the cell's address in the handle, for any thread, until the
 * session is left (or something is pending). A thread that has read the address just before adds to a slot that is left: that is
 * still mapped (a left mapping is entombed, not unmapped), and no other process claims a slot of a ring that is retired. Whatever cannot reach the slot (no ring, no room, a signal handler in the middle of a change of sessions) is
 * counted in the own cell, by atomic adds, and moved over once, by atomic exchanges, when a call comes by that can. Where the
 * slot has no room the pending counts go by name. So by handle nothing is dropped. What a process counted is
 * left + own + the cells of its sessions.
 */
#ifndef TASKFORGE_AGENT_CLIENT_METRICS_H
#define TASKFORGE_AGENT_CLIENT_METRICS_H

#include "agent/client/client_internal.h"
#include "common/shm/slot_metrics.h"

enum {
    METRICS_MAX = 4096,         /* handles of a client */
    PROMOTED_MAX = 256,         /* series by name that have a cell, besides (metric_promote.h) */
    METRIC_PLACE_BITS = 16,     /* of a metric's `known`; the rest is the session */
    METRIC_SENT_AT_A_TIME = 64, /* records by name that one update may write for what is pending */
};
/* The room that updates by name may take, and what a lost one counts as. */
#define METRIC_LEVEL LEVEL_INFO
#define METRIC_SETTLE_PAUSE_NS (10 * CLOCK_MILLISECOND)

struct own_cell {
    _Atomic uint64_t count;                         /* counters: the total; histograms: of 0 and below */
    _Atomic uint64_t sum_bits;                      /* histograms: the sum; gauges: what to add to the value */
    _Atomic uint64_t bits, set_ns;                  /* gauges: the value as it was set outside of the present slot */
    _Atomic uint64_t used[2];                       /* a bit for each octave */
    _Atomic uint64_t (*octaves)[HISTOGRAM_BUCKETS]; /* histograms: mapped whole, pages come with use */
};

struct tf_metric {
    struct tf_metric_head_ head; /* first: tf_counter_add reads it */
    struct ring_slot *slot;      /* histograms, timers: where the cell is, as head.counter is for counters; else NULL */
    uint32_t place;
    _Atomic uint32_t sample; /* one observation in so many counts; 0: nobody said. Set once, as sample_step is */
    _Atomic uint64_t sample_step; /* 0: all of them (metric_sample.h) */
    _Atomic uint64_t known;     /* session << 16 | the cell's place there, 0: no room; changed under the lock */
    _Atomic bool has_pending;   /* set behind every addition to `own` */
    _Atomic uint64_t settle_ns; /* monotonic: pending counts found no way; not again before */
    struct own_cell own;
    _Atomic uint64_t left_count, left_sum_bits; /* the sum: histograms */
    /* never changed */
    struct tf_client *client;
    struct metric_definition definition; /* texts stand in bytes */
    uint32_t index;                      /* in session->metric_places */
    bool promoted;                       /* by name: nobody has this handle but metric_promote.c */
    /* under the lock */
    struct tf_metric *next;
    _Atomic uint32_t
        *exemplar_ms; /* histograms: owned, when the last exemplar of each octave, and of 0 and below, went; 0: never */
    bool wanted;      /* to be in the slot as soon as there is one; in a child after fork: once it is used */
    char bytes[];
};

/* Gauges whose rule is not the default: they leave with their process, so they are never sent by name. */
static inline bool metric_has_rule(const struct tf_metric *metric) {
    return metric->definition.combine != METRIC_COMBINE_LAST;
}

/* --- metric_names.c --- */

/* That a name has one kind (and a gauge one rule) in this process, and takes no other's names on /metrics (under the default namespace and suffix; the
 * collector, which knows the real ones, judges all processes). 0, or -EEXIST with the reason. Beyond some thousand names new ones are not
 * remembered. nested: no lock, no memory, only what is known already is judged. */
int metric_name_claim(const struct metric_definition *definition, bool nested, struct error *error);

/* --- metric_own.c: the own cell --- */

int own_cell_init(struct own_cell *cell, enum metric_kind kind); /* -ENOMEM */
void own_cell_finish(struct own_cell *cell);
void own_cell_clear(struct own_cell *cell); /* in a child: no other thread */

/* Count it here. Any thread, async-signal-safe. */
void own_counter_add(struct tf_metric *metric, uint64_t n);
void own_gauge_set(struct tf_metric *metric, double value, uint64_t now_ns);
void own_gauge_add(struct tf_metric *metric, double n);
void own_histogram_observe(struct tf_metric *metric, double value, uint64_t times);

/* The value that a gauge takes along from one slot to the next: nothing is pending by that. */
void own_gauge_keep(struct tf_metric *metric, double value, uint64_t set_ns);

/* What stands here. */
uint64_t own_histogram_count(const struct tf_metric *metric);
double own_gauge_value(const struct tf_metric *metric);

/* Move what is pending into a slot that cannot go away meanwhile. True when something found no room there. */
bool own_move(struct tf_metric *metric, struct ring_slot *slot, uint32_t place);
/* Write it as records by name, some at a time. True when something is left. Not under the lock, not nested. */
bool own_send(struct call *call, struct tf_metric *metric);

/* One record by name for this metric, without waiting or counting a loss: 0, -EAGAIN. */
int metric_send(struct call *call, struct tf_metric *metric, enum metric_operation operation, double value,
                struct text trace_id);

/* --- metric_exemplar.c --- */

enum { EXEMPLAR_PLACES = HISTOGRAM_OCTAVES + 1 };

/* Whether the thread's context has a trace: what is observed may be an exemplar. */
static inline bool thread_has_trace(void) {
    const struct thread *thread = thread_self;
    return thread && thread->context.has & (TF_HAS_TRACE | CONTEXT_TEXT);
}

/* This was observed, in a trace. Sends an exemplar where the last one is old. 0. */
int metric_exemplar_offer(struct tf_metric *metric, double value);

/* An observation that counts as often as `times`, likewise. */
int metric_send_times(struct call *call, struct tf_metric *metric, double value, uint32_t times);

/* --- metrics.c --- */

/* The quick way to the cell, closed: by whoever leaves a session, or announces what is pending. Any context. */
void metric_quick_close(struct tf_metric *metric);

/* What may be registered or described: -EINVAL. */
int metric_definition_judge(const struct metric_definition *definition, struct error *error);

/* A handle for a definition whose name is claimed here; the same one for the same series. Borrowed texts are copied. -EINVAL, -EEXIST,
 * -ENOSPC (too many), -ENOMEM. */
int metric_register(struct tf_client *client, const struct metric_definition *definition, struct tf_metric **ret,
                    struct error *error);

/* The same under the lock for a definition that was judged, here with its own handle where it is by name: tf_metric_get_own tells what
 * was counted by handle only. */
int metric_get_or_create(struct tf_client *client, const struct metric_definition *definition, bool promoted,
                         struct tf_metric **ret, struct error *error);

/* Under the lock: give the metric its place in the session, when it has none yet, and move there what is pending. */
void metric_place(struct tf_metric *metric, struct session *session);

/* The counts of a metric in all sessions there are now, under the lock: for histograms the sum too; gauges: the value, if the
 * client has a session. */
void metric_in_sessions(const struct tf_metric *metric, uint64_t *count, double *sum);

/* --- metric_handle.c --- */

/* Add to a series by name that has a cell what metric_cell_takes and the kind does: 0, or -ENOSPC for a value whose octave is new
 * when half of the slot is taken, since the other is for handles. Nothing has happened then. Not under the lock. */
int metric_update_promoted(struct tf_metric *metric, double value);

/* --- metric_update.c --- */

/* One update by name: judged, written, lost by the client's policy. */
int metric_update(struct tf_client *client, enum metric_kind kind, enum metric_naming naming,
                  enum metric_operation operation, const char *name, double value, const struct tf_label *labels,
                  size_t label_count);

/* The trace of the thread's context as text; empty: none. */
enum { TRACE_DIGITS = 32 };
struct text thread_trace_id(const struct thread *thread, char hex[TRACE_DIGITS]);

/* The caller's labels, packed. */
int metric_labels_of(const struct tf_label *labels, size_t count, char out[METRIC_LABELS_BYTES], struct text *ret,
                     struct error *error);

#endif
