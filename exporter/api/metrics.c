/* metrics.c - GET /api/v1/metrics, with `prefix`: what all series are now; GET /api/v1/metrics/NAME: those of one name. */
#include "exporter/api/api.h"
#include "exporter/metric_list.h"

static void append_rows(const struct metric_list *list, struct http_answer *answer) {
    struct buffer *out = &answer->body;
    answer->compress = true;
    buffer_append_string(out, "{\"metrics\":[");
    for (size_t i = 0; i < list->count && out->length < API_BODY_MAX; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        metric_row_append_json(out, &list->rows[i]);
    }
    buffer_append_string(out, "]}\n");
    if (out->length < API_BODY_MAX)
        return;
    buffer_clear(out);
    http_fail(answer, 413, "there are too many series for one answer: ask for fewer with prefix");
}

static void answer_list(struct api *api, struct text text, bool exactly, struct http_answer *answer) {
    struct metric_list list = METRIC_LIST_EMPTY;
    struct error error = { "" };
    struct segment *segment = api_segment(api, &error);
    if (!segment || metric_list_read(segment, text, exactly, &list, &error) < 0)
        http_fail(answer, 503, "%s", error.text);
    else if (exactly && list.count == 0)
        http_fail(answer, 404, "there is no metric of that name now");
    else
        append_rows(&list, answer);
    metric_list_finish(&list);
}

void api_metrics(const struct http_request *request, struct http_answer *answer, struct api *api) {
    static const char *const names[] = { "prefix", NULL };
    const struct text *prefix = http_parameter(request, "prefix");
    if (api_parameters_known(request, names, answer))
        answer_list(api, prefix ? *prefix : TEXT_EMPTY, false, answer);
}

void api_metric(const struct http_request *request, struct http_answer *answer, struct api *api) {
    if (!api_parameters_none(request, answer))
        return;
    if (metric_family_check(request->rest) < 0)
        http_fail(answer, 404, "expected /api/v1/metrics/NAME");
    else
        answer_list(api, request->rest, true, answer);
}
