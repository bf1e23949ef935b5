#include "agent/client/daemon_metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/process_stat.h"

/* A series by its labels' values. */
struct followed {
    enum own_metric metric;
    char *first, *second; /* owned; NULL: none */
    struct tf_metric *handle;
    double value; /* gauges: as last told */
    bool is_set;
};

struct daemon_metrics {
    struct producer *producer;
    const char *program;
    struct followed *items;
    size_t count, capacity;
    size_t next; /* where the next one asked for stands, if they are asked for in the same order as last time */
    uint64_t usage_ns;
    double cpu_told;
};

static bool same(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct followed *find(struct daemon_metrics *metrics, enum own_metric metric, const char *first,
                             const char *second) {
    for (size_t i = 0; i < metrics->count; i++) {
        size_t at = (metrics->next + i) % metrics->count;
        struct followed *item = &metrics->items[at];
        if (item->metric != metric || !same(item->first, first) || !same(item->second, second))
            continue;
        metrics->next = at + 1;
        return item;
    }
    return NULL;
}

static bool make_room(struct daemon_metrics *metrics) {
    if (metrics->count < metrics->capacity)
        return true;
    size_t capacity = metrics->capacity ? metrics->capacity * 2 : 32;
    struct followed *grown = realloc(metrics->items, capacity * sizeof(*grown));
    if (!grown)
        return false;
    metrics->items = grown;
    metrics->capacity = capacity;
    return true;
}

static void forget(struct followed *item) {
    free(item->first);
    free(item->second);
}

/* NULL: it cannot be; it is tried again at the next use. */
static struct followed *add(struct daemon_metrics *metrics, enum own_metric metric, const char *first,
                            const char *second) {
    char room[METRIC_LABELS_BYTES];
    struct metric_definition definition;
    const struct text values[OWN_METRIC_LABELS_MAX] = { text_of(first), text_of(second) };
    struct followed item = { .metric = metric,
                             .first = first ? strdup(first) : NULL,
                             .second = second ? strdup(second) : NULL };
    if ((first && !item.first) || (second && !item.second) || !make_room(metrics) ||
        own_metric_define(metric, values, room, &definition, NULL) < 0 ||
        producer_metric_register(metrics->producer, &definition, &item.handle, NULL) < 0) {
        forget(&item);
        return NULL;
    }
    metrics->items[metrics->count] = item;
    metrics->next = metrics->count + 1;
    return &metrics->items[metrics->count++];
}

static struct followed *follow(struct daemon_metrics *metrics, enum own_metric metric, const char *first,
                               const char *second) {
    struct followed *item = find(metrics, metric, first, second);
    return item ? item : add(metrics, metric, first, second);
}

struct tf_metric *daemon_metrics_handle(struct daemon_metrics *metrics, enum own_metric metric, const char *first,
                                        const char *second) {
    struct followed *item = follow(metrics, metric, first, second);
    return item ? item->handle : NULL;
}

void daemon_metrics_count(struct daemon_metrics *metrics, enum own_metric metric, const char *first, const char *second,
                          uint64_t n) {
    struct followed *item = follow(metrics, metric, first, second);
    if (item && n > 0)
        tf_counter_add(item->handle, (int64_t)n);
}

void daemon_metrics_set(struct daemon_metrics *metrics, enum own_metric metric, const char *first, const char *second,
                        double value) {
    struct followed *item = follow(metrics, metric, first, second);
    if (!item || (item->is_set && memcmp(&item->value, &value, sizeof(value)) == 0))
        return;
    item->value = value;
    item->is_set = true;
    tf_gauge_set(item->handle, value);
}

/* --- the process --- */

/* A counter by handle counts whole things, so seconds go by name: what finds no room now goes with the next. */
static void tell_cpu(struct daemon_metrics *metrics, double seconds) {
    char room[METRIC_LABELS_BYTES];
    struct metric_definition definition;
    const struct text values[OWN_METRIC_LABELS_MAX] = { text_of(metrics->program) };
    if (own_metric_define(OWN_PROCESS_CPU, values, room, &definition, NULL) < 0 || seconds <= metrics->cpu_told)
        return;
    const struct record record = { .kind = RECORD_METRIC_UPDATE,
                                   .metric_update = { .metric_kind = (uint8_t)definition.kind,
                                                      .naming = (uint8_t)definition.naming,
                                                      .operation = METRIC_ADD,
                                                      .value = seconds - metrics->cpu_told,
                                                      .name = definition.name,
                                                      .labels = definition.labels,
                                                      .help = definition.help } };
    if (producer_write_record(metrics->producer, &record) == 0)
        metrics->cpu_told = seconds;
}

void daemon_metrics_tell_usage(struct daemon_metrics *metrics) {
    struct process_usage usage;
    uint64_t now_ns = clock_monotonic_ns();
    if ((metrics->usage_ns != 0 && now_ns - metrics->usage_ns < DAEMON_METRICS_USAGE_NS) ||
        process_usage_read(&usage) < 0)
        return;
    metrics->usage_ns = now_ns;
    tell_cpu(metrics, usage.cpu_seconds);
    daemon_metrics_set(metrics, OWN_PROCESS_RESIDENT, metrics->program, NULL, (double)usage.resident_bytes);
    daemon_metrics_set(metrics, OWN_PROCESS_FILES, metrics->program, NULL, (double)usage.open_files);
}

int daemon_metrics_create(struct producer *producer, const char *program, struct daemon_metrics **ret,
                          struct error *error) {
    struct daemon_metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return error_set(error, -ENOMEM, "out of memory");
    metrics->producer = producer;
    metrics->program = program;
    daemon_metrics_set(metrics, OWN_BUILD_INFO, program, TASKFORGE_VERSION, 1);
    daemon_metrics_set(metrics, OWN_PROCESS_START, program, NULL, process_start_seconds());
    *ret = metrics;
    return 0;
}

void daemon_metrics_destroy(struct daemon_metrics *metrics) {
    if (!metrics)
        return;
    metrics->usage_ns = 0;
    daemon_metrics_tell_usage(metrics); /* the rest of the processor's time */
    for (size_t i = 0; i < metrics->count; i++)
        forget(&metrics->items[i]);
    free(metrics->items);
    free(metrics);
}
