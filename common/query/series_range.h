/* series_range.h - the time that samples are asked of, cut into steps: what a chart has along its lower edge.
 *
 * Steps begin at multiples of their length in Unix time, so that the same step has the same samples whenever it is asked for; the first
 * and the last reach beyond what was asked for where that does not stand at such a multiple. Pure.
 */
#ifndef TASKFORGE_COMMON_QUERY_SERIES_RANGE_H
#define TASKFORGE_COMMON_QUERY_SERIES_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum {
    SERIES_STEPS_AUTOMATIC = 200, /* about so many, where no step is given */
    SERIES_STEPS_MAX = 11000,     /* of one series: as many as Prometheus gives */
    SERIES_MAX = 10000,           /* of one answer */
    SERIES_POINTS_MAX = 1000000,  /* of all series of one answer */
};

struct series_range {
    uint64_t first_ns; /* where the first step begins, a multiple of step_ns */
    uint64_t step_ns;
    size_t count; /* of steps */
};

static inline uint64_t series_range_end(const struct series_range *range) {
    return range->first_ns + range->count * range->step_ns;
}

/* Steps that hold [start, end), which is not empty. step_ns 0: one that people would choose, of which there are SERIES_STEPS_AUTOMATIC at most, no
 * shorter than `interval_ns` between two samples and a multiple of it (0: not known). -EINVAL: end is not behind start, or the step is no
 * number of whole milliseconds; -E2BIG: more than SERIES_STEPS_MAX steps. */
int series_range_make(uint64_t start_ns, uint64_t end_ns, uint64_t step_ns, uint64_t interval_ns,
                      struct series_range *ret, struct error *error);

/* Whether so many series of that range are an answer: else -E2BIG with the sentence. */
int series_range_check(const struct series_range *range, size_t series, struct error *error);

#endif
