/* observe_metrics.c - see observe_metrics.h. */
#include "alerter/observe_metrics.h"

#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/shm/map.h"
#include "common/shm/segment_find.h"

#include <errno.h>
#include <stdlib.h>

#define BEAT_LOST (10 * CLOCK_SECOND) /* it comes each second */
#define BEAT_LATE (3 * CLOCK_SECOND)
#define SETTLED_AFTER (2 * CLOCK_SECOND)
#define START_GRACE (10 * CLOCK_SECOND)

struct metrics_observer {
    char *runtime_dir;
    struct segment *segment; /* NULL: none could be opened yet */
    struct segment_sample sample;
    struct segment_info info;
    enum metrics_collector collector;
    uint64_t opened_ns; /* monotonic */
    bool seen;          /* a collector, since we began */
    bool told;          /* that there is none */
};

int metrics_observer_open(const char *runtime_dir, struct metrics_observer **ret, struct error *error) {
    int result = map_guard_install(error);
    if (result < 0)
        return result;
    struct metrics_observer *observer = calloc(1, sizeof(*observer));
    if (observer)
        observer->runtime_dir = strdup(runtime_dir);
    if (!observer || !observer->runtime_dir) {
        metrics_observer_close(observer);
        return error_set(error, -ENOMEM, "out of memory");
    }
    observer->sample = SEGMENT_SAMPLE_EMPTY;
    observer->opened_ns = clock_monotonic_ns();
    *ret = observer;
    return 0;
}

void metrics_observer_close(struct metrics_observer *observer) {
    if (!observer)
        return;
    segment_close(observer->segment);
    segment_sample_finish(&observer->sample);
    free(observer->runtime_dir);
    free(observer);
}

enum metrics_collector metrics_observer_collector(const struct metrics_observer *observer) {
    return observer->collector;
}

uint64_t metrics_observer_collector_since(const struct metrics_observer *observer) {
    return observer->collector == METRICS_COLLECTOR_DEAD ? 0 : observer->info.created_ns;
}

/* --- is anybody there? --- */

static uint64_t elapsed(uint64_t now_ns, uint64_t then_ns) {
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

static int look(struct metrics_observer *observer, uint64_t now_ns, struct error *error) {
    int result = observer->segment ? segment_refresh(observer->segment, error)
                                   : segment_open(observer->runtime_dir, &observer->segment, error);
    observer->collector = METRICS_COLLECTOR_DEAD;
    if (result < 0 && !observer->segment)
        return result;
    result = segment_info_get(observer->segment, &observer->info);
    if (result < 0) { /* cut or scribbled on: the collector will make a new one */
        segment_close(observer->segment);
        observer->segment = NULL;
        return error_set(error, result, "the metric segment is damaged");
    }
    if (elapsed(now_ns, observer->info.heartbeat_ns) >= BEAT_LOST)
        return error_set(error, -ESTALE, "no collector has kept the metrics up to date for %llu s",
                         (unsigned long long)(elapsed(now_ns, observer->info.heartbeat_ns) / CLOCK_SECOND));
    observer->seen = true;
    observer->collector = METRICS_COLLECTOR_LIVES;
    if (elapsed(now_ns, observer->info.heartbeat_ns) >= BEAT_LATE)
        observer->collector = METRICS_COLLECTOR_LATE;
    else if (elapsed(now_ns, observer->info.created_ns) >= SETTLED_AFTER)
        observer->collector = METRICS_COLLECTOR_SETTLED;
    return 0;
}

/* --- values --- */

static bool has_labels(const struct segment_sample *sample, const struct alert_pairs *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (!text_is(metric_labels_find(sample->definition.labels, text_of(wanted->items[i].key)),
                     wanted->items[i].value))
            return false;
    return true;
}

static int add(struct observations *observations, const struct segment_sample *sample, double value) {
    if (observations->count == OBSERVED_SERIES_MAX) {
        observations->omitted++;
        return 0;
    }
    if (observations->count == observations->capacity) {
        size_t capacity = observations->capacity ? observations->capacity * 2 : 4;
        struct observed_series *grown = realloc(observations->series, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        observations->series = grown;
        observations->capacity = capacity;
    }
    struct observed_series *series = &observations->series[observations->count++];
    struct metric_label label;
    size_t at = 0;
    *series = (struct observed_series) { .observation = { .value = value } };
    while (metric_labels_next(sample->definition.labels, &at, &label)) {
        int result = alert_pairs_set(&series->labels, label.name, label.value);
        if (result < 0)
            return result;
    }
    return 0;
}

static void offer(const struct segment_sample *sample, const struct rules *rules, struct observations *all) {
    for (size_t i = 0; i < rules->rule_count; i++) {
        const struct rule *rule = &rules->rules[i];
        double value;
        if (rule->kind != RULE_METRIC || all[i].result < 0 ||
            !segment_sample_value(sample, text_of(rule->metric.name), &value) ||
            !has_labels(sample, &rule->metric.labels))
            continue;
        all[i].result = add(&all[i], sample, value);
        if (all[i].result < 0)
            error_set(&all[i].error, all[i].result, "out of memory");
    }
}

static void fail_all(const struct rules *rules, struct observations *all, int result, const struct error *error) {
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (rules->rules[i].kind != RULE_METRIC)
            continue;
        observations_finish(&all[i]);
        all[i].result = result;
        all[i].error = *error;
    }
}

static void tell(struct metrics_observer *observer, int result, const struct error *error) {
    if (result < 0 && !observer->told)
        diag_warn("%s; until that changes metrics are missing, and no alert ends for want of entries", error->text);
    if (result == 0 && observer->told)
        diag_info("the collector is there again");
    observer->told = result < 0;
}

void metrics_observe(struct metrics_observer *observer, const struct rules *rules, uint64_t now_ns,
                     struct observations *all) {
    struct error error = { "" };
    int result = look(observer, now_ns, &error);
    bool early = !observer->seen && elapsed(clock_monotonic_ns(), observer->opened_ns) < START_GRACE;
    if (result < 0 && early)
        fail_all(rules, all, -EAGAIN, &error);
    if (!early)
        tell(observer, result, &error);
    if (result < 0)
        return; /* nobody keeps the values: they are missing */
    uint64_t position = 0;
    while ((result = segment_next(observer->segment, position, &observer->sample)) > 0) {
        position = observer->sample.position;
        if (!observer->sample.hidden)
            offer(&observer->sample, rules, all);
    }
    if (result == 0)
        return;
    error_set(&error, result, "the metric segment cannot be read: %s", strerror(-result));
    fail_all(rules, all, result, &error);
}
