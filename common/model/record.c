/* record.c - headers, and every kind but entries, calls and spans: each a msgpack array, described by a table of its fields.
 *
 *   call site          [site, level, module, operation, format, argument types]
 *   metric definition  [metric, kind, name, unit, help, {labels}, [bounds]]
 *   metric update      [kind, naming, operation, value, name, {labels}, unit, help, trace id]
 *   alert change       [id, rule, status, severity, {details}]
 *   health report      [name, state, details, time to live]
 *   process hello      [service, producer id, pid, start time]
 *   process goodbye    [producer id]
 *   loss note          [service, reason, level, count, first, last]
 *   input position     [input, key, value]
 *   audit event        [action, actor, target, {details}]
 *
 * Integers are unsigned, producer ids binary of 16 bytes, an empty packed part is nil.
 */
#include "common/model/record.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>

#include "common/base/check.h"
#include "common/model/metric.h"
#include "common/model/record_priv.h"
#include "common/model/template.h"

enum {
    FIELDS_MAX = 10,
    UNIT_BYTES = METRIC_UNIT_BYTES,
    HELP_BYTES = METRIC_HELP_BYTES,
    WORD_BYTES = 255,   /* states, reasons, actions, ids of alerts and rules */
    DETAIL_BYTES = 8192 /* a health report's words */
};

enum field_type {
    FIELD_TEXT,     /* struct text, at most `limit` bytes */
    FIELD_REQUIRED, /* the same, not empty */
    FIELD_MAP,      /* struct text: a packed map, at most `limit` bytes */
    FIELD_ARRAY,    /* struct text: a packed array */
    FIELD_U8,
    FIELD_U32,
    FIELD_U64,
    FIELD_LEVEL,
    FIELD_DOUBLE,
    FIELD_BOOL,
    FIELD_BYTES16,
};

struct field {
    uint8_t type;
    uint16_t offset; /* in struct record */
    uint32_t limit;
};

struct kind {
    uint8_t count; /* behind them one more may stand, which is left out where it is 0 */
    struct field fields[FIELDS_MAX];
};

#define AT(member) offsetof(struct record, member)
#define TEXT(member, limit)                                                                                            \
    { FIELD_TEXT, AT(member), limit }
#define REQUIRED(member, limit)                                                                                        \
    { FIELD_REQUIRED, AT(member), limit }
#define MAP(member)                                                                                                    \
    { FIELD_MAP, AT(member), ENTRY_METADATA_BYTES }
#define ARRAY(member)                                                                                                  \
    { FIELD_ARRAY, AT(member), ENTRY_METADATA_BYTES }
#define VALUE(type, member)                                                                                            \
    { type, AT(member), 0 }

static const struct kind kinds[] = {
    [RECORD_CALL_SITE] = { 6,
                           { VALUE(FIELD_U32, call_site.site), VALUE(FIELD_LEVEL, call_site.level),
                             TEXT(call_site.module, ENTRY_NAME_BYTES), TEXT(call_site.operation, ENTRY_NAME_BYTES),
                             TEXT(call_site.format, ENTRY_MESSAGE_BYTES),
                             TEXT(call_site.argument_types, TEMPLATE_ARGUMENTS_MAX) } },
    [RECORD_METRIC_DEFINITION] = { 7,
                                   { VALUE(FIELD_U32, metric_definition.metric),
                                     VALUE(FIELD_U8, metric_definition.metric_kind),
                                     REQUIRED(metric_definition.name, METRIC_NAME_BYTES),
                                     TEXT(metric_definition.unit, UNIT_BYTES), TEXT(metric_definition.help, HELP_BYTES),
                                     MAP(metric_definition.labels), ARRAY(metric_definition.bounds) } },
    [RECORD_METRIC_UPDATE] = { 9,
                               { VALUE(FIELD_U8, metric_update.metric_kind), VALUE(FIELD_U8, metric_update.naming),
                                 VALUE(FIELD_U8, metric_update.operation), VALUE(FIELD_DOUBLE, metric_update.value),
                                 REQUIRED(metric_update.name, METRIC_NAME_BYTES), MAP(metric_update.labels),
                                 TEXT(metric_update.unit, UNIT_BYTES), TEXT(metric_update.help, HELP_BYTES),
                                 TEXT(metric_update.trace_id, ENTRY_TRACE_BYTES),
                                 VALUE(FIELD_U32, metric_update.times) } },
    [RECORD_ALERT_CHANGE] = { 5,
                              { TEXT(alert_change.id, WORD_BYTES), TEXT(alert_change.rule_id, WORD_BYTES),
                                TEXT(alert_change.status, WORD_BYTES), VALUE(FIELD_U8, alert_change.severity),
                                MAP(alert_change.details) } },
    [RECORD_HEALTH_REPORT] = { 4,
                               { REQUIRED(health_report.name, WORD_BYTES), TEXT(health_report.state, WORD_BYTES),
                                 TEXT(health_report.details, DETAIL_BYTES),
                                 VALUE(FIELD_U64, health_report.time_to_live_ns) } },
    [RECORD_PROCESS_HELLO] = { 4,
                               { TEXT(process_hello.service, ENTRY_NAME_BYTES),
                                 VALUE(FIELD_BYTES16, process_hello.producer_id), VALUE(FIELD_U32, process_hello.pid),
                                 VALUE(FIELD_U64, process_hello.start_time) } },
    [RECORD_PROCESS_GOODBYE] = { 1, { VALUE(FIELD_BYTES16, process_goodbye.producer_id) } },
    [RECORD_LOSS_NOTE] = { 6,
                           { TEXT(loss_note.service, ENTRY_NAME_BYTES), TEXT(loss_note.reason, WORD_BYTES),
                             VALUE(FIELD_LEVEL, loss_note.level), VALUE(FIELD_U64, loss_note.count),
                             VALUE(FIELD_U64, loss_note.first_ns), VALUE(FIELD_U64, loss_note.last_ns) } },
    [RECORD_INPUT_POSITION] = { 3,
                                { REQUIRED(input_position.input, 100), TEXT(input_position.key, 200),
                                  TEXT(input_position.value, 600) } },
    [RECORD_AUDIT_EVENT] = { 4,
                             { REQUIRED(audit_event.action, WORD_BYTES), TEXT(audit_event.actor, WORD_BYTES),
                               TEXT(audit_event.target, WORD_BYTES), MAP(audit_event.details) } },
};
_Static_assert(100 + 200 + 600 + 10 <= RECORD_INPUT_POSITION_MAX, "every input position fits beside its entry");

/* --- encoding --- */

static int encode_packed(struct text packed, const struct field *field, struct pack_writer *writer) {
    if (packed.length == 0) {
        pack_nil(writer);
        return 0;
    }
    if (packed.length > field->limit)
        return -E2BIG;
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_value value;
    if (pack_check(packed) < 0 || pack_next(&reader, &value) != 1 ||
        value.type != (field->type == FIELD_MAP ? PACK_MAP : PACK_ARRAY))
        return -EINVAL;
    pack_raw(writer, packed);
    return 0;
}

static int encode_text(struct text text, const struct field *field, struct pack_writer *writer) {
    if (text.length > field->limit)
        return -E2BIG;
    if (text.length == 0 && field->type == FIELD_REQUIRED)
        return -EINVAL;
    pack_text(writer, text);
    return 0;
}

static int encode_field(const void *value, const struct field *field, struct pack_writer *writer) {
    switch ((enum field_type)field->type) {
    case FIELD_TEXT:
    case FIELD_REQUIRED:
        return encode_text(*(const struct text *)value, field, writer);
    case FIELD_MAP:
    case FIELD_ARRAY:
        return encode_packed(*(const struct text *)value, field, writer);
    case FIELD_U8:
        pack_uint(writer, *(const uint8_t *)value);
        return 0;
    case FIELD_U32:
        pack_uint(writer, *(const uint32_t *)value);
        return 0;
    case FIELD_U64:
        pack_uint(writer, *(const uint64_t *)value);
        return 0;
    case FIELD_LEVEL:
        pack_uint(writer, (uint64_t) * (const enum level *)value);
        return (unsigned)*(const enum level *)value < LEVEL_COUNT ? 0 : -EINVAL;
    case FIELD_DOUBLE:
        pack_double(writer, *(const double *)value);
        return 0;
    case FIELD_BOOL:
        pack_bool(writer, *(const bool *)value);
        return 0;
    case FIELD_BYTES16:
        pack_binary(writer, (struct text) { value, 16 });
        return 0;
    }
    return -EINVAL;
}

/* The field that may stand behind the others: NULL where the kind has none. All of them are numbers of 32 bits. */
static const struct field *field_more(const struct kind *kind) {
    const struct field *field = &kind->fields[kind->count];
    return kind->count < FIELDS_MAX && field->type == FIELD_U32 ? field : NULL;
}

static int encode_kind(const struct record *record, const struct kind *kind, struct pack_writer *writer) {
    const struct field *more = field_more(kind);
    uint32_t value = 0;
    if (more)
        memcpy(&value, (const char *)record + more->offset, sizeof(value));
    unsigned count = kind->count + (value != 0);
    pack_array(writer, count);
    for (unsigned i = 0; i < count; i++) {
        int rc = encode_field((const char *)record + kind->fields[i].offset, &kind->fields[i], writer);
        if (rc < 0)
            return rc;
    }
    return writer->failed ? -ENOSPC : 0;
}

static int encode_entry(const struct record *record, void *room, size_t capacity) {
    uint32_t size;
    int rc = record_entry_size(&record->entry, &size);
    if (rc < 0)
        return rc;
    if (size > capacity)
        return -ENOSPC;
    record_entry_encode(&record->entry, record->position, record->time_ns, room, size);
    return (int)size;
}

static int encode_span(const struct record *record, void *room, size_t capacity) {
    uint32_t size;
    int rc = record_span_size(&record->span, &size);
    if (rc < 0)
        return rc;
    if (size > capacity)
        return -ENOSPC;
    record_span_encode(&record->span, record->position, record->time_ns, room, size);
    return (int)size;
}

/* A padding record takes all the room there is. */
static int encode_padding(const struct record *record, void *room, size_t capacity) {
    if (capacity < RECORD_HEADER_SIZE || capacity % RECORD_ALIGN != 0 || capacity > INT_MAX)
        return -EINVAL;
    record_put_header(room, (uint32_t)capacity, RECORD_PADDING, 0, record->position, record->time_ns);
    return (int)capacity;
}

int record_encode(const struct record *record, void *room, size_t capacity) {
    if (record->kind == RECORD_ENTRY || record->kind == RECORD_CALL)
        return encode_entry(record, room, capacity);
    if (record->kind == RECORD_SPAN)
        return encode_span(record, room, capacity);
    if (record->kind == RECORD_PADDING)
        return encode_padding(record, room, capacity);
    if ((unsigned)record->kind >= COUNT_OF(kinds) || kinds[record->kind].count == 0)
        return -EINVAL;
    if (capacity < RECORD_HEADER_SIZE)
        return -ENOSPC;
    if (capacity > RECORD_SIZE_MAX)
        capacity = RECORD_SIZE_MAX;
    struct pack_writer writer = { .data = (char *)room + RECORD_HEADER_SIZE,
                                  .capacity = capacity - RECORD_HEADER_SIZE };
    int rc = encode_kind(record, &kinds[record->kind], &writer);
    if (rc < 0)
        return rc;
    uint32_t used = (uint32_t)(RECORD_HEADER_SIZE + writer.length), length = record_align(used);
    if (length > capacity)
        return -ENOSPC;
    memset((char *)room + used, 0, length - used);
    uint8_t level = record->kind == RECORD_AUDIT_EVENT ? LEVEL_INFO : 0;
    record_put_header(room, length, (uint8_t)record->kind, level, record->position, record->time_ns);
    return (int)length;
}

/* --- decoding --- */

static bool decode_number(const struct pack_value *value, uint64_t most) {
    return value->type == PACK_UINT && value->natural <= most;
}

/* One field from its value; false when they do not fit. */
static bool decode_field(const struct pack_value *value, const struct field *field, void *ret) {
    switch ((enum field_type)field->type) {
    case FIELD_TEXT:
    case FIELD_REQUIRED:
        if (value->type != PACK_TEXT || value->text.length > field->limit ||
            (value->text.length == 0 && field->type == FIELD_REQUIRED))
            return false;
        *(struct text *)ret = value->text;
        return true;
    case FIELD_MAP:
    case FIELD_ARRAY:
        if (value->type != PACK_NIL && value->type != (field->type == FIELD_MAP ? PACK_MAP : PACK_ARRAY))
            return false;
        *(struct text *)ret = value->type == PACK_NIL ? TEXT_EMPTY : value->whole;
        return value->whole.length <= field->limit;
    case FIELD_U8:
        *(uint8_t *)ret = (uint8_t)value->natural;
        return decode_number(value, UINT8_MAX);
    case FIELD_U32:
        *(uint32_t *)ret = (uint32_t)value->natural;
        return decode_number(value, UINT32_MAX);
    case FIELD_U64:
        *(uint64_t *)ret = value->natural;
        return decode_number(value, UINT64_MAX);
    case FIELD_LEVEL:
        if (!decode_number(value, LEVEL_COUNT - 1))
            return false;
        *(enum level *)ret = (enum level)value->natural;
        return true;
    case FIELD_DOUBLE:
        *(double *)ret = value->number;
        return value->type == PACK_DOUBLE;
    case FIELD_BOOL:
        if (value->type != PACK_BOOL)
            return false;
        *(bool *)ret = value->boolean;
        return true;
    case FIELD_BYTES16:
        if (value->type != PACK_BINARY || value->text.length != 16)
            return false;
        memcpy(ret, value->text.data, 16);
        return true;
    }
    return false;
}

/* The array of a kind; gives where it ended, or NULL. */
static const char *decode_kind(const char *at, const char *end, const struct kind *kind, struct record *ret) {
    struct pack_reader reader = { at, end };
    struct pack_value value;
    const struct field *more = field_more(kind);
    if (pack_next(&reader, &value) != 1 || value.type != PACK_ARRAY ||
        (value.count != kind->count && !(more && value.count == kind->count + 1u)))
        return NULL;
    unsigned count = (unsigned)value.count;
    if (more)
        memset((char *)ret + more->offset, 0, sizeof(uint32_t));
    for (unsigned i = 0; i < count; i++) {
        const struct field *field = &kind->fields[i];
        if (pack_next(&reader, &value) != 1 || !decode_field(&value, field, (char *)ret + field->offset))
            return NULL;
        reader.at = value.whole.data + value.whole.length;
    }
    return reader.at;
}

int record_header_decode(const void *bytes, size_t available, uint64_t expected_position, struct record_header *ret) {
    struct record_header header;
    _Static_assert(sizeof(header) == RECORD_HEADER_SIZE, "as drawn");
    if (available < RECORD_HEADER_SIZE)
        return -EBADMSG;
    memcpy(&header, bytes, sizeof(header));
    if (header.length % RECORD_ALIGN != 0 || header.length < RECORD_HEADER_SIZE || header.length > available ||
        (header.length > RECORD_SIZE_MAX && header.kind != RECORD_PADDING) || header.kind < RECORD_PADDING ||
        header.kind > RECORD_AUDIT_EVENT || header.version != RECORD_VERSION || header.position != expected_position)
        return -EBADMSG;
    *ret = header;
    return 0;
}

bool record_trace(const void *bytes, const struct record_header *header, struct text *ret, bool *ret_raw) {
    if (header->kind == RECORD_ENTRY)
        return record_entry_trace(bytes, header, ret, ret_raw);
    return header->kind == RECORD_CALL && record_call_trace(bytes, header, ret, ret_raw);
}

/* Drawn above: an array's head, three numbers below 128, a double, and the rest, whose last field is an empty text. */
bool record_update_glance(const void *bytes, const struct record_header *header, struct record_update_glance *ret) {
    enum { ARRAY_OF = 0x90, SMALL_MAX = 0x7f, DOUBLE = 0xcb, EMPTY_TEXT = 0xa0, HEAD = 5, REST = HEAD + 8 };
    const uint8_t *at = (const uint8_t *)bytes + RECORD_HEADER_SIZE;
    const uint8_t *end = (const uint8_t *)bytes + header->length, *last = end - 1;
    uint64_t bits;
    if (header->kind != RECORD_METRIC_UPDATE || end - at <= REST ||
        at[0] != ARRAY_OF + kinds[RECORD_METRIC_UPDATE].count || at[1] > SMALL_MAX || at[2] > SMALL_MAX ||
        at[3] > SMALL_MAX || at[4] != DOUBLE)
        return false;
    while (*last == 0 && end - last < RECORD_ALIGN)
        last--;
    if (*last != EMPTY_TEXT)
        return false;
    memcpy(&bits, at + HEAD, sizeof(bits));
    bits = be64toh(bits);
    memcpy(&ret->value, &bits, sizeof(bits));
    ret->kind = at[1];
    ret->naming = at[2];
    ret->operation = at[3];
    ret->rest = (struct text) { (const char *)at + REST, (size_t)(end - at) - REST };
    return true;
}

int record_decode(const void *bytes, size_t available, uint64_t expected_position, struct record *ret) {
    struct record_header header;
    int rc = record_header_decode(bytes, available, expected_position, &header);
    if (rc < 0)
        return rc;
    ret->kind = (enum record_kind)header.kind;
    ret->position = header.position;
    ret->time_ns = header.time_ns;
    if (header.kind == RECORD_PADDING)
        return 0;
    if (header.kind == RECORD_ENTRY)
        return record_entry_decode(bytes, &header, &ret->entry);
    if (header.kind == RECORD_CALL) {
        ret->kind = RECORD_ENTRY;
        return record_call_decode(bytes, &header, &ret->entry);
    }
    if (header.kind == RECORD_SPAN)
        return record_span_decode(bytes, &header, &ret->span);
    const char *end = (const char *)bytes + header.length;
    const char *at = decode_kind((const char *)bytes + RECORD_HEADER_SIZE, end, &kinds[header.kind], ret);
    if (!at || end - at >= RECORD_ALIGN)
        return -EBADMSG;
    for (; at < end; at++)
        if (*at != '\0')
            return -EBADMSG;
    return 0;
}

/* --- an input position inside an entry --- */

static const struct kind *const position_kind = &kinds[RECORD_INPUT_POSITION];

int record_position_check(const struct input_position *position) {
    if (position->input.length == 0)
        return -EINVAL;
    return position->input.length <= position_kind->fields[0].limit &&
                   position->key.length <= position_kind->fields[1].limit &&
                   position->value.length <= position_kind->fields[2].limit
               ? 0
               : -E2BIG;
}

static uint32_t text_size(size_t length) {
    return (uint32_t)length + (length < 32 ? 1 : length < 256 ? 2 : 3);
}

uint32_t record_position_size(const struct input_position *position) {
    return 1 + text_size(position->input.length) + text_size(position->key.length) + text_size(position->value.length);
}

void record_position_encode(const struct input_position *position, char *at, uint32_t size) {
    struct pack_writer writer = { .data = at, .capacity = size };
    pack_array(&writer, 3);
    pack_text(&writer, position->input);
    pack_text(&writer, position->key);
    pack_text(&writer, position->value);
    check(!writer.failed && writer.length == size);
}

int record_position_decode(struct text packed, struct input_position *ret) {
    struct record record;
    const char *end = packed.data + packed.length;
    if (decode_kind(packed.data, end, position_kind, &record) != end)
        return -EBADMSG;
    *ret = record.input_position;
    return 0;
}
