/* input_config.h - an input's part of the configuration, copied, so that it outlives the configuration it came from, and
 * compared, so that a reload leaves alone what did not change. */
#ifndef TASKFORGE_AGENT_INPUT_CONFIG_H
#define TASKFORGE_AGENT_INPUT_CONFIG_H

#include "common/process/config.h"

struct config_input *input_config_copy(const struct config_input *config); /* NULL: out of memory */
void input_config_destroy(struct config_input *config);                    /* of a copy; NULL is fine */
bool input_config_equal(const struct config_input *a, const struct config_input *b);

#endif
