/* exemplars.h - the newest exemplar of each classic bucket of a histogram or timer, and of each counter: an update by name with a trace
 * id, or an observation by handle that was sent for its own. In memory and in the segment, not in the state: a restart forgets them.
 *
 * What was noted is shown with the next commit that its series is part of: when the batch is discarded, its records come again. A trace
 * id that is longer than METRIC_TRACE_ID_BYTES is left out (OpenMetrics has 128 characters for all labels of an exemplar), and so is one
 * for which its user has no room. One thread. */
#ifndef TASKFORGE_COLLECTOR_EXEMPLARS_H
#define TASKFORGE_COLLECTOR_EXEMPLARS_H

#include "collector/fold.h"

/* An update of this value was folded into the touched series. */
void exemplar_note(struct fold *fold, struct series *series, double value, struct text trace_id, uint64_t time_ns);

/* The series leaves /metrics: it has none any more, and its user the room. */
void exemplars_drop(struct fold *fold, struct series *series);

/* Those that are new into the segment, where the series is; all of them where it has just been added. What finds no room there is left
 * out. */
void exemplars_show(struct fold *fold, struct series *series, bool all);

#endif
