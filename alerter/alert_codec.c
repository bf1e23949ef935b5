/* alert_codec.c - an alert as it is stored: one msgpack array.
 *
 *   [ version, id bin16, rule_id, name, severity, status, message, details, entries, labels {..}, annotations {..}, value,
 *     no_data, pending_since, timestamp, cleared_since, last_notified, last_firing, resolved_at, told,
 *     acknowledged_by | nil, acknowledged_reason | nil ]
 *
 * Texts are UTF-8 without NUL, times u64 ns. What comes back was checked by checksum, but is judged all the same. */
#include "alerter/alert.h"

#include "common/base/check.h"
#include "common/model/pack.h"

#include <errno.h>
#include <stdlib.h>

enum { FIELDS = 22, CODEC_VERSION = 1, FIRST_ROOM = 4096 };

/* --- writing --- */

static void put_string(struct pack_writer *writer, const char *string) {
    if (string)
        pack_text(writer, text_of(string));
    else
        pack_nil(writer);
}

static void put_pairs(struct pack_writer *writer, const struct alert_pairs *pairs) {
    pack_map(writer, (uint32_t)pairs->count);
    for (size_t i = 0; i < pairs->count; i++) {
        pack_text(writer, text_of(pairs->items[i].key));
        pack_text(writer, text_of(pairs->items[i].value));
    }
}

static void put_alert(struct pack_writer *writer, const struct alert *alert) {
    pack_array(writer, FIELDS);
    pack_uint(writer, CODEC_VERSION);
    pack_binary(writer, (struct text) { (const char *)alert->id.bytes, UUID_SIZE });
    put_string(writer, alert->rule_id);
    put_string(writer, alert->name);
    pack_uint(writer, alert->severity);
    pack_uint(writer, alert->status);
    put_string(writer, alert->message);
    put_string(writer, alert->details);
    put_string(writer, alert->entries);
    put_pairs(writer, &alert->labels);
    put_pairs(writer, &alert->annotations);
    pack_double(writer, alert->value);
    pack_bool(writer, alert->no_data);
    pack_uint(writer, alert->pending_since_ns);
    pack_uint(writer, alert->timestamp_ns);
    pack_uint(writer, alert->cleared_since_ns);
    pack_uint(writer, alert->last_notified_ns);
    pack_uint(writer, alert->last_firing_ns);
    pack_uint(writer, alert->resolved_at_ns);
    pack_bool(writer, alert->told);
    put_string(writer, alert->acknowledged_by);
    put_string(writer, alert->acknowledged_reason);
}

int alert_encode(const struct alert *alert, struct buffer *out) {
    for (size_t room = FIRST_ROOM; room <= ALERT_ENCODED_MAX; room *= 2) {
        if (!buffer_reserve(out, room))
            return -ENOMEM;
        struct pack_writer writer = { .data = out->data + out->length, .capacity = room };
        put_alert(&writer, alert);
        if (writer.failed)
            continue;
        out->length += writer.length;
        return 0;
    }
    return -E2BIG;
}

/* --- reading --- */

struct decoding {
    struct pack_reader reader;
    int result; /* the first fault; the rest is passed over */
};

static struct pack_value take(struct decoding *decoding, enum pack_type type) {
    struct pack_value value = { .type = PACK_NIL };
    if (decoding->result == 0 && (pack_next(&decoding->reader, &value) != 1 || value.type != type))
        decoding->result = -EINVAL;
    return decoding->result == 0 ? value : (struct pack_value) { .type = PACK_NIL };
}

static uint64_t take_number(struct decoding *decoding, uint64_t max) {
    uint64_t number = take(decoding, PACK_UINT).natural;
    if (decoding->result == 0 && number > max)
        decoding->result = -EINVAL;
    return decoding->result == 0 ? number : 0;
}

static char *keep_text(struct decoding *decoding, struct text text) {
    char *copy =
        text.length > 0 && memchr(text.data, 0, text.length) ? NULL : strndup(text.data ? text.data : "", text.length);
    if (!copy && decoding->result == 0)
        decoding->result = text.length > 0 && memchr(text.data, 0, text.length) ? -EINVAL : -ENOMEM;
    return copy;
}

static char *take_string(struct decoding *decoding) {
    struct pack_value value = take(decoding, PACK_TEXT);
    return decoding->result == 0 ? keep_text(decoding, value.text) : NULL;
}

static char *take_string_or_nil(struct decoding *decoding) {
    struct pack_reader before = decoding->reader;
    struct pack_value value;
    if (decoding->result == 0 && pack_next(&before, &value) == 1 && value.type == PACK_NIL) {
        decoding->reader = before;
        return NULL;
    }
    return take_string(decoding);
}

static void take_pairs(struct decoding *decoding, struct alert_pairs *ret) {
    struct pack_value map = take(decoding, PACK_MAP);
    for (uint32_t i = 0; decoding->result == 0 && i < map.count; i++) {
        struct text key = take(decoding, PACK_TEXT).text, value = take(decoding, PACK_TEXT).text;
        if (decoding->result == 0)
            decoding->result = alert_pairs_set(ret, key, value);
    }
}

/* A text that stands as JSON inside other JSON must be JSON. */
static bool is_json(const char *text, bool array) {
    size_t length = strlen(text);
    char *room = malloc(length + 64);
    struct pack_writer writer = { .data = room, .capacity = length + 64 };
    bool good = room && text[0] == (array ? '[' : '{') && pack_from_json(text_of(text), &writer, NULL) == 0;
    free(room);
    return good;
}

static void take_alert(struct decoding *decoding, struct alert *alert) {
    struct text id = take(decoding, PACK_BINARY).text;
    if (decoding->result == 0 && id.length != UUID_SIZE)
        decoding->result = -EINVAL;
    if (decoding->result == 0)
        memcpy(alert->id.bytes, id.data, UUID_SIZE);
    alert->rule_id = take_string(decoding);
    alert->name = take_string(decoding);
    alert->severity = (enum alert_severity)take_number(decoding, ALERT_SEVERITY_COUNT - 1);
    alert->status = (enum alert_status)take_number(decoding, ALERT_STATUS_COUNT - 1);
    alert->message = take_string(decoding);
    alert->details = take_string(decoding);
    alert->entries = take_string(decoding);
    take_pairs(decoding, &alert->labels);
    take_pairs(decoding, &alert->annotations);
    alert->value = take(decoding, PACK_DOUBLE).number;
    alert->no_data = take(decoding, PACK_BOOL).boolean;
    alert->pending_since_ns = take_number(decoding, UINT64_MAX);
    alert->timestamp_ns = take_number(decoding, UINT64_MAX);
    alert->cleared_since_ns = take_number(decoding, UINT64_MAX);
    alert->last_notified_ns = take_number(decoding, UINT64_MAX);
    alert->last_firing_ns = take_number(decoding, UINT64_MAX);
    alert->resolved_at_ns = take_number(decoding, UINT64_MAX);
    alert->told = take(decoding, PACK_BOOL).boolean;
    alert->acknowledged_by = take_string_or_nil(decoding);
    alert->acknowledged_reason = take_string_or_nil(decoding);
    if (decoding->result == 0 && (!is_json(alert->details, false) || !is_json(alert->entries, true) ||
                                  !alert->acknowledged_by != !alert->acknowledged_reason))
        decoding->result = -EINVAL;
}

int alert_decode(struct text encoded, struct alert *ret) {
    if (encoded.length > ALERT_ENCODED_MAX || pack_check(encoded) < 0)
        return -EINVAL;
    struct decoding decoding = { .reader = { encoded.data, encoded.data + encoded.length } };
    struct alert alert = { 0 };
    uint32_t fields = take(&decoding, PACK_ARRAY).count;
    uint64_t version = take_number(&decoding, UINT64_MAX);
    if (decoding.result == 0 && version > CODEC_VERSION)
        return -EPROTO;
    if (decoding.result == 0 && (fields != FIELDS || version != CODEC_VERSION))
        decoding.result = -EINVAL;
    if (decoding.result == 0)
        take_alert(&decoding, &alert);
    if (decoding.result < 0) {
        alert_finish(&alert);
        return decoding.result;
    }
    *ret = alert;
    return 0;
}
