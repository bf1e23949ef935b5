/* fold_series.c - see fold.h: which series takes an update: its own, made where there is none, or, where there is no room for it, its
 * metric's overflow series. So of counters and histograms nothing is lost but the labels. */
#include <errno.h>

#include "collector/fold_private.h"
#include "collector/limits.h"
#include "common/base/check.h"

/* --- room --- */

int fold_take_room(struct fold *fold, int share, const struct name *name, uint64_t bytes, struct error *error) {
    uint64_t count = name ? name->series : 0;
    if (name && name->overflow && !name->overflow->stale)
        count--; /* it stands beside the limit */
    if (count >= fold->limits.max_series_per_metric && fold->shares.items[share].user != SHARES_SELF)
        return error_set(error, -ENOSPC,
                         "it has %llu series, as many as a metric may have (collector.metrics.max_series_per_metric)",
                         (unsigned long long)count);
    return shares_take(&fold->shares, share, 1, bytes, error);
}

int fold_know(struct fold *fold, struct series *series, uid_t user) {
    int share = shares_of(&fold->shares, user);
    struct name *name = names_get(&fold->names, series->definition.naming, series->definition.name);
    if (share < 0 || !name || !gauges_know(&fold->gauges, series))
        return -ENOMEM;
    series->user = user;
    series->share = share;
    series->name = name;
    name->series++;
    series->reserved = text_equal(series->definition.labels, metric_overflow_labels);
    if (series->reserved)
        name->overflow = series;
    return 0;
}

/* --- a new series --- */

/* Its room is taken already. */
static int make_series(struct fold *fold, const struct metric_definition *definition, uint64_t now_ns,
                       struct series **ret, struct error *error) {
    int result = fold_add_family(fold, definition, error);
    if (result == -EEXIST && fold->names_gone > 0) { /* by a name that is gone? */
        fold_rebuild_names(fold);
        result = fold_add_family(fold, definition, error);
    }
    if (result < 0)
        return result;
    struct series *series = series_add(&fold->table, definition, 0, now_ns);
    if (!series)
        return -ENOMEM;
    if (fold_know(fold, series, fold->user) < 0) {
        series_remove(&fold->table, series);
        return -ENOMEM;
    }
    *ret = series;
    return 0;
}

static int add_series(struct fold *fold, const struct metric_definition *definition, bool reserve, uint64_t now_ns,
                      struct series **ret, struct error *error) {
    const struct name *name = names_find(&fold->names, definition->naming, definition->name);
    uint64_t bytes = series_bytes(definition);
    int share = shares_of(&fold->shares, fold->user);
    if (share < 0)
        return share;
    int result = reserve ? shares_take_reserve(&fold->shares, share, 1, bytes, error)
                         : fold_take_room(fold, share, name, bytes, error);
    if (result < 0)
        return result;
    result = make_series(fold, definition, now_ns, ret, error);
    if (result < 0)
        shares_give(&fold->shares, share, 1, bytes);
    return result;
}

/* --- overflow --- */

static void tell_overflow(struct fold *fold, struct name *name, bool labels, const struct error *why) {
    struct text text = name_text(name);
    if (!name->warned)
        name->warned = fold_tell(fold, "overflow", "metric %.*s has %s: %.*s; %s go to its series {overflow=\"true\"}",
                                 TEXT_FORMAT(text), labels ? "labels beyond the limits" : "too many series",
                                 ERROR_TEXT_SIZE / 2, why->text, labels ? "such updates" : "updates of further ones");
}

/* -ENOSPC: not even for it there is room. */
static int overflow_of(struct fold *fold, const struct metric_definition *definition, uint64_t now_ns,
                       const struct error *why, struct series **ret, struct error *error) {
    struct metric_definition whole = *definition;
    whole.labels = metric_overflow_labels;
    struct series *series = series_find(&fold->table, &whole);
    int result = 0;
    if (!series)
        result = add_series(fold, &whole, true, now_ns, &series, error);
    else if (series->stale && !fold_revive(fold, series, error))
        result = -ENOSPC;
    if (result < 0)
        return result;
    tell_overflow(fold, series->name, text_equal(definition->labels, metric_overflow_labels), why);
    names_note_overflow(&fold->names, series->name);
    *ret = series;
    return 0;
}

/* --- which series --- */

static int find_or_make(struct fold *fold, const struct metric_definition *definition, uint64_t now_ns,
                        struct series **ret, struct error *error) {
    struct error why = { "" };
    struct series *series = series_find(&fold->table, definition);
    int result = 0;
    if (!series)
        result = add_series(fold, definition, false, now_ns, &series, &why);
    else if (series->stale && !fold_revive(fold, series, &why))
        result = -ENOSPC;
    if (result == -ENOSPC)
        result = overflow_of(fold, definition, now_ns, &why, &series, error);
    else if (result < 0)
        *error = why;
    if (result == 0)
        *ret = series;
    return result;
}

struct series *fold_series(struct fold *fold, const struct metric_definition *given, uint64_t now_ns,
                           struct batch *batch) {
    struct metric_definition definition = *given;
    struct error error = { "" }, why = { "" };
    if (metric_kind_is_valid(given->kind))
        definition.name = metric_name_bare(given->kind, given->name);
    /* Its labels were beyond the limits: the library found that. */
    bool overflows = text_equal(definition.labels, metric_overflow_labels);
    struct series *series = series_find(&fold->table, &definition);
    if (series && !series->stale && !overflows && likely(series->definition.combine == definition.combine))
        return series;
    if (!series && metric_definition_check(&definition, &error) < 0) {
        fold_refuse(fold, FOLD_REFUSED_INVALID, definition.name, &error);
        return NULL;
    }
    if (!series)
        description_complete(fold, &definition);
    series = NULL;
    int result;
    if (overflows) {
        error_set(&why, -E2BIG, "a series has at most %d of %d bytes each, %d in all", METRIC_LABELS_MAX,
                  METRIC_LABEL_VALUE_BYTES, METRIC_LABELS_BYTES);
        result = overflow_of(fold, &definition, now_ns, &why, &series, &error);
    } else {
        result = find_or_make(fold, &definition, now_ns, &series, &error);
    }
    if (result == 0)
        result = metric_kinds_agree(definition.name, definition.kind, (enum metric_combine)series->definition.combine,
                                    definition.kind, (enum metric_combine)definition.combine, &error);
    if (result == -EEXIST)
        series = NULL;
    if (result == -EEXIST || result == -ENOSPC)
        fold_refuse(fold, result == -EEXIST ? FOLD_REFUSED_COLLISION : FOLD_REFUSED_LIMIT, definition.name, &error);
    else if (result < 0)
        batch->failed = true;
    return series;
}

struct series *fold_octave_series(struct fold *fold, struct series *series, unsigned octave, struct batch *batch) {
    struct error error = { "" }, why = { "" };
    int result = series->coming.histogram->octaves[octave] ? 0
                 : series->reserved ? shares_take_reserve(&fold->shares, series->share, 0, SERIES_OCTAVE_BYTES, &why)
                                    : shares_take(&fold->shares, series->share, 0, SERIES_OCTAVE_BYTES, &why);
    if (result == 0) {
        series->coming_bytes += series->coming.histogram->octaves[octave] ? 0 : SERIES_OCTAVE_BYTES;
        batch->failed |= series_own_octave(series, octave) < 0;
        return batch->failed ? NULL : series;
    }
    struct series *other = NULL;
    if (!series->reserved)
        result = overflow_of(fold, &series->definition, fold->now_ns, &why, &other, &error);
    if (result == -ENOMEM || (result == 0 && !fold_touch(fold, other, batch))) {
        batch->failed = true;
        return NULL;
    }
    if (result == 0)
        return fold_octave_series(fold, other, octave, batch);
    fold_refuse(fold, FOLD_REFUSED_LIMIT, series->definition.name, &why);
    return NULL;
}

int fold_judge(struct fold *fold, enum metric_kind kind, enum metric_naming naming, struct text name,
               struct error *error) {
    struct metric_definition definition = { .kind = kind, .naming = naming, .name = metric_name_bare(kind, name) };
    int result = metric_definition_check(&definition, error);
    char family[METRIC_FAMILY_BYTES];
    if (result == 0)
        result = kinds_check(&fold->kinds, &definition, error);
    if (result == 0)
        result = metric_families_check(&fold->families, kind, fold_family_of(fold, &definition, family), error);
    return result < 0 ? result : 0;
}
