#include "exporter/exposition_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/id.h"

enum { CHUNK_LINES = 2000, PLACES_FIRST = 256 };

struct about_place {
    uint64_t position; /* 0: empty */
    uint32_t number;
};

struct fresh { /* a row that is not among the others yet */
    struct exposition_row row;
    const struct exposition_about *about;
    struct text labels; /* data is an offset into the arena until all have come */
    size_t before;      /* it goes in front of that of the old rows */
};

struct fresh_list {
    struct fresh *list;
    size_t count, capacity;
    struct buffer arena;
};

uint32_t exposition_order_hash(const struct exposition_order *order, struct text labels) {
    return (uint32_t)hash_bytes_seeded(labels.data ? labels.data : "", labels.length, order->seed);
}

void exposition_order_forget(struct exposition_order *order) {
    for (size_t i = 0; i < order->about_count; i++)
        free(order->abouts[i]);
    free(order->abouts);
    free(order->places);
    free(order->rows);
    free(order->runs);
    free(order->chunks);
    metric_families_finish(&order->families);
    segment_sample_finish(&order->sample);
    *order = (struct exposition_order) { 0 };
}

/* --- what series have in common --- */

static struct about_place *place_of(struct about_place *places, size_t capacity, uint64_t position) {
    size_t at = (position / 8 * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (capacity - 1);
    while (places[at].position != 0 && places[at].position != position)
        at = (at + 1) & (capacity - 1);
    return &places[at];
}

static int grow_places(struct exposition_order *order) {
    if (order->about_count < order->place_capacity / 2)
        return 0;
    size_t capacity = order->place_capacity ? order->place_capacity * 2 : PLACES_FIRST;
    struct about_place *grown = calloc(capacity, sizeof(*grown));
    struct exposition_about **abouts = reallocarray(order->abouts, capacity / 2, sizeof(struct exposition_about *));
    if (abouts)
        order->abouts = abouts;
    if (!grown || !abouts) {
        free(grown);
        return -ENOMEM;
    }
    for (size_t i = 0; i < order->place_capacity; i++)
        if (order->places[i].position != 0)
            *place_of(grown, capacity, order->places[i].position) = order->places[i];
    free(order->places);
    order->places = grown;
    order->place_capacity = capacity;
    return 0;
}

/* The number of what the sample has in common with others, noted where it is new. */
static int note_about(struct exposition_order *order, const struct segment_sample *sample, uint32_t *ret) {
    int result = grow_places(order);
    if (result < 0)
        return result;
    struct about_place *place = place_of(order->places, order->place_capacity, sample->about);
    if (place->position == 0) {
        result = metric_families_add(&order->families, sample->definition.kind, sample->family, NULL);
        struct exposition_about *about =
            result == -ENOMEM ? NULL : exposition_about_create(&sample->definition, sample->family);
        if (!about)
            return -ENOMEM;
        about->refused = result < 0;
        *place = (struct about_place) { sample->about, (uint32_t)order->about_count };
        order->abouts[order->about_count++] = about;
    }
    *ret = place->number;
    return 0;
}

/* --- what has come --- */

static int add_fresh(struct exposition_order *order, struct fresh_list *fresh) {
    const struct segment_sample *sample = &order->sample;
    uint32_t number;
    int result = note_about(order, sample, &number);
    order->last = sample->position;
    if (result < 0 || order->abouts[number]->refused)
        return result;
    if (fresh->count == fresh->capacity) {
        size_t capacity = fresh->capacity ? fresh->capacity * 2 : 256;
        struct fresh *grown = reallocarray(fresh->list, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        fresh->list = grown;
        fresh->capacity = capacity;
    }
    fresh->list[fresh->count++] = (struct fresh) {
        .row = { .place = (uint32_t)(sample->position / 8),
                 .hash = exposition_order_hash(order, sample->labels),
                 .about = number },
        .about = order->abouts[number],
        .labels = { (const char *)(uintptr_t)fresh->arena.length, sample->labels.length },
    };
    buffer_append_text(&fresh->arena, sample->labels);
    return fresh->arena.failed ? -ENOMEM : 0;
}

static int compare(const struct exposition_about *a, struct text a_labels, const struct exposition_about *b,
                   struct text b_labels) {
    int order = a == b ? 0 : text_compare(a->family, b->family);
    return order ? order : text_compare(a_labels, b_labels);
}

static int compare_fresh(const void *left, const void *right) {
    const struct fresh *a = left, *b = right;
    int order = compare(a->about, a->labels, b->about, b->labels);
    return order ? order : (a->row.place > b->row.place) - (a->row.place < b->row.place);
}

static int collect(struct exposition_order *order, struct segment *segment, struct fresh_list *fresh) {
    int result;
    while ((result = segment_next(segment, order->last, &order->sample)) == 1)
        if ((result = add_fresh(order, fresh)) < 0)
            return result;
    for (size_t i = 0; i < fresh->count; i++)
        fresh->list[i].labels.data = fresh->arena.data + (uintptr_t)fresh->list[i].labels.data;
    if (fresh->count > 0)
        qsort(fresh->list, fresh->count, sizeof(*fresh->list), compare_fresh);
    return result;
}

/* --- among those that are there --- */

struct place_call {
    const struct exposition_order *order;
    const struct segment *segment;
    struct fresh_list *fresh;
    char labels[METRIC_PRINTED_BYTES];
};

/* The fresh row against an old one, whose labels are copied from the segment. */
static int compare_old(struct place_call *call, const struct fresh *fresh, size_t number, int *ret) {
    const struct exposition_row *row = &call->order->rows[number];
    struct segment_look look;
    int result = segment_look(call->segment, (uint64_t)row->place * 8, &look);
    if (result < 0)
        return result;
    memcpy(call->labels, look.labels.data, look.labels.length);
    look.labels.data = call->labels;
    if (exposition_order_hash(call->order, look.labels) != row->hash)
        return -EBADMSG;
    *ret = compare(fresh->about, fresh->labels, call->order->abouts[row->about], look.labels);
    return 0;
}

/* Where the fresh ones go, behind equal old ones, which came first. */
static int find_places(void *argument) {
    struct place_call *call = argument;
    size_t from = 0;
    for (size_t i = 0; i < call->fresh->count; i++) {
        struct fresh *fresh = &call->fresh->list[i];
        size_t low = from, high = call->order->row_count;
        int order = 0, result;
        while (low < high) {
            size_t here = low + (high - low) / 2;
            if ((result = compare_old(call, fresh, here, &order)) < 0)
                return result;
            if (order >= 0)
                low = here + 1;
            else
                high = here;
        }
        if (low > 0 && (result = compare_old(call, fresh, low - 1, &order)) < 0)
            return result;
        fresh->before = from = low;
        fresh->row.again = (low > 0 && order == 0) ||
                           (i > 0 && compare(fresh[-1].about, fresh[-1].labels, fresh->about, fresh->labels) == 0);
    }
    return 0;
}

static int merge(struct exposition_order *order, struct segment *segment, struct fresh_list *fresh) {
    struct place_call call = { .order = order, .segment = segment, .fresh = fresh };
    int result = segment_scan_guard(segment, find_places, &call);
    if (result < 0)
        return result;
    size_t count = order->row_count + fresh->count, to = count, old = order->row_count;
    struct exposition_row *rows = reallocarray(order->rows, count, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    order->rows = rows;
    for (size_t i = fresh->count; i-- > 0;) { /* from behind, in place */
        size_t moved = old - fresh->list[i].before;
        memmove(&rows[to - moved], &rows[old - moved], moved * sizeof(*rows));
        to -= moved + 1;
        old -= moved;
        rows[to] = fresh->list[i].row;
    }
    order->row_count = count;
    return 0;
}

/* --- families, and portions of them --- */

static size_t lines_of(const struct exposition_about *about) {
    return metric_kind_is_histogram(about->kind) ? about->bound_count + 3 : 1;
}

static const struct exposition_about *about_of(const struct exposition_order *order, size_t row) {
    return order->abouts[order->rows[row].about];
}

static bool begins_family(const struct exposition_order *order, size_t row) {
    return row == 0 || (order->rows[row].about != order->rows[row - 1].about &&
                        !text_equal(about_of(order, row)->family, about_of(order, row - 1)->family));
}

static void describe_run(const struct exposition_order *order, struct exposition_run *run) {
    uint32_t help_place = UINT32_MAX, unit_place = UINT32_MAX;
    for (size_t i = run->first; i < run->end; i++) {
        const struct exposition_row *row = &order->rows[i];
        if (order->abouts[row->about]->help.length > 0 && row->place < help_place) {
            help_place = row->place;
            run->help = row->about;
        }
        if (order->abouts[row->about]->unit.length > 0 && row->place < unit_place) {
            unit_place = row->place;
            run->unit = row->about;
        }
    }
}

static size_t count_runs(const struct exposition_order *order) {
    size_t count = 0;
    for (size_t i = 0; i < order->row_count; i++)
        count += begins_family(order, i);
    return count;
}

static int make_runs(struct exposition_order *order) {
    size_t count = count_runs(order), at = 0;
    struct exposition_run *runs = reallocarray(order->runs, count, sizeof(*runs));
    if (!runs)
        return -ENOMEM;
    order->runs = runs;
    for (size_t i = 0; i < order->row_count; i++)
        if (begins_family(order, i))
            runs[at++] =
                (struct exposition_run) { .first = (uint32_t)i, .help = EXPOSITION_NONE, .unit = EXPOSITION_NONE };
    for (size_t i = 0; i < count; i++) {
        runs[i].end = i + 1 < count ? runs[i + 1].first : (uint32_t)order->row_count;
        describe_run(order, &runs[i]);
    }
    order->run_count = count;
    return 0;
}

/* Chunks of some lines each. Rows of the same labels stay together. */
static int make_chunks(struct exposition_order *order) {
    size_t lines = 0, run = 0;
    order->chunk_count = order->line_count = 0;
    for (size_t i = 0; i < order->row_count; i++)
        order->line_count += lines_of(about_of(order, i));
    size_t most = order->line_count / CHUNK_LINES * 2 + 2;
    struct exposition_chunk *chunks = reallocarray(order->chunks, most, sizeof(*chunks));
    if (!chunks)
        return -ENOMEM;
    order->chunks = chunks;
    for (size_t i = 0; i < order->row_count; i++) {
        run += run + 1 < order->run_count && i == order->runs[run + 1].first;
        if (i == 0 || (lines >= CHUNK_LINES && !order->rows[i].again)) {
            chunks[order->chunk_count++] = (struct exposition_chunk) { .first = (uint32_t)i, .run = (uint32_t)run };
            order->runs[run].split |= i != order->runs[run].first;
            lines = 0;
        }
        chunks[order->chunk_count - 1].end = (uint32_t)i + 1;
        lines += lines_of(about_of(order, i));
    }
    return 0;
}

int exposition_order_update(struct exposition_order *order, struct segment *segment) {
    struct segment_info info;
    struct fresh_list fresh = { 0 };
    if (!segment_scan_fits(segment))
        return -EPROTO;
    int result = segment_info_get(segment, &info);
    if (result == 0 && memcmp(info.id, order->id, sizeof(info.id)) != 0) {
        exposition_order_forget(order);
        result = random_bytes(&order->seed, sizeof(order->seed));
        memcpy(order->id, info.id, sizeof(info.id));
    }
    if (result == 0)
        result = collect(order, segment, &fresh);
    if (result == 0 && fresh.count > 0) {
        result = merge(order, segment, &fresh);
        if (result == 0)
            result = make_runs(order);
        if (result == 0)
            result = make_chunks(order);
    }
    free(fresh.list);
    buffer_finish(&fresh.arena);
    return result;
}
