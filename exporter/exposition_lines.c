#include "exporter/exposition_lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/decimal.h"

/* --- numbers --- */

static size_t write_number(double number, char out[DECIMAL_TEXT_MAX]) {
    if (isfinite(number))
        return decimal_write(number, out);
    const char *text = isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf";
    size_t length = strlen(text);
    memcpy(out, text, length);
    return length;
}

void exposition_append_number(struct buffer *out, double number) {
    char text[DECIMAL_TEXT_MAX];
    buffer_append(out, text, write_number(number, text));
}

enum { MOMENT_MAX = DECIMAL_UINT_MAX + 4 };

/* Seconds since 1970 with their milliseconds. */
static size_t write_moment(uint64_t ns, char out[MOMENT_MAX]) {
    uint64_t ms = ns / CLOCK_MILLISECOND;
    size_t length = decimal_write_uint(ms / 1000, out);
    out[length] = '.';
    out[length + 1] = (char)('0' + ms % 1000 / 100);
    out[length + 2] = (char)('0' + ms % 100 / 10);
    out[length + 3] = (char)('0' + ms % 10);
    return length + 4;
}

/* --- bounds --- */

enum { EXPONENT_LEAST = -4, EXPONENT_MOST = 6 };

/* A finite number as Go's 'g' format with the fewest digits has it: positional from 1e-4 to below 1e6, else 2.5e+06. */
static size_t write_bound(double bound, bool openmetrics, char out[EXPOSITION_BOUND_MAX]) {
    char digits[DECIMAL_DIGITS_MAX];
    int point;
    unsigned count = decimal_digits(bound, digits, &point);
    int exponent = point - 1;
    char *at = out;
    if (bound < 0)
        *at++ = '-';
    if (bound != 0 && (exponent < EXPONENT_LEAST || exponent >= EXPONENT_MOST)) {
        *at++ = digits[0];
        if (count > 1) {
            *at++ = '.';
            memcpy(at, digits + 1, count - 1);
            at += count - 1;
        }
        *at++ = 'e';
        *at++ = exponent < 0 ? '-' : '+';
        unsigned size = (unsigned)abs(exponent);
        if (size < 10)
            *at++ = '0';
        return (size_t)(at + decimal_write_uint(size, at) - out);
    }
    if (point <= 0) {
        memcpy(at, "0.000", 2 + (size_t)-point);
        at += 2 - point;
    }
    for (unsigned i = 0; i < count; i++) {
        if (point > 0 && i == (unsigned)point)
            *at++ = '.';
        *at++ = digits[i];
    }
    for (int i = (int)count; i < point; i++)
        *at++ = '0';
    if (openmetrics && (int)count <= point) {
        memcpy(at, ".0", 2);
        at += 2;
    }
    return (size_t)(at - out);
}

/* --- what series have in common --- */

static struct text keep(char **room, struct text text) {
    struct text kept = { *room, text.length };
    if (text.length > 0)
        memcpy(*room, text.data, text.length);
    *room += text.length;
    return kept;
}

static void keep_bounds(struct exposition_about *about, const double *bounds) {
    for (unsigned i = 0; i < about->bound_count; i++) {
        struct exposition_bound *bound = &about->bounds[i];
        bound->end = (uint16_t)histogram_buckets_to(bounds[i]);
        for (int format = 0; format < EXPOSITION_FORMATS; format++)
            bound->length[format] =
                (uint8_t)write_bound(bounds[i], format == EXPOSITION_OPENMETRICS, bound->le[format]);
    }
}

static struct text front_suffix(enum metric_kind kind) {
    return kind == METRIC_COUNTER           ? TEXT_LITERAL("_total{")
           : metric_kind_is_histogram(kind) ? TEXT_LITERAL("_bucket{")
                                            : TEXT_LITERAL("{");
}

struct exposition_about *exposition_about_create(const struct metric_definition *definition, struct text family) {
    double own[METRIC_BOUNDS_MAX];
    const double *bounds = own;
    size_t count = metric_kind_is_histogram(definition->kind)
                       ? metric_classic_bounds(definition->kind, definition->bounds, own, &bounds)
                       : 0;
    size_t fixed = sizeof(struct exposition_about) + count * sizeof(struct exposition_bound);
    struct text suffix = front_suffix(definition->kind);
    struct exposition_about *about =
        malloc(fixed + 2 * family.length + suffix.length + definition->help.length + definition->unit.length);
    if (!about)
        return NULL;
    char *room = (char *)about + fixed;
    *about = (struct exposition_about) {
        .kind = definition->kind,
        .below_zero = count > 0 && bounds[0] < 0,
        .family = keep(&room, family),
        .help = keep(&room, definition->help),
        .unit = keep(&room, definition->unit),
        .front = { room, family.length + suffix.length },
        .bound_count = (unsigned)count,
    };
    keep(&room, family);
    keep(&room, suffix);
    keep_bounds(about, bounds);
    return about;
}

/* --- families --- */

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

void exposition_append_end(struct buffer *out, enum exposition_format format) {
    if (format == EXPOSITION_OPENMETRICS)
        buffer_append_string(out, "# EOF\n");
}

/* --- lines: room for all of a series is made once, then they are put there piece by piece --- */

enum {
    SUFFIX_MAX = 8, /* _created */
    EXEMPLAR_MAX = 32 + 2 * METRIC_TRACE_ID_BYTES + DECIMAL_TEXT_MAX + MOMENT_MAX,
    LINE_MORE =
        SUFFIX_MAX + 16 + EXPOSITION_BOUND_MAX + DECIMAL_TEXT_MAX + EXEMPLAR_MAX, /* beside the name and the labels */
};

static inline bool make_room(struct buffer *out, size_t more) {
    return (more <= out->capacity - out->length && !out->failed) || buffer_reserve(out, more);
}

static inline char *put(char *at, const void *data, size_t length) {
    memcpy(at, data, length);
    return at + length;
}
#define PUT_LITERAL(at, literal) put(at, literal, sizeof(literal) - 1)

static inline char *put_text(char *at, struct text text) {
    return put(at, text.data, text.length);
}

/* "name_suffix{labels} ". */
static inline char *put_name(char *at, struct text family, struct text suffix, struct text labels) {
    at = put_text(at, family);
    at = put_text(at, suffix);
    if (labels.length > 0) {
        *at++ = '{';
        at = put_text(at, labels);
        *at++ = '}';
    }
    *at++ = ' ';
    return at;
}

static char *put_count(char *at, uint64_t count) {
    at += decimal_write_uint(count, at);
    *at++ = '\n';
    return at;
}

/* " # {trace_id="..."} 0.67 1520879607.789" */
static char *put_exemplar(char *at, const struct metric_exemplar *exemplar) {
    at = PUT_LITERAL(at, " # {trace_id=\"");
    for (unsigned i = 0; i < exemplar->length; i++) {
        char c = exemplar->trace_id[i];
        if (c == '\\' || c == '"' || c == '\n')
            *at++ = '\\';
        *at++ = c == '\n' ? 'n' : c;
    }
    at = PUT_LITERAL(at, "\"} ");
    at += write_number(exemplar->value, at);
    if (exemplar->time_ns > 0) {
        *at++ = ' ';
        at += write_moment(exemplar->time_ns, at);
    }
    return at;
}

static char *put_created(char *at, const struct exposition_about *about, struct text labels, uint64_t created_ns) {
    at = put_name(at, about->family, TEXT_LITERAL("_created"), labels);
    at += write_moment(created_ns, at);
    *at++ = '\n';
    return at;
}

void exposition_append_number_lines(struct buffer *out, struct exposition_style style,
                                    const struct exposition_about *about, struct text labels, double value,
                                    const struct metric_exemplar *exemplar, uint64_t created_ns, size_t *ret_labels) {
    bool counter = about->kind == METRIC_COUNTER, openmetrics = style.format == EXPOSITION_OPENMETRICS;
    if (counter && !(value >= 0))
        return;
    if (!make_room(out, 2 * (about->family.length + labels.length + LINE_MORE)))
        return;
    char *at = out->data + out->length;
    *ret_labels = out->length + about->front.length;
    at = put_text(at, about->front);
    if (labels.length > 0) {
        at = put_text(at, labels);
        *at++ = '}';
    } else {
        at--; /* no brace either */
    }
    *at++ = ' ';
    at += write_number(value, at);
    if (counter && openmetrics && exemplar && metric_exemplar_is_valid(exemplar))
        at = put_exemplar(at, exemplar);
    *at++ = '\n';
    if (counter && openmetrics && style.created)
        at = put_created(at, about, labels, created_ns);
    out->length = (size_t)(at - out->data);
}

/* The buckets: what stands in front of a bound is put together once, and copied from there. */
static char *put_buckets(char *at, struct exposition_style style, const struct exposition_about *about,
                         struct text labels, const struct segment_counts *counts, uint64_t all) {
    uint64_t cumulated[METRIC_BOUNDS_MAX];
    uint16_t ends[METRIC_BOUNDS_MAX];
    const char *front = at;
    size_t front_length = 0;
    for (unsigned i = 0; i < about->bound_count; i++)
        ends[i] = about->bounds[i].end;
    histogram_cumulate(&counts->histogram, ends, about->bound_count, cumulated);
    for (unsigned i = 0; i <= about->bound_count; i++) {
        if (i == 0) {
            at = put_text(at, about->front);
            if (labels.length > 0) {
                at = put_text(at, labels);
                *at++ = ',';
            }
            at = PUT_LITERAL(at, "le=\"");
            front_length = (size_t)(at - front);
        } else {
            at = put(at, front, front_length);
        }
        const struct exposition_bound *bound = &about->bounds[i];
        at = i < about->bound_count ? put(at, bound->le[style.format], bound->length[style.format])
                                    : PUT_LITERAL(at, "+Inf");
        at = PUT_LITERAL(at, "\"} ");
        at += decimal_write_uint(i < about->bound_count ? cumulated[i] : all, at);
        if (style.format == EXPOSITION_OPENMETRICS && i < counts->exemplar_count &&
            metric_exemplar_is_valid(&counts->exemplars[i]))
            at = put_exemplar(at, &counts->exemplars[i]);
        *at++ = '\n';
    }
    return at;
}

void exposition_append_histogram_lines(struct buffer *out, struct exposition_style style,
                                       const struct exposition_about *about, struct text labels,
                                       const struct segment_counts *counts, uint64_t created_ns, size_t *ret_labels) {
    const bool openmetrics = style.format == EXPOSITION_OPENMETRICS;
    const size_t lines = about->bound_count + 4;
    uint64_t all = histogram_count(&counts->histogram);
    if (!make_room(out, lines * (about->family.length + labels.length + LINE_MORE)))
        return;
    char *at = out->data + out->length;
    *ret_labels = out->length + about->front.length;
    at = put_buckets(at, style, about, labels, counts, all);
    if (!openmetrics || (!about->below_zero && counts->histogram.sum >= 0)) {
        /* else the sum is not a counter, and neither goes without the other */
        at = put_name(at, about->family, TEXT_LITERAL("_sum"), labels);
        at += write_number(counts->histogram.sum, at);
        *at++ = '\n';
        at = put_count(put_name(at, about->family, TEXT_LITERAL("_count"), labels), all);
    }
    if (openmetrics && style.created)
        at = put_created(at, about, labels, created_ns);
    out->length = (size_t)(at - out->data);
}
