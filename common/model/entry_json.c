/* The JSON form of an entry, read back: the other way round from entry_append_json. */
#include <errno.h>

#include "common/base/clock.h"
#include "common/model/entry.h"
#include "common/model/pack.h"

struct reading {
    struct entry *entry;
    struct pack_value value;
    const char *key;
    struct error *error;
};

static int fault(struct reading *reading, const char *what) {
    return error_set(reading->error, -EINVAL, "%s %s", reading->key, what);
}

static int read_text(struct reading *reading, void *field) {
    struct text *text = field;
    if (reading->value.type != PACK_TEXT)
        return fault(reading, "must be text");
    *text = reading->value.text;
    return 0;
}

static int read_uuid(struct reading *reading, void *field) {
    if (reading->value.type != PACK_TEXT || uuid_parse(reading->value.text, field) < 0)
        return fault(reading, "must be a UUID");
    return 0;
}

static int read_time(struct reading *reading, void *field) {
    const struct text text = reading->value.text;
    if (reading->value.type != PACK_TEXT || clock_parse(text.data, text.length, field) < 0)
        return fault(reading, "must be a time such as 2026-11-23T15:04:05.123456789Z");
    return 0;
}

static int read_level(struct reading *reading, void *field) {
    enum level level;
    if (reading->value.type != PACK_TEXT || level_parse(reading->value.text, &level) < 0)
        return fault(reading, "must be trace, debug, info, warn, error or critical");
    *(enum level *)field = level;
    return 0;
}

static int read_value(struct reading *reading, void *field) {
    *(struct text *)field = reading->value.whole;
    return 0;
}

static int read_pid(struct reading *reading, void *field) {
    if (reading->value.type != PACK_UINT || reading->value.natural > UINT32_MAX)
        return fault(reading, "must be a whole number");
    *(uint32_t *)field = (uint32_t)reading->value.natural;
    return 0;
}

static const struct {
    const char *key;
    bool needed;
    int (*read)(struct reading *reading, void *field);
    size_t offset;
} fields[] = {
    { "id", true, read_uuid, offsetof(struct entry, id) },
    { "timestamp", true, read_time, offsetof(struct entry, timestamp_ns) },
    { "level", true, read_level, offsetof(struct entry, level) },
    { "service", true, read_text, offsetof(struct entry, service) },
    { "module", true, read_text, offsetof(struct entry, module) },
    { "operation", true, read_text, offsetof(struct entry, operation) },
    { "message", true, read_text, offsetof(struct entry, message) },
    { "trace_id", false, read_text, offsetof(struct entry, trace_id) },
    { "span_id", false, read_text, offsetof(struct entry, span_id) },
    { "correlation_id", false, read_text, offsetof(struct entry, correlation_id) },
    { "user_id", false, read_uuid, offsetof(struct entry, user_id) },
    { "organization_id", false, read_uuid, offsetof(struct entry, organization_id) },
    { "metadata", false, read_value, offsetof(struct entry, metadata) },
    { "error_details", false, read_value, offsetof(struct entry, error_details) },
    { "host", false, read_text, offsetof(struct entry, host) },
    { "pid", false, read_pid, offsetof(struct entry, pid) },
};

static int read_fields(struct text map, struct reading *reading) {
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        reading->key = fields[i].key;
        if (!pack_find(map, text_of(fields[i].key), &reading->value)) {
            if (fields[i].needed)
                return fault(reading, "is missing");
            continue;
        }
        int result = fields[i].read(reading, (char *)reading->entry + fields[i].offset);
        if (result < 0)
            return result;
    }
    return 0;
}

int entry_from_json(struct text json, struct buffer *room, struct entry *ret, struct error *error) {
    struct entry entry = { 0 };
    struct error why = { "" };
    struct reading reading = { .entry = &entry, .error = error ? error : &why };
    buffer_clear(room);
    if (!buffer_reserve(room, 4 * json.length + 64)) /* "0.1," is nine bytes */
        return error_set(error, -ENOMEM, "out of memory");
    struct pack_writer writer = { .data = room->data, .capacity = room->capacity };
    int result = pack_from_json(json, &writer, reading.error);
    if (result < 0)
        return result;
    struct text map = { room->data, writer.length };
    if (!pack_is_map(map))
        return error_set(error, -EINVAL, "it is no JSON object");
    result = read_fields(map, &reading);
    if (result == 0 && entry.host.length > ENTRY_HOST_BYTES)
        result = error_set(error, -EINVAL, "host must be at most %d bytes", ENTRY_HOST_BYTES);
    if (result == 0)
        result = entry_validate(&entry, reading.error);
    if (result == 0)
        *ret = entry;
    return result;
}
