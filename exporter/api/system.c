/* system.c - GET /api/v1/system: the queues, workers and jobs as applications tell them (tf_queue_stats and the others), and whether
 * the database is healthy. Contract, section 8; the source document's SystemHealth. */
#include <math.h>
#include <stdio.h>

#include "common/base/check.h"
#include "exporter/api/api.h"

enum { STATES_MAX = 5 };

/* One of the three: the family behind the namespace, and its states in the order in which they are told. */
struct statistic {
    const char *key, *family;
    const char *states[STATES_MAX + 1];
};

static const struct statistic statistics[] = {
    { "queue_stats", "queue_count", { "total", "active", "paused" } },
    { "worker_stats", "worker_count", { "total", "online", "offline", "draining" } },
    { "job_stats", "job_count", { "total", "pending", "processing", "succeeded", "failed" } },
};

struct system {
    double values[COUNT_OF(statistics)][STATES_MAX];
};

static void take_sample(struct system *system, const struct segment_info *info, const struct segment_sample *sample) {
    char family[METRIC_FAMILY_BYTES];
    struct text state = metric_labels_find(sample->definition.labels, TEXT_LITERAL("state"));
    for (size_t i = 0; i < COUNT_OF(statistics); i++) {
        snprintf(family, sizeof(family), "%s_%s", info->namespace_, statistics[i].family);
        if (!text_is(sample->family, family))
            continue;
        for (size_t s = 0; s < STATES_MAX && statistics[i].states[s]; s++)
            if (text_is(state, statistics[i].states[s]) && isfinite(sample->value)) /* JSON has no other numbers */
                system->values[i][s] += sample->value;
    }
}

/* Without a segment, or before any application told something, all are 0. */
static void read_segment(struct api *api, struct system *system) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct segment_info info;
    struct segment *segment = api_segment(api, NULL);
    uint64_t after = 0;
    if (!segment || segment_info_get(segment, &info) < 0)
        return;
    while (segment_next(segment, after, &sample) == 1) {
        after = sample.position;
        if (!sample.hidden && sample.definition.kind == METRIC_GAUGE)
            take_sample(system, &info, &sample);
    }
    segment_sample_finish(&sample);
}

void api_system(const struct http_request *request, struct http_answer *answer, struct api *api) {
    struct buffer *out = &answer->body;
    struct system system = { 0 };
    struct check_result database = { .name = "database" };
    char time[CLOCK_RFC3339_SIZE];
    if (!api_parameters_none(request, answer))
        return;
    api_look_at_store(api);
    check_database(&api->checks, &database);
    read_segment(api, &system);
    clock_format(clock_real_ns(), time);
    buffer_append_format(out, "{\"timestamp\":\"%s\",\"database_healthy\":%s", time,
                         database.state == CHECK_UNHEALTHY ? "false" : "true");
    for (size_t i = 0; i < COUNT_OF(statistics); i++) {
        buffer_append_format(out, ",\"%s\":{", statistics[i].key);
        for (size_t s = 0; s < STATES_MAX && statistics[i].states[s]; s++)
            buffer_append_format(out, "%s\"%s\":%.0f", s ? "," : "", statistics[i].states[s], system.values[i][s]);
        buffer_append_char(out, '}');
    }
    buffer_append_string(out, "}\n");
}
