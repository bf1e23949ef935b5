#include "common/model/span.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/model/pack.h"

/* --- to JSON --- */

static void append_id(struct buffer *out, const char *key, const uint8_t *id, size_t size) {
    char digits[SPAN_TRACE_DIGITS];
    text_hex(id, size, digits);
    buffer_append_format(out, "\"%s\":\"%.*s\"", key, (int)(2 * size), digits);
}

static void append_text(struct buffer *out, const char *key, struct text text) {
    if (text.length == 0)
        return;
    buffer_append_format(out, ",\"%s\":", key);
    json_append_string(out, text);
}

static void append_time(struct buffer *out, const char *key, uint64_t time_ns) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format(time_ns, time);
    buffer_append_format(out, ",\"%s\":\"%s\"", key, time);
}

static void append_number(struct buffer *out, const char *key, uint32_t number) {
    if (number != 0)
        buffer_append_format(out, ",\"%s\":%u", key, number);
}

void span_append_json(struct buffer *out, const struct span *span) {
    const struct record_span *record = &span->record;
    buffer_append_char(out, '{');
    append_id(out, "trace_id", record->trace_id, SPAN_TRACE_BYTES);
    buffer_append_char(out, ',');
    append_id(out, "span_id", record->span_id, SPAN_ID_BYTES);
    if (span_has_parent(span)) {
        buffer_append_char(out, ',');
        append_id(out, "parent_id", record->parent_id, SPAN_ID_BYTES);
    }
    append_text(out, "service", record->service);
    append_text(out, "operation", record->operation);
    append_time(out, "start", record->start_ns);
    if (span_is_open(span)) {
        buffer_append_string(out, ",\"active\":true");
    } else {
        append_time(out, "end", span->end_ns);
        buffer_append_string(out, ",\"duration_ms\":");
        json_append_number(out, (double)span_duration_ns(span) / (double)CLOCK_MILLISECOND);
        buffer_append_format(out, ",\"failed\":%s", record->failed ? "true" : "false");
    }
    append_text(out, "status", record->status);
    if (record->metadata.length > 0) {
        buffer_append_string(out, ",\"metadata\":");
        pack_append_json(out, record->metadata);
    }
    append_text(out, "host", span->host);
    append_number(out, "pid", span->pid);
    append_number(out, "thread", record->thread);
    buffer_append_char(out, '}');
}

/* --- from JSON --- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool read_id(struct text digits, uint8_t *ret, size_t size) {
    if (digits.length != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(digits.data[2 * i]), low = hex_digit(digits.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static struct text find_text(struct text map, const char *key) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) == 1 && value.type == PACK_TEXT ? value.text : TEXT_EMPTY;
}

static bool find_time(struct text map, const char *key, uint64_t *ret) {
    struct text text = find_text(map, key);
    return text.length > 0 && clock_parse(text.data, text.length, ret) == 0;
}

static uint32_t find_number(struct text map, const char *key) {
    struct pack_value value;
    bool found = pack_find(map, text_of(key), &value) == 1 && value.type == PACK_UINT && value.natural <= UINT32_MAX;
    return found ? (uint32_t)value.natural : 0;
}

int span_from_json(struct text json, char *room, size_t size, struct span *ret) {
    struct pack_writer writer = { .data = room, .capacity = size };
    if (pack_from_json(json, &writer, NULL) < 0 || writer.failed)
        return -EINVAL;
    struct text map = { room, writer.length };
    struct pack_value failed;
    *ret = (struct span) { 0 };
    if (!pack_is_map(map) || !read_id(find_text(map, "trace_id"), ret->record.trace_id, SPAN_TRACE_BYTES) ||
        !read_id(find_text(map, "span_id"), ret->record.span_id, SPAN_ID_BYTES) ||
        !find_time(map, "start", &ret->record.start_ns))
        return -EINVAL;
    struct text parent = find_text(map, "parent_id");
    if (parent.length > 0 && !read_id(parent, ret->record.parent_id, SPAN_ID_BYTES))
        return -EINVAL;
    (void)find_time(map, "end", &ret->end_ns);
    ret->record.failed =
        pack_find(map, TEXT_LITERAL("failed"), &failed) == 1 && failed.type == PACK_BOOL && failed.boolean;
    ret->record.service = find_text(map, "service");
    ret->record.operation = find_text(map, "operation");
    ret->record.thread = find_number(map, "thread");
    ret->host = find_text(map, "host");
    ret->pid = find_number(map, "pid");
    return 0;
}

int span_trace_parse(struct text text, uint8_t ret[SPAN_TRACE_BYTES]) {
    struct uuid uuid;
    int result = uuid_parse(text, &uuid);
    if (result == 0)
        memcpy(ret, uuid.bytes, SPAN_TRACE_BYTES);
    return result;
}
