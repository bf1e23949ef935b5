/* context.h - matches with their neighbours, as grep -C shows them.
 *
 * Neighbours are those of the whole log in order of arrival, whatever the filter says of them; so the output, too, is in order of
 * arrival (reversed: newest first). Groups that touch or overlap are one. Limit and offset count matches.
 */
#ifndef TASKFORGE_COMMON_QUERY_CONTEXT_H
#define TASKFORGE_COMMON_QUERY_CONTEXT_H

#include "common/query/scan.h"

enum { CONTEXT_MAX = 10000 };

struct context_row {
    uint64_t sequence;
    bool match;         /* else a neighbour */
    bool gap;           /* something lies between this row and the last one given */
    struct entry entry; /* borrowed until the next call */
};

struct context;

/* `around` neighbours on each side, at most CONTEXT_MAX. Otherwise as scan_open (by_arrival is taken for granted). */
int context_open(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                 uint64_t around, struct context **ret, struct error *error);
void context_close(struct context *context);
int context_next(struct context *context, struct context_row *ret, struct error *error); /* 1, 0, negative */

#endif
