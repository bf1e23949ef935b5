#include "exporter/api/api.h"

#include <stdio.h>

#include "common/base/diag.h"

void api_init(struct api *api, const char *runtime_dir, const char *data_dir, api_store_function *store,
              void *store_context) {
    *api = (struct api) { .checks = { .meminfo = "/proc/meminfo" }, .store = store, .store_context = store_context };
    snprintf(api->checks.runtime_dir, sizeof(api->checks.runtime_dir), "%s", runtime_dir);
    snprintf(api->checks.data_dir, sizeof(api->checks.data_dir), "%s", data_dir);
}

void api_finish(struct api *api) {
    samples_reader_close(api->samples);
    api->samples = NULL;
    segment_close(api->segment);
    api->segment = NULL;
    check_results_finish(&api->results);
}

struct store_reader *api_store(struct api *api, struct http_answer *answer) {
    struct error error = { "" };
    struct store_reader *reader = api->store(api->store_context, api->trouble, &error);
    if (!reader)
        http_fail(answer, 503, "the store cannot be read: %s", error.text);
    return reader;
}

void api_look_at_store(struct api *api) {
    struct error error = { "" };
    api->checks.reader = api->store(api->store_context, api->trouble, &error);
    if (!api->checks.reader)
        snprintf(api->trouble, sizeof(api->trouble), "%s", error.text);
    api->checks.trouble = api->trouble;
}

struct segment *api_segment(struct api *api, struct error *error) {
    if (api->segment)
        return segment_refresh(api->segment, error) < 0 ? NULL : api->segment;
    if (segment_open(api->checks.runtime_dir, &api->segment, error) < 0)
        api->segment = NULL;
    return api->segment;
}

static void note_damage(void *argument, const char *path, const char *why) {
    (void)argument;
    diag_warn("samples of metrics are passed over: %s: %s", path, why);
}

struct samples_reader *api_samples(struct api *api, struct error *error) {
    if (api->samples)
        return samples_reader_refresh(api->samples, error) < 0 ? NULL : api->samples;
    if (samples_reader_open(api->checks.data_dir, note_damage, NULL, &api->samples, error) < 0)
        api->samples = NULL;
    return api->samples;
}

/* --- health --- */

/* The checks look anew at most once in API_HEALTH_CACHE_NS, however often they are asked for. */
static void look(struct api *api) {
    uint64_t now = clock_monotonic_ns();
    if (api->looked_ns && now - api->looked_ns < API_HEALTH_CACHE_NS)
        return;
    api_look_at_store(api);
    check_results_finish(&api->results);
    checks_run(&api->checks, &api->results);
    api->looked_ns = clock_monotonic_ns();
}

void api_health(const struct http_request *request, struct http_answer *answer, struct api *api) {
    struct buffer *out = &answer->body;
    struct check_result overall;
    if (!api_parameters_none(request, answer))
        return;
    look(api);
    checks_overall(&api->results, &overall);
    answer->compress = true;
    buffer_append_format(out, "{\"status\":\"%s\",\"checks\":[", check_state_name(overall.state));
    for (size_t i = 0; i < api->results.count; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        check_append_json(out, &api->results.items[i]);
    }
    buffer_append_string(out, "]}\n");
}

void api_healthz(const struct http_request *request, struct http_answer *answer, struct api *api) {
    (void)request;
    struct check_result overall;
    look(api);
    checks_overall(&api->results, &overall);
    answer->status = overall.state == CHECK_UNHEALTHY ? 503 : 200;
    check_append_json(&answer->body, &overall);
    buffer_append_char(&answer->body, '\n');
}
