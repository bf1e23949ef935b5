#include "collector/exemplars.h"

#include <stdlib.h>

#include "common/base/check.h"

struct exemplar_place {
    struct metric_exemplar exemplar;
    bool is_new; /* not in the segment yet */
};

struct series_exemplars {
    unsigned count;
    struct exemplar_place places[];
};

static size_t size_of(size_t count) {
    return sizeof(struct series_exemplars) + count * sizeof(struct exemplar_place);
}

/* The series' room for one of each bucket, its user's share of it taken: here and in the segment. NULL: there is none. */
static struct series_exemplars *room_of(struct fold *fold, struct series *series) {
    struct error error;
    size_t count = metric_exemplar_count(series->definition.kind, series->definition.bounds);
    if (series->exemplars || count == 0)
        return series->exemplars;
    if (shares_take(&fold->shares, series->share, 0, 2 * size_of(count), &error) < 0)
        return NULL;
    series->exemplars = calloc(1, size_of(count));
    if (series->exemplars)
        series->exemplars->count = (unsigned)count;
    else
        shares_give(&fold->shares, series->share, 0, 2 * size_of(count));
    return series->exemplars;
}

void exemplars_drop(struct fold *fold, struct series *series) {
    if (series->exemplars)
        shares_give(&fold->shares, series->share, 0, 2 * size_of(series->exemplars->count));
    free(series->exemplars);
    series->exemplars = NULL;
}

static unsigned bucket_of(const struct metric_definition *definition, double value) {
    double own[METRIC_BOUNDS_MAX];
    const double *bounds;
    unsigned bucket = 0;
    if (!metric_kind_is_histogram(definition->kind))
        return 0;
    size_t count = metric_classic_bounds(definition->kind, definition->bounds, own, &bounds);
    while (bucket < count && value > bounds[bucket])
        bucket++;
    return bucket;
}

void exemplar_note(struct fold *fold, struct series *series, double value, struct text trace_id, uint64_t time_ns) {
    struct metric_exemplar exemplar = { .value = value, .time_ns = time_ns, .length = (uint8_t)trace_id.length };
    if (trace_id.length == 0 || trace_id.length > METRIC_TRACE_ID_BYTES)
        return;
    memcpy(exemplar.trace_id, trace_id.data, trace_id.length);
    struct series_exemplars *exemplars = metric_exemplar_is_valid(&exemplar) ? room_of(fold, series) : NULL;
    unsigned bucket = bucket_of(&series->definition, value);
    if (!exemplars || bucket >= exemplars->count)
        return;
    struct exemplar_place *place = &exemplars->places[bucket];
    if (place->exemplar.length > 0 && place->exemplar.time_ns > time_ns && place->exemplar.time_ns <= fold->now_ns)
        return; /* what we have is newer, and not from a clock that was set back */
    *place = (struct exemplar_place) { exemplar, true };
}

void exemplars_show(struct fold *fold, struct series *series, bool all) {
    struct series_exemplars *exemplars = series->exemplars;
    for (unsigned i = 0; exemplars && i < exemplars->count; i++) {
        struct exemplar_place *place = &exemplars->places[i];
        if (place->exemplar.length == 0 || (!place->is_new && !all))
            continue;
        segment_set_exemplar(fold->segment, series->position, i, &place->exemplar);
        place->is_new = false;
    }
}
