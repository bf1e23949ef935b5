#include "exporter/tfctl/metrics_history.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/process/config_value.h"
#include "exporter/metric_history.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/sparkline.h"

enum { NAME_COLUMN_MAX = 72, SPARKLINE_WIDTH = 40, NUMBER_WIDTH = 11 };

struct printer {
    struct session *session;
    const struct metrics_history_options *options;
    const struct metric_history *history;
    struct output output;
};

/* --- pieces --- */

/* name{label="value"}: no control character of the data. */
static void append_name(struct buffer *out, const struct samples_definition *definition) {
    metric_history_append_name(out, definition);
    format_labels(out, definition->metric.labels);
}

/* For eyes: whole numbers whole, others with as many digits as one looks at; nothing where nothing is known. */
static void format_number(double number, char out[32]) {
    if (isnan(number))
        snprintf(out, 32, "-");
    else if (number == floor(number) && fabs(number) < 1e12)
        snprintf(out, 32, "%.0f", number == 0 ? 0 : number);
    else
        snprintf(out, 32, "%.5g", number);
}

static void append_value(struct buffer *out, const char *name, double number) {
    char text[32];
    format_number(number, text);
    buffer_append_format(out, "  %s %s", name, text);
}

/* --- text: a line for each series --- */

/* What its line is drawn of: gauges by their averages, counters by their rate, histograms and timers by the middle one of the quantiles. */
static double drawn(const struct printer *printer, enum metric_kind kind, const struct series_point *point) {
    if (kind == METRIC_COUNTER)
        return point->rate;
    return metric_kind_is_histogram(kind) ? point->quantiles[printer->options->quantiles.count / 2] : point->avg;
}

static bool append_sparkline(struct buffer *out, const struct printer *printer,
                             const struct metric_history_series *series) {
    enum metric_kind kind = series->definition->metric.kind;
    const struct series_range *range = &printer->history->range;
    double *values = malloc(range->count * sizeof(*values));
    if (!values)
        return false;
    for (size_t i = 0; i < range->count; i++)
        values[i] = NAN;
    for (size_t i = 0; i < series->points.count; i++) {
        const struct series_point *point = &series->points.items[i];
        values[(point->time_ns - range->first_ns) / range->step_ns] = drawn(printer, kind, point);
    }
    sparkline_append(out, values, range->count, SPARKLINE_WIDTH, kind == METRIC_GAUGE || kind == METRIC_UNKNOWN);
    free(values);
    return true;
}

static void append_summary(struct buffer *out, const struct printer *printer,
                           const struct metric_history_series *series) {
    const struct series_quantiles *quantiles = &printer->options->quantiles;
    const struct series_point *whole = &series->whole;
    enum metric_kind kind = series->definition->metric.kind;
    char name[SERIES_QUANTILE_NAME];
    if (kind == METRIC_COUNTER) {
        append_value(out, "increase", whole->increase);
        append_value(out, "rate", whole->rate);
        append_value(out, "last", whole->last);
    } else if (!metric_kind_is_histogram(kind)) {
        append_value(out, "avg", whole->avg);
        append_value(out, "min", whole->min);
        append_value(out, "max", whole->max);
        append_value(out, "last", whole->last);
    } else {
        append_value(out, "count", whole->count);
        append_value(out, "avg", whole->avg);
        for (size_t i = 0; i < quantiles->count; i++)
            append_value(out, series_quantile_name(quantiles->q[i], name), whole->quantiles[i]);
    }
}

static size_t width_of(const struct metric_history *history) {
    struct buffer name = BUFFER_EMPTY;
    size_t width = 0;
    for (size_t i = 0; i < history->count; i++) {
        buffer_clear(&name);
        append_name(&name, history->series[i].definition);
        size_t characters = text_utf8_count(buffer_text(&name));
        if (characters <= NAME_COLUMN_MAX && characters > width)
            width = characters;
    }
    buffer_finish(&name);
    return width;
}

static void append_line(struct printer *printer, const struct metric_history_series *series, size_t width) {
    struct buffer *out = &printer->output.buffer;
    size_t before = out->length;
    append_name(out, series->definition);
    size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s  ", (int)(width > characters ? width - characters : 0), "");
    out->failed |= !append_sparkline(out, printer, series);
    append_summary(out, printer, series);
    buffer_append_char(out, '\n');
}

/* --- text: a row for each step --- */

static void append_rows(struct printer *printer, const struct metric_history_series *series) {
    struct metric_history_value values[METRIC_HISTORY_VALUES_MAX];
    enum metric_kind kind = series->definition->metric.kind;
    struct buffer *out = &printer->output.buffer;
    for (size_t i = 0; i < series->points.count; i++) {
        const struct series_point *point = &series->points.items[i];
        size_t count = metric_history_values(kind, &printer->options->quantiles, point, values);
        char number[32];
        struct buffer time = BUFFER_EMPTY;
        format_time(&time, point->time_ns, printer->options->utc);
        if (i == 0) {
            buffer_append_format(out, "  %-*s", (int)time.length, "time");
            for (size_t j = 1; j < count; j++) /* not how many samples */
                buffer_append_format(out, " %*s", NUMBER_WIDTH, values[j].name);
            buffer_append_char(out, '\n');
        }
        buffer_append_string(out, "  ");
        buffer_append_text(out, buffer_text(&time));
        for (size_t j = 1; j < count; j++) {
            format_number(values[j].value, number);
            buffer_append_format(out, " %*s", NUMBER_WIDTH, number);
        }
        buffer_append_char(out, '\n');
        out->failed |= time.failed;
        buffer_finish(&time);
        if (!output_push(&printer->output))
            return;
    }
}

static void append_header(struct printer *printer) {
    const struct series_range *range = &printer->history->range;
    struct buffer *out = &printer->output.buffer;
    char step[CONFIG_VALUE_SIZE];
    format_time(out, range->first_ns, printer->options->utc);
    buffer_append_string(out, " to ");
    format_time(out, series_range_end(range), printer->options->utc);
    buffer_append_format(out, ", steps of %s\n", config_format_duration(range->step_ns, step));
}

static void print_text(struct printer *printer, size_t shown) {
    const struct metric_history *history = printer->history;
    size_t width = width_of(history);
    bool rows = printer->options->steps || shown == 1;
    if (shown > 0)
        append_header(printer);
    for (size_t i = 0; i < history->count && output_push(&printer->output); i++) {
        if (history->series[i].points.count == 0)
            continue;
        append_line(printer, &history->series[i], width);
        if (rows)
            append_rows(printer, &history->series[i]);
    }
}

/* --- JSON: an object for each series --- */

static void append_object(struct buffer *out, const struct metric_history *history, size_t index) {
    const struct samples_definition *definition = history->series[index].definition;
    struct text unit = metric_history_unit(definition);
    struct buffer name = BUFFER_EMPTY;
    metric_history_append_name(&name, definition);
    buffer_append_string(out, "{\"name\":");
    json_append_string(out, buffer_text(&name));
    buffer_append_format(out, ",\"kind\":\"%s\",", metric_kind_name(definition->metric.kind));
    if (unit.length > 0) {
        buffer_append_string(out, "\"unit\":");
        json_append_string(out, unit);
        buffer_append_char(out, ',');
    }
    metric_history_append_range(out, &history->range);
    buffer_append_char(out, ',');
    metric_history_append_series(out, history, index);
    buffer_append_char(out, '}');
    out->failed |= name.failed;
    buffer_finish(&name);
}

static void print_json(struct printer *printer) {
    for (size_t i = 0; i < printer->history->count && output_push(&printer->output); i++) {
        struct buffer object = BUFFER_EMPTY;
        if (printer->history->series[i].points.count == 0)
            continue;
        append_object(&object, printer->history, i);
        format_harden_json(&printer->output.buffer, buffer_text(&object));
        buffer_append_char(&printer->output.buffer, '\n');
        printer->output.buffer.failed |= object.failed;
        buffer_finish(&object);
    }
}

/* --- CSV: a row for each step of each series, every column there is --- */

static size_t column_names(const struct series_quantiles *quantiles, char ret[][SERIES_QUANTILE_NAME]) {
    static const char *const names[] = { "samples", "avg", "min", "max", "last", "increase", "rate", "count", "sum" };
    size_t count = 0;
    for (; count < sizeof(names) / sizeof(names[0]); count++)
        snprintf(ret[count], SERIES_QUANTILE_NAME, "%s", names[count]);
    for (size_t i = 0; i < quantiles->count; i++)
        series_quantile_name(quantiles->q[i], ret[count++]);
    return count;
}

/* The whole series as one field in quotes, as it is written in a selector. */
static void append_csv_name(struct buffer *out, const struct samples_definition *definition) {
    struct buffer name = BUFFER_EMPTY;
    append_name(&name, definition);
    buffer_append_char(out, '"');
    for (size_t i = 0; i < name.length; i++) {
        if (name.data[i] == '"')
            buffer_append_char(out, '"');
        buffer_append_char(out, name.data[i]);
    }
    buffer_append_char(out, '"');
    out->failed |= name.failed;
    buffer_finish(&name);
}

static void append_csv_row(struct buffer *out, const struct metric_history_value *values, size_t value_count,
                           char (*columns)[SERIES_QUANTILE_NAME], size_t column_count) {
    for (size_t c = 0; c < column_count; c++) {
        buffer_append_char(out, ',');
        for (size_t v = 0; v < value_count; v++)
            if (strcmp(values[v].name, columns[c]) == 0 && isfinite(values[v].value))
                json_append_number(out, values[v].value);
    }
    buffer_append_string(out, "\r\n");
}

static void print_csv(struct printer *printer) {
    struct metric_history_value values[METRIC_HISTORY_VALUES_MAX];
    char columns[METRIC_HISTORY_VALUES_MAX + 2][SERIES_QUANTILE_NAME], time[CLOCK_RFC3339_SIZE];
    const struct metric_history *history = printer->history;
    struct buffer *out = &printer->output.buffer;
    size_t column_count = column_names(&history->quantiles, columns);
    buffer_append_string(out, "time,series");
    for (size_t c = 0; c < column_count; c++)
        buffer_append_format(out, ",%s", columns[c]);
    buffer_append_string(out, "\r\n");
    for (size_t i = 0; i < history->count; i++) {
        const struct metric_history_series *series = &history->series[i];
        for (size_t p = 0; p < series->points.count && output_push(&printer->output); p++) {
            size_t count = metric_history_values(series->definition->metric.kind, &history->quantiles,
                                                 &series->points.items[p], values);
            clock_format(series->points.items[p].time_ns, time);
            buffer_append_format(out, "%s,", time);
            append_csv_name(out, series->definition);
            append_csv_row(out, values, count, columns, column_count);
        }
    }
}

/* --- the command --- */

static int print(struct session *session, const struct metrics_history_options *options,
                 const struct metric_history *history) {
    struct printer printer = { .session = session, .options = options, .history = history };
    struct error error = { "" };
    size_t shown = 0;
    for (size_t i = 0; i < history->count; i++)
        shown += history->series[i].points.count > 0;
    output_init(&printer.output, options->format == METRICS_TEXT);
    if (options->format == METRICS_TEXT)
        print_text(&printer, shown);
    else if (options->format == METRICS_JSON)
        print_json(&printer);
    else if (shown > 0)
        print_csv(&printer);
    if (output_finish(&printer.output, &error) < 0)
        return fault(session, &error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static void damaged(void *argument, const char *path, const char *why) {
    struct session *session = argument;
    session->damaged = true;
    session_note(session, "passed over: %s: %s", path, why);
}

static int read_and_print(struct session *session, const struct metrics_history_options *options, struct text name,
                          const struct label_matchers *matchers) {
    const struct metric_history_want want = {
        .name = name,
        .begins = true,
        .whole = options->format == METRICS_TEXT,
        .matchers = matchers,
        .start_ns = options->since_ns,
        .end_ns = options->until_ns,
        .step_ns = options->step_ns,
        .interval_ns = session->config->collector.history.interval_ns,
        .quantiles = options->quantiles,
    };
    struct metric_history history;
    struct samples_reader *reader;
    struct error error = { "" };
    if (samples_reader_open(session->data_dir, damaged, session, &reader, &error) < 0)
        return fault(session, &error);
    int result = metric_history_read(reader, &want, &history, &error), status = EXIT_FAULT;
    if (result == -EINVAL) {
        status = usage_error(session, "%s", error.text);
    } else if (result < 0) {
        fault(session, &error);
    } else {
        status = print(session, options, &history);
        metric_history_finish(&history);
    }
    samples_reader_close(reader);
    return status;
}

int metrics_history_run(struct session *session, const struct metrics_history_options *options) {
    struct label_matchers matchers;
    struct error error = { "" };
    struct text name;
    if (label_matchers_parse_selector(options->selector, &name, &matchers, &error) < 0)
        return usage_error(session, "NAME, %s", error.text);
    int status = read_and_print(session, options, name, &matchers);
    label_matchers_finish(&matchers);
    return status;
}
