/* host_lines.h - a sink that keeps samples as lines of an exposition: name{label="value"} number. */
#ifndef TASKFORGE_TESTS_UNIT_AGENT_HOST_LINES_H
#define TASKFORGE_TESTS_UNIT_AGENT_HOST_LINES_H

#include "agent/host/update.h"
#include "common/model/pack.h"

struct host_lines {
    struct buffer text;
    size_t count;
    size_t stop_after; /* then the sink says STOPPED; 0: never */
    struct host_update_room room;
};
#define HOST_LINES_EMPTY ((struct host_lines) { 0 })
enum { STOPPED = 7 };

static inline void host_lines_append(struct buffer *out, const struct record_metric_update *update) {
    struct metric_label label;
    size_t at = 0;
    char before = '{';
    buffer_append_text(out, update->name);
    while (metric_labels_next(update->labels, &at, &label)) {
        buffer_append_char(out, before);
        buffer_append_text(out, label.name);
        buffer_append_char(out, '=');
        json_append_string(out, label.value);
        before = ',';
    }
    buffer_append_string(out, update->labels.length > 0 ? "} " : " ");
    json_append_double(out, update->value);
    buffer_append_char(out, '\n');
}

static inline int host_lines_sink(void *context, const struct host_sample *sample) {
    struct host_lines *lines = context;
    struct record_metric_update update;
    host_update_make(sample, &lines->room, &update);
    host_lines_append(&lines->text, &update);
    lines->count++;
    return lines->stop_after > 0 && lines->count == lines->stop_after ? STOPPED : 0;
}

static inline void host_lines_finish(struct host_lines *lines) {
    buffer_finish(&lines->text);
}

#endif
