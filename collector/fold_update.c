/* fold_update.c - see fold.h: what one update makes of a series' coming value. */
#include <errno.h>
#include <math.h>

#include "collector/exemplars.h"
#include "collector/limits.h"

static uint64_t no_later(uint64_t time_ns, uint64_t now_ns) {
    return time_ns < now_ns ? time_ns : now_ns;
}

void fold_set(struct series_value *coming, double value, uint64_t time_ns, uint64_t now_ns) {
    time_ns = no_later(time_ns, now_ns);
    if (time_ns < coming->updated_ns && coming->updated_ns <= now_ns)
        return;
    coming->value = value;
    coming->updated_ns = time_ns;
}

void fold_sum(double *sum, double more) {
    double result = *sum + more;
    if (!isnan(result))
        *sum = result;
}

static int observe(struct fold *fold, struct series *series, double value, uint64_t times, struct batch *batch) {
    unsigned octave, bucket;
    if (histogram_place(value, &octave, &bucket))
        series = fold_octave_series(fold, series, octave, batch);
    if (!series)
        return 0;
    struct histogram *histogram = series->coming.histogram;
    double sum = histogram->sum;
    int result = histogram_add(histogram, value, times);
    if (result < 0)
        return result;
    fold_sum(&sum, value * (double)times);
    histogram->sum = sum;
    return 0;
}

/* -EINVAL: no such value can be, and nothing has changed. */
static int apply(struct fold *fold, struct series *series, const struct record_metric_update *update, uint64_t time_ns,
                 uint64_t now_ns, struct batch *batch) {
    struct series_value *coming = &series->coming;
    uint32_t times = update->times ? update->times : 1;
    double sum = coming->value + update->value * times;
    int result = 0;
    if (series->safe.histogram) {
        result = observe(fold, series, update->value, times, batch);
    } else if (update->operation == METRIC_SET) {
        fold_set(coming, update->value, time_ns, now_ns);
        return 0;
    } else if (isnan(sum) || (update->metric_kind == METRIC_COUNTER && isinf(sum))) {
        return -EINVAL;
    } else {
        coming->value = sum;
    }
    time_ns = no_later(time_ns, now_ns);
    if (result == 0 && (time_ns > coming->updated_ns || coming->updated_ns > now_ns))
        coming->updated_ns = time_ns;
    return result;
}

static bool value_is_possible(const struct record_metric_update *update) {
    if (update->operation == METRIC_EXEMPLAR &&
        (update->metric_kind == METRIC_GAUGE || update->metric_kind == METRIC_UNKNOWN))
        return false;
    if (update->metric_kind == METRIC_COUNTER)
        return update->value >= 0 && isfinite(update->value);
    return update->operation == METRIC_SET ? !metric_kind_is_histogram(update->metric_kind) : !isnan(update->value);
}

static void refuse_value(struct fold *fold, const struct record_metric_update *update) {
    struct text name = update->known ? ((struct series *)update->known)->definition.name : update->name;
    struct error error;
    error_set(&error, -EINVAL, "no such kind, operation or value");
    fold_refuse(fold, FOLD_REFUSED_INVALID, name, &error);
}

static struct metric_definition definition_of(const struct record_metric_update *update) {
    return (struct metric_definition) {
        .kind = (enum metric_kind)update->metric_kind,
        .naming = (enum metric_naming)update->naming,
        .name = update->name,
        .labels = update->labels,
        .unit = update->unit,
        .help = update->help,
    };
}

/* By handle: where the series is not known yet, its cell will bring it, and the next exemplar is not far. */
static void fold_exemplar(struct fold *fold, const struct record_metric_update *update, uint64_t time_ns,
                          struct batch *batch) {
    const struct metric_definition definition = definition_of(update);
    struct series *series = update->trace_id.length > 0 ? series_find(&fold->table, &definition) : NULL;
    if (series && !series->stale && fold_touch(fold, series, batch))
        exemplar_note(fold, series, update->value, update->trace_id, time_ns);
}

/* The series that its texts tell. */
static struct series *find_series(struct fold *fold, const struct record_metric_update *update, uint64_t time_ns,
                                  struct batch *batch) {
    const struct metric_definition definition = definition_of(update);
    struct series *series = fold_series(fold, &definition, time_ns, batch);
    if (series && update->hash[1] != 0 &&
        !series->reserved) /* an overflow series is told of, and counted, with each */
        fold_memo_keep(&fold->memo, &fold->table, update->hash, series);
    return series;
}

void fold_update(struct fold *fold, const struct record_metric_update *update, uint64_t time_ns, struct batch *batch) {
    uint64_t now_ns = fold->now_ns ? fold->now_ns : time_ns;
    if (!metric_kind_is_valid(update->metric_kind) || update->operation >= METRIC_OPERATION_END ||
        !value_is_possible(update)) {
        refuse_value(fold, update);
        return;
    }
    if (update->operation == METRIC_EXEMPLAR) {
        fold_exemplar(fold, update, no_later(time_ns, now_ns), batch);
        return;
    }
    struct series *series = update->known ? update->known : find_series(fold, update, no_later(time_ns, now_ns), batch);
    if (!series || !fold_touch(fold, series, batch))
        return;
    int result = apply(fold, series, update, time_ns, now_ns, batch);
    if (result == 0 && update->trace_id.length > 0)
        exemplar_note(fold, series, update->value, update->trace_id, no_later(time_ns, now_ns));
    if (result == -EINVAL)
        refuse_value(fold, update);
    batch->failed |= result == -ENOMEM;
}

void fold_add(struct fold *fold, enum own_metric metric, const struct text *values, double value, uint64_t now_ns,
              struct batch *batch) {
    char room[METRIC_LABELS_BYTES];
    struct metric_definition definition;
    if (own_metric_define(metric, values, room, &definition, NULL) < 0)
        return; /* a service that no label may say */
    struct record_metric_update update = {
        .metric_kind = (uint8_t)definition.kind,
        .naming = (uint8_t)definition.naming,
        .operation = definition.kind == METRIC_GAUGE ? METRIC_SET : METRIC_ADD,
        .value = value,
        .name = definition.name,
        .labels = definition.labels,
        .help = definition.help,
    };
    fold_update(fold, &update, now_ns, batch);
}

/* By the metric's name as applications give it; those beyond a number of names together. */
void fold_gather_overflow(struct fold *fold, uint64_t now_ns, struct batch *batch) {
    static const struct text others = TEXT_INITIALIZER("(others)");
    const struct text own = text_of(own_metric_row(OWN_METRIC_OVERFLOW)->name);
    const struct name *told = names_find(&fold->names, METRIC_NAMING_PREFIXED, metric_name_bare(METRIC_COUNTER, own));
    for (struct name *name = fold->names.overflowing; name; name = name->next_overflowing) {
        struct text text = name_text(name);
        char room[METRIC_LABELS_BYTES];
        struct metric_definition definition;
        if (own_metric_define(OWN_METRIC_OVERFLOW, &text, room, &definition, NULL) < 0)
            continue;
        definition.name = metric_name_bare(METRIC_COUNTER, definition.name);
        if (told && told->series >= FOLD_OVERFLOW_NAMES && !series_find(&fold->table, &definition))
            text = others;
        if (name->overflowed > name->told)
            fold_add(fold, OWN_METRIC_OVERFLOW, &text, (double)(name->overflowed - name->told), now_ns, batch);
        name->telling = name->overflowed;
    }
}
