/* metric_repair.h - names and labels from outside, made such as a series may have: for the borders, where StatsD, OTLP or the kernel
 * have chosen them. (Who registers a metric by the library is told the reason instead: metric.h.)
 *
 * Of names a character that is not allowed becomes one '_', as StatsD and OpenTelemetry's Prometheus exporters have it. A metric's
 * name that begins with a digit gets '_' in front. A label's name that begins so or with "__", and le and quantile, which
 * histograms and summaries use, get "key" or "key_" in front, as OpenTelemetry does with what Prometheus reserves
 * (opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics). Of values each bad byte and each NUL becomes U+FFFD. What is too
 * long is cut and ends with a hash of all of it, so that two long ones stay two. What is allowed stays as it is, so a second repair finds
 * nothing. Two names that differ in nothing but bad characters become one. Pure.
 */
#ifndef TASKFORGE_COMMON_MODEL_METRIC_REPAIR_H
#define TASKFORGE_COMMON_MODEL_METRIC_REPAIR_H

#include "common/model/metric.h"

/* Each: true when something had to be changed. *ret borrows the given text, or `out` when it was changed; it passes the check of
 * metric.h. Of a metric take metric_name_bare first: what is cut off a long name may be its "_total". */
bool metric_name_repair(struct text name, char out[METRIC_NAME_BYTES], struct text *ret);
bool metric_label_name_repair(struct text name, char out[METRIC_LABEL_NAME_BYTES], struct text *ret);
bool metric_label_value_repair(struct text value, char out[METRIC_LABEL_VALUE_BYTES], struct text *ret);

/* The labels of a series. Values of names that have become one are joined with ";" in the order of the names they had. */
struct metric_labels_room { /* what a repair of labels borrows from */
    struct {
        char name[METRIC_LABEL_NAME_BYTES], value[METRIC_LABEL_VALUE_BYTES];
    } repaired[METRIC_LABELS_MAX];
    char packed[METRIC_LABELS_BYTES];
};

/* Canonical labels (metric_labels_pack) in *ret, which borrows `room`: 1 when something had to be changed, else 0. -EINVAL: more
 * than METRIC_LABELS_MAX; -E2BIG: more than METRIC_LABELS_BYTES. With the reason. */
int metric_labels_repair(const struct metric_label *labels, size_t count, struct metric_labels_room *room,
                         struct text *ret, struct error *error);

#endif
