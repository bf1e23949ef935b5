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

enum { JSON_KEYS = 18 };

/* What the keys of the table have in one line. Cleared is only what says which values are there. */
struct reading {
    uint8_t at[FIELD_COUNT][JSON_RANKS_MAX]; /* number of the value + 1, 0: there is none */
    unsigned count, taken_count;
    struct pack_value values[JSON_KEYS + 1]; /* one more is where the next is read to */
    bool taken[JSON_KEYS];                   /* it became a field: not for metadata */
    struct text line;
    uint64_t now_ns;
    struct parse_scratch *scratch;
    struct parsed *ret;
};

/* In the order in which entries are mostly written, which find_key makes use of. */
static const struct {
    struct text key;
    enum field field;
    unsigned rank;
} json_keys[JSON_KEYS] = {
    { TEXT_INITIALIZER("timestamp"), FIELD_TIMESTAMP, 0 },
    { TEXT_INITIALIZER("level"), FIELD_LEVEL, 0 },
    { TEXT_INITIALIZER("service"), FIELD_SERVICE, 0 },
    { TEXT_INITIALIZER("module"), FIELD_MODULE, 0 },
    { TEXT_INITIALIZER("operation"), FIELD_OPERATION, 0 },
    { TEXT_INITIALIZER("message"), FIELD_MESSAGE, 0 },
    { TEXT_INITIALIZER("trace_id"), FIELD_TRACE_ID, 0 },
    { TEXT_INITIALIZER("span_id"), FIELD_SPAN_ID, 0 },
    { TEXT_INITIALIZER("correlation_id"), FIELD_CORRELATION_ID, 0 },
    { TEXT_INITIALIZER("user_id"), FIELD_USER_ID, 0 },
    { TEXT_INITIALIZER("organization_id"), FIELD_ORGANIZATION_ID, 0 },
    { TEXT_INITIALIZER("metadata"), FIELD_METADATA, 0 },
    { TEXT_INITIALIZER("error_details"), FIELD_ERROR_DETAILS, 0 },
    { TEXT_INITIALIZER("@timestamp"), FIELD_TIMESTAMP, 1 },
    { TEXT_INITIALIZER("time"), FIELD_TIMESTAMP, 2 },
    { TEXT_INITIALIZER("ts"), FIELD_TIMESTAMP, 3 },
    { TEXT_INITIALIZER("severity"), FIELD_LEVEL, 1 },
    { TEXT_INITIALIZER("msg"), FIELD_MESSAGE, 1 },
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

/* Its number in the table, which is looked through from `from` on; -1. */
static int find_key(struct text key, int from) {
    for (int n = 0, i = from; n < JSON_KEYS && key.length > 0; n++, i++) {
        if (i == JSON_KEYS)
            i = 0;
        if (json_keys[i].key.length == key.length && json_keys[i].key.data[0] == key.data[0] &&
            memcmp(json_keys[i].key.data, key.data, key.length) == 0)
            return i;
    }
    return -1;
}

static const struct pack_value *found(const struct reading *reading, enum field field, unsigned rank) {
    unsigned at = reading->at[field][rank];
    return at > 0 ? &reading->values[at - 1] : NULL;
}

static void take(struct reading *reading, const struct pack_value *value) {
    reading->taken[value - reading->values] = true;
    reading->taken_count++;
}

static bool is_taken(const struct reading *reading, struct text key) {
    int known = find_key(key, 0);
    unsigned at = known < 0 ? 0 : reading->at[json_keys[known].field][json_keys[known].rank];
    return at > 0 && reading->taken[at - 1];
}

/* The values of the keys we know; how many pairs there are in all. */
static uint32_t sort_out(struct reading *reading, struct text packed) {
    struct pack_reader reader;
    struct text key;
    uint32_t pairs;
    bool opened = pack_enter_map(packed, &reader, &pairs);
    check(opened);
    int next = 0;
    for (struct pack_value *value = reading->values; next_pair(&reader, &key, value);) {
        int known = find_key(key, next);
        if (known < 0)
            continue;
        next = (known + 1) % JSON_KEYS;
        check(reading->count < JSON_KEYS); /* no key is there twice */
        reading->taken[reading->count] = false;
        reading->at[json_keys[known].field][json_keys[known].rank] = (uint8_t)++reading->count;
        if (value->type == PACK_NIL)
            take(reading, value);
        value++;
    }
    return pairs;
}

/* The best spelling of a field that is there and not null. */
static const struct pack_value *first(const struct reading *reading, enum field field) {
    for (unsigned rank = 0; rank < JSON_RANKS_MAX; rank++) {
        const struct pack_value *value = found(reading, field, rank);
        if (value && value->type != PACK_NIL)
            return value;
    }
    return NULL;
}

static void take_timestamp(struct reading *reading) {
    for (unsigned rank = 0; rank < JSON_RANKS_MAX; rank++) {
        const struct pack_value *value = found(reading, FIELD_TIMESTAMP, rank);
        if (!value || parse_time_value(value, reading->now_ns, &reading->ret->entry.timestamp_ns) != 0)
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

static void build_metadata(struct reading *reading, struct text packed, uint32_t outside) {
    struct metadata_builder builder;
    struct pack_reader reader, inner;
    struct pack_value value;
    struct text key, merged = TEXT_EMPTY;
    uint32_t inside;
    metadata_begin(&builder, &reading->scratch->metadata);
    const struct pack_value *nested = first(reading, FIELD_METADATA);
    if (nested && nested->type == PACK_MAP && (uint64_t)nested->count * outside <= JSON_MERGE_MAX &&
        pack_enter_map(nested->whole, &inner, &inside)) {
        take(reading, nested);
        merged = nested->whole;
        const char *end = merged.data + merged.length;
        metadata_add_pairs(&builder, (struct text) { inner.at, (size_t)(end - inner.at) }, inside);
    }
    if (outside > reading->taken_count && pack_enter_map(packed, &reader, &outside))
        while (next_pair(&reader, &key, &value))
            if (!is_taken(reading, key))
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
    struct reading reading;
    memset(reading.at, 0, sizeof(reading.at));
    reading.count = reading.taken_count = 0;
    reading.line = line;
    reading.now_ns = now_ns;
    reading.scratch = scratch;
    reading.ret = ret;
    uint32_t pairs = sort_out(&reading, packed);
    take_fields(&reading);
    build_metadata(&reading, packed, pairs);
    return 0;
}
