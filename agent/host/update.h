/* update.h - a sample as the metric update that goes into the ring. Pure. */
#ifndef TASKFORGE_AGENT_HOST_UPDATE_H
#define TASKFORGE_AGENT_HOST_UPDATE_H

#include "agent/host/parse_host.h"
#include "common/model/record.h"

enum { HOST_HELP_MAX = 160 }; /* of the table's, with a field in it */

/* What an update borrows from. Zero before its first use; host_update_room_finish frees. */
struct host_update_room {
    char name[METRIC_NAME_BYTES];
    char help[HOST_HELP_MAX];
    char labels[METRIC_LABELS_BYTES];
    struct buffer repaired; /* label values that were no UTF-8: a mount point may have any name */
};
void host_update_room_finish(struct host_update_room *room);

/* Make the update: operation set, naming verbatim. It borrows from `room` until the next call. -EINVAL or -E2BIG where the
 * labels are none that a series may have (metric.h), -ENOMEM. */
int host_update_make(const struct host_sample *sample, struct host_update_room *room, struct record_metric_update *ret);

#endif
