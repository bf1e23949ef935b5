/* compose.c - see client_internal.h: from the caller's struct tf_entry to a record that keeps every rule. */
#include "agent/client/client_internal.h"

#include <errno.h>

#include "common/model/pack.h"

static struct text text_or(const char *given, struct text otherwise) {
    return given ? text_of(given) : otherwise;
}

static int parse_id(const char *field, const char *given, struct uuid *ret, struct error *error) {
    if (!given || !*given)
        return 0;
    if (uuid_parse(text_of(given), ret) < 0 || uuid_is_zero(ret))
        return error_set(error, -EINVAL, "%s must be a UUID, is \"%.50s\"", field, given);
    return 0;
}

/* JSON text behind what the writer holds already. */
static int pack_json(const char *field, const char *json, struct pack_writer *writer, struct error *error) {
    struct error inner = { "" };
    int r = pack_from_json(text_of(json), writer, &inner);
    if (r == -E2BIG || writer->failed)
        return error_set(error, -EINVAL, "%s must be at most %d bytes", field, ENTRY_METADATA_BYTES);
    if (r < 0)
        return error_set(error, -EINVAL, "%s must be JSON: %s", field, inner.text);
    return 0;
}

static int pack_field(const struct tf_field *field, struct pack_writer *writer, struct error *error) {
    pack_text(writer, text_of(field->key));
    switch (field->kind) {
    case TF_FIELD_STRING_:
        if (!field->value.string)
            pack_nil(writer);
        else if (!text_utf8_valid(text_of(field->value.string)))
            return error_set(error, -EINVAL, "metadata \"%.50s\" must be UTF-8", field->key);
        else
            pack_text(writer, text_of(field->value.string));
        return 0;
    case TF_FIELD_INTEGER_:
        pack_int(writer, field->value.integer);
        return 0;
    case TF_FIELD_NUMBER_:
        pack_double(writer, field->value.number);
        return 0;
    case TF_FIELD_BOOLEAN_:
        pack_bool(writer, field->value.boolean);
        return 0;
    case TF_FIELD_JSON_:
        return pack_json(field->key, field->value.string ? field->value.string : "null", writer, error);
    default:
        return error_set(error, -EINVAL, "metadata \"%.50s\" is of no kind that tf_str .. tf_json make", field->key);
    }
}

static int check_keys(const struct tf_field *fields, size_t count, struct error *error) {
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].key || !*fields[i].key)
            return error_set(error, -EINVAL, "metadata field %zu must have a key", i + 1);
        if (!text_utf8_valid(text_of(fields[i].key)))
            return error_set(error, -EINVAL, "metadata field %zu: its key must be UTF-8", i + 1);
    }
    return 0;
}

static bool key_comes_later(struct text key, const struct tf_field *fields, size_t from, size_t count) {
    for (size_t i = from; i < count; i++)
        if (text_is(key, fields[i].key))
            return true;
    return false;
}

/* The pairs of a packed map that no field replaces: counted, and appended to `writer` where there is one. */
static uint32_t keep_pairs(struct text packed, const struct tf_field *fields, size_t count,
                           struct pack_writer *writer) {
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_value map, key, value;
    uint32_t kept = 0;
    check(pack_next(&reader, &map) == 1 && map.type == PACK_MAP);
    for (uint32_t i = 0; i < map.count; i++) {
        check(pack_next(&reader, &key) == 1 && pack_next(&reader, &value) == 1);
        reader.at = value.whole.data + value.whole.length; /* past what stands inside the value */
        if (key_comes_later(key.text, fields, 0, count))
            continue;
        kept++;
        if (writer) {
            pack_raw(writer, key.whole);
            pack_raw(writer, value.whole);
        }
    }
    return kept;
}

static int pack_fields(const struct tf_field *fields, size_t count, struct text base, struct pack_writer *writer,
                       struct error *error) {
    uint32_t pairs = base.length ? keep_pairs(base, fields, count, NULL) : 0;
    for (size_t i = 0; i < count; i++)
        pairs += !key_comes_later(text_of(fields[i].key), fields, i + 1, count);
    pack_map(writer, pairs);
    if (base.length)
        keep_pairs(base, fields, count, writer);
    for (size_t i = 0; i < count; i++) {
        if (key_comes_later(text_of(fields[i].key), fields, i + 1, count))
            continue;
        int r = pack_field(&fields[i], writer, error);
        if (r < 0)
            return r;
    }
    if (writer->failed)
        return error_set(error, -EINVAL, "metadata must be at most %zu bytes", writer->capacity);
    return 0;
}

static int compose_metadata(struct call *call, const struct tf_entry *entry, struct text *ret) {
    *ret = TEXT_EMPTY;
    if (entry->field_count > TF_ENTRY_FIELDS)
        return error_set(call->error, -EINVAL, "metadata must be at most %d fields, is %zu", TF_ENTRY_FIELDS,
                         entry->field_count);
    int r = check_keys(entry->fields, entry->field_count, call->error);
    if (r < 0)
        return r;
    struct text base = TEXT_EMPTY;
    bool has_json = entry->metadata && *entry->metadata;
    if (has_json) {
        /* with fields to come the JSON is put together elsewhere first: the message's room is free for an entry */
        char *room = entry->field_count ? call->scratch.message : call->scratch.metadata;
        size_t size = entry->field_count && call->scratch.message_size < call->scratch.packed_size
                          ? call->scratch.message_size
                          : call->scratch.packed_size;
        struct pack_writer writer = { .data = room, .capacity = size };
        r = pack_json("metadata", entry->metadata, &writer, call->error);
        if (r < 0)
            return r;
        base = (struct text) { writer.data, writer.length };
        if (!pack_is_map(base))
            return error_set(call->error, -EINVAL, "metadata must be a JSON object");
    }
    if (entry->field_count == 0) {
        *ret = base;
        return 0;
    }
    struct pack_writer writer = { .data = call->scratch.metadata, .capacity = call->scratch.packed_size };
    r = pack_fields(entry->fields, entry->field_count, base, &writer, call->error);
    *ret = (struct text) { writer.data, writer.length };
    return r;
}

/* Hide what the configuration names, before it leaves the process. The message's room holds what comes out: it is free where an entry
 * has metadata or details. Where even that does not suffice nothing of the value is told. */
static void redact(struct call *call, const struct tf_client *client, size_t at, struct text *packed) {
    const struct client_settings *settings = atomic_load_explicit(&client->settings, memory_order_acquire);
    static const char hidden[] = "\x81\xaa[redacted]\xc3"; /* {"[redacted]": true} */
    if (likely(!settings || settings->redaction.count == 0))
        return;
    if (redact_packed(&settings->redaction, *packed, call->scratch.message + at, call->scratch.packed_size, packed) < 0)
        *packed = (struct text) { hidden, sizeof(hidden) - 1 };
}

static int fields_pack(struct call *call, const struct tf_field *fields, size_t count, struct text *ret,
                       struct error *error) {
    if (count > TF_ENTRY_FIELDS)
        return error_set(error, -EINVAL, "metadata must be at most %d fields, is %zu", TF_ENTRY_FIELDS, count);
    int r = check_keys(fields, count, error);
    struct pack_writer writer = { .data = call->scratch.metadata, .capacity = call->scratch.packed_size };
    if (r == 0)
        r = pack_fields(fields, count, TEXT_EMPTY, &writer, error);
    *ret = (struct text) { writer.data, writer.length };
    return r;
}

int compose_fields(struct call *call, const struct tf_client *client, const struct tf_field *fields, size_t count,
                   struct text *ret) {
    int r = fields_pack(call, fields, count, ret, call->error);
    if (r == 0)
        redact(call, client, 0, ret);
    return r;
}

/* The fields that keep the rules, without those that do not, and the mark that the collector, too, leaves where it repairs. The message's
 * room holds the pairs until their number is known. */
static void fields_pack_sound(struct call *call, const struct tf_field *fields, size_t count, struct text *ret) {
    static const char mark[] = "repaired", what[] = "metadata";
    enum { MARK_ROOM = sizeof(mark) + sizeof(what) + 8 }; /* and the map's head */
    struct pack_writer pairs = { .data = call->scratch.message, .capacity = call->scratch.packed_size - MARK_ROOM };
    struct pack_writer writer = { .data = call->scratch.metadata, .capacity = call->scratch.packed_size };
    uint32_t kept = 0;
    count = count < TF_ENTRY_FIELDS ? count : TF_ENTRY_FIELDS;
    for (size_t i = 0; i < count; i++) {
        struct text key = text_of(fields[i].key);
        size_t before = pairs.length;
        if (check_keys(&fields[i], 1, NULL) < 0 || text_is(key, mark) || key_comes_later(key, fields, i + 1, count))
            continue;
        if (pack_field(&fields[i], &pairs, NULL) == 0 && !pairs.failed) {
            kept++;
            continue;
        }
        pairs.length = before;
        pairs.failed = false;
    }
    pack_map(&writer, kept + 1);
    pack_raw(&writer, (struct text) { pairs.data, pairs.length });
    pack_text(&writer, text_of(mark));
    pack_array(&writer, 1);
    pack_text(&writer, text_of(what));
    check(!writer.failed);
    *ret = (struct text) { writer.data, writer.length };
}

void compose_event_fields(struct call *call, const struct tf_client *client, const struct tf_field *fields,
                          size_t count, struct text *ret) {
    if (fields_pack(call, fields, count, ret, NULL) < 0)
        fields_pack_sound(call, fields, count, ret);
    redact(call, client, 0, ret);
}

static int compose_error_details(struct call *call, const struct tf_entry *entry, struct text *ret) {
    *ret = TEXT_EMPTY;
    if (!entry->error_details || !*entry->error_details)
        return 0;
    struct pack_writer writer = { .data = call->scratch.error_details, .capacity = call->scratch.packed_size };
    int r = pack_json("error_details", entry->error_details, &writer, call->error);
    *ret = (struct text) { writer.data, writer.length };
    return r;
}

/* What the caller gave no id for has the thread's. */
static void complete_ids(const struct thread *thread, const struct tf_entry *given, struct record_entry *record) {
    struct record_entry current = { 0 };
    struct entry *entry = &record->entry;
    if (!thread || (thread->context.has == 0 && thread->context.correlation_length == 0))
        return;
    context_apply(thread, NULL, &current);
    if (!given->trace_id) {
        entry->trace_id = current.entry.trace_id;
        record->raw_trace = current.raw_trace;
    }
    if (!given->span_id) {
        entry->span_id = current.entry.span_id;
        record->raw_span = current.raw_span;
    }
    if (!given->correlation_id)
        entry->correlation_id = current.entry.correlation_id;
    if (!given->user_id)
        entry->user_id = current.entry.user_id;
    if (!given->organization_id)
        entry->organization_id = current.entry.organization_id;
}

int entry_compose(struct call *call, struct tf_client *client, const struct tf_entry *given, uint64_t now_ns,
                  struct record_entry *ret) {
    if (given->size != sizeof(*given))
        return error_set(call->error, -EINVAL, "entry must be begun with tf_entry_init");
    if (given->level < 0 || given->level >= LEVEL_COUNT)
        return error_set(call->error, -EINVAL, "level must be 0 to %d, is %d", LEVEL_COUNT - 1, given->level);
    const struct thread *thread = call->thread;
    ret->site = 0;
    ret->has_position = ret->raw_trace = ret->raw_span = false;
    struct entry *entry = &ret->entry;
    entry->timestamp_ns = given->timestamp_ns ? given->timestamp_ns : now_ns;
    entry->level = (enum level)given->level;
    entry->service = text_or(given->service, client->service);
    entry->module = text_or(given->module, client->module);
    entry->operation = text_of(given->operation);
    entry->message = given->message_length == TF_TO_NUL
                         ? text_of(given->message)
                         : (struct text) { given->message, given->message ? given->message_length : 0 };
    entry->id = (struct uuid) { { 0 } }; /* derived from where it will stand */
    entry->host = TEXT_EMPTY;
    entry->pid = 0;
    entry->trace_id = text_of(given->trace_id);
    entry->span_id = text_of(given->span_id);
    entry->correlation_id = text_of(given->correlation_id);
    entry->user_id = entry->organization_id = (struct uuid) { { 0 } };
    int r = parse_id("user_id", given->user_id, &entry->user_id, call->error);
    if (r == 0)
        r = parse_id("organization_id", given->organization_id, &entry->organization_id, call->error);
    if (r == 0)
        r = compose_metadata(call, given, &entry->metadata);
    if (r == 0)
        r = compose_error_details(call, given, &entry->error_details);
    if (r == 0) {
        redact(call, client, 0, &entry->metadata);
        redact(call, client, call->scratch.packed_size, &entry->error_details);
    }
    if (r == 0)
        r = entry_validate(entry, call->error);
    if (r < 0)
        return r;
    if (text_equal(entry->service, client->service))
        entry->service = TEXT_EMPTY; /* the slot's is meant */
    complete_ids(thread, given, ret);
    return 0;
}
