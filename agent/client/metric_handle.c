/* metric_handle.c - updates by handle (taskforge.h). The usual way is a few loads and the atomic operation on the slot's cell; see
 * metrics.h for what holds it there, and for where counts go that cannot. */
#include "agent/client/metric_sample.h"
#include "agent/client/metrics.h"

#include <errno.h>
#include <math.h>

/* --- the way to the cell --- */

struct access {
    struct ring_slot *slot; /* NULL: count in the own cell */
    uint64_t session_id;    /* whose slot that is */
    uint32_t place;
    bool no_room; /* in the slot: by name */
    struct call call;
};

static bool slot_is_left(const struct ring_slot *slot) {
    return atomic_load_explicit(&slot->control, memory_order_relaxed) & SLOT_CONTROL_REATTACH;
}

/* The metric's cell in the session that this thread holds. */
static bool access_cell(struct access *access, const struct tf_metric *metric, const struct thread_lane *lane,
                        uint64_t session_id) {
    uint64_t known = atomic_load_explicit(&metric->known, memory_order_acquire);
    if (unlikely(known >> METRIC_PLACE_BITS != session_id))
        return false;
    access->place = known & ((1 << METRIC_PLACE_BITS) - 1);
    access->no_room = access->place == 0;
    access->slot = access->no_room ? NULL : lane->session->claim.slot;
    access->session_id = session_id;
    return true;
}

/* Not in this session yet, or not used yet in this child. */
static void place_now(struct tf_metric *metric, struct session *session) {
    int saved_errno = errno;
    registry_lock();
    if (metric->client->session == session)
        metric_place(metric, session);
    registry_unlock();
    errno = saved_errno;
}

static __attribute__((noinline)) void access_slowly(struct access *access, struct tf_metric *metric) {
    struct tf_client *client = metric->client;
    if (!access->call.nested && !access->call.thread)
        access->call.thread = thread_get();
    struct thread_lane *lane = thread_session_find(&access->call, client);
    if (!lane)
        return;
    uint64_t session_id = atomic_load_explicit(&lane->session_id, memory_order_relaxed);
    if (!access->call.nested && atomic_load(&metric->known) >> METRIC_PLACE_BITS != session_id)
        place_now(metric, lane->session);
    access_cell(access, metric, lane, session_id);
}

/* Begin an update, from a signal handler too: what the thread holds now stays until access_leave. */
static inline void access_enter(struct access *access, struct tf_metric *metric) {
    access->slot = NULL;
    access->no_room = false;
    access->call = (struct call) { .thread = thread_self, .nested = thread_busy != 0 };
    thread_busy++;
    atomic_signal_fence(memory_order_seq_cst);
    uint64_t session_id = atomic_load_explicit(&metric->client->session_id, memory_order_acquire);
    const struct thread_lane *hot = likely(access->call.thread) ? access->call.thread->hot : NULL;
    if (likely(session_id != 0 && hot && atomic_load_explicit(&hot->session_id, memory_order_relaxed) == session_id) &&
        likely(!slot_is_left(hot->session->claim.slot)) && likely(access_cell(access, metric, hot, session_id)))
        return;
    access_slowly(access, metric);
}

/* What is pending goes on: into the slot, and what has no room there by name. Without either it waits for a later call. */
static __attribute__((noinline)) void settle(struct access *access, struct tf_metric *metric) {
    int saved_errno = errno;
    if (access->call.nested || !(access->slot || access->no_room) ||
        clock_monotonic_ns() < atomic_load(&metric->settle_ns))
        return;
    bool left = access->slot ? own_move(metric, access->slot, access->place) : true;
    if (left && own_send(&access->call, metric)) {
        atomic_store(&metric->settle_ns, clock_monotonic_ns() + METRIC_SETTLE_PAUSE_NS);
        atomic_store(&metric->has_pending, true);
    }
    errno = saved_errno;
}

/* Let later calls go straight to the cell. Who leaves the session changes its number first and closes then; who has something
 * pending says so first and closes then: seen here behind our store, or closed behind it. All sequentially consistent. */
static __attribute__((noinline)) void open_quickly(struct access *access, struct tf_metric *metric) {
    enum metric_kind kind = metric->definition.kind;
    const _Atomic uint64_t *present = &metric->client->session_id;
    if (access->call.nested || kind == METRIC_GAUGE || atomic_load(present) != access->session_id ||
        atomic_load(&metric->sample_step) != 0) /* so that what all others take the quick way asks for no sampling */
        return;
    __atomic_store_n(&metric->head.control, (const uint32_t *)&access->slot->control, __ATOMIC_RELEASE);
    if (kind == METRIC_COUNTER) {
        __atomic_store_n(&metric->head.counter, slot_counter_cell(access->slot, access->place), __ATOMIC_SEQ_CST);
    } else {
        __atomic_store_n(&metric->place, access->place, __ATOMIC_RELEASE);
        __atomic_store_n(&metric->slot, access->slot, __ATOMIC_SEQ_CST);
    }
    if (atomic_load(present) != access->session_id || atomic_load(&metric->has_pending))
        metric_quick_close(metric);
}

static inline void access_leave(struct access *access, struct tf_metric *metric) {
    if (unlikely(atomic_load_explicit(&metric->has_pending, memory_order_relaxed)))
        settle(access, metric);
    else if (access->slot)
        open_quickly(access, metric);
    atomic_signal_fence(memory_order_seq_cst);
    thread_busy--;
}

/* The session may have been left while a gauge with a rule was set in it: then the value goes where those of the next session come
 * from, and does not stay behind to count twice (metrics_leave_session has the other half of the order). */
static __attribute__((noinline)) void gauge_confirm(const struct access *access, struct tf_metric *metric) {
    uint64_t set_ns;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&metric->client->session_id) == access->session_id)
        return;
    double value = slot_gauge_value(access->slot, access->place, &set_ns);
    slot_gauge_leave(access->slot, access->place);
    own_gauge_set(metric, value, set_ns > 0 ? set_ns : clock_real_ns());
}

/* --- refusals --- */

static __attribute__((noinline)) int refuse(const struct tf_metric *metric, enum metric_kind kind, const char *what) {
    struct thread *thread = thread_busy ? NULL : thread_get();
    struct error *error = thread ? &thread->error : NULL;
    if (thread)
        thread->failure = FAILURE_TEXT;
    if (!metric)
        return error_set(error, -EINVAL, "the metric is NULL: was it registered?");
    if (what)
        return error_set(error, -EINVAL, "%s %.*s %s", metric_kind_name(metric->definition.kind),
                         TEXT_FORMAT(metric->definition.name), what);
    return error_set(error, -EINVAL, "%.*s is a %s, not a %s", TEXT_FORMAT(metric->definition.name),
                     metric_kind_name(metric->definition.kind), metric_kind_name(kind));
}

static inline bool is_kind(const struct tf_metric *metric, enum metric_kind kind) {
    return likely(metric && metric->definition.kind == kind);
}

/* --- updates --- */

int tf_counter_add_(tf_metric *metric, int64_t n) {
    if (!is_kind(metric, METRIC_COUNTER))
        return refuse(metric, METRIC_COUNTER, NULL);
    if (unlikely(n < 0))
        return refuse(metric, METRIC_COUNTER, "cannot go down: what is added must be 0 or more");
    struct access access;
    access_enter(&access, metric);
    if (likely(access.slot))
        slot_counter_add(access.slot, access.place, (uint64_t)n);
    else
        own_counter_add(metric, (uint64_t)n);
    access_leave(&access, metric);
    return 0;
}

int tf_gauge_set(tf_metric *metric, double value) {
    if (!is_kind(metric, METRIC_GAUGE))
        return refuse(metric, METRIC_GAUGE, NULL);
    struct access access;
    access_enter(&access, metric);
    if (likely(access.slot))
        slot_gauge_set(access.slot, access.place, value, clock_real_ns());
    else
        own_gauge_set(metric, value, clock_real_ns());
    if (access.slot && unlikely(metric_has_rule(metric)))
        gauge_confirm(&access, metric);
    access_leave(&access, metric);
    return 0;
}

int tf_gauge_add(tf_metric *metric, double n) {
    if (!is_kind(metric, METRIC_GAUGE))
        return refuse(metric, METRIC_GAUGE, NULL);
    if (unlikely(isnan(n)))
        return refuse(metric, METRIC_GAUGE, "cannot change by NaN");
    struct access access;
    access_enter(&access, metric);
    if (likely(access.slot))
        slot_gauge_add(access.slot, access.place, n, clock_real_ns());
    else
        own_gauge_add(metric, n);
    if (access.slot && unlikely(metric_has_rule(metric)))
        gauge_confirm(&access, metric);
    access_leave(&access, metric);
    return 0;
}

/* Where the slot has no room the exact value goes by name; where that has none either, its bucket waits. */
static __attribute__((noinline)) void observe_elsewhere(struct access *access, struct tf_metric *metric, double value,
                                                        uint32_t times) {
    bool may_send =
        !access->call.nested && atomic_load(&metric->client->session_id) != 0 && !atomic_load(&metric->has_pending);
    int saved_errno = errno;
    access->slot = NULL; /* writing may change the thread's sessions */
    if (may_send && metric_send_times(&access->call, metric, value, times) == 0) {
        atomic_fetch_add(&metric->left_count, times);
        atomic_add_double(&metric->left_sum_bits, value * times);
    } else {
        own_histogram_observe(metric, value, times);
    }
    errno = saved_errno;
}

/* Straight into the cell: 0, or 1 for the ordinary way. */
static inline int observe_quickly(tf_metric *metric, enum metric_kind kind, double value) {
    struct ring_slot *slot = __atomic_load_n(&metric->slot, __ATOMIC_ACQUIRE);
    uint32_t place = __atomic_load_n(&metric->place, __ATOMIC_ACQUIRE);
    if (unlikely(!slot) || unlikely(metric->definition.kind != kind) || unlikely(slot_is_left(slot)) ||
        unlikely(__atomic_load_n(&metric->slot, __ATOMIC_RELAXED) != slot)) /* the place is another session's */
        return 1;
    return likely(slot_histogram_observe_known(slot, place, value, 1)) ? 0 : 1;
}

static __attribute__((noinline)) int observe_ordinarily(tf_metric *metric, enum metric_kind kind, double value,
                                                        uint32_t times) {
    if (!is_kind(metric, kind))
        return refuse(metric, kind, NULL);
    if (unlikely(isnan(value)))
        return refuse(metric, kind, "takes no NaN");
    if (unlikely(kind == METRIC_TIMER && value < 0))
        return refuse(metric, kind, "takes no duration below 0");
    struct access access;
    access_enter(&access, metric);
    bool counted =
        likely(access.slot) && likely(slot_histogram_observe_times(access.slot, access.place, value, times) == 0);
    if (unlikely(!counted)) {
        access.no_room |= access.slot != NULL;
        observe_elsewhere(&access, metric, value, times);
    }
    access_leave(&access, metric);
    return thread_has_trace() ? metric_exemplar_offer(metric, value) : 0;
}

/* One in `sample` of them, as that many. What is to be refused is refused, also where it would not be taken. */
static __attribute__((noinline)) int observe_unhurried(tf_metric *metric, enum metric_kind kind, double value) {
    uint64_t step = metric ? atomic_load_explicit(&metric->sample_step, memory_order_relaxed) : 0;
    uint32_t times = 1;
    if (step != 0) {
        bool is_sound = metric->definition.kind == kind && (kind == METRIC_TIMER ? value >= 0 : !isnan(value));
        if (likely(is_sound) && likely(!sample_takes(step)))
            return 0;
        times = atomic_load_explicit(&metric->sample, memory_order_relaxed);
    }
    return observe_ordinarily(metric, kind, value, times);
}

/* What comes last is a call in the place of the return, so that the quick way saves no register for it. */
static inline int observe(tf_metric *metric, enum metric_kind kind, double value) {
    if (unlikely(!metric) || unlikely(observe_quickly(metric, kind, value) != 0))
        return observe_unhurried(metric, kind, value);
    if (unlikely(thread_has_trace()))
        return metric_exemplar_offer(metric, value);
    return 0;
}

int tf_histogram_observe(tf_metric *metric, double value) {
    return observe(metric, METRIC_HISTOGRAM, value);
}

int tf_timer_observe(tf_metric *metric, double seconds) {
    return observe(metric, METRIC_TIMER, seconds);
}

uint64_t tf_timer_start(void) {
    return clock_monotonic_ns();
}

int tf_timer_stop(tf_metric *metric, uint64_t started) {
    uint64_t now = clock_monotonic_ns();
    return observe(metric, METRIC_TIMER, (double)(now > started ? now - started : 0) / (double)CLOCK_SECOND);
}

/* --- by name, where the series has a cell --- */

static int observe_promoted(struct tf_metric *metric, double value) {
    if (likely(observe_quickly(metric, metric->definition.kind, value) == 0))
        return 0;
    struct access access;
    access_enter(&access, metric);
    bool takes = !access.slot || slot_histogram_knows(access.slot, access.place, value) ||
                 slot_metrics_leave_half(access.slot, SLOT_METRIC_CHUNK_SIZE);
    bool counted = takes && likely(access.slot) && slot_histogram_observe(access.slot, access.place, value) == 0;
    if (takes && !counted) {
        access.no_room |= access.slot != NULL;
        observe_elsewhere(&access, metric, value, 1);
    }
    access_leave(&access, metric);
    return takes ? 0 : -ENOSPC;
}

int metric_update_promoted(struct tf_metric *metric, double value) {
    if (metric->definition.kind == METRIC_COUNTER)
        return tf_counter_add(metric, (int64_t)value);
    int r = observe_promoted(metric, value);
    if (unlikely(thread_has_trace()) && r == 0)
        metric_exemplar_offer(metric, value);
    return r;
}

/* --- what this process counted --- */

static void own_values(const struct tf_metric *metric, struct tf_metric_value *ret) {
    uint64_t in_sessions;
    double sum;
    metric_in_sessions(metric, &in_sessions, &sum);
    if (metric->definition.kind == METRIC_COUNTER) {
        uint64_t total = atomic_load(&metric->left_count) + atomic_load(&metric->own.count) + in_sessions;
        ret->value = (double)total;
    } else if (metric->definition.kind == METRIC_GAUGE) {
        ret->value = in_sessions > 0 ? sum : own_gauge_value(metric);
    } else {
        uint64_t bits = atomic_load(&metric->left_sum_bits), own_bits = atomic_load(&metric->own.sum_bits);
        double left, own;
        memcpy(&left, &bits, sizeof(left));
        memcpy(&own, &own_bits, sizeof(own));
        ret->count = atomic_load(&metric->left_count) + own_histogram_count(metric) + in_sessions;
        ret->sum = left + own + sum;
    }
}

int tf_metric_get_own(tf_metric *metric, struct tf_metric_value *ret, size_t size) {
    if (!metric)
        return refuse(NULL, METRIC_COUNTER, NULL);
    if (size != sizeof(*ret))
        return refuse(metric, metric->definition.kind, "can be read with size sizeof(struct tf_metric_value) only");
    struct tf_metric_value value = { .kind = (int)metric->definition.kind };
    registry_lock();
    own_values(metric, &value);
    registry_unlock();
    *ret = value;
    return 0;
}
