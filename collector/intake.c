#include "collector/intake.h"

static int read_patterns(const struct config_redact *redact, struct redact_patterns *ret, struct error *error) {
    for (size_t i = 0; i < redact->patterns.count; i++) {
        int result = redact_patterns_add(ret, text_of(redact->patterns.items[i]), error);
        if (result < 0)
            return error_prefix(error, result, "collector.redact.patterns");
    }
    return 0;
}

int intake_rules_make(const struct config *config, struct intake_rules *ret, struct error *error) {
    *ret = INTAKE_RULES_EMPTY;
    int result = read_patterns(&config->collector.redact, &ret->patterns, error);
    if (result < 0)
        intake_rules_finish(ret);
    return result;
}

void intake_rules_finish(struct intake_rules *rules) {
    redact_patterns_finish(&rules->patterns);
}

void intake_adopt(struct intake *intake, struct intake_rules *rules) {
    intake_rules_finish(&intake->rules);
    intake->rules = *rules;
    *rules = INTAKE_RULES_EMPTY;
}

void intake_finish(struct intake *intake) {
    intake_rules_finish(&intake->rules);
}

/* What was made anew stands in memory that the next entry will use. */
static void keep(struct batch *batch, int parts, int part, struct text *text) {
    if (parts & part)
        *text = arena_copy(&batch->arena, *text);
}

static void count(struct intake *intake, struct batch *batch) {
    batch->redacted += intake->rules.patterns.redacted;
    batch->too_costly += intake->rules.patterns.too_costly;
    intake->rules.patterns.redacted = intake->rules.patterns.too_costly = 0;
}

static void redact_entry(struct intake *intake, struct entry *entry, struct batch *batch) {
    int parts = redact_patterns_entry(&intake->rules.patterns, entry);
    if (parts == 0)
        return;
    batch->failed |= parts < 0;
    if (parts < 0)
        return;
    keep(batch, parts, ENTRY_PART_MESSAGE, &entry->message);
    keep(batch, parts, ENTRY_PART_METADATA, &entry->metadata);
    keep(batch, parts, ENTRY_PART_ERROR_DETAILS, &entry->error_details);
    count(intake, batch);
}

void intake_entry(struct intake *intake, const struct entry *given, struct batch *batch) {
    struct entry entry = *given;
    if (intake)
        redact_entry(intake, &entry, batch);
    batch_repair(batch, &entry); /* behind: what became too long is cut */
    batch_push(batch, &entry);
}

static void redact_span(struct intake *intake, struct span *span, struct batch *batch) {
    int status = redact_patterns_text(&intake->rules.patterns, &span->record.status);
    if (status == 1)
        span->record.status = arena_copy(&batch->arena, span->record.status);
    int metadata = redact_patterns_packed(&intake->rules.patterns, &span->record.metadata);
    if (metadata == 1)
        span->record.metadata = arena_copy(&batch->arena, span->record.metadata);
    batch->failed |= status < 0 || metadata < 0;
    count(intake, batch);
}

void intake_span(struct intake *intake, const struct span *given, struct batch *batch) {
    struct span span = *given;
    if (intake && intake->rules.patterns.count > 0)
        redact_span(intake, &span, batch);
    batch_add_span(batch, &span);
}
