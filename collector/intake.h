/* intake.h - what becomes of an entry or a span between its lane and the batch: what looks like a secret is taken out, and what is for one reader
 * alone is sealed. So store, output, spill and whoever reads those never have it.
 *
 * What comes back from the spill has been here before, and does not come again. One thread. */
#ifndef TASKFORGE_COLLECTOR_INTAKE_H
#define TASKFORGE_COLLECTOR_INTAKE_H

#include "collector/batch.h"
#include "common/privacy/redact_patterns.h"
#include "common/privacy/seal_entry.h"
#include "common/process/config.h"

struct intake_rules { /* as the configuration wants it */
    struct redact_patterns patterns;
    bool seals;
    struct entry_sealer sealer; /* where it does */
};
#define INTAKE_RULES_EMPTY ((struct intake_rules) { .patterns = REDACT_PATTERNS_EMPTY })

struct intake {
    struct intake_rules rules;
};
#define INTAKE_EMPTY ((struct intake) { .rules = INTAKE_RULES_EMPTY })

/* Make rules out of a configuration, and, once all else is fine, take them in place of those that were there. */
/* The public key of a configuration that has one: 0, or why it will not do. Also what --check asks. */
int intake_read_key(const struct config *config, uint8_t ret[SEAL_KEY_BYTES], struct error *error);
int intake_rules_make(const struct config *config, struct intake_rules *ret, struct error *error);
void intake_rules_finish(struct intake_rules *rules);
void intake_adopt(struct intake *intake, struct intake_rules *rules);
void intake_finish(struct intake *intake);

/* Add to the batch, repaired as ever; intake may be NULL (tests of the rest). */
void intake_entry(struct intake *intake, const struct entry *entry, struct batch *batch);
void intake_span(struct intake *intake, const struct span *span, struct batch *batch);

#endif
