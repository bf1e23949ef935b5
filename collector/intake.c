#include "collector/intake.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/privacy/seal_keys.h"

static int read_patterns(const struct config_redact *redact, struct redact_patterns *ret, struct error *error) {
    for (size_t i = 0; i < redact->patterns.count; i++) {
        int result = redact_patterns_add(ret, text_of(redact->patterns.items[i]), error);
        if (result < 0)
            return error_prefix(error, result, "collector.redact.patterns");
    }
    return 0;
}

int intake_read_key(const struct config *config, uint8_t ret[SEAL_KEY_BYTES], struct error *error) {
    const char *path = config->collector.encrypt.public_key_file;
    struct sealer sealer;
    int result = path ? seal_key_read(SEAL_KEY_PUBLIC, path, ret, error) : 0;
    if (!path || result < 0)
        return result < 0 ? error_prefix(error, result, "collector.encrypt.public_key_file") : 0;
    result = sealer_init(&sealer, ret, error);
    sealer_finish(&sealer);
    return result < 0 ? error_prefix(error, result, "collector.encrypt.public_key_file %s", path) : 0;
}

static int read_encrypt(const struct config *config, struct intake_rules *ret, struct error *error) {
    const struct config_strings *keys = &config->collector.encrypt.keys;
    struct seal_fields fields = { .message = false };
    uint8_t public_key[SEAL_KEY_BYTES];
    if (!config->collector.encrypt.public_key_file)
        return 0;
    int result = intake_read_key(config, public_key, error);
    for (size_t i = 0; i < keys->count && result == 0; i++)
        if (seal_fields_add(&fields, text_of(keys->items[i])) < 0)
            result = error_set(error, -ENOMEM, "out of memory");
    if (result == 0)
        result = entry_sealer_init(&ret->sealer, public_key, &fields, error);
    ret->seals = result == 0;
    seal_fields_finish(&fields);
    return result;
}

int intake_rules_make(const struct config *config, struct intake_rules *ret, struct error *error) {
    *ret = INTAKE_RULES_EMPTY;
    int result = read_patterns(&config->collector.redact, &ret->patterns, error);
    if (result == 0)
        result = read_encrypt(config, ret, error);
    if (result < 0)
        intake_rules_finish(ret);
    return result;
}

void intake_rules_finish(struct intake_rules *rules) {
    redact_patterns_finish(&rules->patterns);
    if (rules->seals)
        entry_sealer_finish(&rules->sealer);
    rules->seals = false;
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

/* A valid entry, which stays one. One that cannot be sealed for want of memory fails the batch. */
static void seal_entry(struct intake *intake, struct entry *entry, struct batch *batch) {
    struct entry_sealer *sealer = &intake->rules.sealer;
    int parts = entry_sealer_seal(sealer, clock_monotonic_ns(), entry);
    batch->failed |= parts < 0;
    batch->unsealed += sealer->left_out;
    sealer->left_out = 0;
    if (parts <= 0)
        return;
    keep(batch, parts, ENTRY_PART_MESSAGE, &entry->message);
    keep(batch, parts, ENTRY_PART_METADATA, &entry->metadata);
    keep(batch, parts, ENTRY_PART_ERROR_DETAILS, &entry->error_details);
}

void intake_entry(struct intake *intake, const struct entry *given, struct batch *batch) {
    struct entry entry = *given;
    if (intake)
        redact_entry(intake, &entry, batch);
    batch_repair(batch, &entry); /* behind: what became too long is cut */
    if (intake && intake->rules.seals)
        seal_entry(intake, &entry, batch);
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
    if (intake && intake->rules.seals && span.record.metadata.length > 0) {
        int result = entry_sealer_packed(&intake->rules.sealer, clock_monotonic_ns(), &span.record.metadata);
        batch->failed |= result < 0;
        if (result == 1)
            span.record.metadata = arena_copy(&batch->arena, span.record.metadata);
    }
    batch_add_span(batch, &span);
}
