/* metric_exemplar.c - see metrics.h: exemplars of what is observed by handle. The observation is in its cell already; about once a second for
 * each octave of a series, while its thread has a trace, a record goes along that counts nothing and bears the trace id. */
#include "agent/client/metrics.h"

#include <errno.h>
#include <time.h>

enum { PAUSE_MS = 1000 };

/* The clock that costs least: exact to some milliseconds. Never 0. */
static uint32_t coarse_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    uint32_t ms = (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    return ms ? ms : 1;
}

static __attribute__((noinline)) void send(struct tf_metric *metric, double value) {
    int saved_errno = errno;
    struct call call;
    char hex[TRACE_DIGITS];
    if (!call_enter(&call))
        return;
    struct text trace_id = thread_trace_id(call.thread, hex);
    if (trace_id.length > 0 && trace_id.length <= METRIC_TRACE_ID_BYTES)
        metric_send(&call, metric, METRIC_EXEMPLAR, value, trace_id);
    call_leave();
    errno = saved_errno;
}

int metric_exemplar_offer(struct tf_metric *metric, double value) {
    unsigned octave, bucket;
    if (thread_busy) /* a signal handler in the middle of a call: the context may be in the middle of a change */
        return 0;
    bool is_quick = histogram_quick(value, &octave, &bucket) && octave < HISTOGRAM_OCTAVES;
    if (!is_quick && !histogram_place(value, &octave, &bucket))
        octave = HISTOGRAM_OCTAVES;
    _Atomic uint32_t *sent = &metric->exemplar_ms[octave];
    uint32_t last = atomic_load_explicit(sent, memory_order_relaxed), now = coarse_ms();
    if (unlikely(last == 0 || now - last >= PAUSE_MS)) {
        atomic_store_explicit(sent, now, memory_order_relaxed);
        send(metric, value);
    }
    return 0;
}
