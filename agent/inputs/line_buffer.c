/* line_buffer.c - lines of a stream, bounded. */
#include "agent/inputs/line_buffer.h"

#include "agent/inputs/input.h"
#include "common/base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MARK_MAX = 64, HALF = INPUT_LINE_MAX / 2, CAPACITY = INPUT_LINE_MAX + LINE_BUFFER_READ + MARK_MAX };

#define MARKED UINT64_MAX /* of `cut`: the mark stands in the line, nothing more is to be done to it */

int line_buffer_init(struct line_buffer *buffer) {
    *buffer = (struct line_buffer) { .data = malloc(CAPACITY) };
    return buffer->data ? 0 : -ENOMEM;
}

void line_buffer_finish(struct line_buffer *buffer) {
    free(buffer->data);
    *buffer = (struct line_buffer) { 0 };
}

/* Leave out the middle of what stands between begin and `line_end`, so that INPUT_LINE_MAX bytes are left of it. */
static size_t leave_out_middle(struct line_buffer *buffer, size_t line_end) {
    size_t length = line_end - buffer->begin;
    if (length <= INPUT_LINE_MAX)
        return line_end;
    size_t extra = length - INPUT_LINE_MAX, from = buffer->begin + HALF;
    memmove(buffer->data + from, buffer->data + from + extra, buffer->end - from - extra);
    buffer->end -= extra;
    buffer->scanned = buffer->scanned > extra ? buffer->scanned - extra : 0;
    buffer->cut += extra;
    return line_end - extra;
}

char *line_buffer_room(struct line_buffer *buffer) {
    if (buffer->begin > 0) {
        memmove(buffer->data, buffer->data + buffer->begin, buffer->end - buffer->begin);
        buffer->end -= buffer->begin;
        buffer->scanned -= buffer->begin;
        buffer->begin = 0;
    }
    leave_out_middle(buffer, buffer->end);
    check(CAPACITY - buffer->end >= LINE_BUFFER_READ);
    return buffer->data + buffer->end;
}

void line_buffer_added(struct line_buffer *buffer, size_t length) {
    buffer->end += length;
    check(buffer->end <= CAPACITY);
}

bool line_buffer_next(struct line_buffer *buffer, bool at_end, struct text *ret, bool *ret_cut, size_t *ret_next) {
    if (buffer->scanned < buffer->begin)
        buffer->scanned = buffer->begin;
    const char *newline = memchr(buffer->data + buffer->scanned, '\n', buffer->end - buffer->scanned);
    size_t line_end = newline ? (size_t)(newline - buffer->data) : buffer->end;
    buffer->scanned = line_end;
    if (!newline && (!at_end || line_end == buffer->begin))
        return false;
    if (buffer->cut != MARKED)
        line_end = leave_out_middle(buffer, line_end);
    buffer->scanned = line_end;
    if (buffer->cut > 0 && buffer->cut != MARKED) {
        char mark[MARK_MAX];
        int length = snprintf(mark, sizeof(mark), " ... [%llu bytes cut] ... ", (unsigned long long)buffer->cut);
        check(length > 0 && length < MARK_MAX && buffer->end + (size_t)length <= CAPACITY);
        char *middle = buffer->data + buffer->begin + HALF;
        memmove(middle + length, middle, buffer->end - buffer->begin - HALF);
        memcpy(middle, mark, (size_t)length);
        buffer->end += (size_t)length;
        line_end += (size_t)length;
        buffer->scanned = line_end;
        buffer->cut = MARKED;
    }
    *ret = (struct text) { buffer->data + buffer->begin, line_end - buffer->begin };
    *ret_cut = buffer->cut != 0;
    *ret_next = line_end + (newline != NULL);
    return true;
}

void line_buffer_take(struct line_buffer *buffer, size_t next) {
    check(next >= buffer->begin && next <= buffer->end);
    buffer->begin = buffer->scanned = next;
    buffer->cut = 0;
}
