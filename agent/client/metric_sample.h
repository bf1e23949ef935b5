/* metric_sample.h - one observation in N, chosen at random, counts as N: for histograms and timers that are observed so often that
 * even the few nanoseconds of an observation are felt.
 *
 * Each observation is taken with probability 1/N, whatever its value, whichever the series and whichever were taken before, so count, sum
 * and each bucket are right on average (of n observations the count is off by sqrt((N - 1) / n) of itself, as a standard deviation).
 * No random number is needed for each: a thread has the distance to the next one it takes, drawn from the exponential
 * distribution, and each observation goes a step of -ln(1 - 1/N) of it. As that distribution has no memory, one distance serves
 * series of every N. A signal handler in between may use it, too: one lost step is a random one. */
#ifndef TASKFORGE_AGENT_CLIENT_METRIC_SAMPLE_H
#define TASKFORGE_AGENT_CLIENT_METRIC_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/check.h"

enum { METRIC_SAMPLE_MAX = 1000000 };

/* The distance left, in 2^-52; below 0: not drawn yet. */
extern _Thread_local int64_t sample_left __attribute__((tls_model("initial-exec")));

/* The step of one in `sample` (2 to METRIC_SAMPLE_MAX), to be kept with the series. */
uint64_t sample_step(uint32_t sample);

/* Whether to take this observation, which is to count as `sample` then. Any thread, async-signal-safe. */
bool sample_is_due(uint64_t step);
static inline bool sample_takes(uint64_t step) {
    sample_left -= (int64_t)step;
    return unlikely(sample_left < 0) && sample_is_due(step);
}

/* Begin this thread's numbers anew: from a seed (tests), or, in a child after fork, from one of its own (0). */
void sample_begin(uint64_t seed);

#endif
