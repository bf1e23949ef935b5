/* redact.h - values that must not leave the process: those of configured keys, in metadata and error details. Pure.
 *
 * A key is matched whole, in any case (ASCII), at any depth. Its value, whatever its type, becomes "[redacted]". */
#ifndef TASKFORGE_COMMON_MODEL_REDACT_H
#define TASKFORGE_COMMON_MODEL_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"

enum { REDACT_KEYS_MAX = 64 };
#define REDACT_MARK "[redacted]"

/* Keys to be found fast: those of each length, by a bit for each length up to 63 (longer ones share one). Borrows the texts. */
struct redaction {
    uint64_t lengths;
    size_t count;
    struct text keys[REDACT_KEYS_MAX];
};

/* Add a key; more than REDACT_KEYS_MAX: -ENOSPC. */
int redaction_add(struct redaction *redaction, struct text key);

/* Whether the value of that key is to be hidden. */
bool redaction_hides(const struct redaction *redaction, struct text key);

/* Write one packed value (sound: pack_check) to out with the values of such keys replaced: the bytes used, or -ENOSPC. Where nothing is
 * to be hidden *ret is `packed` itself and out is not used. */
int redact_packed(const struct redaction *redaction, struct text packed, void *out, size_t capacity, struct text *ret);

#endif
