#include "common/query/trace.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/scan.h"

static const size_t text_fields[] = {
    offsetof(struct span, record.service), offsetof(struct span, record.operation),
    offsetof(struct span, record.status),  offsetof(struct span, record.metadata),
    offsetof(struct span, host),
};

static struct text *field_of(struct span *span, size_t field) {
    return (struct text *)(void *)((char *)span + text_fields[field]);
}

void trace_finish(struct trace *trace) {
    free(trace->spans);
    buffer_finish(&trace->bytes);
    *trace = TRACE_EMPTY;
}

void trace_span(const struct trace *trace, size_t index, struct span *ret) {
    check(index < trace->count);
    *ret = trace->spans[index];
    for (size_t i = 0; i < COUNT_OF(text_fields); i++) {
        struct text *text = field_of(ret, i);
        text->data = text->length ? trace->bytes.data + (uintptr_t)text->data : NULL;
    }
}

int trace_add(struct trace *trace, const struct span *span) {
    if (trace->count >= TRACE_SPANS_MAX || trace->bytes.length >= TRACE_BYTES_MAX) {
        trace->more = true;
        return 0;
    }
    if (trace->count == trace->capacity) {
        size_t capacity = trace->capacity ? trace->capacity * 2 : 16;
        struct span *grown = reallocarray(trace->spans, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        trace->spans = grown;
        trace->capacity = capacity;
    }
    struct span copy = *span;
    for (size_t i = 0; i < COUNT_OF(text_fields); i++) {
        struct text *text = field_of(&copy, i);
        size_t at = trace->bytes.length;
        buffer_append_text(&trace->bytes, *text);
        text->data = (const char *)(uintptr_t)at; /* the buffer may move: an offset for now */
    }
    if (trace->bytes.failed)
        return -ENOMEM;
    trace->spans[trace->count++] = copy;
    return 0;
}

int trace_add_open(struct trace *trace, const struct span *span) {
    for (size_t i = 0; i < trace->count; i++)
        if (memcmp(trace->spans[i].record.span_id, span->record.span_id, SPAN_ID_BYTES) == 0)
            return 0;
    return trace_add(trace, span);
}

static int take_span(void *argument, const struct span *span) {
    struct trace *trace = argument;
    int result = trace_add(trace, span);
    return result < 0 ? result : trace->more;
}

int trace_load(struct trace *trace, struct store_reader *reader, const uint8_t id[SPAN_TRACE_BYTES],
               struct error *error) {
    memcpy(trace->id, id, SPAN_TRACE_BYTES);
    int result = store_reader_trace(reader, id, take_span, trace, error);
    if (result == -ENOMEM)
        return error_set(error, result, "out of memory");
    return result < 0 ? result : 0;
}

static bool is_before(const struct span *a, const struct span *b) {
    return a->record.start_ns < b->record.start_ns;
}

/* A root is better than an orphan, whichever began first. */
static bool is_better_root(const struct span *a, const struct span *b) {
    if (span_has_parent(a) != span_has_parent(b))
        return !span_has_parent(a);
    return is_before(a, b);
}

void trace_summarize(const struct trace *trace, struct trace_summary *ret) {
    *ret = (struct trace_summary) { .root = SIZE_MAX, .spans = trace->count };
    for (size_t i = 0; i < trace->count; i++) {
        const struct span *span = &trace->spans[i];
        if (ret->root == SIZE_MAX || is_better_root(span, &trace->spans[ret->root]))
            ret->root = i;
        if (i == 0 || span->record.start_ns < ret->start_ns)
            ret->start_ns = span->record.start_ns;
        if (span->end_ns > ret->end_ns)
            ret->end_ns = span->end_ns;
        ret->failed += span->record.failed;
        ret->open += span_is_open(span);
    }
    if (ret->end_ns < ret->start_ns)
        ret->end_ns = ret->start_ns;
}

/* --- its entries --- */

static int find_entries(struct trace_search *search, struct store_reader *reader, struct text id,
                        struct entry_copies *ret, struct error *error) {
    struct scan_options options = SCAN_EVERYTHING;
    struct filter filter;
    struct scan *scan = NULL;
    struct entry entry;
    uint64_t sequence;
    options.damaged = search->damaged;
    options.damaged_argument = search->argument;
    filter_init(&filter);
    int result = filter_add_matcher(&filter, TEXT_LITERAL("trace_id"), FILTER_EQUAL, id, error);
    if (result == 0)
        result = scan_open(reader, &filter, &options, &scan, error);
    while (result >= 0 && (result = scan_next(scan, &sequence, error)) > 0) {
        if (ret->count >= TRACE_ENTRIES_MAX || ret->bytes.length >= TRACE_BYTES_MAX) {
            search->more = true;
            break;
        }
        if (search->give_up_ns && clock_monotonic_ns() >= search->give_up_ns)
            result = error_set(error, -ETIMEDOUT, "it takes too long to find its entries");
        else
            result = scan_entry(scan, &entry, error);
        if (result > 0 && entry_copies_add(ret, &entry) < 0)
            result = error_set(error, -ENOMEM, "out of memory");
    }
    scan_close(scan);
    filter_finish(&filter);
    return result < 0 ? result : 0;
}

static int compare_entries(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    if (a->timestamp_ns != b->timestamp_ns)
        return a->timestamp_ns < b->timestamp_ns ? -1 : 1;
    return memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes));
}

int trace_entries(struct trace_search *search, struct store_reader *reader, struct entry_copies *ret,
                  struct error *error) {
    struct uuid uuid;
    char digits[SPAN_TRACE_DIGITS], dashed[UUID_TEXT_SIZE];
    struct text spellings[3] = { search->id };
    size_t count = 1;
    int result = 0;
    if (uuid_parse(search->id, &uuid) == 0) {
        text_hex(uuid.bytes, sizeof(uuid.bytes), digits);
        uuid_format(&uuid, dashed);
        spellings[count++] = (struct text) { digits, sizeof(digits) };
        spellings[count++] = text_of(dashed);
    }
    for (size_t i = 0; i < count && result == 0; i++)
        if (i == 0 || !text_equal(spellings[i], search->id))
            result = find_entries(search, reader, spellings[i], ret, error);
    if (ret->count > 1)
        qsort(ret->entries, ret->count, sizeof(ret->entries[0]), compare_entries);
    return result;
}
