/* format_text.c - one entry for a person:
 *
 *   2026-11-23 18:15:04.123+07:00 ERROR    queue[42] worker/poll: timeout after 30s  trace_id=4bf9... tries=3
 *       at Worker.poll (line 17)
 *
 * Lines of a message after the first are set in, so that no message can pass for an entry of its own.
 */
#include "common/base/check.h"
#include "common/model/pack.h"
#include "exporter/tfctl/format.h"

#define COLOUR_OFF "\033[0m"
#define COLOUR_DIM "\033[2m"
#define COLOUR_BOLD "\033[1m"
#define INDENT "    "

static const struct {
    const char *name, *colour;
} levels[LEVEL_COUNT] = {
    [LEVEL_TRACE] = { "TRACE   ", COLOUR_DIM }, [LEVEL_DEBUG] = { "DEBUG   ", "\033[36m" },
    [LEVEL_INFO] = { "INFO    ", "\033[32m" },  [LEVEL_WARN] = { "WARN    ", "\033[33m" },
    [LEVEL_ERROR] = { "ERROR   ", "\033[31m" }, [LEVEL_CRITICAL] = { "CRITICAL", "\033[1;31m" },
};

static void colour(struct buffer *out, const struct format_style *style, const char *sequence) {
    if (style->colour)
        buffer_append_string(out, sequence);
}

/* A value stands bare where it is one word, else as a JSON string. */
static bool needs_quotes(struct text value) {
    for (size_t i = 0; i < value.length; i++)
        if ((unsigned char)value.data[i] <= ' ' || strchr("\"'=\\", value.data[i]))
            return true;
    return value.length == 0;
}

static void append_value(struct buffer *out, struct text value) {
    if (!needs_quotes(value)) {
        format_printable(out, value);
        return;
    }
    struct buffer quoted = BUFFER_EMPTY;
    json_append_string(&quoted, value);
    out->failed |= quoted.failed;
    format_printable(out, buffer_text(&quoted));
    buffer_finish(&quoted);
}

static void append_key(struct buffer *out, const struct format_style *style, struct text key) {
    buffer_append_char(out, ' ');
    colour(out, style, COLOUR_DIM);
    append_value(out, key);
    buffer_append_char(out, '=');
    colour(out, style, COLOUR_OFF);
}

static void append_text_field(struct buffer *out, const struct format_style *style, const char *key,
                              struct text value) {
    if (value.length == 0)
        return;
    append_key(out, style, text_of(key));
    append_value(out, value);
}

static void append_uuid_field(struct buffer *out, const struct format_style *style, const char *key,
                              const struct uuid *value) {
    char text[UUID_TEXT_SIZE];
    if (uuid_is_zero(value))
        return;
    uuid_format(value, text);
    append_text_field(out, style, key, text_of(text));
}

static void append_packed(struct buffer *out, struct text packed) {
    struct buffer json = BUFFER_EMPTY;
    pack_append_json(&json, packed);
    out->failed |= json.failed;
    format_printable(out, buffer_text(&json));
    buffer_finish(&json);
}

/* The pairs of a checked map: values that are containers are passed over whole by standing behind them. */
void format_metadata(struct buffer *out, const struct format_style *style, struct text map) {
    struct pack_reader reader = { map.data, map.data + map.length };
    struct pack_value whole, key, value;
    if (map.length == 0 || !pack_is_map(map) || pack_next(&reader, &whole) <= 0)
        return;
    for (uint32_t i = 0; i < whole.count; i++) {
        if (pack_next(&reader, &key) <= 0 || pack_next(&reader, &value) <= 0)
            return;
        append_key(out, style, key.text);
        if (value.type == PACK_TEXT)
            append_value(out, value.text);
        else
            append_packed(out, value.whole);
        reader.at = value.whole.data + value.whole.length;
    }
}

static void append_fields(struct buffer *out, const struct format_style *style, const struct entry *entry) {
    append_text_field(out, style, "trace_id", entry->trace_id);
    append_text_field(out, style, "span_id", entry->span_id);
    append_text_field(out, style, "correlation_id", entry->correlation_id);
    append_uuid_field(out, style, "user_id", &entry->user_id);
    append_uuid_field(out, style, "organization_id", &entry->organization_id);
    format_metadata(out, style, entry->metadata);
    if (entry->error_details.length > 0) {
        append_key(out, style, TEXT_LITERAL("error_details"));
        append_packed(out, entry->error_details);
    }
}

/* The next line of *rest, without its end (and a CR before it). */
static struct text take_line(struct text *rest) {
    const char *end = memchr(rest->data, '\n', rest->length);
    struct text line = { rest->data, end ? (size_t)(end - rest->data) : rest->length };
    size_t taken = line.length + (end ? 1 : 0);
    rest->data += taken;
    rest->length -= taken;
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    return line;
}

void format_level(struct buffer *out, const struct format_style *style, enum level level) {
    colour(out, style, levels[level].colour);
    buffer_append_string(out, levels[level].name);
    colour(out, style, COLOUR_OFF);
}

static void append_head(struct buffer *out, const struct format_style *style, const struct entry *entry, bool match) {
    if (style->context)
        buffer_append_string(out, match ? "> " : "  ");
    colour(out, style, COLOUR_DIM);
    format_time(out, entry->timestamp_ns, style->utc);
    colour(out, style, COLOUR_OFF);
    buffer_append_char(out, ' ');
    format_level(out, style, entry->level);
    buffer_append_char(out, ' ');
    colour(out, style, COLOUR_BOLD);
    format_printable(out, entry->service);
    colour(out, style, COLOUR_OFF);
    if (entry->pid)
        buffer_append_format(out, "[%u]", entry->pid);
    buffer_append_char(out, ' ');
    format_printable(out, entry->module);
    buffer_append_char(out, '/');
    format_printable(out, entry->operation);
    buffer_append_string(out, ": ");
}

static void text_entry(struct buffer *out, const struct format_style *style, const struct entry *entry, bool match) {
    struct text rest = entry->message;
    append_head(out, style, entry, match);
    while (rest.length > 0 && strchr("\r\n", rest.data[rest.length - 1]))
        rest.length--;
    if (rest.length > 0)
        format_printable(out, take_line(&rest));
    buffer_append_char(out, ' '); /* two before the fields */
    size_t before = out->length;
    append_fields(out, style, entry);
    if (out->length == before)
        out->length--;
    buffer_append_char(out, '\n');
    while (rest.length > 0) {
        buffer_append_string(out, style->context ? "  " INDENT : INDENT);
        format_printable(out, take_line(&rest));
        buffer_append_char(out, '\n');
    }
}

static void text_header(struct buffer *out, const struct format_style *style) {
    (void)out, (void)style;
}

static void text_gap(struct buffer *out, const struct format_style *style) {
    colour(out, style, COLOUR_DIM);
    buffer_append_string(out, "--");
    colour(out, style, COLOUR_OFF);
    buffer_append_char(out, '\n');
}

const struct format format_text = { "text", text_header, text_entry, text_gap };
