/* line_buffer.h - lines out of a stream that cannot be read twice. Of a line longer than INPUT_LINE_MAX the two ends are
 * kept, with a mark between them. */
#ifndef TASKFORGE_AGENT_INPUTS_LINE_BUFFER_H
#define TASKFORGE_AGENT_INPUTS_LINE_BUFFER_H

#include <stdint.h>

#include "common/base/text.h"

struct line_buffer {
    char *data;
    size_t begin, end; /* what has not been taken stands between */
    size_t scanned;    /* from begin to here there is no newline */
    uint64_t cut;      /* bytes left out of the line that begins at `begin` */
};

enum { LINE_BUFFER_READ = 64 * 1024 }; /* bytes to read at once */

int line_buffer_init(struct line_buffer *buffer); /* -ENOMEM */
void line_buffer_finish(struct line_buffer *buffer);

/* Room for LINE_BUFFER_READ bytes; line_buffer_added says how many came. Only while line_buffer_next has no line. */
char *line_buffer_room(struct line_buffer *buffer);
void line_buffer_added(struct line_buffer *buffer, size_t length);

/* The next line without its newline: true, *ret (valid until room is asked for), *ret_cut whether its middle is missing
 * and *ret_next to pass to line_buffer_take when it is done with; asked again before that it is the same line. at_end:
 * what is left counts as a line. */
bool line_buffer_next(struct line_buffer *buffer, bool at_end, struct text *ret, bool *ret_cut, size_t *ret_next);
void line_buffer_take(struct line_buffer *buffer, size_t next);

#endif
