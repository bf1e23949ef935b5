/* logs_stats.c - GET /api/v1/logs/stats: how many entries there are, by level and service, and (buckets=N) over time. */
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

static int count(struct store_reader *reader, const struct filter *filter, struct tally *ret, struct error *error) {
    struct scan_options everything = SCAN_EVERYTHING;
    return tally_make(reader, filter, &everything, false, ret, error);
}

/* The counts of equal parts of the time from since to until. */
static int append_buckets(struct store_reader *reader, struct filter *filter, uint64_t buckets, struct buffer *out,
                          struct error *error) {
    uint64_t since = filter->since_ns, until = filter->until_ns, give_up = clock_monotonic_ns() + API_QUERY_NS;
    int result = 0;
    buffer_append_string(out, ",\"buckets\":[");
    for (uint64_t i = 0; i < buckets && result == 0; i++) {
        struct tally tally = { 0 };
        uint64_t by_level[LEVEL_COUNT];
        filter->since_ns = since + (until - since) / buckets * i;
        filter->until_ns = i + 1 == buckets ? until : since + (until - since) / buckets * (i + 1);
        result = count(reader, filter, &tally, error);
        if (result == 0) {
            sum_services(&tally, by_level);
            buffer_append_string(out, i ? ",{" : "{");
            append_time(out, "start_time", filter->since_ns);
            buffer_append_char(out, ',');
            append_counts(out, by_level);
            buffer_append_char(out, '}');
        }
        tally_finish(&tally);
        if (result == 0 && clock_monotonic_ns() >= give_up)
            result = error_set(error, -ETIMEDOUT, "it takes too long: ask for fewer buckets or less time");
    }
    filter->since_ns = since;
    filter->until_ns = until;
    buffer_append_char(out, ']');
    return result;
}

static void append_services(const struct tally *tally, struct buffer *out) {
    buffer_append_string(out, ",\"services\":[");
    for (size_t i = 0; i < tally->service_count; i++) {
        buffer_append_string(out, i ? ",{\"service\":" : "{\"service\":");
        json_append_string(out, tally->services[i].service);
        buffer_append_char(out, ',');
        append_counts(out, tally->services[i].by_level);
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

static void answer_stats(struct store_reader *reader, struct text service, struct filter *filter, uint64_t buckets,
                         struct http_answer *answer) {
    struct buffer *out = &answer->body;
    struct error error = { "" };
    struct tally tally = { 0 };
    uint64_t by_level[LEVEL_COUNT];
    int result = count(reader, filter, &tally, &error);
    if (result == 0) {
        sum_services(&tally, by_level);
        buffer_append_string(out, "{\"service\":");
        json_append_string(out, service.length ? service : TEXT_LITERAL("all"));
        buffer_append_char(out, ',');
        append_counts(out, by_level);
        append_period(filter, &tally, out);
        append_services(&tally, out);
        if (buckets > 0)
            result = append_buckets(reader, filter, buckets, out, &error);
        buffer_append_string(out, "}\n");
    }
    tally_finish(&tally);
    if (result < 0) {
        buffer_clear(out);
        http_fail(answer, result == -E2BIG ? 400 : 503, "%s", error.text);
    }
}

void api_logs_stats(const struct http_request *request, struct http_answer *answer, struct api *api) {
    static const char *const names[] = { "service", "start", "end", "buckets", NULL };
    const struct text *service = http_parameter(request, "service");
    struct filter filter;
    struct store_reader *reader;
    uint64_t buckets = 0;
    answer->compress = true;
    if (!api_parameters_known(request, names, answer) ||
        !api_parameter_count(request, "buckets", API_BUCKETS_MAX, answer, &buckets))
        return;
    if (api_parameters_filter(request, answer, &filter)) {
        if (buckets > 0 && (filter.since_ns == 0 || filter.since_ns >= clock_real_ns()))
            http_fail(answer, 400, "buckets needs a start in the past");
        else if (buckets > 0 && filter.until_ns == UINT64_MAX)
            filter.until_ns = clock_real_ns();
        if (buckets > 0 && filter.until_ns <= filter.since_ns && answer->status == 200)
            http_fail(answer, 400, "end must be after start");
        if (answer->status == 200 && (reader = api_store(api, answer)) != NULL)
            answer_stats(reader, service ? *service : TEXT_EMPTY, &filter, buckets, answer);
    }
    filter_finish(&filter);
}
