/* trace_json.c - see trace.h. */
#include "common/query/trace.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/model/pack.h"

static void append_time(struct buffer *out, const char *key, uint64_t time_ns) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format(time_ns, time);
    buffer_append_format(out, ",\"%s\":\"%s\"", key, time);
}

static void append_summary(struct buffer *out, const struct trace *trace) {
    struct trace_summary summary;
    trace_summarize(trace, &summary);
    if (summary.root != SIZE_MAX) {
        struct span root;
        trace_span(trace, summary.root, &root);
        buffer_append_string(out, ",\"service\":");
        json_append_string(out, root.record.service);
        buffer_append_string(out, ",\"operation\":");
        json_append_string(out, root.record.operation);
        append_time(out, "start", summary.start_ns);
        if (summary.open == 0) {
            append_time(out, "end", summary.end_ns);
            buffer_append_string(out, ",\"duration_ms\":");
            json_append_number(out, (double)(summary.end_ns - summary.start_ns) / (double)CLOCK_MILLISECOND);
        }
    }
    buffer_append_format(out, ",\"span_count\":%zu,\"failed_count\":%zu,\"active_count\":%zu", summary.spans,
                         summary.failed, summary.open);
}

static void append_spans(struct buffer *out, const struct trace *trace, const struct trace_row *rows) {
    for (size_t i = 0; i < trace->count; i++) {
        struct span span;
        trace_span(trace, rows[i].index, &span);
        if (i > 0)
            buffer_append_char(out, ',');
        span_append_json(out, &span);
    }
}

int trace_append_json(struct buffer *out, const struct trace *trace, struct text id, const struct entry_copies *entries,
                      bool more) {
    struct trace_row *rows;
    int result = trace_arrange(trace, NULL, &rows);
    if (result < 0)
        return result;
    buffer_append_string(out, "{\"trace_id\":");
    json_append_string(out, id);
    append_summary(out, trace);
    buffer_append_string(out, ",\"spans\":[");
    append_spans(out, trace, rows);
    buffer_append_string(out, "],\"entries\":[");
    for (size_t i = 0; i < entries->count; i++) {
        struct entry entry;
        entry_copies_get(entries, i, &entry);
        if (i > 0)
            buffer_append_char(out, ',');
        entry_append_json(out, &entry);
    }
    buffer_append_string(out, more || trace->more ? "],\"more\":true}" : "]}");
    free(rows);
    return out->failed ? -ENOMEM : 0;
}
