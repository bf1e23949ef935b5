#include "exporter/audit.h"

#include "agent/client/taskforge.h"

enum { TARGET_MAX = 512 }; /* bytes of a path that is kept */

void audit_write(struct producer *producer, enum level level, const char *operation, const char *message,
                 const char *actor, struct text target, const char *reason, uint64_t count) {
    _cleanup_buffer_ struct buffer repaired = BUFFER_EMPTY;
    if (target.length > TARGET_MAX)
        target.length = TARGET_MAX;
    text_utf8_repair(target, &repaired);
    buffer_append_char(&repaired, '\0');
    struct tf_field fields[] = {
        tf_str("actor", actor),
        tf_str("target", repaired.failed ? "?" : repaired.data),
        tf_str("reason", reason),
        tf_int("count", (int64_t)count),
    };
    tf_log_with_metadata(producer_client(producer), (int)level, "audit", operation, message, fields,
                         sizeof(fields) / sizeof(fields[0]) - (count == 1));
}
