/* lines.h - bytes from a pipe cut into lines, each of any length, in bounded memory. Pure but for its memory. */
#ifndef TASKFORGE_AGENT_TOOLS_LINES_H
#define TASKFORGE_AGENT_TOOLS_LINES_H

#include "common/base/text.h"

/* Of a longer line the first and the last half of this are kept; entry_repair cuts it further, and marks the cut. */
enum { LINES_KEEP_BYTES = 256 * 1024 };

struct lines {
    struct buffer line; /* the line that has not ended yet */
    void (*take)(void *argument, struct text line);
    void *argument;
};

/* Every line, without its end ("\n" or "\r\n"), goes to take(argument, line), in order. */
void lines_init(struct lines *lines, void (*take)(void *argument, struct text line), void *argument);
void lines_finish(struct lines *lines);

/* More bytes have come. 0, or -ENOMEM: the line they belong to is lost. */
int lines_feed(struct lines *lines, const char *bytes, size_t count);

/* There will be no more: a last line without newline counts as one. */
void lines_end(struct lines *lines);

#endif
