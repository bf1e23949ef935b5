/* metric_history_json.c - see metric_history.h: what a series and its points are called. */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "exporter/metric_history.h"

void metric_history_append_name(struct buffer *out, const struct samples_definition *definition) {
    buffer_append_text(out, definition->family);
    if (definition->metric.kind == METRIC_COUNTER)
        buffer_append_string(out, "_total");
}

struct text metric_history_unit(const struct samples_definition *definition) {
    return definition->metric.kind == METRIC_TIMER ? TEXT_LITERAL("seconds") : definition->metric.unit;
}

/* --- points --- */

static void add(struct metric_history_value *values, size_t *count, const char *name, double value) {
    snprintf(values[*count].name, sizeof(values[*count].name), "%s", name);
    values[(*count)++].value = value;
}

size_t metric_history_values(enum metric_kind kind, const struct series_quantiles *quantiles,
                             const struct series_point *point,
                             struct metric_history_value ret[METRIC_HISTORY_VALUES_MAX]) {
    char name[SERIES_QUANTILE_NAME];
    size_t count = 0;
    add(ret, &count, "samples", (double)point->samples);
    if (kind == METRIC_COUNTER) {
        add(ret, &count, "increase", point->increase);
        add(ret, &count, "rate", point->rate);
        add(ret, &count, "last", point->last);
        return count;
    }
    if (!metric_kind_is_histogram(kind)) {
        add(ret, &count, "avg", point->avg);
        add(ret, &count, "min", point->min);
        add(ret, &count, "max", point->max);
        add(ret, &count, "last", point->last);
        return count;
    }
    add(ret, &count, "count", point->count);
    add(ret, &count, "sum", point->sum);
    add(ret, &count, "rate", point->rate);
    add(ret, &count, "avg", point->avg);
    for (size_t i = 0; i < quantiles->count; i++)
        add(ret, &count, series_quantile_name(quantiles->q[i], name), point->quantiles[i]);
    return count;
}

/* --- as JSON --- */

static void append_time(struct buffer *out, const char *key, uint64_t time_ns) {
    char text[CLOCK_RFC3339_SIZE];
    clock_format(time_ns, text);
    buffer_append_format(out, "\"%s\":\"%s\"", key, text);
}

void metric_history_append_range(struct buffer *out, const struct series_range *range) {
    append_time(out, "start", range->first_ns);
    buffer_append_char(out, ',');
    append_time(out, "end", series_range_end(range));
    buffer_append_string(out, ",\"step\":");
    json_append_number(out, (double)range->step_ns / (double)CLOCK_SECOND);
}

static void append_labels(struct buffer *out, struct text labels) {
    struct metric_label label;
    buffer_append_string(out, "\"labels\":{");
    for (size_t at = 0, first = 1; metric_labels_next(labels, &at, &label); first = 0) {
        buffer_append_string(out, first ? "" : ",");
        json_append_string(out, label.name);
        buffer_append_char(out, ':');
        json_append_string(out, label.value);
    }
    buffer_append_char(out, '}');
}

static void append_point(struct buffer *out, enum metric_kind kind, const struct series_quantiles *quantiles,
                         const struct series_point *point) {
    struct metric_history_value values[METRIC_HISTORY_VALUES_MAX];
    size_t count = metric_history_values(kind, quantiles, point, values);
    buffer_append_char(out, '{');
    append_time(out, "time", point->time_ns);
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(out, ",\"%s\":", values[i].name);
        json_append_number(out, values[i].value);
    }
    buffer_append_char(out, '}');
}

void metric_history_append_series(struct buffer *out, const struct metric_history *history, size_t index) {
    const struct metric_history_series *series = &history->series[index];
    append_labels(out, series->definition->metric.labels);
    buffer_append_string(out, ",\"points\":[");
    for (size_t i = 0; i < series->points.count; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        append_point(out, series->definition->metric.kind, &history->quantiles, &series->points.items[i]);
    }
    buffer_append_char(out, ']');
}
