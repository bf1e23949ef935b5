#include "exporter/open_spans.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/paths.h"
#include "common/process/control.h"

enum { SPAN_PACKED_SIZE = 8192 };
#define OPEN_SPANS_NS (2 * CLOCK_SECOND)

static int ask(const char *runtime_dir, const char *request, struct buffer *lines, struct error *error) {
    char path[PATHS_MAX + 32];
    snprintf(path, sizeof(path), "%s/collector.sock", runtime_dir);
    int fd = control_connect(path, error);
    if (fd < 0)
        return error_prefix(error, fd, "the collector does not answer");
    int result = control_request(fd, text_of(request), clock_monotonic_ns() + OPEN_SPANS_NS, lines, error);
    close(fd);
    return result;
}

/* Each line a span; a last one that is none says that there are more. */
static int add_lines(struct text lines, struct trace *open) {
    int result = 0;
    while (lines.length > 0 && result == 0) {
        char room[SPAN_PACKED_SIZE];
        struct span span;
        const char *end = memchr(lines.data, '\n', lines.length);
        size_t length = end ? (size_t)(end - lines.data) : lines.length;
        if (span_from_json((struct text) { lines.data, length }, room, sizeof(room), &span) < 0)
            open->more = true;
        else
            result = trace_add(open, &span);
        length += end != NULL;
        lines = (struct text) { lines.data + length, lines.length - length };
    }
    return result;
}

int open_spans_ask(const char *runtime_dir, const uint8_t *trace_id, struct trace *open, struct error *error) {
    _cleanup_buffer_ struct buffer lines = BUFFER_EMPTY;
    char request[8 + SPAN_TRACE_DIGITS] = "spans";
    if (trace_id) {
        memcpy(request, "spans ", 6);
        text_hex(trace_id, SPAN_TRACE_BYTES, request + 6);
        request[6 + SPAN_TRACE_DIGITS] = '\0';
    }
    int result = ask(runtime_dir, request, &lines, error);
    if (result == 0 && add_lines(buffer_text(&lines), open) < 0)
        result = error_set(error, -ENOMEM, "out of memory");
    return result;
}
