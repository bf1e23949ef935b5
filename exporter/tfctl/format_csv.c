/* format_csv.c - RFC 4180 with a header line: CRLF ends, quotes doubled; metadata and error details as JSON. */
#include "common/base/clock.h"
#include "common/model/pack.h"
#include "exporter/tfctl/format.h"

static void csv_header(struct buffer *out, const struct format_style *style) {
    (void)style;
    buffer_append_string(out, "id,timestamp,level,service,module,operation,message,trace_id,span_id,correlation_id,"
                              "user_id,organization_id,metadata,error_details,host,pid\r\n");
}

static void append_quoted(struct buffer *out, struct text value) {
    bool plain = true;
    for (size_t i = 0; i < value.length && plain; i++)
        plain = !strchr(",\"\r\n", value.data[i]) && value.data[i] != '\0';
    if (plain && !(value.length > 0 && (value.data[0] == ' ' || value.data[value.length - 1] == ' '))) {
        buffer_append_text(out, value);
        return;
    }
    buffer_append_char(out, '"');
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] == '"')
            buffer_append_char(out, '"');
        buffer_append_char(out, value.data[i]);
    }
    buffer_append_char(out, '"');
}

static void append_field(struct buffer *out, const struct format_style *style, struct text value) {
    buffer_append_char(out, ',');
    if (!style->terminal) {
        append_quoted(out, value);
        return;
    }
    struct buffer printable = BUFFER_EMPTY;
    format_printable(&printable, value);
    out->failed |= printable.failed;
    append_quoted(out, buffer_text(&printable));
    buffer_finish(&printable);
}

static void append_uuid(struct buffer *out, const struct uuid *value) {
    char text[UUID_TEXT_SIZE];
    if (uuid_is_zero(value))
        return;
    uuid_format(value, text);
    buffer_append_string(out, text);
}

static void append_packed(struct buffer *out, const struct format_style *style, struct text packed) {
    struct buffer json = BUFFER_EMPTY;
    if (packed.length > 0)
        pack_append_json(&json, packed);
    out->failed |= json.failed;
    append_field(out, style, buffer_text(&json));
    buffer_finish(&json);
}

static void csv_entry(struct buffer *out, const struct format_style *style, const struct entry *entry, bool match) {
    char time[CLOCK_RFC3339_SIZE];
    (void)match;
    append_uuid(out, &entry->id);
    clock_format(entry->timestamp_ns, time);
    append_field(out, style, text_of(time));
    append_field(out, style, text_of(level_name(entry->level)));
    const struct text texts[] = { entry->service,  entry->module,  entry->operation,     entry->message,
                                  entry->trace_id, entry->span_id, entry->correlation_id };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        append_field(out, style, texts[i]);
    buffer_append_char(out, ',');
    append_uuid(out, &entry->user_id);
    buffer_append_char(out, ',');
    append_uuid(out, &entry->organization_id);
    append_packed(out, style, entry->metadata.length ? entry->metadata : TEXT_LITERAL("\x80"));
    append_packed(out, style, entry->error_details);
    append_field(out, style, entry->host);
    buffer_append_char(out, ',');
    if (entry->pid)
        buffer_append_format(out, "%u", entry->pid);
    buffer_append_string(out, "\r\n");
}

static void csv_nothing(struct buffer *out, const struct format_style *style) {
    (void)out, (void)style;
}

const struct format format_csv = { "csv", csv_header, csv_entry, csv_nothing };
