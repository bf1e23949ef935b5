#include "common/query/trace_list.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/model/pack.h"

/* --- the ids that were looked at --- */

struct id_set {
    uint8_t (*ids)[SPAN_TRACE_BYTES];
    bool *taken;
    size_t count, size; /* a power of two */
    uint64_t seed;      /* so that nobody can choose ids that meet */
};

static void id_set_finish(struct id_set *set) {
    free(set->ids);
    free(set->taken);
}

static size_t place_of(const struct id_set *set, const uint8_t id[SPAN_TRACE_BYTES]) {
    size_t at = hash_bytes_seeded(id, SPAN_TRACE_BYTES, set->seed) & (set->size - 1);
    while (set->taken[at] && memcmp(set->ids[at], id, SPAN_TRACE_BYTES) != 0)
        at = (at + 1) & (set->size - 1);
    return at;
}

static int id_set_grow(struct id_set *set) {
    struct id_set grown = { .size = set->size ? set->size * 2 : 1024, .seed = set->seed };
    if (set->size == 0 && random_bytes(&grown.seed, sizeof(grown.seed)) < 0)
        grown.seed = clock_monotonic_ns();
    grown.ids = calloc(grown.size, sizeof(*grown.ids));
    grown.taken = calloc(grown.size, sizeof(*grown.taken));
    if (!grown.ids || !grown.taken) {
        id_set_finish(&grown);
        return -ENOMEM;
    }
    for (size_t i = 0; i < set->size; i++)
        if (set->taken[i]) {
            size_t at = place_of(&grown, set->ids[i]);
            memcpy(grown.ids[at], set->ids[i], SPAN_TRACE_BYTES);
            grown.taken[at] = true;
        }
    grown.count = set->count;
    id_set_finish(set);
    *set = grown;
    return 0;
}

/* 1 when it is new, 0 when it was there, -ENOMEM. */
static int id_set_add(struct id_set *set, const uint8_t id[SPAN_TRACE_BYTES]) {
    if (set->count * 2 >= set->size && id_set_grow(set) < 0)
        return -ENOMEM;
    size_t at = place_of(set, id);
    if (set->taken[at])
        return 0;
    memcpy(set->ids[at], id, SPAN_TRACE_BYTES);
    set->taken[at] = true;
    set->count++;
    return 1;
}

/* --- lines --- */

static void line_finish(struct trace_line *line) {
    free((char *)(uintptr_t)line->service.data);
}

void trace_list_finish(struct trace_list *list) {
    for (size_t i = 0; i < list->count; i++)
        line_finish(&list->lines[i]);
    free(list->lines);
    *list = TRACE_LIST_EMPTY;
}

static int line_make(const struct trace *trace, struct trace_line *ret) {
    struct trace_summary summary;
    struct span root;
    trace_summarize(trace, &summary);
    trace_span(trace, summary.root, &root);
    struct text service = root.record.service, operation = root.record.operation;
    char *texts = malloc(service.length + operation.length + 1);
    if (!texts)
        return -ENOMEM;
    if (service.length > 0)
        memcpy(texts, service.data, service.length);
    if (operation.length > 0)
        memcpy(texts + service.length, operation.data, operation.length);
    *ret = (struct trace_line) { .service = { texts, service.length },
                                 .operation = { texts + service.length, operation.length },
                                 .start_ns = summary.start_ns,
                                 .end_ns = summary.open > 0 ? 0 : summary.end_ns,
                                 .spans = summary.spans,
                                 .failed = summary.failed,
                                 .open = summary.open,
                                 .more = trace->more };
    memcpy(ret->id, trace->id, sizeof(ret->id));
    return 0;
}

/* Put it where it belongs; beyond the limit the earliest goes. */
static int list_insert(struct trace_list *list, const struct trace_line *line, size_t limit) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct trace_line *grown = reallocarray(list->lines, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        list->lines = grown;
        list->capacity = capacity;
    }
    size_t at = list->count;
    while (at > 0 && list->lines[at - 1].start_ns < line->start_ns)
        at--;
    memmove(&list->lines[at + 1], &list->lines[at], (list->count - at) * sizeof(list->lines[0]));
    list->lines[at] = *line;
    if (++list->count > limit)
        line_finish(&list->lines[--list->count]);
    return 0;
}

static bool has_service(const struct trace *trace, struct text service) {
    for (size_t i = 0; i < trace->count; i++) {
        struct span span;
        trace_span(trace, i, &span);
        if (text_equal(span.record.service, service))
            return true;
    }
    return trace->more;
}

static int list_add(struct trace_list *list, const struct trace *trace, const struct trace_list_options *options) {
    struct trace_summary summary;
    struct trace_line line;
    if (trace->count == 0 || (options->service.length > 0 && !has_service(trace, options->service)))
        return 0;
    trace_summarize(trace, &summary);
    if (summary.start_ns < options->since_ns || summary.start_ns >= options->until_ns)
        return 0;
    int result = line_make(trace, &line);
    if (result == 0 && (result = list_insert(list, &line, options->limit)) < 0)
        line_finish(&line);
    return result;
}

/* --- the latest --- */

/* Whether what is still to come, all of whose spans begin at or before that, can change nothing. */
static bool is_complete(const struct trace_list *list, const struct trace_list_options *options, uint64_t start_ns) {
    return start_ns < options->since_ns ||
           (list->count == options->limit && list->lines[list->count - 1].start_ns >= start_ns);
}

static int look_at(struct trace_list *list, struct store_reader *reader, const struct partition_span_time *time,
                   const struct trace_list_options *options, struct error *error) {
    struct trace trace = TRACE_EMPTY;
    int result = trace_load(&trace, reader, time->trace_id, error);
    if (result == 0)
        result = list_add(list, &trace, options);
    trace_finish(&trace);
    return result == -ENOMEM ? error_set(error, result, "out of memory") : result;
}

int trace_list_make(struct trace_list *list, struct store_reader *reader, const struct trace_list_options *options,
                    struct error *error) {
    uint64_t service = options->service.length > 0 ? span_service_hash(options->service) : 0;
    struct id_set seen = { 0 };
    struct partition_span_time time;
    struct span_walk *walk;
    if (options->limit == 0)
        return 0;
    int result = span_walk_open(reader, options->until_ns, &walk, error);
    if (result < 0)
        return result;
    while ((result = span_walk_next(walk, &time, error)) == 1 && !is_complete(list, options, time.start_ns)) {
        if (options->give_up_ns && clock_monotonic_ns() >= options->give_up_ns)
            result = error_set(error, -ETIMEDOUT, "it takes too long: narrow start and end");
        else if (service != 0 && time.service_hash != service)
            continue;
        else if ((result = id_set_add(&seen, time.trace_id)) == 1)
            result = look_at(list, reader, &time, options, error);
        else if (result < 0)
            error_set(error, result, "out of memory");
        if (result < 0)
            break;
    }
    span_walk_close(walk);
    id_set_finish(&seen);
    return result < 0 ? result : 0;
}

/* --- of open spans --- */

static int compare_traces(const void *left, const void *right) {
    const struct span *a = left, *b = right;
    return memcmp(a->record.trace_id, b->record.trace_id, SPAN_TRACE_BYTES);
}

int trace_list_open(struct trace_list *list, const struct trace *open, const struct trace_list_options *options) {
    struct trace sorted = *open; /* its texts are the other's */
    int result = 0;
    sorted.spans = calloc(open->count + 1, sizeof(*sorted.spans));
    if (!sorted.spans)
        return -ENOMEM;
    if (open->count > 0)
        memcpy(sorted.spans, open->spans, open->count * sizeof(*sorted.spans));
    if (open->count > 1)
        qsort(sorted.spans, sorted.count, sizeof(*sorted.spans), compare_traces);
    for (size_t from = 0, to; from < open->count && result == 0; from = to) {
        struct trace one = sorted;
        for (to = from + 1; to < open->count && compare_traces(&sorted.spans[from], &sorted.spans[to]) == 0;)
            to++;
        one.spans = sorted.spans + from;
        one.count = to - from;
        one.more = false;
        memcpy(one.id, one.spans[0].record.trace_id, sizeof(one.id));
        result = list_add(list, &one, options);
    }
    free(sorted.spans);
    return result;
}

/* --- as JSON --- */

static void append_open(struct buffer *out, const struct trace_line *line, const struct trace *open) {
    bool first = true;
    buffer_append_string(out, ",\"spans\":[");
    for (size_t i = 0; i < open->count; i++) {
        struct span span;
        trace_span(open, i, &span);
        if (memcmp(span.record.trace_id, line->id, sizeof(line->id)) != 0)
            continue;
        if (!first)
            buffer_append_char(out, ',');
        span_append_json(out, &span);
        first = false;
    }
    buffer_append_char(out, ']');
}

void trace_line_append_json(struct buffer *out, const struct trace_line *line, const struct trace *open) {
    char digits[SPAN_TRACE_DIGITS], time[CLOCK_RFC3339_SIZE];
    text_hex(line->id, sizeof(line->id), digits);
    clock_format(line->start_ns, time);
    buffer_append_format(out, "{\"trace_id\":\"%.*s\",\"service\":", SPAN_TRACE_DIGITS, digits);
    json_append_string(out, line->service);
    buffer_append_string(out, ",\"operation\":");
    json_append_string(out, line->operation);
    buffer_append_format(out, ",\"start\":\"%s\"", time);
    if (line->end_ns != 0) {
        buffer_append_string(out, ",\"duration_ms\":");
        json_append_number(out, (double)(line->end_ns - line->start_ns) / (double)CLOCK_MILLISECOND);
    }
    buffer_append_format(out, ",\"span_count\":%zu,\"failed_count\":%zu,\"active_count\":%zu", line->spans,
                         line->failed, line->open);
    if (open)
        append_open(out, line, open);
    buffer_append_string(out, line->more ? ",\"more\":true}" : "}");
}
