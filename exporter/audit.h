/* audit.h - who changed or tried what: entries of service taskforge, module audit. Any thread; never blocks. */
#ifndef TASKFORGE_EXPORTER_AUDIT_H
#define TASKFORGE_EXPORTER_AUDIT_H

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/model/level.h"

#include <stdint.h>

struct audit;

int audit_open(const char *runtime_dir, struct audit **ret, struct error *error);
void audit_close(struct audit *audit); /* NULL is fine */

/* One entry: message a sentence, metadata {"actor","target","reason"}, and "count" where it stands for more than one. Bad UTF-8
 * in target is repaired. What finds no room in the ring is counted there as a loss. */
void audit_write(struct audit *audit, enum level level, const char *operation, const char *message, const char *actor,
                 struct text target, const char *reason, uint64_t count);

#endif
