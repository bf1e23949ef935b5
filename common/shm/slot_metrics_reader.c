/* slot_metrics_reader.c - the reader's half of slot_metrics.h: copied under the guard, then checked at leisure. */
#include "common/shm/slot_metrics.h"

#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/shm/geometry.h"

enum { WORD = sizeof(uint64_t) };

void slot_metrics_view_finish(struct slot_metrics_view *view) {
    buffer_finish(&view->bytes);
    *view = SLOT_METRICS_VIEW_EMPTY;
}

/* --- copying --- */

struct area_access {
    struct ring_slot *slot;
    struct slot_metrics_view *view;
    uint32_t count;
};

/* acquire: whoever sees that many sees them whole. */
static int look_at_count(void *argument) {
    struct area_access *access = argument;
    access->count = atomic_load_explicit(&access->slot->metric_count, memory_order_acquire);
    return 0;
}

uint32_t ring_reader_metric_count(struct ring *ring, uint32_t slot) {
    struct area_access access = { .slot = ring_slot_at(ring, slot) };
    if (map_guarded(look_at_count, &access) < 0 || access.count > SLOT_METRICS_MAX)
        return 0;
    return access.count;
}

/* The words [at, at + size) of the area, in order; each an acquire, so that a chunk's number is seen before the marks that hold it,
 * and a gauge's time before its value. */
static void copy_area(const struct area_access *access, size_t at, size_t size) {
    const uint64_t *from = (const uint64_t *)(const void *)((const char *)access->slot + RING_SLOT_CLAIM_SIZE + at);
    uint64_t *to = (uint64_t *)(void *)(access->view->bytes.data + at);
    for (size_t i = 0; i < size / WORD; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
}

/* Only published series are copied, never one that is being written. Sizes are taken from the copy. */
static int copy_series(struct area_access *access, size_t *ret_end) {
    struct slot_metrics_view *view = access->view;
    size_t at = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        struct slot_metric head;
        if (RING_SLOT_METRICS_SIZE - at < sizeof(head))
            return -EBADMSG;
        copy_area(access, at, sizeof(head));
        memcpy(&head, view->bytes.data + at, sizeof(head));
        if (head.size % WORD != 0 || head.size < sizeof(head) || head.size > RING_SLOT_METRICS_SIZE - at)
            return -EBADMSG;
        copy_area(access, at + sizeof(head), head.size - sizeof(head));
        view->offsets[i] = (uint32_t)at;
        at += head.size;
    }
    *ret_end = at;
    return 0;
}

static int copy_all(void *argument) {
    struct area_access *access = argument;
    struct slot_metrics_view *view = access->view;
    size_t end;
    look_at_count(access);
    if (access->count > SLOT_METRICS_MAX)
        return -EBADMSG;
    view->count = access->count;
    int result = copy_series(access, &end);
    if (result < 0)
        return result;
    uint64_t chunks = atomic_load_explicit(&access->slot->metric_marks, memory_order_acquire) >> 32;
    if (chunks > (RING_SLOT_METRICS_SIZE - end) / SLOT_METRIC_CHUNK_SIZE)
        return -EBADMSG;
    view->chunks = (uint32_t)chunks;
    size_t size = chunks * SLOT_METRIC_CHUNK_SIZE;
    copy_area(access, RING_SLOT_METRICS_SIZE - size, size);
    return 0;
}

/* --- checking the copy --- */

static const struct slot_metric *head_of(const struct slot_metrics_view *view, uint32_t metric) {
    check(metric < view->count);
    return (const struct slot_metric *)(const void *)(view->bytes.data + view->offsets[metric]);
}

static size_t cell_size(unsigned kind) {
    if (metric_kind_is_histogram((enum metric_kind)kind))
        return sizeof(struct slot_histogram_cell);
    return kind == METRIC_COUNTER ? sizeof(uint64_t) : sizeof(struct slot_gauge_cell);
}

static unsigned naming_of(const struct slot_metric *head) {
    return head->naming & ((1U << SLOT_METRIC_COMBINE_SHIFT) - 1);
}

static bool head_is_sound(const struct slot_metric *head) {
    if (!metric_kind_is_valid(head->kind) || naming_of(head) >= METRIC_NAMING_END)
        return false;
    size_t used = sizeof(*head) + cell_size(head->kind) + head->name_length + head->labels_length + head->unit_length +
                  head->help_length + head->bounds_length;
    return used <= head->size && head->size - used < WORD;
}

int ring_reader_metrics(struct ring *ring, uint32_t slot, struct slot_metrics_view *view) {
    struct area_access access = { .slot = ring_slot_at(ring, slot), .view = view };
    view->count = view->chunks = 0;
    buffer_clear(&view->bytes);
    if (!buffer_reserve(&view->bytes, RING_SLOT_METRICS_SIZE))
        return -ENOMEM;
    view->bytes.length = RING_SLOT_METRICS_SIZE;
    int result = map_guarded(copy_all, &access);
    for (uint32_t i = 0; i < view->count && result == 0; i++)
        if (!head_is_sound(head_of(view, i)))
            result = -EBADMSG;
    if (result < 0)
        view->count = 0;
    return result;
}

/* --- reading the copy --- */

static struct text take_text(const char **at, size_t length) {
    struct text text = { *at, length };
    *at += length;
    return text;
}

int slot_metrics_definition(const struct slot_metrics_view *view, uint32_t metric, struct metric_definition *ret) {
    const struct slot_metric *head = head_of(view, metric);
    const char *at = (const char *)(head + 1) + cell_size(head->kind);
    struct metric_definition definition = { .kind = (enum metric_kind)head->kind,
                                            .naming = (enum metric_naming)naming_of(head),
                                            .combine = head->naming >> SLOT_METRIC_COMBINE_SHIFT };
    definition.name = take_text(&at, head->name_length);
    definition.labels = take_text(&at, head->labels_length);
    definition.unit = take_text(&at, head->unit_length);
    definition.help = take_text(&at, head->help_length);
    definition.bounds = take_text(&at, head->bounds_length);
    if (metric_definition_check(&definition, NULL) < 0)
        return -EBADMSG;
    *ret = definition;
    return 0;
}

static int histogram_values(const struct slot_metrics_view *view, const char *bytes, struct histogram *ret) {
    struct slot_histogram_cell cell;
    *ret = HISTOGRAM_EMPTY;
    memcpy(&cell, bytes, sizeof(cell));
    uint64_t sum_bits = cell.sum_bits;
    memcpy(&ret->sum, &sum_bits, sizeof(ret->sum));
    ret->zero = cell.zero;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        size_t number = cell.octaves[octave];
        if (number > view->chunks)
            return -EBADMSG;
        if (number > 0)
            ret->octaves[octave] =
                (uint64_t *)(void *)(view->bytes.data + RING_SLOT_METRICS_SIZE - number * SLOT_METRIC_CHUNK_SIZE);
    }
    return 0;
}

int slot_metrics_values(const struct slot_metrics_view *view, uint32_t metric, struct slot_metric_values *ret) {
    const struct slot_metric *head = head_of(view, metric);
    const char *cell = (const char *)(head + 1);
    *ret = (struct slot_metric_values) { .kind = (enum metric_kind)head->kind };
    if (metric_kind_is_histogram(ret->kind))
        return histogram_values(view, cell, &ret->histogram);
    if (ret->kind == METRIC_COUNTER) {
        memcpy(&ret->total, cell, sizeof(ret->total));
        return 0;
    }
    memcpy(&ret->set_ns, cell, sizeof(ret->set_ns));
    memcpy(&ret->value, cell + sizeof(ret->set_ns), sizeof(ret->value));
    return 0;
}
