/* journal.h - the journal input's one door for tests: which journal it reads. */
#ifndef TASKFORGE_AGENT_INPUTS_JOURNAL_H
#define TASKFORGE_AGENT_INPUTS_JOURNAL_H

#include "agent/inputs/input.h"

/* Read the journal files of this folder instead of the host's; before start. `directory` is borrowed. */
void journal_set_directory(struct input *input, const char *directory);

#endif
