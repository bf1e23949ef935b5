/* parse_json_line.c - keys to fields by a table; everything else to metadata. */
#include "agent/inputs/parse_json_line.h"

#include "agent/inputs/parse_time.h"
#include "common/base/check.h"

#include <errno.h>

enum {
    JSON_GROWTH = 3,         /* packed bytes for each byte of JSON, at most ("1e1," is 4 bytes, a packed double 9) */
    JSON_RANKS_MAX = 4,      /* spellings of one field */
    JSON_MERGE_MAX = 100000, /* pairs inside times pairs outside, above which "metadata" stays nested */
};

enum field {
    FIELD_TIMESTAMP,
    FIELD_LEVEL,
    FIELD_MESSAGE,
    FIELD_SERVICE,
    FIELD_MODULE,
    FIELD_OPERATION,
    FIELD_TRACE_ID,
    FIELD_SPAN_ID,
    FIELD_CORRELATION_ID,
    FIELD_USER_ID,
    FIELD_ORGANIZATION_ID,
    FIELD_METADATA,
    FIELD_ERROR_DETAILS,
    FIELD_COUNT,
};

struct reading {
    struct pack_value found[FIELD_COUNT][JSON_RANKS_MAX];
    bool present[FIELD_COUNT][JSON_RANKS_MAX];
    const char *taken[FIELD_COUNT * JSON_RANKS_MAX]; /* values that became a field: not for metadata */
    size_t taken_count;
    struct text line;
    uint64_t now_ns;
    struct parse_scratch *scratch;
    struct parsed *ret;
};

static const struct {
    struct text key;
    enum field field;
    unsigned rank;
} json_keys[] = {
    { TEXT_INITIALIZER("timestamp"), FIELD_TIMESTAMP, 0 },
    { TEXT_INITIALIZER("@timestamp"), FIELD_TIMESTAMP, 1 },
    { TEXT_INITIALIZER("time"), FIELD_TIMESTAMP, 2 },
    { TEXT_INITIALIZER("ts"), FIELD_TIMESTAMP, 3 },
    { TEXT_INITIALIZER("level"), FIELD_LEVEL, 0 },
    { TEXT_INITIALIZER("severity"), FIELD_LEVEL, 1 },
    { TEXT_INITIALIZER("message"), FIELD_MESSAGE, 0 },
    { TEXT_INITIALIZER("msg"), FIELD_MESSAGE, 1 },
    { TEXT_INITIALIZER("service"), FIELD_SERVICE, 0 },
    { TEXT_INITIALIZER("module"), FIELD_MODULE, 0 },
    { TEXT_INITIALIZER("operation"), FIELD_OPERATION, 0 },
    { TEXT_INITIALIZER("trace_id"), FIELD_TRACE_ID, 0 },
    { TEXT_INITIALIZER("span_id"), FIELD_SPAN_ID, 0 },
    { TEXT_INITIALIZER("correlation_id"), FIELD_CORRELATION_ID, 0 },
    { TEXT_INITIALIZER("user_id"), FIELD_USER_ID, 0 },
    { TEXT_INITIALIZER("organization_id"), FIELD_ORGANIZATION_ID, 0 },
    { TEXT_INITIALIZER("metadata"), FIELD_METADATA, 0 },
    { TEXT_INITIALIZER("error_details"), FIELD_ERROR_DETAILS, 0 },
};

/* The next pair of a checked map; children are passed over. */
static bool next_pair(struct pack_reader *reader, struct text *ret_key, struct pack_value *ret_value) {
    struct pack_value key;
    if (pack_next(reader, &key) != 1 || key.type != PACK_TEXT || pack_next(reader, ret_value) != 1)
        return false;
    reader->at = ret_value->whole.data + ret_value->whole.length;
    *ret_key = key.text;
    return true;
}

static bool open_map(struct text packed, struct pack_reader *reader, uint32_t *ret_pairs) {
    struct pack_value map;
    *reader = (struct pack_reader) { packed.data, packed.data + packed.length };
    if (pack_next(reader, &map) != 1 || map.type != PACK_MAP)
        return false;
    *ret_pairs = map.count;
    return true;
}

static void take(struct reading *reading, const struct pack_value *value) {
    check(reading->taken_count < COUNT_OF(reading->taken));
    reading->taken[reading->taken_count++] = value->whole.data;
}

static bool is_taken(const struct reading *reading, const struct pack_value *value) {
    for (size_t i = 0; i < reading->taken_count; i++)
        if (reading->taken[i] == value->whole.data)
            return true;
    return false;
}

static void sort_out(struct reading *reading, struct text packed) {
    struct pack_reader reader;
    struct pack_value value;
    struct text key;
    uint32_t pairs;
    if (!open_map(packed, &reader, &pairs))
        return;
    while (next_pair(&reader, &key, &value))
        for (size_t i = 0; i < COUNT_OF(json_keys); i++) {
            if (!text_equal(key, json_keys[i].key))
                continue;
            reading->found[json_keys[i].field][json_keys[i].rank] = value;
            reading->present[json_keys[i].field][json_keys[i].rank] = true;
            if (value.type == PACK_NIL)
                take(reading, &value);
            break;
        }
}

/* The best spelling of a field that is there and not null. */
static const struct pack_value *first(const struct reading *reading, enum field field) {
    for (unsigned rank = 0; rank < JSON_RANKS_MAX; rank++)
        if (reading->present[field][rank] && reading->found[field][rank].type != PACK_NIL)
            return &reading->found[field][rank];
    return NULL;
}

static void take_timestamp(struct reading *reading) {
    for (unsigned rank = 0; rank < JSON_RANKS_MAX; rank++) {
        const struct pack_value *value = &reading->found[FIELD_TIMESTAMP][rank];
        if (!reading->present[FIELD_TIMESTAMP][rank] ||
            parse_time_value(value, reading->now_ns, &reading->ret->entry.timestamp_ns) != 0)
            continue;
        take(reading, value);
        return;
    }
}

static int level_of_text(struct text text, enum level *ret) {
    text = text_trim(text);
    if (level_parse(text, ret) == 0)
        return 0;
    int64_t number = 0;
    if (text.length == 0 || text.length > 3)
        return -EINVAL;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -EINVAL;
        number = number * 10 + (text.data[i] - '0');
    }
    return level_of_number(number, ret);
}

static void take_level(struct reading *reading) {
    const struct pack_value *value = first(reading, FIELD_LEVEL);
    if (!value)
        return;
    int result = -EINVAL;
    enum level *ret = &reading->ret->entry.level;
    if (value->type == PACK_TEXT)
        result = level_of_text(value->text, ret);
    else if (value->type == PACK_UINT && value->natural <= INT64_MAX)
        result = level_of_number((int64_t)value->natural, ret);
    else if (value->type == PACK_DOUBLE && value->number >= 0 && value->number < 100 &&
             value->number == (double)(int64_t)value->number)
        result = level_of_number((int64_t)value->number, ret);
    if (result == 0)
        take(reading, value);
    else
        reading->ret->repaired |= ENTRY_REPAIR_LEVEL; /* what it was stays in metadata */
}

static void take_message(struct reading *reading) {
    const struct pack_value *value = first(reading, FIELD_MESSAGE);
    struct entry *entry = &reading->ret->entry;
    if (!value) {
        entry->message = reading->line;
        return;
    }
    take(reading, value);
    if (value->type == PACK_TEXT) {
        entry->message = value->text;
        return;
    }
    pack_append_json(&reading->scratch->text, value->whole);
    entry->message = buffer_text(&reading->scratch->text);
}

static void take_text(struct reading *reading, enum field field, struct text *ret) {
    const struct pack_value *value = first(reading, field);
    if (!value || value->type != PACK_TEXT)
        return;
    take(reading, value);
    *ret = value->text;
}

static void take_uuid(struct reading *reading, enum field field, struct uuid *ret) {
    const struct pack_value *value = first(reading, field);
    if (!value || (value->type == PACK_TEXT && value->text.length == 0))
        return;
    if (value->type == PACK_TEXT && uuid_parse(value->text, ret) == 0)
        take(reading, value);
    else
        reading->ret->repaired |= ENTRY_REPAIR_ID; /* it stays in metadata */
}

static void take_fields(struct reading *reading) {
    struct entry *entry = &reading->ret->entry;
    take_timestamp(reading);
    take_level(reading);
    take_message(reading);
    take_text(reading, FIELD_SERVICE, &entry->service);
    take_text(reading, FIELD_MODULE, &entry->module);
    take_text(reading, FIELD_OPERATION, &entry->operation);
    take_text(reading, FIELD_TRACE_ID, &entry->trace_id);
    take_text(reading, FIELD_SPAN_ID, &entry->span_id);
    take_text(reading, FIELD_CORRELATION_ID, &entry->correlation_id);
    take_uuid(reading, FIELD_USER_ID, &entry->user_id);
    take_uuid(reading, FIELD_ORGANIZATION_ID, &entry->organization_id);
    const struct pack_value *details = first(reading, FIELD_ERROR_DETAILS);
    if (details) {
        take(reading, details);
        entry->error_details = details->whole;
    }
}

/* The key with "_" behind it where the merged map has the same. */
static struct text outer_key(struct reading *reading, struct text merged, struct text key) {
    struct pack_value value;
    if (merged.length == 0 || pack_find(merged, key, &value) != 1)
        return key;
    struct buffer *name = &reading->scratch->repair;
    buffer_clear(name);
    buffer_append_text(name, key);
    buffer_append_char(name, '_');
    return name->failed ? key : buffer_text(name);
}

static void build_metadata(struct reading *reading, struct text packed) {
    struct metadata_builder builder;
    struct pack_reader reader;
    struct pack_value value;
    struct text key, merged = TEXT_EMPTY;
    uint32_t outside = 0, inside;
    metadata_begin(&builder, &reading->scratch->metadata);
    const struct pack_value *nested = first(reading, FIELD_METADATA);
    bool opened = open_map(packed, &reader, &outside);
    check(opened);
    if (nested && nested->type == PACK_MAP && (uint64_t)nested->count * outside <= JSON_MERGE_MAX) {
        struct pack_reader inner;
        take(reading, nested);
        merged = nested->whole;
        if (open_map(merged, &inner, &inside))
            while (next_pair(&inner, &key, &value))
                metadata_add_raw(&builder, key, value.whole);
    }
    while (next_pair(&reader, &key, &value))
        if (!is_taken(reading, &value))
            metadata_add_raw(&builder, outer_key(reading, merged, key), value.whole);
    reading->ret->entry.metadata = metadata_end(&builder);
}

int parse_json_line(struct text line, uint64_t now_ns, struct parse_scratch *scratch, struct parsed *ret) {
    struct text object = text_trim(line);
    if (object.length < 2 || object.data[0] != '{' || object.data[object.length - 1] != '}')
        return -EINVAL;
    buffer_clear(&scratch->packed);
    buffer_clear(&scratch->text);
    if (!buffer_reserve(&scratch->packed, JSON_GROWTH * object.length))
        return -ENOMEM;
    struct pack_writer writer = { .data = scratch->packed.data, .capacity = scratch->packed.capacity };
    if (pack_from_json(object, &writer, NULL) != 0)
        return -EINVAL;
    struct text packed = { writer.data, writer.length };
    if (!pack_is_map(packed))
        return -EINVAL;
    parsed_begin(ret);
    ret->is_json = true;
    struct reading reading = { .line = line, .now_ns = now_ns, .scratch = scratch, .ret = ret };
    sort_out(&reading, packed);
    take_fields(&reading);
    build_metadata(&reading, packed);
    return 0;
}
