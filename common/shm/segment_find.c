#include "common/shm/segment_find.h"

static const char *suffix_of(enum metric_kind kind) {
    return kind == METRIC_COUNTER ? "_total" : kind == METRIC_TIMER ? "_seconds" : "";
}

/* `name` without `suffix` at its end; *name is as it was when it does not end so. */
static bool take_suffix(struct text *name, const char *suffix) {
    struct text end = text_of(suffix);
    if (name->length <= end.length || memcmp(name->data + name->length - end.length, end.data, end.length) != 0)
        return false;
    name->length -= end.length;
    return true;
}

/* Equal, but for the suffix that the kind gives to names. */
static bool is_named(enum metric_kind kind, struct text a, struct text b) {
    take_suffix(&a, suffix_of(kind));
    take_suffix(&b, suffix_of(kind));
    return text_equal(a, b);
}

bool segment_sample_is(const struct segment_sample *sample, struct text name) {
    enum metric_kind kind = sample->definition.kind;
    struct text without = name;
    if (is_named(kind, sample->definition.name, name) || text_equal(sample->family, name))
        return true;
    return kind == METRIC_COUNTER && take_suffix(&without, "_total") && text_equal(sample->family, without);
}

bool segment_sample_begins(const struct segment_sample *sample, struct text prefix) {
    return text_starts_with(sample->family, prefix) || text_starts_with(sample->definition.name, prefix) ||
           segment_sample_is(sample, prefix);
}

bool segment_sample_value(const struct segment_sample *sample, struct text name, double *ret) {
    if (!metric_kind_is_histogram(sample->definition.kind)) {
        *ret = sample->value;
        return segment_sample_is(sample, name);
    }
    if (take_suffix(&name, "_count"))
        *ret = (double)histogram_count(&sample->histogram);
    else if (take_suffix(&name, "_sum"))
        *ret = sample->histogram.sum;
    else
        return false;
    return segment_sample_is(sample, name);
}

bool segment_sample_has_labels(const struct segment_sample *sample, const struct metric_label *wanted, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!text_equal(metric_labels_find(sample->definition.labels, wanted[i].name), wanted[i].value))
            return false;
    return true;
}

int segment_find(struct segment *segment, struct text name, const struct metric_label *wanted, size_t count,
                 struct segment_sample *sample) {
    double value;
    int result;
    while ((result = segment_next(segment, sample->position, sample)) == 1)
        if (!sample->hidden && (segment_sample_is(sample, name) || segment_sample_value(sample, name, &value)) &&
            segment_sample_has_labels(sample, wanted, count))
            break;
    return result;
}
