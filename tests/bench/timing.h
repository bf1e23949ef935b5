/* timing.h - how the benchmarks time calls of some nanoseconds, ours and the peers' alike (C and C++).
 *
 *   mean     wall time of a batch of back-to-back calls by one thread, over their number; the median of all batches
 *   best     the same of the quickest batch: what other programs on the machine disturb least
 *   p50 ...  calls timed one by one, by the processor's time stamp counter before and after (else by clock_gettime)
 *
 * What the timing itself costs is measured in between with a call that does nothing, and taken off. The rows take turns, a
 * batch each, so that a disturbance meets them all; each has some calls before its batch that are not timed, so that it
 * is not the turn that is measured.
 */
#ifndef TASKFORGE_TESTS_BENCH_TIMING_H
#define TASKFORGE_TESTS_BENCH_TIMING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct figures { /* ns a call */
    double mean, best, p50, p99, p999;
};

typedef void timed_call(unsigned i);

struct timed {
    const char *name;
    timed_call *call;
    void (*before)(void); /* off the clock, before the calls of a batch; NULL: nothing */
    void (*after)(void);  /* likewise behind them */
    struct figures figures;
    double bytes; /* what a call wrote; a caller who knows it says it */
};

enum {
    TIMED_WARM_UP = 20, /* calls before those of a batch */
    TIMED_BATCH = 1000, /* calls of a batch */
    TIMED_TURN = TIMED_WARM_UP + TIMED_BATCH,
};

/* How long to measure; TASKFORGE_BENCH_QUICK is for a first look. At least a million single calls otherwise. */
struct timed_rounds {
    unsigned batches, singles; /* turns of TIMED_BATCH calls */
};
struct timed_rounds timed_rounds(void);

/* Fill in the figures of all rows. */
void timed_run(struct timed *rows, size_t count, struct timed_rounds rounds);

/* One line for each row: name, variant, figures, how many times `floor` its mean is (0: not known), bytes. Columns are parted
 * by two spaces or more, so that run_calls.py can read them. */
void timed_print_head(void);
void timed_print(const struct timed *rows, size_t count, const char *variant, double floor);

/* Stay busy for a time, as a program that goes on with its work. */
void timed_pause(uint64_t ns);

/* Keep the calling thread on the first (0) or the last (1) processor that this process may use; false where there is but one. */
int timed_pin(int last);

static inline uint64_t timed_ticks(void) {
#if defined(__x86_64__)
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
#else
    return 0; /* a floor reads the clock instead */
#endif
}

#ifdef __cplusplus
}
#endif

#endif
