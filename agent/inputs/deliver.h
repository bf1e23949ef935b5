/* deliver.h - the last step of every input: fill in the names, repair, write to the ring, count. */
#ifndef TASKFORGE_AGENT_INPUTS_DELIVER_H
#define TASKFORGE_AGENT_INPUTS_DELIVER_H

#include "agent/inputs/input.h"
#include "agent/inputs/parsed.h"

/* What an entry is called where it does not say so itself. */
struct deliver_names {
    struct text configured_service; /* empty: none; stands above a syslog line's tag, below a JSON line's own service */
    struct text service, module, operation;
};

void deliver_fill(struct parsed *parsed, const struct deliver_names *names, uint64_t now_ns);

/* Whether a line is one of our own programs' (law 7): a syslog tag that begins with "taskforge-". */
bool deliver_is_own(const struct parsed *parsed);

/* Add a pair to the entry's metadata, in scratch->metadata, unless it has that key. */
void deliver_add_metadata(struct parsed *parsed, struct parse_scratch *scratch, struct text key, struct text value);

/* Repair and write; `position` may be NULL. 0: in the ring and counted. -EAGAIN: no room, nothing is counted but
 * input->counters.held; parse the same again later. Anything else is a loss, counted here, and 0 is returned: the next
 * line is unharmed. */
int deliver(struct input *input, struct parsed *parsed, struct parse_scratch *scratch,
            const struct input_position *position);

#endif
