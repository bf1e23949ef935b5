/* logs.c - GET /api/v1/logs: a page of entries, and the cursor of the next one.
 *
 * order=desc (the default) and asc go by time, arrival by the order in which entries were stored, which never changes: with it a
 * reader that asks again with the last cursor misses nothing and sees nothing twice. A cursor is "ORDER.TIMESTAMP.SEQUENCE" of the page's
 * last entry. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/query/scan.h"
#include "exporter/api/api.h"

enum order { ORDER_DESC, ORDER_ASC, ORDER_ARRIVAL };
static const char *const orders[] = { "desc", "asc", "arrival" };

struct page {
    enum order order;
    uint64_t limit, offset;
    bool has_cursor;
    uint64_t cursor_ns, cursor_sequence; /* the last entry of the page before */
    struct filter filter;
    /* what came of it */
    uint64_t count;
    uint64_t last_ns, last_sequence;
    bool more;
};

static bool order_of(struct text name, enum order *ret) {
    for (size_t i = 0; i < COUNT_OF(orders); i++)
        if (text_is(name, orders[i])) {
            *ret = (enum order)i;
            return true;
        }
    return false;
}

/* "desc.1700000000000000000.42" */
static bool read_cursor(struct text text, struct page *page) {
    char copy[80], name[16], end;
    if (text.length >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    if (sscanf(copy, "%15[a-z].%" SCNu64 ".%" SCNu64 "%c", name, &page->cursor_ns, &page->cursor_sequence, &end) != 3 ||
        !order_of(text_of(name), &page->order))
        return false;
    page->has_cursor = true;
    return true;
}

static bool read_page(const struct http_request *request, struct http_answer *answer, struct page *page) {
    const struct text *order = http_parameter(request, "order"), *cursor = http_parameter(request, "cursor");
    enum order asked = ORDER_DESC;
    if (order && order->length > 0 && !order_of(*order, &asked)) {
        http_fail(answer, 400, "order must be desc, asc or arrival");
        return false;
    }
    page->order = asked;
    if (cursor && cursor->length > 0 &&
        (!read_cursor(*cursor, page) || (order && order->length && page->order != asked))) {
        http_fail(answer, 400, "cursor must be what \"next\" of an answer said, with the same order");
        return false;
    }
    return api_parameter_count(request, "limit", API_LIMIT_MAX, answer, &page->limit) &&
           api_parameter_count(request, "offset", UINT64_C(1) << 40, answer, &page->offset);
}

/* The scan begins at the cursor's entry; what comes up to it is passed over. */
static void narrow(struct page *page, struct scan_options *options) {
    if (!page->has_cursor)
        return;
    if (page->order == ORDER_ARRIVAL)
        options->from_sequence = page->cursor_sequence + 1;
    else if (page->order == ORDER_ASC && page->cursor_ns > page->filter.since_ns)
        page->filter.since_ns = page->cursor_ns;
    else if (page->order == ORDER_DESC && page->cursor_ns < page->filter.until_ns)
        page->filter.until_ns = page->cursor_ns + 1;
}

static bool was_before(const struct page *page, uint64_t timestamp_ns, uint64_t sequence) {
    if (!page->has_cursor || page->order == ORDER_ARRIVAL)
        return false;
    if (timestamp_ns != page->cursor_ns)
        return page->order == ORDER_ASC ? timestamp_ns < page->cursor_ns : timestamp_ns > page->cursor_ns;
    return page->order == ORDER_ASC ? sequence <= page->cursor_sequence : sequence >= page->cursor_sequence;
}

/* 0, or the negative errno of the scan; -ETIMEDOUT before anything was found. */
static int fill(struct scan *scan, struct page *page, struct buffer *out, struct error *error) {
    uint64_t until = clock_monotonic_ns() + API_QUERY_NS, sequence, passed = 0;
    struct entry entry;
    int result;
    while ((result = scan_next(scan, &sequence, error)) > 0) {
        if (clock_monotonic_ns() >= until) {
            page->more = page->count > 0;
            return page->more ? 0
                              : error_set(error, -ETIMEDOUT, "it takes too long: narrow start and end, or the filter");
        }
        result = scan_entry(scan, &entry, error);
        if (result < 0)
            return result;
        if (result == 0 || was_before(page, entry.timestamp_ns, sequence) || passed++ < page->offset)
            continue;
        if (page->count == page->limit || out->length >= API_BODY_MAX) {
            page->more = true;
            return 0;
        }
        if (page->count++ > 0)
            buffer_append_char(out, ',');
        entry_append_json(out, &entry);
        page->last_ns = entry.timestamp_ns;
        page->last_sequence = sequence;
    }
    return result;
}

static void on_damaged(void *argument, const char *why) {
    (void)why;
    ++*(unsigned *)argument;
}

static void append_end(const struct page *page, unsigned damaged, struct buffer *out) {
    buffer_append_string(out, "],\"next\":");
    /* By arrival there is always a next page: it is what comes. */
    if (page->more || (page->order == ORDER_ARRIVAL && page->count > 0))
        buffer_append_format(out, "\"%s.%" PRIu64 ".%" PRIu64 "\"", orders[page->order], page->last_ns,
                             page->last_sequence);
    else if (page->order == ORDER_ARRIVAL && page->has_cursor)
        buffer_append_format(out, "\"%s.%" PRIu64 ".%" PRIu64 "\"", orders[page->order], page->cursor_ns,
                             page->cursor_sequence);
    else
        buffer_append_string(out, "null");
    if (damaged > 0)
        buffer_append_format(out, ",\"damaged_blocks\":%u", damaged);
    buffer_append_string(out, "}\n");
}

static void answer_page(struct store_reader *reader, struct page *page, struct http_answer *answer) {
    struct scan_options options = SCAN_EVERYTHING;
    struct error error = { "" };
    struct scan *scan;
    unsigned damaged = 0;
    options.by_arrival = page->order == ORDER_ARRIVAL;
    options.reverse = page->order == ORDER_DESC;
    options.damaged = on_damaged;
    options.damaged_argument = &damaged;
    narrow(page, &options);
    int result = scan_open(reader, &page->filter, &options, &scan, &error);
    if (result == 0) {
        buffer_append_string(&answer->body, "{\"entries\":[");
        result = fill(scan, page, &answer->body, &error);
        scan_close(scan);
    }
    if (result < 0) {
        buffer_clear(&answer->body);
        http_fail(answer, result == -E2BIG ? 400 : 503, "%s", error.text);
        return;
    }
    append_end(page, damaged, &answer->body);
}

void api_logs(const struct http_request *request, struct http_answer *answer, struct api *api) {
    static const char *const names[] = { "service",        "level",   "min_level",       "start",   "end",    "limit",
                                         "offset",         "q",       "trace_id",        "span_id", "cursor", "order",
                                         "correlation_id", "user_id", "organization_id", "template", NULL };
    struct page page = { .limit = API_LIMIT_DEFAULT };
    struct store_reader *reader;
    answer->compress = true;
    if (!api_parameters_known(request, names, answer) || !read_page(request, answer, &page))
        return;
    if (api_parameters_filter(request, answer, &page.filter) && (reader = api_store(api, answer)) != NULL)
        answer_page(reader, &page, answer);
    filter_finish(&page.filter);
}
