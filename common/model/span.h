/* span.h - a span as the store, the readers and people see it: what its record says, and whose it was. Borrows all its bytes. */
#ifndef TASKFORGE_COMMON_MODEL_SPAN_H
#define TASKFORGE_COMMON_MODEL_SPAN_H

#include "common/model/record.h"

enum { SPAN_TRACE_BYTES = 16, SPAN_ID_BYTES = 8, SPAN_TRACE_DIGITS = 32, SPAN_ID_DIGITS = 16 };

struct span {
    struct record_span record; /* in the store service and operation are never empty */
    uint64_t end_ns; /* real; 0: it has not ended yet. May lie before the start, where a clock was set meanwhile */
    struct text host;
    uint32_t pid;
};

static inline bool span_is_open(const struct span *span) {
    return span->end_ns == 0;
}
static inline bool span_has_parent(const struct span *span) {
    static const uint8_t none[SPAN_ID_BYTES];
    return memcmp(span->record.parent_id, none, sizeof(none)) != 0;
}
/* Never below 0; 0 of one that is open. */
static inline uint64_t span_duration_ns(const struct span *span) {
    return span->end_ns > span->record.start_ns ? span->end_ns - span->record.start_ns : 0;
}

/* {"trace_id" "span_id" "parent_id" "service" "operation" "start" "end" "duration_ms" "failed" "status" "metadata" "host" "pid"
 * "thread"}, what is not there left out, ids as hex digits; of an open one without end, duration and failed, but "active":true. */
void span_append_json(struct buffer *out, const struct span *span);

/* The same read back, but metadata and status; texts lie in room. -EINVAL for what is no such object, or does not fit. */
int span_from_json(struct text json, char *room, size_t size, struct span *ret);

/* A trace id as people write it: 32 hex digits, or a UUID with its dashes. -EINVAL. */
int span_trace_parse(struct text text, uint8_t ret[SPAN_TRACE_BYTES]);

#endif
