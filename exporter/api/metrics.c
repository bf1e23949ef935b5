/* metrics.c - GET /api/v1/metrics, with `prefix`: what all series are now; GET /api/v1/metrics/NAME: those of one name; with start, end
 * or step: what they were. */
#include <errno.h>

#include "common/model/pack.h"
#include "exporter/api/api.h"
#include "exporter/metric_history.h"
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

/* --- history --- */

/* What all series of a name have in common. */
static void append_head(struct buffer *out, const struct metric_history *history) {
    const struct samples_definition *definition = history->series[0].definition;
    struct buffer name = BUFFER_EMPTY;
    metric_history_append_name(&name, definition);
    buffer_append_string(out, "{\"name\":");
    json_append_string(out, buffer_text(&name));
    buffer_append_format(out, ",\"kind\":\"%s\",\"unit\":", metric_kind_name(definition->metric.kind));
    if (metric_history_unit(definition).length > 0)
        json_append_string(out, metric_history_unit(definition));
    else
        buffer_append_string(out, "null");
    buffer_append_char(out, ',');
    metric_history_append_range(out, &history->range);
    out->failed |= name.failed;
    buffer_finish(&name);
}

static void append_history(const struct metric_history *history, struct http_answer *answer) {
    struct buffer *out = &answer->body;
    answer->compress = true;
    append_head(out, history);
    buffer_append_string(out, ",\"series\":[");
    for (size_t i = 0, first = 1; i < history->count && out->length < API_BODY_MAX; i++) {
        if (history->series[i].points.count == 0)
            continue;
        buffer_append_string(out, first ? "{" : ",{");
        metric_history_append_series(out, history, i);
        buffer_append_char(out, '}');
        first = 0;
    }
    buffer_append_string(out, "]}\n");
    if (out->length < API_BODY_MAX)
        return;
    buffer_clear(out);
    http_fail(answer, 413,
              "that is too much for one answer: ask for fewer series by match, a shorter time, or a longer step");
}

static void answer_history(struct api *api, struct metric_history_want *want, struct http_answer *answer) {
    struct metric_history history;
    struct error error = { "" };
    struct samples_reader *reader = api_samples(api, &error);
    int result = -EIO;
    want->interval_ns = api->history_interval_ns;
    want->until_ns = clock_monotonic_ns() + API_QUERY_NS;
    if (reader)
        result = metric_history_read(reader, want, &history, &error);
    if (result < 0) {
        http_fail(answer, result == -E2BIG || result == -EINVAL ? 422 : 503, "%s", error.text);
        return;
    }
    if (history.count > 0)
        append_history(&history, answer);
    else
        http_fail(answer, 404, "there are no samples of a metric of that name, with such labels, of that time");
    metric_history_finish(&history);
}

static bool match_parameter(const struct http_request *request, struct label_matchers *matchers,
                            struct http_answer *answer) {
    const struct text *match = http_parameter(request, "match");
    struct error error = { "" };
    int result = match && match->length > 0 ? label_matchers_parse(*match, matchers, &error) : 0;
    if (result < 0)
        http_fail(answer, result == -ENOMEM ? 503 : 400, "match: %s", error.text);
    return result == 0;
}

static bool quantiles_parameter(const struct http_request *request, struct series_quantiles *quantiles,
                                struct http_answer *answer) {
    const struct text *value = http_parameter(request, "quantiles");
    struct error error = { "" };
    if (!value || value->length == 0 || series_quantiles_parse(*value, quantiles, &error) == 0)
        return true;
    http_fail(answer, 400, "quantiles: %s", error.text);
    return false;
}

static void read_history(struct api *api, const struct http_request *request, struct http_answer *answer) {
    static const char *const names[] = { "start", "end", "step", "match", "quantiles", NULL };
    struct label_matchers matchers = LABEL_MATCHERS_EMPTY;
    struct metric_history_want want = {
        .name = request->rest,
        .matchers = &matchers,
        .end_ns = clock_real_ns(),
        .quantiles = SERIES_QUANTILES_DEFAULT,
    };
    if (!api_parameters_known(request, names, answer) ||
        !api_parameter_time(request, "start", answer, &want.start_ns) ||
        !api_parameter_time(request, "end", answer, &want.end_ns) ||
        !api_parameter_duration(request, "step", answer, &want.step_ns) ||
        !quantiles_parameter(request, &want.quantiles, answer) || !match_parameter(request, &matchers, answer))
        return;
    if (want.start_ns == 0 && want.end_ns > METRIC_HISTORY_SINCE_NS)
        want.start_ns = want.end_ns - METRIC_HISTORY_SINCE_NS;
    answer_history(api, &want, answer);
    label_matchers_finish(&matchers);
}

void api_metric(const struct http_request *request, struct http_answer *answer, struct api *api) {
    if (metric_family_check(request->rest) < 0)
        http_fail(answer, 404, "expected /api/v1/metrics/NAME");
    else if (request->parameter_count > 0)
        read_history(api, request, answer);
    else
        answer_list(api, request->rest, true, answer);
}
