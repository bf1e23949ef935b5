/* format.c - the table of formats and what they share. */
#include "exporter/tfctl/format.h"

#include <stdlib.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/metric.h"
#include "common/model/pack.h"

static const struct format *const formats[] = { &format_text, &format_json, &format_csv };

const struct format *format_find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

void format_printable(struct buffer *out, struct text text) {
    text_append_printable(out, text, false);
}

void format_time(struct buffer *out, uint64_t real_ns, bool utc) {
    time_t seconds = (time_t)(real_ns / CLOCK_SECOND);
    struct tm parts;
    if (!(utc ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts))) {
        buffer_append_format(out, "%llu.%09llu", (unsigned long long)(real_ns / CLOCK_SECOND),
                             (unsigned long long)(real_ns % CLOCK_SECOND));
        return;
    }
    buffer_append_format(out, "%04d-%02d-%02d %02d:%02d:%02d.%03d", parts.tm_year + 1900, parts.tm_mon + 1,
                         parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                         (int)(real_ns % CLOCK_SECOND / CLOCK_MILLISECOND));
    long offset = parts.tm_gmtoff / 60;
    if (utc)
        buffer_append_char(out, 'Z');
    else
        buffer_append_format(out, "%c%02ld:%02ld", offset < 0 ? '-' : '+', labs(offset) / 60, labs(offset) % 60);
}

void format_harden_json(struct buffer *out, struct text json) {
    size_t kept = 0;
    for (size_t at = 0; at < json.length;) {
        uint32_t c = 0;
        int size = text_utf8_next((struct text) { json.data + at, json.length - at }, &c);
        if (size > 0 && c >= 0x7f && text_acts_on_terminal(c)) {
            buffer_append(out, json.data + kept, at - kept);
            buffer_append_format(out, "\\u%04x", c);
            kept = at + (size_t)size;
        }
        at += size > 0 ? (size_t)size : 1;
    }
    buffer_append(out, json.data + kept, json.length - kept);
}

void format_labels(struct buffer *out, struct text labels) {
    struct metric_label label;
    char before = '{';
    for (size_t at = 0; metric_labels_next(labels, &at, &label); before = ',') {
        struct buffer value = BUFFER_EMPTY;
        json_append_string(&value, label.value);
        buffer_append_char(out, before);
        buffer_append_text(out, label.name);
        buffer_append_char(out, '=');
        format_printable(out, buffer_text(&value));
        out->failed |= value.failed;
        buffer_finish(&value);
    }
    if (before == ',')
        buffer_append_char(out, '}');
}
