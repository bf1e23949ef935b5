/* segment_find.h - series by what people call them: the name on /metrics, or the application's own.
 *
 * Of a counter jobs_total in namespace taskforge all of taskforge_jobs_total, taskforge_jobs, jobs_total and jobs are names; of a timer run
 * taskforge_run_seconds, run_seconds and run. A histogram or timer has values under its names with _count and _sum; its name alone means all
 * of it. Pure, but for segment_find.
 */
#ifndef TASKFORGE_COMMON_SHM_SEGMENT_FIND_H
#define TASKFORGE_COMMON_SHM_SEGMENT_FIND_H

#include "common/shm/segment.h"

/* Whether the series is called `name`, without _count and _sum. */
bool segment_sample_is(const struct segment_sample *sample, struct text name);

/* Whether one of its names begins so. The empty prefix: yes. */
bool segment_sample_begins(const struct segment_sample *sample, struct text prefix);

/* The value that `name` means of it: of a histogram or timer the count or the sum. False when none. */
bool segment_sample_value(const struct segment_sample *sample, struct text name, double *ret);

/* Whether it has all these labels, with these values ("": does not have the label). */
bool segment_sample_has_labels(const struct segment_sample *sample, const struct metric_label *wanted, size_t count);

/* The next series behind sample->position (0: the first) that is not hidden, is called `name`, with _count and _sum of a histogram or timer
 * too, and has the labels: 1 and *sample, 0 at the end, or as segment_next. */
int segment_find(struct segment *segment, struct text name, const struct metric_label *wanted, size_t count,
                 struct segment_sample *sample);

#endif
