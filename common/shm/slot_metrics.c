/* slot_metrics.c - the producer's half of slot_metrics.h. */
#include "common/shm/slot_metrics.h"

#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/shm/fault.h"

enum { WORD = sizeof(uint64_t) };

static char *area_of(struct ring_slot *slot) {
    return (char *)slot + RING_SLOT_CLAIM_SIZE;
}

static void *cell_at(struct ring_slot *slot, uint32_t place) {
    return area_of(slot) + (size_t)place * WORD;
}

/* --- room; the marks are checked at each look, since others can write to the file --- */

static uint32_t bottom_of(uint64_t marks) {
    return (uint32_t)marks;
}

static uint32_t chunks_of(uint64_t marks) {
    return (uint32_t)(marks >> 32);
}

static bool marks_fit(uint64_t bottom, uint64_t chunks) {
    return bottom % WORD == 0 && bottom + chunks * SLOT_METRIC_CHUNK_SIZE <= RING_SLOT_METRICS_SIZE;
}

static bool swap_marks(struct ring_slot *slot, uint64_t *expected, uint64_t bottom, uint64_t chunks) {
    return atomic_compare_exchange_weak_explicit(&slot->metric_marks, expected, chunks << 32 | bottom,
                                                 memory_order_acq_rel, memory_order_relaxed);
}

/* `size` bytes at the bottom: their offset, or -ENOSPC. */
static int64_t take_bottom(struct ring_slot *slot, uint32_t size) {
    uint64_t marks = atomic_load_explicit(&slot->metric_marks, memory_order_relaxed);
    do {
        if (!marks_fit((uint64_t)bottom_of(marks) + size, chunks_of(marks)))
            return -ENOSPC;
    } while (!swap_marks(slot, &marks, bottom_of(marks) + (uint64_t)size, chunks_of(marks)));
    return bottom_of(marks);
}

/* One chunk, still all zero: its number, or -ENOSPC. */
static int take_chunk(struct ring_slot *slot) {
    uint64_t marks = atomic_load_explicit(&slot->metric_marks, memory_order_relaxed);
    do {
        if (!marks_fit(bottom_of(marks), (uint64_t)chunks_of(marks) + 1))
            return -ENOSPC;
    } while (!swap_marks(slot, &marks, bottom_of(marks), chunks_of(marks) + UINT64_C(1)));
    return (int)chunks_of(marks);
}

/* Another thread gave the octave its chunk meanwhile: ours goes back, unless one was taken behind it (then it stays unused). */
static void give_chunk(struct ring_slot *slot, int chunk) {
    uint64_t marks = atomic_load_explicit(&slot->metric_marks, memory_order_relaxed);
    while (chunks_of(marks) == (uint32_t)chunk + 1)
        if (swap_marks(slot, &marks, bottom_of(marks), (uint64_t)chunk))
            return;
}

bool slot_metrics_leave_half(struct ring_slot *slot, size_t more) {
    uint64_t marks = atomic_load_explicit(&slot->metric_marks, memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&slot->metric_count, memory_order_relaxed);
    uint64_t used = bottom_of(marks) + (uint64_t)chunks_of(marks) * SLOT_METRIC_CHUNK_SIZE;
    if (count == 0) /* of a claim that has no series yet: the marks are the last owner's */
        used = 0;
    return count < SLOT_METRICS_MAX / 2 && used + more <= RING_SLOT_METRICS_SIZE / 2;
}

/* --- registering --- */

static uint32_t cell_size(enum metric_kind kind) {
    if (metric_kind_is_histogram(kind))
        return sizeof(struct slot_histogram_cell);
    return kind == METRIC_COUNTER ? sizeof(uint64_t) : sizeof(struct slot_gauge_cell);
}

/* The area's pages, for the first metric of a claim. What an earlier owner of the slot left there goes: nothing points to it. */
static int area_begin(struct ring *ring, const struct slot_claim *claim) {
    uint64_t at = ring->slots_at + (uint64_t)claim->index * RING_SLOT_SIZE + RING_SLOT_CLAIM_SIZE;
    int result = ring_slot_allocate(ring, claim->slot, SLOT_PAGES_METRICS, at, RING_SLOT_METRICS_SIZE);
    if (result < 0)
        return result == -EBADF ? result : -ENOSPC;
    memset(area_of(claim->slot), 0, RING_SLOT_METRICS_SIZE);
    fault_point(area_cleared);
    atomic_store_explicit(&claim->slot->metric_marks, 0, memory_order_relaxed);
    return 0;
}

static char *put_text(char *at, struct text text) {
    if (text.length > 0)
        memcpy(at, text.data, text.length);
    return at + text.length;
}

int slot_metric_add(struct ring *ring, const struct slot_claim *claim, const struct metric_definition *definition,
                    uint32_t *ret_place) {
    struct ring_slot *slot = claim->slot;
    uint32_t count = atomic_load_explicit(&slot->metric_count, memory_order_relaxed),
             cell = cell_size(definition->kind);
    static_assert(sizeof(struct slot_histogram_cell) % WORD == 0, "every cell is whole words");
    if (count >= SLOT_METRICS_MAX)
        return -ENOSPC;
    if (count == 0) {
        int result = area_begin(ring, claim);
        if (result < 0)
            return result;
    }
    size_t texts = definition->name.length + definition->labels.length + definition->unit.length +
                   definition->help.length + definition->bounds.length;
    struct slot_metric head = {
        .size = (uint32_t)((sizeof(head) + cell + texts + WORD - 1) / WORD * WORD),
        .kind = (uint8_t)definition->kind,
        .naming = (uint8_t)((unsigned)definition->naming | (unsigned)definition->combine << SLOT_METRIC_COMBINE_SHIFT),
        .name_length = (uint16_t)definition->name.length,
        .labels_length = (uint16_t)definition->labels.length,
        .unit_length = (uint16_t)definition->unit.length,
        .help_length = (uint16_t)definition->help.length,
        .bounds_length = (uint16_t)definition->bounds.length,
    };
    int64_t at = take_bottom(slot, head.size);
    if (at < 0)
        return (int)at;
    fault_point(metric_room);
    char *to = area_of(slot) + at;
    memset(to, 0, head.size); /* a chunk that was given back may have stood here */
    memcpy(to, &head, sizeof(head));
    to = put_text(to + sizeof(head) + cell, definition->name);
    to = put_text(to, definition->labels);
    to = put_text(to, definition->unit);
    to = put_text(to, definition->help);
    put_text(to, definition->bounds);
    fault_point(metric_written);
    /* release: the series is there before the reader can see that there is one more. */
    atomic_store_explicit(&slot->metric_count, count + 1, memory_order_release);
    fault_point(metric_added);
    *ret_place = (uint32_t)((uint64_t)at + sizeof(head)) / WORD;
    return 0;
}

/* --- updates --- */

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

uint64_t *slot_counter_cell(struct ring_slot *slot, uint32_t place) {
    return cell_at(slot, place);
}

void slot_counter_add(struct ring_slot *slot, uint32_t place, uint64_t n) {
    _Atomic uint64_t *total = cell_at(slot, place);
    atomic_fetch_add_explicit(total, n, memory_order_relaxed);
    fault_point(counter_added);
}

void slot_gauge_set(struct ring_slot *slot, uint32_t place, double value, uint64_t now_ns) {
    struct slot_gauge_cell *cell = cell_at(slot, place);
    atomic_store_explicit(&cell->bits, bits_of(value), memory_order_relaxed);
    fault_point(gauge_valued);
    atomic_store_explicit(&cell->set_ns, now_ns, memory_order_release); /* as the struct says */
}

void slot_gauge_add(struct ring_slot *slot, uint32_t place, double n, uint64_t now_ns) {
    struct slot_gauge_cell *cell = cell_at(slot, place);
    atomic_add_double(&cell->bits, n);
    atomic_store_explicit(&cell->set_ns, now_ns, memory_order_release);
}

/* The counts of an octave, with a chunk taken for them where they have none; NULL when none is left. */
static _Atomic uint64_t *octave_counts(struct ring_slot *slot, struct slot_histogram_cell *cell, unsigned octave) {
    uint16_t number = atomic_load_explicit(&cell->octaves[octave], memory_order_acquire);
    if (unlikely(number == 0)) {
        int chunk = take_chunk(slot);
        if (chunk < 0)
            return NULL;
        fault_point(chunk_taken);
        /* release: whoever sees the number sees marks that hold the chunk. */
        if (atomic_compare_exchange_strong_explicit(&cell->octaves[octave], &number, (uint16_t)(chunk + 1),
                                                    memory_order_acq_rel, memory_order_acquire))
            number = (uint16_t)(chunk + 1);
        else
            give_chunk(slot, chunk);
        fault_point(chunk_placed);
    }
    if (unlikely(number > SLOT_METRIC_CHUNKS_MAX)) /* scribbled on */
        return NULL;
    return (_Atomic uint64_t *)(void *)((char *)slot + RING_SLOT_SIZE - (size_t)number * SLOT_METRIC_CHUNK_SIZE);
}

int slot_histogram_observe_times(struct ring_slot *slot, uint32_t place, double value, uint64_t times) {
    struct slot_histogram_cell *cell = cell_at(slot, place);
    if (slot_histogram_observe_known(slot, place, value, times))
        return 0;
    unsigned octave, bucket;
    if (!histogram_place(value, &octave, &bucket)) {
        atomic_fetch_add_explicit(&cell->zero, times, memory_order_relaxed);
    } else {
        _Atomic uint64_t *counts = octave_counts(slot, cell, octave);
        if (unlikely(!counts))
            return -ENOSPC;
        atomic_fetch_add_explicit(&counts[bucket], times, memory_order_relaxed);
    }
    fault_point(histogram_counted);
    atomic_add_double(&cell->sum_bits, value * (double)times);
    return 0;
}

int slot_histogram_observe(struct ring_slot *slot, uint32_t place, double value) {
    return slot_histogram_observe_times(slot, place, value, 1);
}

bool slot_histogram_knows(struct ring_slot *slot, uint32_t place, double value) {
    const struct slot_histogram_cell *cell = cell_at(slot, place);
    unsigned octave, bucket;
    return !histogram_place(value, &octave, &bucket) ||
           atomic_load_explicit(&cell->octaves[octave], memory_order_relaxed) != 0;
}

int slot_histogram_add_octave(struct ring_slot *slot, uint32_t place, unsigned octave,
                              const uint64_t counts[HISTOGRAM_BUCKETS]) {
    check(octave < HISTOGRAM_OCTAVES);
    _Atomic uint64_t *own = octave_counts(slot, cell_at(slot, place), octave);
    if (!own)
        return -ENOSPC;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        if (counts[b] > 0)
            atomic_fetch_add_explicit(&own[b], counts[b], memory_order_relaxed);
    return 0;
}

void slot_histogram_add_rest(struct ring_slot *slot, uint32_t place, uint64_t zero, double sum) {
    struct slot_histogram_cell *cell = cell_at(slot, place);
    atomic_fetch_add_explicit(&cell->zero, zero, memory_order_relaxed);
    atomic_add_double(&cell->sum_bits, sum);
}

/* --- what the process itself sees --- */

uint64_t slot_counter_total(struct ring_slot *slot, uint32_t place) {
    _Atomic uint64_t *total = cell_at(slot, place);
    return atomic_load_explicit(total, memory_order_relaxed);
}

void slot_gauge_leave(struct ring_slot *slot, uint32_t place) {
    struct slot_gauge_cell *cell = cell_at(slot, place);
    atomic_store(&cell->set_ns, 0);
}

double slot_gauge_value(struct ring_slot *slot, uint32_t place, uint64_t *ret_set_ns) {
    struct slot_gauge_cell *cell = cell_at(slot, place);
    *ret_set_ns = atomic_load_explicit(&cell->set_ns, memory_order_acquire);
    return double_of(atomic_load_explicit(&cell->bits, memory_order_relaxed));
}

uint64_t slot_histogram_total(struct ring_slot *slot, uint32_t place, double *ret_sum) {
    struct slot_histogram_cell *cell = cell_at(slot, place);
    uint64_t count = atomic_load_explicit(&cell->zero, memory_order_relaxed);
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        if (atomic_load_explicit(&cell->octaves[octave], memory_order_relaxed) == 0)
            continue;
        _Atomic uint64_t *counts = octave_counts(slot, cell, octave);
        for (unsigned b = 0; counts && b < HISTOGRAM_BUCKETS; b++)
            count += atomic_load_explicit(&counts[b], memory_order_relaxed);
    }
    *ret_sum = double_of(atomic_load_explicit(&cell->sum_bits, memory_order_relaxed));
    return count;
}
