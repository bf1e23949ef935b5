#include "exporter/metric_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/shm/segment_find.h"

void metric_list_finish(struct metric_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->rows[i].texts);
    free(list->rows);
    *list = METRIC_LIST_EMPTY;
}

/* --- reading --- */

static struct text keep(char **at, struct text text) {
    struct text kept = { *at, text.length };
    if (text.length > 0)
        memcpy(*at, text.data, text.length);
    *at += text.length;
    return kept;
}

static int keep_texts(const struct segment_sample *sample, struct metric_row *row) {
    const struct metric_definition *definition = &sample->definition;
    struct text total = definition->kind == METRIC_COUNTER ? TEXT_LITERAL("_total") : TEXT_EMPTY;
    char *at = malloc(sample->family.length + total.length + definition->labels.length + definition->unit.length + 1);
    if (!at)
        return -ENOMEM;
    row->texts = at;
    row->name = keep(&at, sample->family);
    row->name.length += keep(&at, total).length;
    row->labels = keep(&at, definition->labels);
    row->unit = keep(&at, definition->unit);
    if (definition->kind == METRIC_TIMER)
        row->unit = TEXT_LITERAL("seconds");
    return 0;
}

static void take_values(const struct segment_sample *sample, struct metric_row *row) {
    const struct histogram *histogram = &sample->histogram;
    row->kind = sample->definition.kind;
    row->position = sample->position;
    row->updated_ns = sample->updated_ns;
    row->value = sample->value;
    if (!metric_kind_is_histogram(row->kind))
        return;
    row->count = histogram_count(histogram);
    row->sum = histogram->sum;
    row->average = row->sum / (double)row->count; /* NaN of none */
    row->p50 = histogram_quantile(histogram, 0.5);
    row->p95 = histogram_quantile(histogram, 0.95);
    row->p99 = histogram_quantile(histogram, 0.99);
}

static int add(struct metric_list *list, const struct segment_sample *sample) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct metric_row *grown = reallocarray(list->rows, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        list->rows = grown;
        list->capacity = capacity;
    }
    struct metric_row row = { 0 };
    int result = keep_texts(sample, &row);
    if (result < 0)
        return result;
    take_values(sample, &row);
    list->rows[list->count++] = row;
    return 0;
}

static int compare_names(const struct metric_row *a, const struct metric_row *b) {
    int order = text_compare(a->name, b->name);
    return order ? order : text_compare(a->labels, b->labels);
}

static int compare_rows(const void *left, const void *right) {
    const struct metric_row *a = left, *b = right;
    int order = compare_names(a, b);
    return order ? order : (a->position > b->position) - (a->position < b->position);
}

/* Sorted, and of those with one name and labels the oldest alone, as on /metrics. */
static void put_in_order(struct metric_list *list) {
    size_t kept = 0;
    if (list->count > 1)
        qsort(list->rows, list->count, sizeof(*list->rows), compare_rows);
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && compare_names(&list->rows[kept - 1], &list->rows[i]) == 0)
            free(list->rows[i].texts);
        else
            list->rows[kept++] = list->rows[i];
    }
    list->count = kept;
}

int metric_list_read(struct segment *segment, struct text text, bool exactly, struct metric_list *ret,
                     struct error *error) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    int result;
    while ((result = segment_next(segment, sample.position, &sample)) == 1) {
        bool wanted = exactly ? segment_sample_is(&sample, text) : segment_sample_begins(&sample, text);
        if (wanted && !sample.hidden && (result = add(ret, &sample)) < 0)
            break;
    }
    segment_sample_finish(&sample);
    put_in_order(ret);
    return result < 0
               ? error_set(error, result, "the metric segment %s",
                           result == -ENOMEM ? "does not fit the memory" : "is damaged: the collector makes a new one")
               : 0;
}

/* --- as JSON --- */

static void append_number(struct buffer *out, const char *key, double number) {
    buffer_append_string(out, key);
    json_append_number(out, number);
}

void metric_row_append_json(struct buffer *out, const struct metric_row *row) {
    struct metric_label label;
    buffer_append_string(out, "{\"name\":");
    json_append_string(out, row->name);
    buffer_append_format(out, ",\"kind\":\"%s\",\"labels\":{", metric_kind_name(row->kind));
    for (size_t at = 0, first = 1; metric_labels_next(row->labels, &at, &label); first = 0) {
        buffer_append_string(out, first ? "" : ",");
        json_append_string(out, label.name);
        buffer_append_char(out, ':');
        json_append_string(out, label.value);
    }
    buffer_append_char(out, '}');
    if (metric_kind_is_histogram(row->kind)) {
        buffer_append_format(out, ",\"count\":%llu", (unsigned long long)row->count);
        append_number(out, ",\"sum\":", row->sum);
        append_number(out, ",\"avg\":", row->average);
        append_number(out, ",\"p50\":", row->p50);
        append_number(out, ",\"p95\":", row->p95);
        append_number(out, ",\"p99\":", row->p99);
    } else {
        append_number(out, ",\"value\":", row->value);
    }
    if (row->unit.length > 0) {
        buffer_append_string(out, ",\"unit\":");
        json_append_string(out, row->unit);
    }
    if (row->updated_ns > 0) {
        char time[CLOCK_RFC3339_SIZE];
        clock_format(row->updated_ns, time);
        buffer_append_format(out, ",\"updated\":\"%s\"", time);
    }
    buffer_append_char(out, '}');
}
