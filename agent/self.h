/* self.h - what the agent tells of itself as metrics: by how much the counters of inputs and of the host's looks have grown.
 * On the loop's thread. */
#ifndef TASKFORGE_AGENT_SELF_H
#define TASKFORGE_AGENT_SELF_H

#include "agent/client/daemon_metrics.h"
#include "agent/host/host.h"
#include "agent/inputs/input.h"

/* Tell what has been counted since *told, which becomes what is counted now. Begin with zeroes for each input that begins. */
void self_tell_input(struct daemon_metrics *metrics, const char *input, const struct input_counters *now,
                     struct input_counters *told);
/* The input has come to its end, after it was told for the last time: what was so now is so no more. */
void self_tell_end(struct daemon_metrics *metrics, const char *input, const struct input_counters *told);
void self_tell_host(struct daemon_metrics *metrics, const struct host_counters *now, struct host_counters *told);

#endif
