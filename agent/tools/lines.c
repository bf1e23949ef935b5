#include "agent/tools/lines.h"

#include <errno.h>

void lines_init(struct lines *lines, void (*take)(void *argument, struct text line), void *argument) {
    *lines = (struct lines) { .take = take, .argument = argument };
}

void lines_finish(struct lines *lines) {
    buffer_finish(&lines->line);
}

static void emit(struct lines *lines, struct text line) {
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    lines->take(lines->argument, line);
}

/* Keep the bytes for the line's end. When they are too many, what came last before gives way: head and tail stay. */
static void keep(struct lines *lines, const char *bytes, size_t count) {
    struct buffer *line = &lines->line;
    const size_t half = LINES_KEEP_BYTES / 2;
    buffer_append(line, bytes, count);
    if (line->failed || line->length <= 2 * (size_t)LINES_KEEP_BYTES)
        return;
    memmove(line->data + half, line->data + line->length - half, half);
    line->length = 2 * half;
}

static int end_line(struct lines *lines) {
    struct buffer *line = &lines->line;
    int r = line->failed ? -ENOMEM : 0;
    if (r == 0)
        emit(lines, buffer_text(line));
    if (line->capacity > (size_t)LINES_KEEP_BYTES || line->failed)
        buffer_finish(line);
    buffer_clear(line);
    return r;
}

int lines_feed(struct lines *lines, const char *bytes, size_t count) {
    int result = 0;
    while (count > 0) {
        const char *newline = memchr(bytes, '\n', count);
        size_t length = newline ? (size_t)(newline - bytes) : count;
        if (newline && lines->line.length == 0 && !lines->line.failed) {
            emit(lines, (struct text) { bytes, length }); /* the usual line is never copied */
        } else {
            keep(lines, bytes, length);
            if (newline && end_line(lines) < 0)
                result = -ENOMEM;
        }
        length += newline != NULL;
        bytes += length;
        count -= length;
    }
    return result;
}

void lines_end(struct lines *lines) {
    if (lines->line.length > 0)
        end_line(lines);
}
