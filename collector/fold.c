#include "collector/fold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/exemplars.h"
#include "collector/limits.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/store/state_keys.h"

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

void fold_refuse(struct fold *fold, enum fold_refusal why, struct text name, const struct error *error) {
    fold->refused[why]++;
    if (fold->telling_count == FOLD_TELLINGS_MAX || !is_news(fold, name))
        return;
    snprintf(fold->tellings[fold->telling_count++], ERROR_TEXT_SIZE, "metric %.*s is refused: %.*s",
             (int)(name.length < METRIC_NAME_BYTES ? name.length : METRIC_NAME_BYTES), name.data, ERROR_TEXT_SIZE / 2,
             error->text);
}

/* --- series --- */

static struct text family_of(const struct fold *fold, const struct metric_definition *definition,
                             char out[METRIC_FAMILY_BYTES]) {
    size_t length = metric_family(&fold->scheme, definition->kind, definition->naming, definition->name, out);
    return (struct text) { out, length };
}

/* Take the name, the application's and that on /metrics. */
static int add_family(struct fold *fold, const struct metric_definition *definition, struct error *error) {
    char family[METRIC_FAMILY_BYTES];
    int result = kinds_check(&fold->kinds, definition, error);
    if (result == 0)
        result = metric_families_add(&fold->families, definition->kind, family_of(fold, definition, family), error);
    if (result == 0)
        result = kinds_add(&fold->kinds, definition, error);
    return result;
}

struct series *fold_series(struct fold *fold, const struct metric_definition *given, uint64_t now_ns,
                           struct batch *batch) {
    struct metric_definition bare = *given;
    const struct metric_definition *definition = &bare;
    struct error error;
    if (metric_kind_is_valid(given->kind))
        bare.name = metric_name_bare(given->kind, given->name);
    struct series *series = series_find(&fold->table, definition);
    if (series && unlikely(series->definition.combine != definition->combine)) {
        metric_kinds_agree(definition->name, definition->kind, (enum metric_combine)series->definition.combine,
                           definition->kind, (enum metric_combine)definition->combine, &error);
        fold_refuse(fold, FOLD_REFUSED_COLLISION, definition->name, &error);
        return NULL;
    }
    if (series)
        return series;
    if (metric_definition_check(definition, &error) < 0) {
        fold_refuse(fold, FOLD_REFUSED_INVALID, definition->name, &error);
        return NULL;
    }
    int share = shares_of(&fold->shares, fold->user), result = share < 0 ? share : 0;
    if (result == 0)
        result = shares_take(&fold->shares, share, 1, series_bytes(definition), &error);
    if (result == 0) {
        result = add_family(fold, definition, &error);
        series = result == 0 ? series_add(&fold->table, definition, 0, now_ns) : NULL;
        if (!series)
            shares_give(&fold->shares, share, 1, series_bytes(definition));
    }
    if (result == -EEXIST || result == -ENOSPC) {
        fold_refuse(fold, result == -EEXIST ? FOLD_REFUSED_COLLISION : FOLD_REFUSED_LIMIT, definition->name, &error);
    } else if (!series) {
        batch->failed = true;
    } else {
        series->user = fold->user;
        series->share = share;
        batch->failed |= !gauges_know(&fold->gauges, series);
    }
    return series;
}

bool fold_octave_room(struct fold *fold, struct series *series, unsigned octave) {
    struct error error;
    if (series->coming.histogram.octaves[octave])
        return true;
    if (shares_take(&fold->shares, series->share, 0, SERIES_OCTAVE_BYTES, &error) < 0) {
        fold_refuse(fold, FOLD_REFUSED_LIMIT, series->definition.name, &error);
        return false;
    }
    series->coming_bytes += SERIES_OCTAVE_BYTES;
    return true;
}

int fold_judge(struct fold *fold, enum metric_kind kind, enum metric_naming naming, struct text name,
               struct error *error) {
    struct metric_definition definition = { .kind = kind, .naming = naming, .name = metric_name_bare(kind, name) };
    int result = metric_definition_check(&definition, error);
    char family[METRIC_FAMILY_BYTES];
    if (result == 0)
        result = kinds_check(&fold->kinds, &definition, error);
    if (result == 0)
        result = metric_families_check(&fold->families, kind, family_of(fold, &definition, family), error);
    return result < 0 ? result : 0;
}

bool fold_touch(struct fold *fold, struct series *series, struct batch *batch) {
    if (series->touched)
        return true;
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
    if (series_begin(series) < 0) {
        batch->failed = true;
        return false;
    }
    fold->touched[fold->touched_count++] = series;
    return true;
}

/* --- the batch's end --- */

static void put_series(struct fold *fold, struct series *series, struct batch *batch) {
    struct state_key key;
    if (!series->defined) {
        buffer_clear(&fold->scratch);
        series_encode_definition(series, &fold->scratch);
        series_key(&key, STATE_METRIC, series->id);
        batch_put(batch, state_key_text(&key), buffer_text(&fold->scratch));
        series->defining = true;
    }
    buffer_clear(&fold->scratch);
    series_encode_value(&series->coming, series->definition.kind, &fold->scratch);
    series_key(&key, STATE_VALUE, series->id);
    batch_put(batch, state_key_text(&key), buffer_text(&fold->scratch));
    batch->failed |= fold->scratch.failed;
    fold->scratch.failed = false;
}

void fold_put(struct fold *fold, struct batch *batch) {
    if (fold->put_all) {
        SERIES_FOR_EACH(&fold->table, series)
        if (!batch->failed)
            fold_touch(fold, series, batch);
    }
    for (size_t i = 0; i < fold->touched_count && !batch->failed; i++)
        put_series(fold, fold->touched[i], batch);
}

void fold_discard(struct fold *fold) {
    for (size_t i = 0; i < fold->touched_count; i++) {
        shares_give(&fold->shares, fold->touched[i]->share, 0, fold->touched[i]->coming_bytes);
        series_drop(fold->touched[i]);
    }
    fold->touched_count = 0;
    memcpy(fold->refused, fold->refused_safe, sizeof(fold->refused));
}

/* --- the segment --- */

static int show(struct fold *fold, struct series *series) {
    int result = 0;
    bool is_there = series->shown;
    if (series->unnamed)
        return 0;
    if (!series->shown) {
        char family[METRIC_FAMILY_BYTES];
        result = segment_add(fold->segment, &series->definition, family_of(fold, &series->definition, family),
                             series->created_ns, &series->position);
        series->shown = result == 0;
    }
    if (result < 0)
        return result;
    if (metric_kind_is_histogram(series->definition.kind)) {
        result =
            segment_set_histogram(fold->segment, series->position, &series->safe.histogram, series->safe.updated_ns);
        exemplars_show(fold, series, !is_there);
        return result;
    }
    segment_set_value(fold->segment, series->position, series->safe.value, series->safe.updated_ns);
    segment_set_hidden(fold->segment, series->position, gauge_is_absent(series));
    exemplars_show(fold, series, !is_there);
    return 0;
}

static void segment_fails(struct fold *fold, const char *why) {
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
        segment_fails(fold, error.text);
        return;
    }
    SERIES_FOR_EACH(&fold->table, series) {
        series->shown = false;
        if (result == 0 && (series->defined || series->safe.updated_ns))
            result = show(fold, series);
    }
    if (result < 0)
        error_set(&error, result, "%s", strerror(-result));
    else
        result = segment_publish(fold->segment, &error);
    if (result < 0) {
        segment_fails(fold, error.text);
    } else if (fold->segment_said) {
        diag_info("the metric segment can be written again");
        fold->segment_said = false;
    }
}

void fold_settle(struct fold *fold) {
    int result = 0;
    gauges_settle(&fold->gauges);
    for (size_t i = 0; i < fold->touched_count; i++)
        series_settle(fold->touched[i]);
    for (size_t i = 0; i < fold->touched_count && fold->segment && result == 0; i++)
        result = show(fold, fold->touched[i]);
    fold->touched_count = 0;
    fold->telling_count = 0;
    fold->put_all = false;
    memcpy(fold->refused_safe, fold->refused, sizeof(fold->refused));
    if (result < 0)
        segment_fails(fold, strerror(-result));
}

void fold_maintain(struct fold *fold, uint64_t now_ns, uint64_t last_commit_ns) {
    struct error error;
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

/* --- start --- */

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
        series->adopted = true;
        series->safe.value = sample.value;
        series->safe.updated_ns = sample.updated_ns;
        histogram_finish(&series->safe.histogram);
        if (metric_kind_is_histogram(sample.definition.kind) &&
            histogram_copy(&sample.histogram, &series->safe.histogram) < 0)
            break;
        taken++;
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
    int result = random_bytes(&fold->table.seed, sizeof(fold->table.seed));
    if (result < 0)
        return error_set(error, result, "the kernel gives no random bytes");
    if (series_load(&fold->table, state, &bad) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    if (bad > 0)
        diag_error("%zu metric series of the store make no sense and are left out", bad);
    SERIES_FOR_EACH(&fold->table, series) {
        struct error why;
        series->share = shares_of(&fold->shares, series->user);
        if (series->share < 0)
            return error_set(error, -ENOMEM, "out of memory");
        shares_note(&fold->shares, series->share, 1,
                    series_bytes(&series->definition) + series_value_bytes(&series->safe));
        series->unnamed = add_family(fold, &series->definition, &why) < 0;
        if (!gauges_know(&fold->gauges, series))
            return error_set(error, -ENOMEM, "out of memory");
        if (series->unnamed)
            diag_warn("metric %.*s is counted but not shown: %s", TEXT_FORMAT(series->definition.name), why.text);
    }
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
    shares_finish(&fold->shares);
    metric_families_finish(&fold->families);
    kinds_finish(&fold->kinds);
    free(fold->touched);
    buffer_finish(&fold->scratch);
    *fold = (struct fold) { 0 };
}
