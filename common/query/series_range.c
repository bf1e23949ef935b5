#include "common/query/series_range.h"

#include <errno.h>

#include "common/base/check.h"
#include "common/base/clock.h"

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const uint64_t steps[] = {
    CLOCK_SECOND, 2 * CLOCK_SECOND, 5 * CLOCK_SECOND, 10 * CLOCK_SECOND, 15 * CLOCK_SECOND, 30 * CLOCK_SECOND,
    MINUTE,       2 * MINUTE,       5 * MINUTE,       10 * MINUTE,       15 * MINUTE,       30 * MINUTE,
    HOUR,         2 * HOUR,         3 * HOUR,         6 * HOUR,          12 * HOUR,         DAY,
    2 * DAY,      7 * DAY,
};

/* A longer time than the table is made for gets whole weeks. */
static uint64_t choose_step(uint64_t length_ns, uint64_t interval_ns) {
    uint64_t least = length_ns / SERIES_STEPS_AUTOMATIC + (length_ns % SERIES_STEPS_AUTOMATIC != 0);
    size_t at = 0;
    if (least < interval_ns)
        least = interval_ns;
    while (at + 1 < COUNT_OF(steps) && steps[at] < least)
        at++;
    uint64_t step = steps[at] >= least ? steps[at] : (least + 7 * DAY - 1) / (7 * DAY) * (7 * DAY);
    return interval_ns > 0 && step % interval_ns != 0 ? (step / interval_ns + 1) * interval_ns : step;
}

int series_range_make(uint64_t start_ns, uint64_t end_ns, uint64_t step_ns, uint64_t interval_ns,
                      struct series_range *ret, struct error *error) {
    if (start_ns >= end_ns || end_ns > INT64_MAX)
        return error_set(error, -EINVAL, "the end must be after the start");
    if (step_ns == 0)
        step_ns = choose_step(end_ns - start_ns, interval_ns);
    if (step_ns % CLOCK_MILLISECOND != 0 || step_ns > 366 * DAY)
        return error_set(error, -EINVAL, "the step must be whole milliseconds, and a year at most");
    uint64_t first = start_ns / step_ns, behind = (end_ns - 1) / step_ns + 1;
    if (behind - first > SERIES_STEPS_MAX)
        return error_set(error, -E2BIG, "that would be %llu steps: at most %d are shown at once, ask for longer ones",
                         (unsigned long long)(behind - first), SERIES_STEPS_MAX);
    *ret = (struct series_range) { first * step_ns, step_ns, (size_t)(behind - first) };
    return 0;
}

int series_range_check(const struct series_range *range, size_t series, struct error *error) {
    if (series <= SERIES_POINTS_MAX / range->count)
        return 0;
    return error_set(error, -E2BIG,
                     "%zu series of %zu steps each are more than the %d points that one answer may have: ask for fewer "
                     "series by their labels, a shorter time, or a longer step",
                     series, range->count, SERIES_POINTS_MAX);
}
