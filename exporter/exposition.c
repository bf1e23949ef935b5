/* exposition.c - see exposition.h: lines from series. */
#include "exporter/exposition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/pack.h"

/* --- texts and numbers --- */

void exposition_append_number(struct buffer *out, double number) {
    if (isnan(number)) {
        buffer_append_string(out, "NaN");
    } else if (isinf(number)) {
        buffer_append_string(out, number > 0 ? "+Inf" : "-Inf");
    } else {
        json_append_number(out, number);
    }
}

/* --- bounds --- */

enum { BOUND_SIZE = 64, DIGITS_MAX = 24, EXPONENT_LEAST = -4, EXPONENT_MOST = 6 };

/* A finite number as Go's 'g' format with the fewest digits has it: positional from 1e-4 to below 1e6, else 2.5e+06. */
static void format_bound(double bound, bool openmetrics, char out[BOUND_SIZE]) {
    struct buffer number = BUFFER_EMPTY;
    char digits[DIGITS_MAX + 1] = "";
    int count = 0, point = 0, power = 0;
    bool behind_point = false;
    json_append_double(&number, fabs(bound)); /* digits with a point, and perhaps an exponent */
    buffer_append_char(&number, '\0');
    for (const char *at = number.failed ? "" : number.data; *at; at++) {
        if (*at == 'e') {
            sscanf(at + 1, "%d", &power);
            break;
        }
        if (*at == '.') {
            behind_point = true;
        } else {
            point += !behind_point && (count > 0 || *at != '0');
            point -= behind_point && count == 0 && *at == '0';
            if ((count > 0 || *at != '0') && count < DIGITS_MAX)
                digits[count++] = *at;
        }
    }
    buffer_finish(&number);
    while (count > 0 && digits[count - 1] == '0')
        digits[--count] = '\0';
    int exponent = point + power - 1;
    const char *sign = bound < 0 ? "-" : "";
    if (count == 0)
        snprintf(out, BOUND_SIZE, openmetrics ? "0.0" : "0");
    else if (exponent < EXPONENT_LEAST || exponent >= EXPONENT_MOST)
        snprintf(out, BOUND_SIZE, "%s%c%s%se%+03d", sign, digits[0], count > 1 ? "." : "", digits + 1, exponent);
    else if (exponent < 0)
        snprintf(out, BOUND_SIZE, "%s0.%.*s%s", sign, -exponent - 1, "000", digits);
    else if (count > exponent + 1)
        snprintf(out, BOUND_SIZE, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    else
        snprintf(out, BOUND_SIZE, "%s%s%.*s%s", sign, digits, exponent + 1 - count, "00000", openmetrics ? ".0" : "");
}

/* --- lines --- */

static const char *type_of(enum exposition_format format, enum metric_kind kind) {
    if (kind == METRIC_UNKNOWN)
        return format == EXPOSITION_OPENMETRICS ? "unknown" : "untyped";
    return metric_kind_is_histogram(kind) ? "histogram" : metric_kind_name(kind);
}

/* "# HELP name ": in text a counter goes by the name of its samples. */
static void append_comment(struct buffer *out, enum exposition_format format, const char *what, enum metric_kind kind,
                           struct text family) {
    buffer_append_string(out, what);
    buffer_append_text(out, family);
    if (format == EXPOSITION_TEXT && kind == METRIC_COUNTER)
        buffer_append_string(out, "_total");
    buffer_append_char(out, ' ');
}

static bool name_ends_with_unit(struct text family, struct text unit) {
    return unit.length > 0 && family.length > unit.length + 1 && family.data[family.length - unit.length - 1] == '_' &&
           memcmp(family.data + family.length - unit.length, unit.data, unit.length) == 0;
}

void exposition_append_family(struct buffer *out, enum exposition_format format, enum metric_kind kind,
                              struct text family, struct text help, struct text unit) {
    append_comment(out, format, "# HELP ", kind, family); /* linters want one for every family */
    if (help.length > 0)
        metric_text_escape(help, format == EXPOSITION_OPENMETRICS, out);
    else
        buffer_append_format(out, "A %s that nobody described.", metric_kind_name(kind));
    buffer_append_char(out, '\n');
    append_comment(out, format, "# TYPE ", kind, family);
    buffer_append_string(out, type_of(format, kind));
    buffer_append_char(out, '\n');
    if (kind == METRIC_TIMER)
        unit = TEXT_LITERAL("seconds");
    if (format == EXPOSITION_OPENMETRICS && name_ends_with_unit(family, unit)) {
        append_comment(out, format, "# UNIT ", kind, family);
        buffer_append_text(out, unit);
        buffer_append_char(out, '\n');
    }
}

static void append_labels(struct buffer *out, struct text labels, const char *le) {
    if (labels.length > 0 || le)
        buffer_append_char(out, '{');
    buffer_append_text(out, labels);
    if (le) {
        buffer_append_string(out, labels.length > 0 ? ",le=\"" : "le=\"");
        buffer_append_string(out, le);
        buffer_append_char(out, '"');
    }
    if (labels.length > 0 || le)
        buffer_append_char(out, '}');
    buffer_append_char(out, ' ');
}

static void append_name(struct buffer *out, const struct segment_sample *sample, const char *suffix, const char *le) {
    buffer_append_text(out, sample->family);
    buffer_append_string(out, suffix);
    append_labels(out, sample->labels, le);
}

static void append_count(struct buffer *out, uint64_t count) {
    json_append_uint(out, count);
    buffer_append_char(out, '\n');
}

static void append_histogram(struct buffer *out, enum exposition_format format, const struct segment_sample *sample) {
    double own[METRIC_BOUNDS_MAX];
    const double *bounds;
    uint64_t counts[METRIC_BOUNDS_MAX], all = histogram_count(&sample->histogram);
    size_t count = metric_classic_bounds(sample->definition.kind, sample->definition.bounds, own, &bounds);
    check(count <= METRIC_BOUNDS_MAX);
    histogram_classic(&sample->histogram, bounds, count, counts);
    for (size_t i = 0; i < count; i++) {
        char le[BOUND_SIZE];
        format_bound(bounds[i], format == EXPOSITION_OPENMETRICS, le);
        append_name(out, sample, "_bucket", le);
        append_count(out, counts[i]);
    }
    append_name(out, sample, "_bucket", "+Inf");
    append_count(out, all);
    if (format == EXPOSITION_OPENMETRICS && (bounds[0] < 0 || !(sample->histogram.sum >= 0)))
        return; /* then the sum is not a counter, and neither goes without the other */
    append_name(out, sample, "_sum", NULL);
    exposition_append_number(out, sample->histogram.sum);
    buffer_append_char(out, '\n');
    append_name(out, sample, "_count", NULL);
    append_count(out, all);
}

void exposition_append_series(struct buffer *out, enum exposition_format format, const struct segment_sample *sample) {
    enum metric_kind kind = sample->definition.kind;
    if (metric_kind_is_histogram(kind)) {
        append_histogram(out, format, sample);
        return;
    }
    if (kind == METRIC_COUNTER && !(sample->value >= 0))
        return;
    append_name(out, sample, kind == METRIC_COUNTER ? "_total" : "", NULL);
    exposition_append_number(out, sample->value);
    buffer_append_char(out, '\n');
}

void exposition_append_end(struct buffer *out, enum exposition_format format) {
    if (format == EXPOSITION_OPENMETRICS)
        buffer_append_string(out, "# EOF\n");
}
