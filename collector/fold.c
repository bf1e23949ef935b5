#include "collector/fold.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/exemplars.h"
#include "collector/fold_private.h"
#include "collector/limits.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/base/hash.h"
#include "common/base/id.h"

/* --- refusals --- */

/* True the first time a name is refused. A full table says nothing more: the count goes on. */
static bool is_news(struct fold *fold, struct text name) {
    uint64_t hash = hash_bytes(name.data, name.length) | 1;
    for (size_t i = 0; i < FOLD_REFUSED_NAMES; i++) {
        struct fold_refused_name *place = &fold->refused_names[(hash + i) % FOLD_REFUSED_NAMES];
        if (place->hash == hash)
            return false;
        if (place->hash != 0)
            continue;
        if (fold->refused_name_count >= FOLD_REFUSED_NAMES / 2)
            return false;
        fold->refused_name_count++;
        place->hash = hash;
        return true;
    }
    return false;
}

bool fold_tell(struct fold *fold, const char *operation, const char *format, ...) {
    if (fold->now_ns < fold->tell_ns || fold->now_ns - fold->tell_ns >= FOLD_TELL_NS) {
        fold->tell_ns = fold->now_ns;
        fold->told_lately = 0;
    }
    if (fold->telling_count == FOLD_TELLINGS_MAX || fold->told_lately == FOLD_TELLINGS_MAX)
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fold->tellings[fold->telling_count].text, ERROR_TEXT_SIZE, format, arguments);
    va_end(arguments);
    fold->tellings[fold->telling_count++].operation = operation;
    fold->told_lately++;
    return true;
}

void fold_refuse(struct fold *fold, enum fold_refusal why, struct text name, const struct error *error) {
    fold->refused[why]++;
    if (fold->telling_count < FOLD_TELLINGS_MAX && is_news(fold, name))
        fold_tell(fold, "refuse", "metric %.*s is refused: %.*s",
                  (int)(name.length < METRIC_NAME_BYTES ? name.length : METRIC_NAME_BYTES), name.data,
                  ERROR_TEXT_SIZE / 2, error->text);
}

/* --- series --- */

struct text fold_family_of(const struct fold *fold, const struct metric_definition *definition,
                           char out[METRIC_FAMILY_BYTES]) {
    size_t length = metric_family(&fold->scheme, definition->kind, definition->naming, definition->name, out);
    return (struct text) { out, length };
}

/* Take the name, the application's and that on /metrics. */
int fold_add_family(struct fold *fold, const struct metric_definition *definition, struct error *error) {
    char family[METRIC_FAMILY_BYTES];
    int result = kinds_check(&fold->kinds, definition, error);
    if (result == 0)
        result =
            metric_families_add(&fold->families, definition->kind, fold_family_of(fold, definition, family), error);
    if (result == 0)
        result = kinds_add(&fold->kinds, definition, error);
    return result;
}

/* Unit, help or bounds that have become known since. */
static void complete(struct fold *fold, struct series *series) {
    uint64_t before = series_bytes(&series->definition);
    series->described = fold->descriptions.version;
    size_t bounds = series->definition.bounds.length;
    if (!description_complete(fold, &series->definition))
        return;
    shares_note(&fold->shares, series->share, 0, series_bytes(&series->definition) - before);
    if (series->definition.bounds.length != bounds)
        exemplars_drop(fold, series); /* their buckets are others now */
    series->defined = false;
    series->renewed = true;
}

bool fold_touch(struct fold *fold, struct series *series, struct batch *batch) {
    if (series->touched)
        return true;
    if (unlikely(series->described != fold->descriptions.version))
        complete(fold, series);
    if (fold->touched_count == fold->touched_capacity) {
        size_t capacity = fold->touched_capacity ? fold->touched_capacity * 2 : 256;
        struct series **grown = realloc(fold->touched, capacity * sizeof(struct series *));
        if (!grown) {
            batch->failed = true;
            return false;
        }
        fold->touched = grown;
        fold->touched_capacity = capacity;
    }
    series_begin(series);
    fold->touched[fold->touched_count++] = series;
    return true;
}

/* --- the batch's end --- */

void fold_discard(struct fold *fold) {
    for (size_t i = 0; i < fold->touched_count; i++) {
        shares_give(&fold->shares, fold->touched[i]->share, 0, fold->touched[i]->coming_bytes);
        series_drop(fold->touched[i]);
    }
    fold->touched_count = 0;
    fold_pages_discard(fold);
    names_discard(&fold->names);
    memcpy(fold->refused, fold->refused_safe, sizeof(fold->refused));
}

/* --- the segment --- */

void fold_hide(struct fold *fold, struct series *series, bool hidden) {
    if (series->hidden == hidden)
        return;
    segment_set_hidden(fold->segment, series->position, hidden);
    series->hidden = hidden;
    fold->hidden += hidden ? 1 : (size_t)-1;
}

static int add_to_segment(struct fold *fold, struct series *series) {
    char family[METRIC_FAMILY_BYTES];
    int result = (series->renewed ? segment_add_hidden : segment_add)(fold->segment, &series->definition,
                                                                      fold_family_of(fold, &series->definition, family),
                                                                      series->created_ns, &series->position);
    series->shown = result == 0;
    series->hidden = series->shown && series->renewed;
    fold->hidden += series->hidden;
    series->renewed = false;
    return result;
}

/* With another definition it is another one for the segment. It is complete before the old one goes, and hidden till then: a reader
 * may miss it for a moment, and never sees it twice, or fall. */
static int show_anew(struct fold *fold, struct series *series) {
    uint64_t old = series->position;
    bool was_hidden = series->hidden;
    int result = add_to_segment(fold, series);
    if (result < 0)
        return result;
    if (!was_hidden)
        segment_set_hidden(fold->segment, old, true);
    fold->hidden += !was_hidden; /* for good */
    result = fold_show(fold, series);
    exemplars_show(fold, series, true);
    return result;
}

int fold_show(struct fold *fold, struct series *series) {
    int result = 0;
    bool is_there = series->shown;
    if (series->unnamed)
        return 0;
    if (series->shown && series->renewed)
        return show_anew(fold, series);
    if (!series->shown)
        result = add_to_segment(fold, series);
    if (result < 0)
        return result;
    if (series->safe.histogram)
        result =
            segment_set_histogram(fold->segment, series->position, series->safe.histogram, series->safe.updated_ns);
    else
        segment_set_value(fold->segment, series->position, series->safe.value, series->safe.updated_ns);
    fold_hide(fold, series, gauge_is_absent(series));
    exemplars_show(fold, series, !is_there);
    return result;
}

void fold_segment_fails(struct fold *fold, const char *why) {
    if (!fold->segment_said)
        diag_error("the metric segment in %s cannot be written: %s; totals are kept in the store, and it is tried "
                   "again each second",
                   fold->runtime_dir, why);
    fold->segment_said = true;
    segment_destroy(fold->segment);
    fold->segment = NULL;
}

static void make_segment(struct fold *fold) {
    struct error error;
    int result = segment_create(fold->runtime_dir, &fold->scheme, &fold->segment, &error);
    if (result < 0) {
        fold->segment = NULL;
        fold_segment_fails(fold, error.text);
        return;
    }
    fold->hidden = 0;
    SERIES_FOR_EACH(&fold->table, series) {
        series->shown = series->hidden = false;
        if (result == 0 && !series->stale && (series->defined || series->safe.updated_ns))
            result = fold_show(fold, series);
    }
    if (result < 0)
        error_set(&error, result, "%s", strerror(-result));
    else
        result = segment_publish(fold->segment, &error);
    if (result < 0) {
        fold_segment_fails(fold, error.text);
    } else if (fold->segment_said) {
        diag_info("the metric segment can be written again");
        fold->segment_said = false;
    }
}

void fold_settle(struct fold *fold) {
    int result = 0;
    gauges_settle(&fold->gauges);
    descriptions_settle(&fold->descriptions);
    for (size_t i = 0; i < fold->touched_count; i++) {
        fold_fetch_ahead(fold, i);
        series_settle(fold->touched[i]);
        if (fold->segment && result == 0)
            result = fold_show(fold, fold->touched[i]);
    }
    fold->touched_count = 0;
    fold->telling_count = 0;
    fold_pages_settle(fold);
    fold->put_all = false;
    fold->settled = true;
    names_settle(&fold->names);
    memcpy(fold->refused_safe, fold->refused, sizeof(fold->refused));
    if (result < 0)
        fold_segment_fails(fold, strerror(-result));
}

void fold_maintain(struct fold *fold, uint64_t now_ns, uint64_t last_commit_ns) {
    struct error error;
    fold_look_for_stale(fold, now_ns);
    if (fold->segment && segment_check(fold->segment, &error) < 0) {
        diag_error("%s: it is written anew from the store's totals", error.text);
        segment_destroy(fold->segment);
        fold->segment = NULL;
    }
    if (!fold->segment)
        make_segment(fold);
    if (fold->segment)
        segment_beat(fold->segment, now_ns, last_commit_ns);
}

void fold_rebuild_names(struct fold *fold) {
    struct error ignored;
    metric_families_finish(&fold->families);
    kinds_finish(&fold->kinds);
    SERIES_FOR_EACH(&fold->table, series)
    if (!series->unnamed)
        fold_add_family(fold, &series->definition, &ignored); /* as they stood there before */
    fold->names_gone = 0;
}

/* --- start --- */

void fold_set_limits(struct fold *fold, const struct fold_limits *limits) {
    fold->limits = *limits;
    shares_set_limit(&fold->shares, limits->max_series);
    shares_set_limit(&fold->stale, limits->max_series);
}

/* The state of a store that is new, or was damaged, holds no totals: those of the segment are better than none. */
static void adopt(struct fold *fold) {
    struct segment *segment;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct error error;
    if (segment_open(fold->runtime_dir, &segment, &error) < 0)
        return;
    size_t taken = 0;
    uint64_t after = 0;
    struct batch none = BATCH_EMPTY; /* says whether memory was left */
    while (segment_next(segment, after, &sample) == 1) {
        after = sample.position;
        struct series *series = fold_series(fold, &sample.definition, sample.created_ns, &none);
        if (!series)
            continue;
        taken++;
        series->adopted = true;
        series->safe.value = sample.value;
        series->safe.updated_ns = sample.updated_ns;
        if (!series->safe.histogram)
            continue;
        histogram_finish(series->safe.histogram);
        if (histogram_copy(&sample.histogram, series->safe.histogram) < 0)
            break;
    }
    segment_sample_finish(&sample);
    segment_close(segment);
    fold->adopted = fold->put_all = taken > 0;
    if (taken > 0)
        diag_warn(
            "the store holds no metric totals: those of %zu series are taken from the segment in %s; what was counted "
            "by handle since its last commit is not in them",
            taken, fold->runtime_dir);
}

int fold_init(struct fold *fold, const char *runtime_dir, const struct metric_scheme *scheme, struct state_map *state,
              struct error *error) {
    size_t bad = 0;
    *fold = (struct fold) { .state = state };
    snprintf(fold->runtime_dir, sizeof(fold->runtime_dir), "%s", runtime_dir);
    snprintf(fold->namespace_, sizeof(fold->namespace_), "%s", scheme->namespace_);
    snprintf(fold->gauge_suffix, sizeof(fold->gauge_suffix), "%s", scheme->gauge_suffix);
    fold->scheme = (struct metric_scheme) { fold->namespace_, fold->gauge_suffix };
    shares_init(&fold->shares, geteuid());
    shares_init(&fold->stale, geteuid());
    fold_set_limits(fold, &(struct fold_limits) { FOLD_SERIES_DEFAULT, FOLD_SERIES_OF_METRIC_DEFAULT, 0 });
    int result = random_bytes(&fold->table.seed, sizeof(fold->table.seed));
    if (result < 0)
        return error_set(error, result, "the kernel gives no random bytes");
    fold->memo.seed = ~fold->table.seed;
    if (fold_load(fold, &bad) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    if (bad > 0)
        diag_error("%zu metric series of the store make no sense and are left out", bad);
    SERIES_FOR_EACH(&fold->table, series) {
        struct error why;
        if (fold_know(fold, series, series->user) < 0)
            return error_set(error, -ENOMEM, "out of memory");
        shares_note(&fold->shares, series->share, 1,
                    series_bytes(&series->definition) + series_value_bytes(&series->safe));
        series->unnamed = fold_add_family(fold, &series->definition, &why) < 0;
        if (series->unnamed)
            diag_warn("metric %.*s is counted but not shown: %s", TEXT_FORMAT(series->definition.name), why.text);
    }
    if (descriptions_load(fold, &bad) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    if (fold->table.count == 0)
        adopt(fold);
    make_segment(fold);
    return 0;
}

void fold_finish(struct fold *fold) {
    fold_discard(fold);
    segment_destroy(fold->segment);
    gauges_finish(&fold->gauges);
    series_table_finish(&fold->table);
    descriptions_finish(&fold->descriptions); /* behind the series, which borrow of them */
    shares_finish(&fold->shares);
    shares_finish(&fold->stale);
    names_finish(&fold->names);
    fold_memo_finish(&fold->memo);
    fold_pages_finish(&fold->pages);
    free(fold->removed);
    metric_families_finish(&fold->families);
    kinds_finish(&fold->kinds);
    free(fold->touched);
    buffer_finish(&fold->scratch);
    *fold = (struct fold) { 0 };
}
