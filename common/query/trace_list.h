/* trace_list.h - which traces there are: the latest that began in a time range, or those of some open spans, a line for each. One
 * thread. */
#ifndef TASKFORGE_COMMON_QUERY_TRACE_LIST_H
#define TASKFORGE_COMMON_QUERY_TRACE_LIST_H

#include "common/query/trace.h"

struct trace_line {
    uint8_t id[SPAN_TRACE_BYTES];
    struct text service, operation; /* of the root (trace_summary); owned */
    uint64_t start_ns, end_ns;      /* end 0: a span is open */
    size_t spans, failed, open;
    bool more; /* there are more spans than were looked at */
};

struct trace_list {
    struct trace_line *lines; /* the latest start first */
    size_t count, capacity;
};
#define TRACE_LIST_EMPTY ((struct trace_list) { 0 })

struct trace_list_options {
    struct text service;         /* a span of this service is in it; "": whatever */
    uint64_t since_ns, until_ns; /* it began in [since, until) */
    size_t limit;                /* so many, the latest */
    uint64_t give_up_ns;         /* monotonic; 0: never */
};

/* -ENOMEM; -ETIMEDOUT with a sentence. */
int trace_list_make(struct trace_list *list, struct store_reader *reader, const struct trace_list_options *options,
                    struct error *error);

/* The traces of spans that are open: `open` holds them, of whatever traces. -ENOMEM. */
int trace_list_open(struct trace_list *list, const struct trace *open, const struct trace_list_options *options);

void trace_list_finish(struct trace_list *list);

/* {"trace_id" "service" "operation" "start" "duration_ms" "span_count" "failed_count" "active_count"}; without duration while a span is open;
 * `open` (may be NULL): its spans as "spans":[...]. */
void trace_line_append_json(struct buffer *out, const struct trace_line *line, const struct trace *open);

#endif
