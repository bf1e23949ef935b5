/* config_inputs.h - agent.inputs: a list whose items have keys by their type. Used by the config rooms alone. */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_INPUTS_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_INPUTS_H

#include "common/process/config_read.h"

/* Read the list into the struct config_agent at `field`. */
void config_read_inputs(struct config_reader *reader, const struct config_value *value, void *field);

/* After the folders are known: the inputs of a file that names none, and the syslog sockets' default place. 0 or -ENOMEM. */
int config_default_inputs(struct config *config);

/* Every default place must fit the kernel's socket addresses; faults are reported for the file as a whole. */
enum { CONFIG_SOCKET_PATH_MAX = 107 };

void config_inputs_finish(struct config_agent *agent);

#endif
