/* trace.h - one trace put together: its spans out of the whole store, in the order of a tree.
 *
 * A span whose parent is not there (it has not ended yet, was lost, or is another host's) stands at the top, as does one of a ring of spans
 * that are each other's parents. A child whose clock was another one's is its parent's child all the same. Of several spans with
 * one id the first is the parent. One thread.
 */
#ifndef TASKFORGE_COMMON_QUERY_TRACE_H
#define TASKFORGE_COMMON_QUERY_TRACE_H

#include "common/query/entry_copy.h"
#include "common/store/reader.h"

enum {
    TRACE_SPANS_MAX = 20000,            /* of one trace that are looked at; */
    TRACE_BYTES_MAX = 64 * 1024 * 1024, /* nor are more bytes of texts kept */
    TRACE_ENTRIES_MAX = 10000,
};
#define TRACE_NONE UINT32_MAX

struct trace {
    uint8_t id[SPAN_TRACE_BYTES];
    struct span *spans; /* in no order; their texts hold offsets into bytes, which trace_span makes whole */
    size_t count, capacity;
    bool more; /* there are more than were looked at */
    struct buffer bytes;
};
#define TRACE_EMPTY ((struct trace) { 0 })

void trace_finish(struct trace *trace);
/* Borrowed until the next add or finish. */
void trace_span(const struct trace *trace, size_t index, struct span *ret);

/* Add a span, whose texts are copied. Beyond a limit it is left out, and `more` set. -ENOMEM. */
int trace_add(struct trace *trace, const struct span *span);
/* The same for one that is open, unless it has ended meanwhile and is there. */
int trace_add_open(struct trace *trace, const struct span *span);

/* All its spans in the store: trace->id is set, the rest empty. -ENOMEM, -EACCES. */
int trace_load(struct trace *trace, struct store_reader *reader, const uint8_t id[SPAN_TRACE_BYTES],
               struct error *error);

/* The entries that carry its id, in whichever of its two spellings, by time. */
struct trace_search {
    struct text id;      /* as it was asked for: entries may carry one that no span can have */
    uint64_t give_up_ns; /* monotonic; 0: never */
    void (*damaged)(void *argument, const char *why); /* of a block, which is passed over; NULL: -EBADMSG */
    void *argument;
    bool more; /* set: there are more than TRACE_ENTRIES_MAX */
};
int trace_entries(struct trace_search *search, struct store_reader *reader, struct entry_copies *ret,
                  struct error *error);

struct trace_summary {
    size_t root; /* the first of those at the top: one without a parent, if there is one; SIZE_MAX without any span */
    uint64_t start_ns, end_ns; /* the first start, the last end (the start where none has ended) */
    size_t spans, failed, open;
};
void trace_summarize(const struct trace *trace, struct trace_summary *ret);

/* --- the tree --- */

struct trace_row {
    bool is_entry;
    uint32_t index; /* of the span, or of the entry */
    uint32_t depth; /* 0: at the top */
};

/* Every span, each before its children, and entries (may be NULL) below the span whose id they carry; siblings by time. *ret is the caller's to
 * free; it has trace->count + entries->count rows. -ENOMEM. */
int trace_arrange(const struct trace *trace, const struct entry_copies *entries, struct trace_row **ret);

/* --- as JSON (trace_json.c) --- */

/* {"trace_id" "service" "operation" "start" "end" "duration_ms" "span_count" "failed_count" "active_count" "spans":[...] "entries":[...]}:
 * spans in the order of the tree, entries by time; service to duration are not there without any span, end and duration not while one
 * is open; "more":true where something was left out. -ENOMEM. */
int trace_append_json(struct buffer *out, const struct trace *trace, struct text id, const struct entry_copies *entries,
                      bool more);

#endif
