/* update.h - a sample as the metric update that goes into the ring. Pure. */
#ifndef TASKFORGE_AGENT_HOST_UPDATE_H
#define TASKFORGE_AGENT_HOST_UPDATE_H

#include "agent/host/parse_host.h"
#include "common/model/record.h"

enum { HOST_HELP_MAX = 160 }; /* of the table's, with a field in it */

/* What an update borrows from. */
struct host_update_room {
    char filled[METRIC_NAME_BYTES], name[METRIC_NAME_BYTES];
    char help[HOST_HELP_MAX];
    char values[HOST_LABELS_MAX][METRIC_LABEL_VALUE_BYTES]; /* repaired ones: a mount point may have any name */
    char labels[METRIC_LABELS_BYTES];
};

/* Make the update: operation set, naming verbatim. It borrows from `room` until the next call. True when its name or a label is
 * none that a series may have, and was repaired (metric_repair.h). Labels: at most three that are not short. */
bool host_update_make(const struct host_sample *sample, struct host_update_room *room,
                      struct record_metric_update *ret);

#endif
