#include "common/privacy/seal_fields.h"

#include <errno.h>
#include <stdlib.h>

int seal_fields_add(struct seal_fields *fields, struct text name) {
    fields->message |= text_is(name, "message");
    fields->error_details |= text_is(name, "error_details");
    char *copy = malloc(name.length + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name.data, name.length);
    int result = redaction_add(&fields->keys, (struct text) { copy, name.length });
    if (result < 0)
        free(copy);
    return result;
}

void seal_fields_finish(struct seal_fields *fields) {
    for (size_t i = 0; i < fields->keys.count; i++)
        free((char *)fields->keys.keys[i].data);
    *fields = (struct seal_fields) { .message = false };
}

void seal_parts_finish(struct seal_parts *parts) {
    buffer_finish(&parts->metadata);
    buffer_finish(&parts->error_details);
}

static bool cover(void *context, struct text key, const struct pack_value *value, struct pack_writer *out) {
    const struct seal_fields *fields = context;
    (void)value;
    if (key.length == 0 || !redaction_hides(&fields->keys, key))
        return false;
    if (out)
        pack_text(out, TEXT_LITERAL(SEAL_COVER));
    return true;
}

static int cover_packed(const struct seal_fields *fields, struct text *packed, struct buffer *out) {
    int result = pack_edit(*packed, cover, (void *)fields, out);
    if (result == 1)
        *packed = buffer_text(out);
    return result < 0 ? -ENOMEM : 0;
}

int seal_fields_cover(const struct seal_fields *fields, struct entry *entry, struct seal_parts *parts) {
    if (fields->message) {
        entry->message = TEXT_LITERAL(SEAL_COVER);
        entry->templated = false;
    }
    if (fields->error_details && entry->error_details.length > 0)
        entry->error_details = TEXT_LITERAL("\xa8" SEAL_COVER);
    int result = cover_packed(fields, &entry->metadata, &parts->metadata);
    return result < 0 ? result : cover_packed(fields, &entry->error_details, &parts->error_details);
}
