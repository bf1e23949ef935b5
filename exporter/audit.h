/* audit.h - who changed or tried what: entries of service taskforge, module audit. Any thread; never blocks. */
#ifndef TASKFORGE_EXPORTER_AUDIT_H
#define TASKFORGE_EXPORTER_AUDIT_H

#include "agent/client/producer.h"
#include "common/base/text.h"
#include "common/model/level.h"

#include <stdint.h>

/* One entry: message a sentence, metadata {"actor","target","reason"}, and "count" where it stands for more than one. Bad UTF-8
 * in target is repaired. What finds no room in the ring is counted there as a loss. */
void audit_write(struct producer *producer, enum level level, const char *operation, const char *message,
                 const char *actor, struct text target, const char *reason, uint64_t count);

#endif
