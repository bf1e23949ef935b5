#include "common/model/metric.h"

#include <errno.h>
#include <math.h>

#include "common/base/check.h"
#include "common/model/histogram.h"
#include "common/model/pack.h"

const char *metric_kind_name(enum metric_kind kind) {
    static const char *const names[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge",     [METRIC_HISTOGRAM] = "histogram",
        [METRIC_TIMER] = "timer",     [METRIC_UNKNOWN] = "unknown",
    };
    check(metric_kind_is_valid(kind));
    return names[kind];
}

/* --- names --- */

static bool is_name_byte(char c, bool first, bool colon) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == ':' && colon) ||
           (!first && c >= '0' && c <= '9');
}

/* The first byte that may not stand in a name, or its length. */
static size_t name_span(struct text name, bool colon) {
    size_t i = 0;
    while (i < name.length && is_name_byte(name.data[i], i == 0, colon))
        i++;
    return i;
}

int metric_name_check(struct text name, struct error *error) {
    if (name.length < 1 || name.length > METRIC_NAME_BYTES)
        return error_set(error, -EINVAL, "a metric's name must have 1 to %d bytes, has %zu", METRIC_NAME_BYTES,
                         name.length);
    size_t good = name_span(name, true);
    if (good < name.length)
        return error_set(
            error, -EINVAL,
            "a metric's name must be letters, digits, '_' and ':', no digit first: byte %zu of \"%.*s\" is not",
            good + 1, (int)(good < 60 ? good : 60), name.data);
    return 0;
}

int metric_family_check(struct text family) {
    return family.length < 1 || family.length >= METRIC_FAMILY_BYTES || name_span(family, true) < family.length
               ? -EINVAL
               : 0;
}

/* A NUL would end the whole exposition for some who read it. */
static bool text_is_clean(struct text text) {
    return text_utf8_valid(text) && (text.length == 0 || !memchr(text.data, '\0', text.length));
}

int metric_label_check(const struct metric_label *label, struct error *error) {
    struct text name = label->name;
    if (name.length < 1 || name.length > METRIC_LABEL_NAME_BYTES || name_span(name, false) < name.length ||
        text_starts_with(name, TEXT_LITERAL("__")))
        return error_set(error, -EINVAL,
                         "a label's name must be 1 to %d letters, digits and '_', no digit and no \"__\" first",
                         METRIC_LABEL_NAME_BYTES);
    if (text_is(name, "le") || text_is(name, "quantile"))
        return error_set(error, -EINVAL, "a label must not be called %.*s: histograms and summaries use that name",
                         TEXT_FORMAT(name));
    if (label->value.length > METRIC_LABEL_VALUE_BYTES)
        return error_set(error, -E2BIG, "the value of label %.*s must have at most %d bytes, has %zu",
                         TEXT_FORMAT(name), METRIC_LABEL_VALUE_BYTES, label->value.length);
    if (!text_is_clean(label->value))
        return error_set(error, -EINVAL, "the value of label %.*s must be UTF-8 without NUL", TEXT_FORMAT(name));
    return 0;
}

/* --- labels --- */

static bool comes_before(struct text a, struct text b) {
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, shorter);
    return order != 0 ? order < 0 : a.length < b.length;
}

/* Put one label where it belongs among sorted ones. By hand: qsort(3) may allocate, and an update by name must not. */
static void insert_label(struct metric_label *sorted, size_t count, const struct metric_label *label) {
    size_t at = count;
    for (; at > 0 && comes_before(label->name, sorted[at - 1].name); at--)
        sorted[at] = sorted[at - 1];
    sorted[at] = *label;
}

const struct text metric_overflow_labels = TEXT_INITIALIZER("\x81\xa8overflow\xa4true");

int metric_labels_pack(const struct metric_label *labels, size_t count, char out[METRIC_LABELS_BYTES], struct text *ret,
                       struct error *error) {
    struct metric_label sorted[METRIC_LABELS_MAX];
    size_t kept = 0;
    if (count > METRIC_LABELS_MAX)
        return error_set(error, -E2BIG, "a series has at most %d labels, not %zu", METRIC_LABELS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        int result = metric_label_check(&labels[i], error);
        if (result < 0)
            return result;
        if (labels[i].value.length > 0)
            insert_label(sorted, kept++, &labels[i]);
    }
    if (kept == 0) {
        *ret = TEXT_EMPTY;
        return 0;
    }
    struct pack_writer writer = { .data = out, .capacity = METRIC_LABELS_BYTES };
    pack_map(&writer, (uint32_t)kept);
    for (size_t i = 0; i < kept; i++) {
        if (i > 0 && text_equal(sorted[i - 1].name, sorted[i].name))
            return error_set(error, -EINVAL, "label %.*s is given twice", TEXT_FORMAT(sorted[i].name));
        pack_text(&writer, sorted[i].name);
        pack_text(&writer, sorted[i].value);
    }
    if (writer.failed)
        return error_set(error, -E2BIG, "the labels of a series must fit %d bytes", METRIC_LABELS_BYTES);
    *ret = (struct text) { out, writer.length };
    return 0;
}

int metric_labels_check(struct text labels) {
    struct metric_label list[METRIC_LABELS_MAX];
    char canonical[METRIC_LABELS_BYTES];
    struct text made;
    struct pack_value value;
    if (labels.length == 0)
        return 0;
    if (labels.length > METRIC_LABELS_BYTES || pack_check(labels) < 0)
        return -EINVAL;
    struct pack_reader reader = { labels.data, labels.data + labels.length };
    if (pack_next(&reader, &value) != 1 || value.type != PACK_MAP || value.count < 1 || value.count > METRIC_LABELS_MAX)
        return -EINVAL;
    size_t count = value.count;
    for (size_t i = 0; i < count; i++) {
        if (pack_next(&reader, &value) != 1 || value.type != PACK_TEXT)
            return -EINVAL;
        list[i].name = value.text;
        if (pack_next(&reader, &value) != 1 || value.type != PACK_TEXT)
            return -EINVAL;
        list[i].value = value.text;
    }
    if (metric_labels_pack(list, count, canonical, &made, NULL) < 0 || !text_equal(made, labels))
        return -EINVAL;
    return 0;
}

bool metric_labels_next(struct text labels, size_t *at, struct metric_label *ret) {
    struct pack_value value;
    if (*at == 0 && labels.length > 0) { /* past the map's header, whose children follow */
        struct pack_reader head = { labels.data, labels.data + labels.length };
        check(pack_next(&head, &value) == 1 && value.type == PACK_MAP);
        *at = (size_t)(head.at - labels.data);
    }
    if (*at >= labels.length)
        return false;
    struct pack_reader reader = { labels.data + *at, labels.data + labels.length };
    check(pack_next(&reader, &value) == 1 && value.type == PACK_TEXT);
    ret->name = value.text;
    check(pack_next(&reader, &value) == 1 && value.type == PACK_TEXT);
    ret->value = value.text;
    *at = (size_t)(reader.at - labels.data);
    return true;
}

struct text metric_labels_find(struct text labels, struct text name) {
    struct metric_label label;
    for (size_t at = 0; metric_labels_next(labels, &at, &label);)
        if (text_equal(label.name, name))
            return label.value;
    return TEXT_EMPTY;
}

/* --- bounds --- */

int metric_bounds_pack(const double *bounds, size_t count, char out[METRIC_BOUNDS_BYTES], struct text *ret,
                       struct error *error) {
    if (count > METRIC_BOUNDS_MAX)
        return error_set(error, -EINVAL, "a histogram has at most %d bounds, not %zu", METRIC_BOUNDS_MAX, count);
    struct pack_writer writer = { .data = out, .capacity = METRIC_BOUNDS_BYTES };
    pack_array(&writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
            return error_set(error, -EINVAL, "the bounds of a histogram must be finite and ascending");
        pack_double(&writer, bounds[i]);
    }
    check(!writer.failed);
    *ret = count ? (struct text) { out, writer.length } : TEXT_EMPTY;
    return 0;
}

/* How many, or -EINVAL. */
static int read_bounds(struct text bounds, double out[METRIC_BOUNDS_MAX]) {
    struct pack_value value;
    if (bounds.length == 0)
        return 0;
    if (bounds.length > METRIC_BOUNDS_BYTES || pack_check(bounds) < 0)
        return -EINVAL;
    struct pack_reader reader = { bounds.data, bounds.data + bounds.length };
    if (pack_next(&reader, &value) != 1 || value.type != PACK_ARRAY || value.count > METRIC_BOUNDS_MAX)
        return -EINVAL;
    int count = (int)value.count;
    for (int i = 0; i < count; i++) {
        if (pack_next(&reader, &value) != 1 || value.type != PACK_DOUBLE || !isfinite(value.number) ||
            (i > 0 && value.number <= out[i - 1]))
            return -EINVAL;
        out[i] = value.number;
    }
    return count;
}

size_t metric_bounds_read(struct text bounds, double out[METRIC_BOUNDS_MAX]) {
    int count = read_bounds(bounds, out);
    check(count >= 0);
    return (size_t)count;
}

size_t metric_classic_bounds(enum metric_kind kind, struct text bounds, double own[METRIC_BOUNDS_MAX],
                             const double **ret) {
    size_t count = metric_bounds_read(bounds, own);
    check(metric_kind_is_histogram(kind));
    if (count > 0) {
        *ret = own;
        return count;
    }
    *ret = kind == METRIC_TIMER ? histogram_timer_bounds : histogram_default_bounds;
    return kind == METRIC_TIMER ? histogram_timer_bound_count : histogram_default_bound_count;
}

bool metric_exemplar_is_valid(const struct metric_exemplar *exemplar) {
    return exemplar->length > 0 && exemplar->length <= METRIC_TRACE_ID_BYTES && !isnan(exemplar->value) &&
           text_is_clean((struct text) { exemplar->trace_id, exemplar->length });
}

size_t metric_exemplar_count(enum metric_kind kind, struct text bounds) {
    double own[METRIC_BOUNDS_MAX];
    const double *classic;
    if (!metric_kind_is_histogram(kind))
        return kind == METRIC_COUNTER ? 1 : 0;
    return metric_classic_bounds(kind, bounds, own, &classic) + 1;
}

int metric_definition_check(const struct metric_definition *definition, struct error *error) {
    double bounds[METRIC_BOUNDS_MAX];
    if (!metric_kind_is_valid(definition->kind) || (unsigned)definition->naming >= METRIC_NAMING_END)
        return error_set(error, -EINVAL, "there is no metric of kind %d and naming %d", (int)definition->kind,
                         (int)definition->naming);
    int result = metric_name_check(definition->name, error);
    if (result < 0)
        return result;
    if (definition->combine >= METRIC_COMBINE_END || (definition->combine && definition->kind != METRIC_GAUGE))
        return error_set(error, -EINVAL, "the rule of metric %.*s must be last, sum, min or max, and of a gauge",
                         TEXT_FORMAT(definition->name));
    if (metric_labels_check(definition->labels) < 0)
        return error_set(error, -EINVAL, "the labels of metric %.*s are not canonical", TEXT_FORMAT(definition->name));
    if (definition->unit.length > METRIC_UNIT_BYTES || name_span(definition->unit, false) < definition->unit.length)
        return error_set(error, -EINVAL, "the unit of metric %.*s must be at most %d letters, digits and '_'",
                         TEXT_FORMAT(definition->name), METRIC_UNIT_BYTES);
    if (definition->help.length > METRIC_HELP_BYTES || !text_is_clean(definition->help))
        return error_set(error, -EINVAL, "the help of metric %.*s must be at most %d bytes of UTF-8 without NUL",
                         TEXT_FORMAT(definition->name), METRIC_HELP_BYTES);
    if (read_bounds(definition->bounds, bounds) < 0)
        return error_set(error, -EINVAL, "the bounds of metric %.*s must be finite and ascending",
                         TEXT_FORMAT(definition->name));
    return 0;
}
