/* traces.c - GET /api/v1/traces: the latest traces of the store, or, with active=true, those that have a span open now, as the collector
 * tells; GET /api/v1/traces/ID: one of them, all its spans and its entries. */
#include <errno.h>

#include "common/query/trace_list.h"
#include "exporter/api/api.h"
#include "exporter/open_spans.h"

static void append_lines(const struct trace_list *list, const struct trace *open, struct http_answer *answer) {
    struct buffer *out = &answer->body;
    answer->compress = true;
    buffer_append_string(out, "{\"traces\":[");
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        trace_line_append_json(out, &list->lines[i], open);
    }
    buffer_append_string(out, open && open->more ? "],\"more\":true}\n" : "]}\n");
}

static void answer_active(struct api *api, const struct trace_list_options *options, struct http_answer *answer) {
    struct trace_list list = TRACE_LIST_EMPTY;
    struct trace open = TRACE_EMPTY;
    struct error error = { "" };
    if (open_spans_ask(api->checks.runtime_dir, NULL, &open, &error) < 0)
        http_fail(answer, 503, "%s", error.text);
    else if (trace_list_open(&list, &open, options) < 0)
        http_fail(answer, 503, "out of memory");
    else
        append_lines(&list, &open, answer);
    trace_list_finish(&list);
    trace_finish(&open);
}

static void answer_recent(struct api *api, const struct trace_list_options *options, struct http_answer *answer) {
    struct trace_list list = TRACE_LIST_EMPTY;
    struct error error = { "" };
    struct store_reader *reader = api_store(api, answer);
    if (!reader)
        return;
    if (trace_list_make(&list, reader, options, &error) < 0)
        http_fail(answer, 503, "%s", error.text);
    else
        append_lines(&list, NULL, answer);
    trace_list_finish(&list);
}

static bool read_active(const struct http_request *request, struct http_answer *answer, bool *ret) {
    const struct text *value = http_parameter(request, "active");
    *ret = value && (text_is(*value, "true") || text_is(*value, "1"));
    if (!value || *ret || value->length == 0 || text_is(*value, "false") || text_is(*value, "0"))
        return true;
    http_fail(answer, 400, "active must be true or false");
    return false;
}

void api_traces(const struct http_request *request, struct http_answer *answer, struct api *api) {
    static const char *const names[] = { "active", "service", "start", "end", "limit", NULL };
    const struct text *service = http_parameter(request, "service");
    struct trace_list_options options = { .until_ns = UINT64_MAX, .give_up_ns = clock_monotonic_ns() + API_QUERY_NS };
    uint64_t limit = API_LIMIT_DEFAULT;
    bool active;
    if (!api_parameters_known(request, names, answer) || !read_active(request, answer, &active) ||
        !api_parameter_time(request, "start", answer, &options.since_ns) ||
        !api_parameter_time(request, "end", answer, &options.until_ns) ||
        !api_parameter_count(request, "limit", API_TRACES_MAX, answer, &limit))
        return;
    options.limit = (size_t)limit;
    options.service = service ? *service : TEXT_EMPTY;
    if (active)
        answer_active(api, &options, answer);
    else
        answer_recent(api, &options, answer);
}

/* --- one --- */

static void on_damaged(void *argument, const char *why) {
    (void)argument, (void)why; /* the health of the database tells it */
}

/* What the collector says is open goes with what is stored; nobody there: only that. Asked before the store, so that what ends in
 * between is there. */
static int find_spans(struct api *api, struct store_reader *reader, struct text text, struct trace *trace,
                      struct error *error) {
    uint8_t id[SPAN_TRACE_BYTES];
    struct trace open = TRACE_EMPTY;
    if (span_trace_parse(text, id) < 0)
        return 0;
    (void)open_spans_ask(api->checks.runtime_dir, id, &open, error);
    int result = trace_load(trace, reader, id, error);
    for (size_t i = 0; i < open.count && result == 0; i++) {
        struct span span;
        trace_span(&open, i, &span);
        if (trace_add_open(trace, &span) < 0)
            result = error_set(error, -ENOMEM, "out of memory");
    }
    trace_finish(&open);
    return result;
}

static void answer_trace(struct api *api, struct store_reader *reader, struct text id, struct http_answer *answer) {
    struct trace trace = TRACE_EMPTY;
    struct entry_copies entries = ENTRY_COPIES_EMPTY;
    struct error error = { "" };
    struct trace_search search = { .id = id, .give_up_ns = clock_monotonic_ns() + API_QUERY_NS, .damaged = on_damaged };
    int result = find_spans(api, reader, id, &trace, &error);
    if (result == 0)
        result = trace_entries(&search, reader, &entries, &error);
    if (result < 0)
        http_fail(answer, 503, "%s", error.text);
    else if (trace.count + entries.count == 0)
        http_fail(answer, 404, "there is no trace of that id");
    else if (trace_append_json(&answer->body, &trace, id, &entries, search.more) < 0)
        http_fail(answer, 503, "out of memory");
    else
        buffer_append_char(&answer->body, '\n');
    trace_finish(&trace);
    entry_copies_finish(&entries);
}

void api_trace(const struct http_request *request, struct http_answer *answer, struct api *api) {
    struct store_reader *reader;
    if (!api_parameters_none(request, answer))
        return;
    answer->compress = true;
    if (request->rest.length == 0 || request->rest.length > ENTRY_TRACE_BYTES)
        http_fail(answer, 404, "expected /api/v1/traces/ID");
    else if ((reader = api_store(api, answer)) != NULL)
        answer_trace(api, reader, request->rest, answer);
}
