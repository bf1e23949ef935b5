/* metric_print.c - see metric.h: labels as /metrics has them, and back. */
#include <errno.h>

#include "common/model/metric.h"

void metric_text_escape(struct text text, bool quotes, struct buffer *out) {
    size_t done = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c != '\n' && c != '\\' && (c != '"' || !quotes))
            continue;
        buffer_append(out, text.data + done, i - done);
        buffer_append_char(out, '\\');
        buffer_append_char(out, c == '\n' ? 'n' : c);
        done = i + 1;
    }
    if (done < text.length)
        buffer_append(out, text.data + done, text.length - done);
}

void metric_labels_print(struct text labels, struct buffer *out) {
    struct metric_label label;
    bool first = true;
    for (size_t at = 0; metric_labels_next(labels, &at, &label); first = false) {
        if (!first)
            buffer_append_char(out, ',');
        buffer_append_text(out, label.name);
        buffer_append(out, "=\"", 2);
        metric_text_escape(label.value, true, out);
        buffer_append_char(out, '"');
    }
}

struct scratch { /* values that had something escaped */
    char bytes[METRIC_LABELS_BYTES];
    size_t used;
};

/* The value behind its opening quote; *at goes behind the closing one. */
static bool take_value(const char **at, const char *end, struct scratch *scratch, struct text *ret) {
    const char *from = *at;
    char *to = scratch->bytes + scratch->used;
    bool escaped = false;
    size_t length = 0;
    for (; *at < end && **at != '"'; (*at)++, length++) {
        char c = **at;
        if (c == '\n' || length >= sizeof(scratch->bytes) - scratch->used)
            return false;
        if (c == '\\') {
            escaped = true;
            if (++*at == end || (**at != '\\' && **at != '"' && **at != 'n'))
                return false;
            c = **at == 'n' ? '\n' : **at;
        }
        to[length] = c;
    }
    if (*at == end)
        return false;
    (*at)++;
    *ret = (struct text) { escaped ? to : from, length };
    scratch->used += escaped ? length : 0;
    return length > 0;
}

static bool take_label(const char **at, const char *end, struct scratch *scratch, struct metric_label *ret) {
    const char *name = *at, *equals = memchr(name, '=', (size_t)(end - name));
    if (!equals || end - equals < 2 || equals[1] != '"')
        return false;
    ret->name = (struct text) { name, (size_t)(equals - name) };
    *at = equals + 2;
    return take_value(at, end, scratch, &ret->value);
}

int metric_labels_parse(struct text printed, char out[METRIC_LABELS_BYTES], struct text *ret) {
    struct metric_label list[METRIC_LABELS_MAX];
    struct scratch scratch;
    size_t count = 0;
    if (printed.length == 0) {
        *ret = TEXT_EMPTY;
        return 0;
    }
    const char *at = printed.data, *end = printed.data + printed.length;
    scratch.used = 0;
    for (;; at++) {
        if (count == METRIC_LABELS_MAX || !take_label(&at, end, &scratch, &list[count]))
            return -EINVAL;
        if (count > 0 && text_compare(list[count - 1].name, list[count].name) >= 0)
            return -EINVAL;
        count++;
        if (at == end)
            break;
        if (*at != ',')
            return -EINVAL;
    }
    return metric_labels_pack(list, count, out, ret, NULL) < 0 ? -EINVAL : 0;
}
