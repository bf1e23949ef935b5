/* logs_stats.c - GET /api/v1/logs/stats: how many entries there are, by level and service, and over time: in N equal parts (buckets=N), or
 * by a step (step=5m) that begins at its multiples. */
#include <errno.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/query/tally.h"
#include "exporter/api/api.h"

static void append_time(struct buffer *out, const char *key, uint64_t time_ns) {
    char text[CLOCK_RFC3339_SIZE];
    clock_format(time_ns, text);
    buffer_append_format(out, "\"%s\":\"%s\"", key, text);
}

/* "total_logs":N,"error_logs":N,"warn_logs":N,"levels":{...} */
static void append_counts(struct buffer *out, const uint64_t by_level[LEVEL_COUNT]) {
    uint64_t total = 0, errors = 0;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        total += by_level[level];
        errors += level >= LEVEL_ERROR ? by_level[level] : 0;
    }
    buffer_append_format(out, "\"total_logs\":%llu,\"error_logs\":%llu,\"warn_logs\":%llu,\"levels\":{",
                         (unsigned long long)total, (unsigned long long)errors,
                         (unsigned long long)by_level[LEVEL_WARN]);
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, "%s\"%s\":%llu", level ? "," : "", level_name((enum level)level),
                             (unsigned long long)by_level[level]);
    buffer_append_char(out, '}');
}

static void sum_services(const struct tally *tally, uint64_t ret[LEVEL_COUNT]) {
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        ret[level] = 0;
    for (size_t i = 0; i < tally->service_count; i++)
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            ret[level] += tally->services[i].by_level[level];
}

/* What of the request is about time. */
struct parts {
    uint64_t buckets, step_ns; /* one of them, or none */
};

/* Of the filter's range, which is whole where there are parts. */
static int make_steps(const struct filter *filter, const struct parts *parts, struct tally_steps *ret,
                      struct error *error) {
    uint64_t length = filter->until_ns - filter->since_ns;
    *ret = (struct tally_steps) { 0 };
    if (parts->step_ns > 0)
        return tally_steps_over(filter->since_ns, filter->until_ns - 1, parts->step_ns, 0, ret, error);
    if (parts->buckets > 0) /* what is left over belongs to the last */
        *ret = (struct tally_steps) { .first_ns = filter->since_ns,
                                      .step_ns = length >= parts->buckets ? length / parts->buckets : 1,
                                      .count = (size_t)parts->buckets };
    return 0;
}

static void append_buckets(const struct tally *tally, struct buffer *out) {
    buffer_append_string(out, ",\"buckets\":[");
    for (size_t step = 0; step < tally->steps.count; step++) {
        uint64_t by_level[LEVEL_COUNT] = { 0 };
        for (size_t i = 0; i < tally->service_count; i++)
            for (unsigned level = 0; level < LEVEL_COUNT; level++)
                by_level[level] += tally->services[i].by_step[step][level];
        buffer_append_string(out, step ? ",{" : "{");
        append_time(out, "start_time", tally->steps.first_ns + step * tally->steps.step_ns);
        buffer_append_char(out, ',');
        append_counts(out, by_level);
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}

/* What was written, by what sampling and dedup left of it. */
static double estimate_of(const struct tally_service *service) {
    double sum = 0;
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        sum += service->estimated[level];
    return sum;
}

static void append_estimate(const struct tally *tally, struct buffer *out) {
    double sum = 0;
    for (size_t i = 0; i < tally->service_count; i++)
        sum += estimate_of(&tally->services[i]);
    buffer_append_format(out, ",\"estimated_total\":%.0f", sum);
}

static void append_services(const struct tally *tally, struct buffer *out) {
    buffer_append_string(out, ",\"services\":[");
    for (size_t i = 0; i < tally->service_count; i++) {
        buffer_append_string(out, i ? ",{\"service\":" : "{\"service\":");
        json_append_string(out, tally->services[i].service);
        buffer_append_char(out, ',');
        append_counts(out, tally->services[i].by_level);
        if (tally->weighed)
            buffer_append_format(out, ",\"estimated_total\":%.0f", estimate_of(&tally->services[i]));
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}

/* The period: what was asked for, and where nothing was, what the store holds. */
static void append_period(const struct filter *filter, const struct tally *tally, struct buffer *out) {
    buffer_append_char(out, ',');
    append_time(out, "start_time", filter->since_ns > 0 ? filter->since_ns : tally->first_ns);
    buffer_append_char(out, ',');
    append_time(out, "end_time", filter->until_ns < UINT64_MAX ? filter->until_ns : tally->last_ns);
}

static void answer_stats(struct store_reader *reader, struct text service, const struct filter *filter,
                         const struct parts *parts, struct http_answer *answer) {
    const struct scan_options everything = SCAN_EVERYTHING;
    struct buffer *out = &answer->body;
    struct error error = { "" };
    struct tally tally = { 0 };
    struct tally_steps steps;
    uint64_t by_level[LEVEL_COUNT];
    int result = make_steps(filter, parts, &steps, &error);
    if (result == 0)
        result = tally_make_steps(reader, filter, &everything, &steps, &tally, &error);
    if (result < 0) {
        http_fail(answer, result == -E2BIG ? 400 : 503, "%s", error.text);
        return;
    }
    sum_services(&tally, by_level);
    buffer_append_string(out, "{\"service\":");
    json_append_string(out, service.length ? service : TEXT_LITERAL("all"));
    buffer_append_char(out, ',');
    append_counts(out, by_level);
    if (tally.weighed)
        append_estimate(&tally, out);
    append_period(filter, &tally, out);
    append_services(&tally, out);
    if (steps.count > 0)
        append_buckets(&tally, out);
    buffer_append_string(out, "}\n");
    tally_finish(&tally);
}

/* Counts over time are of a time that is known. False: the answer has failed. */
static bool settle_range(const struct parts *parts, struct filter *filter, struct http_answer *answer) {
    const char *name = parts->step_ns > 0 ? "step" : "buckets";
    if (parts->buckets == 0 && parts->step_ns == 0)
        return true;
    if (parts->buckets > 0 && parts->step_ns > 0) {
        http_fail(answer, 400, "buckets and step: expected one of them");
        return false;
    }
    if (filter->since_ns == 0 || filter->since_ns >= clock_real_ns()) {
        http_fail(answer, 400, "%s needs a start in the past", name);
        return false;
    }
    if (filter->until_ns == UINT64_MAX)
        filter->until_ns = clock_real_ns();
    if (filter->until_ns > filter->since_ns)
        return true;
    http_fail(answer, 400, "end must be after start");
    return false;
}

void api_logs_stats(const struct http_request *request, struct http_answer *answer, struct api *api) {
    static const char *const names[] = { "service", "start", "end", "buckets", "step", NULL };
    const struct text *service = http_parameter(request, "service");
    struct filter filter;
    struct store_reader *reader;
    struct parts parts = { 0 };
    answer->compress = true;
    if (!api_parameters_known(request, names, answer) ||
        !api_parameter_count(request, "buckets", API_BUCKETS_MAX, answer, &parts.buckets) ||
        !api_parameter_duration(request, "step", answer, &parts.step_ns))
        return;
    if (api_parameters_filter(request, answer, &filter) && settle_range(&parts, &filter, answer) &&
        (reader = api_store(api, answer)) != NULL)
        answer_stats(reader, service ? *service : TEXT_EMPTY, &filter, &parts, answer);
    filter_finish(&filter);
}
