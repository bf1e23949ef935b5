/* output.h - standard output: gathered into large writes, through a pager where it is longer than the terminal.
 *
 * A reader that went away (EPIPE) is no error: `ended` becomes true and whoever writes stops. One thread.
 */
#ifndef TASKFORGE_EXPORTER_TFCTL_OUTPUT_H
#define TASKFORGE_EXPORTER_TFCTL_OUTPUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/base/text.h"

struct output {
    int fd; /* standard output, or the pager's input */
    bool terminal;
    bool may_page; /* nothing was written yet and it may still become too long for the screen */
    bool ended;    /* nobody reads any more: stop */
    int failure;   /* -errno of a write that failed otherwise */
    unsigned rows, columns;
    unsigned lines; /* of the screen, as far as looked at */
    size_t looked;
    pid_t pager;
    struct buffer buffer; /* append here, then call output_push */
};

/* Ignores SIGPIPE. `page`: a pager may be used where standard output is a terminal. */
void output_init(struct output *output, bool page);

/* After appending: writes when enough is gathered. False: stop (ended or failed). */
bool output_push(struct output *output);
/* Write all that is gathered now (tail -f). False: stop. */
bool output_flush(struct output *output);
/* Whether the reader has gone although nothing is to be written. */
bool output_reader_gone(struct output *output);

/* Write the rest, wait for the pager, free. 0 also when the reader went away; negative with a sentence otherwise. */
int output_finish(struct output *output, struct error *error);

/* Colours: a terminal that wants them. */
bool output_coloured(const struct output *output);

#endif
