/* inputs.h - the table of input types. One more input is one file, one line here and one in inputs.c. */
#ifndef TASKFORGE_AGENT_INPUTS_INPUTS_H
#define TASKFORGE_AGENT_INPUTS_INPUTS_H

#include "agent/inputs/input.h"

extern const struct input_type input_tail;
extern const struct input_type input_journal;
extern const struct input_type input_syslog;
extern const struct input_type input_stdin;

/* NULL where this build has no such input. */
const struct input_type *inputs_find(enum config_input_type type);

#endif
