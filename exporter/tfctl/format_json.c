/* format_json.c - one JSON object a line (entry_append_json's form). */
#include "exporter/tfctl/format.h"

static void json_entry(struct buffer *out, const struct format_style *style, const struct entry *entry, bool match) {
    (void)match;
    if (style->terminal) {
        struct buffer json = BUFFER_EMPTY;
        entry_append_json(&json, entry);
        out->failed |= json.failed;
        format_harden_json(out, buffer_text(&json));
        buffer_finish(&json);
    } else {
        entry_append_json(out, entry);
    }
    buffer_append_char(out, '\n');
}

static void json_nothing(struct buffer *out, const struct format_style *style) {
    (void)out, (void)style;
}

const struct format format_json = { "json", json_nothing, json_entry, json_nothing };
