#include "exporter/audit.h"

#include "agent/client/taskforge.h"

#include <errno.h>
#include <stdlib.h>

enum { TARGET_MAX = 512 }; /* bytes of a path that is kept */

struct audit {
    tf_client *client;
};

int audit_open(const char *runtime_dir, struct audit **ret, struct error *error) {
    struct tf_options options = TF_OPTIONS_INIT;
    struct audit *audit = calloc(1, sizeof(*audit));
    if (!audit)
        return error_set(error, -ENOMEM, "out of memory");
    options.runtime_dir = runtime_dir;
    options.module = "audit";
    int result = tf_open("taskforge", &options, &audit->client);
    if (result < 0) {
        free(audit);
        return error_set(error, result, "cannot open the audit log: %s", tf_last_error());
    }
    *ret = audit;
    return 0;
}

void audit_close(struct audit *audit) {
    if (!audit)
        return;
    tf_close(audit->client);
    free(audit);
}

void audit_write(struct audit *audit, enum level level, const char *operation, const char *message, const char *actor,
                 struct text target, const char *reason, uint64_t count) {
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
    tf_log_with_metadata(audit->client, (int)level, NULL, operation, message, fields,
                         sizeof(fields) / sizeof(fields[0]) - (count == 1));
}
