/* entry.c - the rules of an entry, and its JSON form. */
#include "common/model/entry.h"

#include <errno.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"

enum { SHOWN_BYTES = 60, JSON_FRAME_BYTES = 512 };

static const char *const reason_names[ENTRY_REPAIR_REASON_COUNT] = {
    "utf8", "cut", "empty", "metadata", "id", "level", "error_details", "json",
};

const char *entry_repair_reason_name(enum entry_repair_reason reason) {
    check(reason > 0 && reason < 1 << ENTRY_REPAIR_REASON_COUNT && (reason & (reason - 1)) == 0);
    return reason_names[__builtin_ctz(reason)];
}

/* --- validation --- */

/* A field's value for people: its beginning, whole characters only. */
static struct text shown(struct text value) {
    if (value.length > SHOWN_BYTES) {
        value.length = SHOWN_BYTES;
        while (value.length > 0 && ((unsigned char)value.data[value.length] & 0xc0) == 0x80)
            value.length--;
    }
    return value;
}

static int check_text(struct text value, struct error *error, const char *name) {
    if (text_is_ascii(value))
        return 0;
    if (!text_utf8_valid(value) || (value.length > 0 && memchr(value.data, '\0', value.length)))
        return error_set(error, -EINVAL, "%s must be UTF-8 without NUL, is not", name);
    return 0;
}

static int check_required(struct text value, size_t characters, const char *name, struct error *error) {
    if (likely(value.length >= 1 && value.length <= characters && text_is_ascii(value)))
        return 0;
    int rc = check_text(value, error, name);
    if (rc < 0)
        return rc;
    size_t count = text_utf8_count(value);
    if (count >= 1 && count <= characters)
        return 0;
    return error_set(error, -EINVAL, "%s must be 1 to %zu characters, is %zu: \"%.*s\"%s", name, characters, count,
                     TEXT_FORMAT(shown(value)), value.length > SHOWN_BYTES ? "..." : "");
}

static int check_id(struct text value, const char *name, struct error *error) {
    int rc = check_text(value, error, name);
    if (rc < 0 || value.length <= ENTRY_TRACE_BYTES)
        return rc;
    return error_set(error, -EINVAL, "%s must be at most %d bytes, is %zu: \"%.*s\"...", name, ENTRY_TRACE_BYTES,
                     value.length, TEXT_FORMAT(shown(value)));
}

static int check_metadata(struct text metadata, struct error *error) {
    if (metadata.length == 0)
        return 0;
    if (metadata.length > ENTRY_METADATA_BYTES)
        return error_set(error, -EINVAL, "metadata must be at most %d bytes, is %zu", ENTRY_METADATA_BYTES,
                         metadata.length);
    if (pack_check(metadata) < 0 || !pack_is_map(metadata))
        return error_set(error, -EINVAL, "metadata must be an object, nested at most %d deep, is not", PACK_DEPTH_MAX);
    return 0;
}

static int check_error_details(const struct entry *entry, struct error *error) {
    struct text details = entry->error_details;
    if (details.length == 0)
        return 0;
    if (entry->level < LEVEL_ERROR)
        return error_set(error, -EINVAL, "error_details must be on level error or critical, is on %s",
                         level_name(entry->level));
    if (details.length > ENTRY_ERROR_BYTES)
        return error_set(error, -EINVAL, "error_details must be at most %d bytes, is %zu", ENTRY_ERROR_BYTES,
                         details.length);
    if (pack_check(details) < 0)
        return error_set(error, -EINVAL, "error_details must be one value, nested at most %d deep, is not",
                         PACK_DEPTH_MAX);
    return 0;
}

int entry_validate(const struct entry *entry, struct error *error) {
    if ((unsigned)entry->level >= LEVEL_COUNT)
        return error_set(error, -EINVAL, "level must be trace to critical (0 to %d), is %u", LEVEL_COUNT - 1,
                         (unsigned)entry->level);
    int rc = check_required(entry->service, ENTRY_NAME_CHARACTERS, "service", error);
    if (rc == 0)
        rc = check_required(entry->module, ENTRY_NAME_CHARACTERS, "module", error);
    if (rc == 0)
        rc = check_required(entry->operation, ENTRY_NAME_CHARACTERS, "operation", error);
    if (rc == 0)
        rc = check_required(entry->message, ENTRY_MESSAGE_CHARACTERS, "message", error);
    if (rc == 0)
        rc = check_id(entry->trace_id, "trace_id", error);
    if (rc == 0)
        rc = check_id(entry->span_id, "span_id", error);
    if (rc == 0)
        rc = check_id(entry->correlation_id, "correlation_id", error);
    if (rc == 0)
        rc = check_metadata(entry->metadata, error);
    if (rc == 0)
        rc = check_error_details(entry, error);
    return rc;
}

/* --- JSON --- */

#define APPEND(out, literal) buffer_append(out, literal, sizeof(literal) - 1)

static void append_uuid(struct buffer *out, const struct uuid *uuid) {
    char text[UUID_TEXT_SIZE + 1];
    text[0] = '"';
    uuid_format(uuid, text + 1);
    text[UUID_TEXT_SIZE] = '"';
    buffer_append(out, text, UUID_TEXT_SIZE + 1);
}

static void append_optional(struct buffer *out, const char *key, size_t key_length, struct text value) {
    if (value.length == 0)
        return;
    buffer_append(out, key, key_length);
    json_append_string(out, value);
}

#define APPEND_OPTIONAL(out, key, value) append_optional(out, ",\"" key "\":", sizeof(",\"" key "\":") - 1, value)

/* What is as long in each entry, put together on the stack and appended at once. */
static void append_head(struct buffer *out, const struct entry *entry) {
    static const char before_id[] = "{\"id\":\"", before_time[] = "\",\"timestamp\":\"",
                      before_level[] = "\",\"level\":\"";
    char head[sizeof(before_id) + UUID_TEXT_SIZE + sizeof(before_time) + CLOCK_RFC3339_SIZE + sizeof(before_level)];
    char *at = head;
    memcpy(at, before_id, sizeof(before_id));
    at += sizeof(before_id) - 1;
    uuid_format(&entry->id, at);
    at += UUID_TEXT_SIZE - 1;
    memcpy(at, before_time, sizeof(before_time));
    at += sizeof(before_time) - 1;
    at += clock_format(entry->timestamp_ns, at);
    memcpy(at, before_level, sizeof(before_level) - 1);
    at += sizeof(before_level) - 1;
    buffer_append(out, head, (size_t)(at - head));
}

void entry_append_json(struct buffer *out, const struct entry *entry) {
    buffer_reserve(out, JSON_FRAME_BYTES + entry->message.length + 2 * entry->metadata.length);
    append_head(out, entry);
    buffer_append_string(out, level_name((unsigned)entry->level < LEVEL_COUNT ? entry->level : LEVEL_INFO));
    APPEND(out, "\",\"service\":");
    json_append_string(out, entry->service);
    APPEND(out, ",\"module\":");
    json_append_string(out, entry->module);
    APPEND(out, ",\"operation\":");
    json_append_string(out, entry->operation);
    APPEND(out, ",\"message\":");
    json_append_string(out, entry->message);
    APPEND_OPTIONAL(out, "trace_id", entry->trace_id);
    APPEND_OPTIONAL(out, "span_id", entry->span_id);
    APPEND_OPTIONAL(out, "correlation_id", entry->correlation_id);
    if (!uuid_is_zero(&entry->user_id)) {
        APPEND(out, ",\"user_id\":");
        append_uuid(out, &entry->user_id);
    }
    if (!uuid_is_zero(&entry->organization_id)) {
        APPEND(out, ",\"organization_id\":");
        append_uuid(out, &entry->organization_id);
    }
    APPEND(out, ",\"metadata\":");
    if (entry->metadata.length > 0)
        pack_append_json(out, entry->metadata);
    else
        APPEND(out, "{}");
    if (entry->error_details.length > 0) {
        APPEND(out, ",\"error_details\":");
        pack_append_json(out, entry->error_details);
    }
    APPEND_OPTIONAL(out, "host", entry->host);
    if (entry->pid > 0) {
        APPEND(out, ",\"pid\":");
        json_append_uint(out, entry->pid);
    }
    APPEND(out, "}");
}
