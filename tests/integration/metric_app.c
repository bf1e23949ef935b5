/* metric_app - an app that has the metrics it is told, by the library's calls: a line of JSON on stdin is one series,
 *
 *     {"kind","name","labels":{},"unit","help","bounds":[],"value","observations":[],"trace_id","way":"handle"|"name"}
 *
 * as make_segment takes them (naming 0). A line that comes again counts again. An empty line is answered with "ok", or with the first
 * call's refusal since the last one. By name a series has no unit, help or bounds.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "common/model/pack.h"

enum { LABELS_MAX = 32, BOUNDS_MAX = 64, OBSERVATIONS_MAX = 4096, ARENA_SIZE = 65536 };

static char arena[ARENA_SIZE]; /* of one line */
static size_t arena_used;
static char refusal[1024];

static void keep(int r) {
    if (r < 0 && !refusal[0])
        snprintf(refusal, sizeof(refusal), "%d %s", r, tf_last_error());
}

static const char *string_of(struct text text) {
    check(arena_used + text.length < ARENA_SIZE);
    char *string = arena + arena_used;
    if (text.length > 0)
        memcpy(string, text.data, text.length);
    string[text.length] = '\0';
    arena_used += text.length + 1;
    return string;
}

static struct text find_text(struct text map, const char *key) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) && value.type == PACK_TEXT ? value.text : TEXT_EMPTY;
}

static double number_of(const struct pack_value *value) {
    switch (value->type) {
    case PACK_INT:
        return (double)value->integer;
    case PACK_UINT:
        return (double)value->natural;
    case PACK_TEXT: /* what JSON cannot say */
        return text_is(value->text, "NaN") ? NAN : text_is(value->text, "-Inf") ? -INFINITY : INFINITY;
    default:
        return value->number;
    }
}

static size_t find_numbers(struct text map, const char *key, double *out, size_t most) {
    struct pack_value value;
    size_t count = 0;
    if (!pack_find(map, text_of(key), &value) || value.type != PACK_ARRAY)
        return 0;
    struct pack_reader reader = { value.whole.data, value.whole.data + value.whole.length };
    check(pack_next(&reader, &value) == 1);
    while (count < most && pack_next(&reader, &value) == 1)
        out[count++] = number_of(&value);
    return count;
}

static size_t find_labels(struct text map, struct tf_label out[LABELS_MAX]) {
    struct pack_value value;
    size_t count = 0;
    if (!pack_find(map, TEXT_LITERAL("labels"), &value) || value.type != PACK_MAP)
        return 0;
    struct pack_reader reader = { value.whole.data, value.whole.data + value.whole.length };
    check(pack_next(&reader, &value) == 1);
    while (count < LABELS_MAX && pack_next(&reader, &value) == 1) {
        out[count].name = string_of(value.text);
        check(pack_next(&reader, &value) == 1 && value.type == PACK_TEXT);
        out[count++].value = string_of(value.text);
    }
    return count;
}

static int kind_of(struct text map) {
    static const char *const names[] = { "counter", "gauge", "histogram", "timer" };
    for (int i = 0; i < 4; i++)
        if (text_is(find_text(map, "kind"), names[i]))
            return TF_COUNTER + i;
    return 0;
}

static void update_by_handle(tf_metric *metric, int kind, double value) {
    if (kind == TF_COUNTER)
        keep(tf_counter_add(metric, (int64_t)value));
    else if (kind == TF_GAUGE)
        keep(tf_gauge_set(metric, value));
    else if (kind == TF_HISTOGRAM)
        keep(tf_histogram_observe(metric, value));
    else
        keep(tf_timer_observe(metric, value));
}

static void by_handle(const struct tf_metric_definition *definition, const double *values, size_t count) {
    tf_metric *metric;
    int r = tf_metric_register(NULL, definition, &metric);
    keep(r);
    for (size_t i = 0; r == 0 && i < count; i++)
        update_by_handle(metric, definition->kind, values[i]);
}

static void by_name(const struct tf_metric_definition *is, const double *values, size_t count) {
    static int (*const calls[])(tf_client *, const char *, double, const struct tf_label *, size_t) = {
        [TF_COUNTER] = tf_metric_count,
        [TF_GAUGE] = tf_metric_set,
        [TF_HISTOGRAM] = tf_metric_observe,
        [TF_TIMER] = tf_metric_time,
    };
    for (size_t i = 0; i < count; i++)
        keep(calls[is->kind](NULL, is->name, values[i], is->labels, is->label_count));
}

static void take(struct text map) {
    static double values[OBSERVATIONS_MAX];
    struct tf_label labels[LABELS_MAX];
    double bounds[BOUNDS_MAX];
    struct pack_value value;
    arena_used = 0;
    struct tf_metric_definition definition = TF_METRIC_INIT(kind_of(map), string_of(find_text(map, "name")));
    definition.labels = labels;
    definition.label_count = find_labels(map, labels);
    definition.unit = string_of(find_text(map, "unit"));
    definition.help = string_of(find_text(map, "help"));
    definition.bounds = bounds;
    definition.bound_count = find_numbers(map, "bounds", bounds, BOUNDS_MAX);
    size_t count = find_numbers(map, "observations", values, OBSERVATIONS_MAX);
    if (pack_find(map, TEXT_LITERAL("value"), &value))
        values[count++] = number_of(&value);
    struct text trace = find_text(map, "trace_id");
    if (trace.length > 0)
        keep(tf_context_set(string_of(trace), NULL, NULL));
    if (text_is(find_text(map, "way"), "name"))
        by_name(&definition, values, count);
    else
        by_handle(&definition, values, count);
    tf_context_clear();
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    tf_default_open("metric_app", NULL);
    while ((length = getline(&line, &capacity, stdin)) > 0) {
        enum { GROWTH = 9 }; /* "1," becomes a double */
        struct pack_writer packed = { .data = malloc((size_t)length * GROWTH), .capacity = (size_t)length * GROWTH };
        struct error error = { "" };
        check(packed.data);
        if (length == 1) {
            printf("%s\n", refusal[0] ? refusal : "ok");
            fflush(stdout);
            refusal[0] = '\0';
        } else {
            check(pack_from_json((struct text) { line, (size_t)length }, &packed, &error) == 0);
            take((struct text) { packed.data, packed.length });
        }
        free(packed.data);
    }
    free(line);
    return 0;
}
