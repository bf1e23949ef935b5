/* ticks.h - the time of a record, cheaper than the vDSO: the processor's time stamp counter, where it is invariant.
 *
 * Each thread keeps a point (ticks, real time) and goes on from it by the rate; after a tenth of a second the vDSO gives it a new
 * one. So a step of the clock, and the slewing of NTP, are seen within that time; until a rate is known, and where the counter may
 * not be used, the vDSO serves. A rate is the tick's length in nanoseconds << 32. A process that comes takes the one of its ring's
 * header, within bounds, and puts it right by what it measures itself, over 10 ms at least, then once over a second, each time against the
 * monotonic clock; what differs is only believed when the next measurement says it, too (while a machine sleeps the counter may go on
 * and the clock not). What it measures it writes there for those who come. At a new point a thread's time does not go
 * back by what the rate was off (20 us at most): it runs slower for a point. Resolution: that of CLOCK_REALTIME, some 10 ns off. */
#ifndef TASKFORGE_AGENT_CLIENT_TICKS_H
#define TASKFORGE_AGENT_CLIENT_TICKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/check.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#define TICKS_EXIST 1
static inline uint64_t ticks_read(void) {
    return __rdtsc();
}
#else
#define TICKS_EXIST 0
static inline uint64_t ticks_read(void) {
    return 0;
}
#endif

struct ticks { /* one thread's; zeros: none yet */
    uint64_t at;
    uint64_t real_ns; /* at `at` */
    uint64_t rate;
    uint64_t valid; /* ticks it is good for; 0: read the vDSO */
};

/* The real time, or 0: ticks_renew knows it. */
static inline uint64_t ticks_now(const struct ticks *ticks) {
    uint64_t since = ticks_read() - ticks->at;
    return likely(since < ticks->valid) /* also when the counter went back */
               ? ticks->real_ns + (since * ticks->rate >> 32)
               : 0;
}

/* What a measurement has so far; zeros: nothing. */
struct ticks_measurement {
    uint64_t begin_ticks, begin_ns; /* begin_ns: of the monotonic clock */
    uint64_t suspected;             /* what the last one said, when it differed */
    bool sure;                      /* what is believed agrees with a measurement */
    bool refined;                   /* it was once long enough to be better than any short one */
};

/* Pure: what to believe when counter and monotonic clock stand so, and `known` (0: nothing) is believed now: that, or what was
 * measured. 0: nothing yet. */
uint64_t ticks_judge(struct ticks_measurement *measurement, uint64_t ticks, uint64_t now_ns, uint64_t known);

/* The real time by the vDSO, and a new point where there is a rate. shared: the tick_rate of the header of a ring that the caller
 * holds. */
uint64_t ticks_renew(struct ticks *ticks, _Atomic uint64_t *shared);

/* A ring was attached: take its rate, or (where nobody knows) find out whether the counter may be used. Under the registry lock. */
void ticks_attach(_Atomic uint64_t *shared);

#endif
