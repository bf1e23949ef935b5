/* writer.h - how the tools write entries and metric updates: waiting for room as long as they were told to, and keeping account of what did not fit.
 * Not thread-safe. */
#ifndef TASKFORGE_AGENT_TOOLS_WRITER_H
#define TASKFORGE_AGENT_TOOLS_WRITER_H

#include <stdint.h>

#include "agent/client/producer.h"

struct writer {
    struct producer *producer;
    uint64_t wait_ns;             /* each entry waits for room so long at most; 0: not at all */
    void (*idle)(void *argument); /* NULL, or called again and again while waiting */
    void *argument;
    uint64_t written, lost;
    bool in_vain;        /* an entry waited to the end: those after it do not, until one fits again */
    struct error reason; /* why there was no ring when it was opened, "" otherwise */
};

/* Open a producer for `service` where the environment says. 0, or what producer_open says. */
int writer_open(struct writer *writer, const char *service, struct error *error);
void writer_close(struct writer *writer);

/* Repair the entry (by `scratch`) and write it. Below the wanted level it is passed over. 0, -EAGAIN: lost and counted; -ENOMEM. */
int writer_put(struct writer *writer, const struct entry *entry, struct buffer *scratch);

/* Write a record of another kind: 0, -EAGAIN: lost and counted; else what cannot be encoded. */
int writer_put_record(struct writer *writer, const struct record *record);

/* One line on stderr about what did not fit, if anything did not. `what`: "entries", "lines". */
void writer_tell_losses(const struct writer *writer, const char *what);

#endif
