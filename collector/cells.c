#include "collector/cells.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/state_keys.h"

/* One cell: what it was folded up to, safe and in the batch. */
struct cell {
    bool known;            /* `series` was looked for */
    struct series *series; /* NULL: refused */
    enum metric_kind kind;
    uint64_t safe, coming;                               /* counters: total; gauges: when it was set */
    struct histogram *safe_histogram, *coming_histogram; /* of histograms: owned, both there */
    double value;                                        /* gauges: as it was folded last */
    struct gauge_part *part;                             /* of a gauge with a rule: owned */
    bool touched;
    bool adopted; /* `safe` was taken from where the cell stands, and is not in the state yet */
};

struct cells {
    uint32_t count;
    struct cell *items;
};

static void cell_finish(struct cell *cell) {
    for (int which = 0; which < 2; which++) {
        struct histogram *histogram = which ? cell->coming_histogram : cell->safe_histogram;
        if (histogram)
            histogram_finish(histogram);
        free(histogram);
    }
    if (cell->part)
        gauge_part_leave(cell->part);
    free(cell->part);
    if (cell->known && cell->series)
        cell->series->handles--;
}

void cells_destroy(struct cells *cells) {
    for (uint32_t i = 0; cells && i < cells->count; i++)
        cell_finish(&cells->items[i]);
    if (cells)
        free(cells->items);
    free(cells);
}

/* Room for `count` cells. */
static bool cells_reserve(struct slot *slot, uint32_t count) {
    if (!slot->cells)
        slot->cells = calloc(1, sizeof(*slot->cells));
    if (!slot->cells || slot->cells->count >= count)
        return slot->cells != NULL;
    struct cell *items = realloc(slot->cells->items, count * sizeof(*items));
    if (!items)
        return false;
    memset(items + slot->cells->count, 0, (count - slot->cells->count) * sizeof(*items));
    slot->cells->items = items;
    slot->cells->count = count;
    return true;
}

static void cell_key(struct state_key *key, const uint8_t producer_id[16], uint32_t number) {
    state_key_cells(key, producer_id);
    for (int i = 0; i < 4; i++)
        key->bytes[key->length++] = (char)(number >> (8 * i) & 0xff);
}

/* --- what is known of a cell --- */

/* How far it was folded by an earlier run. */
static void cell_resume(struct rings *rings, const struct slot *slot, uint32_t number, struct cell *cell) {
    struct state_key key;
    struct text value;
    cell_key(&key, slot->info.producer_id, number);
    if (!state_map_get(rings->state, state_key_text(&key), &value))
        return;
    if (metric_kind_is_histogram(cell->kind))
        histogram_decode(value, cell->safe_histogram); /* what makes no sense counts as nothing folded */
    else if (value.length == 8)
        cell->safe = state_u64_get(value.data);
}

/* Totals came from the segment: what stands in the cells now was counted in them. */
static int cell_adopt(struct cell *cell, const struct slot_metric_values *values) {
    cell->safe = cell->kind == METRIC_COUNTER ? values->total : values->set_ns;
    cell->adopted = true;
    if (!metric_kind_is_histogram(cell->kind))
        return 0;
    histogram_finish(cell->safe_histogram);
    return histogram_copy(&values->histogram, cell->safe_histogram);
}

static bool cell_make_room(struct fold *fold, struct cell *cell) {
    if (cell->series && cell->series->definition.combine != METRIC_COMBINE_LAST) {
        if (!cell->part)
            cell->part = calloc(1, sizeof(*cell->part));
        return cell->part && gauges_know(&fold->gauges, cell->series);
    }
    if (!metric_kind_is_histogram(cell->kind))
        return true;
    if (!cell->safe_histogram)
        cell->safe_histogram = calloc(1, sizeof(*cell->safe_histogram));
    if (!cell->coming_histogram)
        cell->coming_histogram = calloc(1, sizeof(*cell->coming_histogram));
    return cell->safe_histogram && cell->coming_histogram;
}

static bool cell_learn(struct fold *fold, struct rings *rings, struct slot *slot, const struct slot_metrics_view *view,
                       uint32_t number, uint64_t now_ns, struct batch *batch) {
    struct cell *cell = &slot->cells->items[number];
    struct metric_definition definition;
    struct slot_metric_values values;
    if (cell->known)
        return cell->series != NULL;
    if (slot_metrics_definition(view, number, &definition) < 0) {
        cell->known = true;
        return false;
    }
    cell->kind = definition.kind;
    cell->series = fold_series(fold, &definition, now_ns, batch);
    if (cell->series && description_is_news(cell->series, &definition))
        fold_describe(fold, &definition, batch);
    batch->failed |= !cell_make_room(fold, cell);
    if (batch->failed)
        return false;
    cell->known = true;
    if (cell->series)
        cell->series->handles++; /* it is not stale as long as the process lives */
    if (cell->part)
        return true;
    cell_resume(rings, slot, number, cell);
    if (cell->series && cell->series->adopted && slot->was_there && slot_metrics_values(view, number, &values) == 0 &&
        cell_adopt(cell, &values) < 0)
        batch->failed = true;
    return cell->series != NULL && !batch->failed;
}

/* --- folding --- */

static bool histogram_has_grown(const struct histogram *now, const struct histogram *before) {
    if (now->zero > before->zero || memcmp(&now->sum, &before->sum, sizeof(now->sum)) != 0)
        return true; /* an observation's sum may come behind its count */
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; now->octaves[o] && b < HISTOGRAM_BUCKETS; b++)
            if (now->octaves[o][b] > (before->octaves[o] ? before->octaves[o][b] : 0))
                return true;
    return false;
}

static bool cell_has_grown(const struct cell *cell, const struct slot_metric_values *values) {
    if (metric_kind_is_histogram(cell->kind))
        return histogram_has_grown(&values->histogram, cell->safe_histogram);
    return cell->kind == METRIC_COUNTER ? values->total > cell->safe
                                        : values->set_ns != cell->safe; /* the clock may have been set back */
}

static int histogram_grow(struct fold *fold, struct series *series, const struct histogram *now,
                          const struct histogram *before, uint64_t now_ns, struct batch *batch) {
    struct histogram *total = series->coming.histogram;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++) {
        uint64_t grown[HISTOGRAM_BUCKETS];
        bool any = false;
        for (unsigned b = 0; now->octaves[o] && b < HISTOGRAM_BUCKETS; b++) {
            uint64_t was = before->octaves[o] ? before->octaves[o][b] : 0;
            grown[b] = now->octaves[o][b] > was ? now->octaves[o][b] - was : 0;
            any |= grown[b] > 0;
        }
        struct series *to = any ? fold_octave_series(fold, series, o, batch) : NULL;
        if (!to)
            continue; /* without room they are refused, once and for all */
        to->coming.updated_ns = now_ns;
        int result = histogram_add_octave(to->coming.histogram, o, grown);
        if (result < 0)
            return result;
    }
    total->zero += now->zero > before->zero ? now->zero - before->zero : 0;
    fold_sum(&total->sum, now->sum - before->sum);
    return 0;
}

static int cell_fold(struct fold *fold, struct cell *cell, const struct slot_metric_values *values, uint64_t now_ns,
                     struct batch *batch) {
    struct series_value *coming = &cell->series->coming;
    int result = 0;
    if (metric_kind_is_histogram(cell->kind)) {
        result = histogram_copy(&values->histogram, cell->coming_histogram);
        if (result == 0)
            result = histogram_grow(fold, cell->series, &values->histogram, cell->safe_histogram, now_ns, batch);
        coming->updated_ns = now_ns;
    } else if (cell->kind == METRIC_COUNTER) {
        cell->coming = values->total;
        coming->value += (double)(values->total - cell->safe);
        coming->updated_ns = now_ns;
    } else {
        cell->coming = values->set_ns;
        cell->value = values->value;
        fold_set(coming, values->value, values->set_ns, now_ns); /* of several processes the last one's holds */
    }
    cell->touched = true;
    return result;
}

static void cell_put(struct fold *fold, const struct slot *slot, uint32_t number, const struct cell *cell,
                     struct batch *batch) {
    struct state_key key;
    cell_key(&key, slot->info.producer_id, number);
    if (!metric_kind_is_histogram(cell->kind)) {
        batch_put_u64(batch, state_key_text(&key), cell->coming);
        return;
    }
    buffer_clear(&fold->scratch);
    histogram_encode(cell->coming_histogram, &fold->scratch);
    batch_put(batch, state_key_text(&key), buffer_text(&fold->scratch));
    batch->failed |= fold->scratch.failed;
    fold->scratch.failed = false;
}

/* The view of a slot with room for its cells; false when there is nothing to read. */
static bool slot_view(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    if (!slot->known || ring->phase == RING_BROKEN || ring_reader_metric_count(&ring->ring, index) == 0)
        return false;
    return ring_reader_metrics(&ring->ring, index, &rings->cells_view) == 0 && rings_slot_is_same(ring, index) &&
           cells_reserve(slot, rings->cells_view.count);
}

/* --- gauges with a rule --- */

/* Who has ended is none of the living, and who was in a ring that is set aside is in another one by now. */
static bool slot_is_living(const struct collector_ring *ring, const struct slot *slot) {
    return slot->known && !slot->ending && ring->phase != RING_BROKEN;
}

static bool part_has_changed(const struct cell *cell, const struct slot_metric_values *values, bool living) {
    bool counts = living && values->set_ns > 0;
    return counts != gauge_part_counts(cell->part) ||
           (counts && (values->set_ns != cell->safe || memcmp(&values->value, &cell->value, sizeof(cell->value)) != 0));
}

/* Nothing of it waits for the batch's fate: its group does (gauges.h). */
static void part_gather(struct cell *cell, const struct slot_metric_values *values, bool living) {
    if (!part_has_changed(cell, values, living))
        return;
    cell->safe = values->set_ns;
    cell->value = values->value;
    if (living && values->set_ns > 0)
        gauge_part_set(cell->part, cell->series, values->value, values->set_ns);
    else
        gauge_part_leave(cell->part);
}

/* The parts of a slot whose cells are not read any more. */
static void parts_leave(const struct slot *slot) {
    for (uint32_t i = 0; slot->cells && i < slot->cells->count; i++)
        if (slot->cells->items[i].part)
            gauge_part_leave(slot->cells->items[i].part);
}

/* --- a slot --- */

/* Counters and histograms are shown from their registration on, at zero. */
static bool is_to_be_shown(const struct cell *cell) {
    return !cell->series->defined && (cell->kind == METRIC_COUNTER || metric_kind_is_histogram(cell->kind));
}

static void slot_gather(struct fold *fold, struct rings *rings, struct collector_ring *ring, uint32_t index,
                        uint64_t now_ns, struct batch *batch) {
    struct slot *slot = &ring->slots[index];
    struct slot_metrics_view *view = &rings->cells_view;
    bool living = slot_is_living(ring, slot);
    if (!slot_view(rings, ring, index)) {
        if (!living)
            parts_leave(slot);
        return;
    }
    fold->user = ring->uid;
    for (uint32_t i = 0; i < view->count && !batch->failed; i++) {
        struct cell *cell = &slot->cells->items[i];
        struct slot_metric_values values;
        if (!cell_learn(fold, rings, slot, view, i, now_ns, batch) || slot_metrics_values(view, i, &values) < 0)
            continue;
        if (cell->part) {
            part_gather(cell, &values, living);
            continue;
        }
        bool grown = cell->adopted || cell_has_grown(cell, &values);
        if ((!grown && !is_to_be_shown(cell)) || !fold_touch(fold, cell->series, batch) || !grown)
            continue;
        if (cell_fold(fold, cell, &values, now_ns, batch) < 0)
            batch->failed = true;
        else
            cell_put(fold, slot, i, cell, batch);
        slot->is_folding = true;
    }
}

void cells_gather(struct fold *fold, struct rings *rings, uint64_t now_ns, struct batch *batch) {
    for (size_t r = 0; r < rings->count; r++)
        for (uint32_t i = 0; i < rings->items[r]->slots_used; i++) {
            slot_gather(fold, rings, rings->items[r], i, now_ns, batch);
            rings->items[r]->slots[i].was_there &= batch->failed; /* what is registered from now on begins at 0 */
        }
    gauges_gather(fold, now_ns, batch);
}

/* The batch's fate for every cell it touched. */
static void cells_end(struct collector_ring *ring, bool safe) {
    for (uint32_t s = 0; s < ring->slots_used; s++) {
        struct slot *slot = &ring->slots[s];
        for (uint32_t i = 0; slot->is_folding && i < slot->cells->count; i++) {
            struct cell *cell = &slot->cells->items[i];
            if (!cell->touched)
                continue;
            cell->touched = false;
            struct histogram *kept = safe ? cell->coming_histogram : cell->safe_histogram;
            struct histogram *dropped = safe ? cell->safe_histogram : cell->coming_histogram;
            if (dropped)
                histogram_finish(dropped);
            cell->safe_histogram = kept;
            cell->coming_histogram = dropped;
            if (safe) {
                cell->safe = cell->coming;
                cell->adopted = false;
            }
        }
        slot->is_folding = false;
    }
}

void cells_settle(struct collector_ring *ring) {
    cells_end(ring, true);
}

void cells_discard(struct collector_ring *ring) {
    cells_end(ring, false);
}

/* A gauge that is only set again to what it was makes no commit of its own each second: on an idle host all of them would. */
static bool is_only_set_again(const struct cell *cell, const struct slot_metric_values *values) {
    bool number = cell->kind == METRIC_GAUGE || cell->kind == METRIC_UNKNOWN;
    return number && cell->safe && values->set_ns - cell->safe < SELF_NS &&
           memcmp(&values->value, &cell->value, sizeof(cell->value)) == 0;
}

static bool cell_is_waiting(const struct cell *cell, const struct slot_metric_values *values, bool any) {
    return cell_has_grown(cell, values) && (any || !is_only_set_again(cell, values));
}

static bool part_is_waiting(const struct cell *cell, const struct slot_metric_values *values, bool living, bool any) {
    bool leaves_or_comes = (living && values->set_ns > 0) != gauge_part_counts(cell->part);
    return part_has_changed(cell, values, living) && (any || leaves_or_comes || !is_only_set_again(cell, values));
}

static bool slot_is_unfolded(struct rings *rings, struct collector_ring *ring, uint32_t index, bool any) {
    const struct slot *slot = &ring->slots[index];
    if (!slot_view(rings, ring, index))
        return false;
    for (uint32_t i = 0; i < rings->cells_view.count; i++) {
        const struct cell *cell = &slot->cells->items[i];
        struct slot_metric_values values;
        if (cell->known && !cell->series)
            continue; /* refused */
        if (slot_metrics_values(&rings->cells_view, i, &values) < 0)
            continue;
        if (!cell->known || (cell->part ? part_is_waiting(cell, &values, slot_is_living(ring, slot), any)
                                        : cell_is_waiting(cell, &values, any)))
            return true;
    }
    return false;
}

bool cells_are_unfolded(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    return slot_is_unfolded(rings, ring, index, true);
}

bool cells_are_waiting(struct rings *rings) {
    for (size_t r = 0; r < rings->count; r++)
        for (uint32_t i = 0; i < rings->items[r]->slots_used; i++)
            if (slot_is_unfolded(rings, rings->items[r], i, false))
                return true;
    return false;
}
