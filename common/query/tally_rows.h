/* tally_rows.h - the rows of a tally: one for each service. Only the tally's own files include it. */
#ifndef TASKFORGE_COMMON_QUERY_TALLY_ROWS_H
#define TASKFORGE_COMMON_QUERY_TALLY_ROWS_H

#include "common/query/tally.h"

/* The service's row, made when it is new; borrowed until the next call. NULL: tally_no_row says why. */
struct tally_service *tally_row(struct tally *tally, struct text service);
int tally_no_row(const struct tally *tally, struct error *error); /* -ENOMEM, -E2BIG */

/* The step a time falls into; 0 where there are none. */
static inline size_t tally_step_of(const struct tally_steps *steps, uint64_t time_ns) {
    if (steps->count == 0 || time_ns <= steps->first_ns)
        return 0;
    uint64_t step = (time_ns - steps->first_ns) / steps->step_ns;
    return step < steps->count ? (size_t)step : steps->count - 1;
}

static inline void tally_row_add(struct tally_service *row, enum level level, size_t step, uint64_t entries,
                                 double weight) {
    row->by_level[level] += entries;
    row->estimated[level] += weight;
    if (row->by_step)
        row->by_step[step][level] += entries;
}

/* Note that the blocks counted reach over [first, last]. */
void tally_stretch(struct tally *tally, uint64_t first_ns, uint64_t last_ns);

/* Add what `other` counted. -ENOMEM, -E2BIG. */
int tally_add(struct tally *tally, const struct tally *other, struct error *error);

#endif
