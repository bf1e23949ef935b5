/* slot_metrics.h - metrics by handle: definitions and cells in the metric area of a process's slot (layout.h draws it).
 *
 * An update is one relaxed atomic operation on a cell; the collector reads the cells at each flush and folds what they have
 * grown by. So nothing is ever dropped, a full ring loses no increment, and the totals of a killed process are still there.
 *
 *   counter            u64 total
 *   gauge, unknown     the value, and when it was set last (0: never)
 *   histogram, timer   sum, count of values of 0 and below, and for each octave in use a chunk of HISTOGRAM_BUCKETS counts
 *
 * Definitions and cells grow from the area's begin, chunks from its end; one word holds both marks. The area's pages are
 * allocated, and made zero, when the first metric is registered. Cells of counters and histograms only ever grow, and start
 * at zero with each claim of a slot. A gauge is the process's own; what several processes' come to is its rule's (metric.h).
 */
#ifndef TASKFORGE_COMMON_SHM_SLOT_METRICS_H
#define TASKFORGE_COMMON_SHM_SLOT_METRICS_H

#include "common/model/histogram.h"
#include "common/model/metric.h"
#include "common/shm/ring_reader.h"

/* The bits of a double that n is added to. */
static inline uint64_t add_to_bits(uint64_t bits, double n) {
    double sum;
    __builtin_memcpy(&sum, &bits, sizeof(sum));
    sum += n;
    __builtin_memcpy(&bits, &sum, sizeof(bits));
    return bits;
}

/* A double in shared or private memory, added to. */
static inline void atomic_add_double(_Atomic uint64_t *cell, double n) {
    uint64_t bits = atomic_load_explicit(cell, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(cell, &bits, add_to_bits(bits, n), memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* --- the producer --- */

/* Register a series in the slot: *ret_place says where its cell stands, in 8-byte words of the area: what the functions below
 * take. It is visible to the reader at once, with a cell of zeros. The definition is valid. The caller serialises.
 * -ENOSPC: no room in the area, or no memory for its pages; -EBADF: our descriptor is gone, so that none can be allocated. */
int slot_metric_add(struct ring *ring, const struct slot_claim *claim, const struct metric_definition *definition,
                    uint32_t *ret_place);

/* Updates: any thread, async-signal-safe, no lock (a chunk is taken, and a double is added to, by compare-and-swap). The slot is
 * ours for as long as they run; `place` belongs to a series of that kind. What others scribble into the area makes counts
 * wrong, never a stray access. */
uint64_t *slot_counter_cell(struct ring_slot *slot, uint32_t place); /* the counter itself */
void slot_counter_add(struct ring_slot *slot, uint32_t place, uint64_t n);
void slot_gauge_set(struct ring_slot *slot, uint32_t place, double value, uint64_t now_ns);
void slot_gauge_add(struct ring_slot *slot, uint32_t place, double n, uint64_t now_ns);
/* As if it had never been set: of a gauge with a rule, which is the process's elsewhere from now on. Sequentially consistent. */
void slot_gauge_leave(struct ring_slot *slot, uint32_t place);
/* An observation above 0 whose octave has its chunk, as often as `times`: true. Else nothing has happened, and slot_histogram_observe is to
 * be called. */
static inline bool slot_histogram_observe_known(struct ring_slot *slot, uint32_t place, double value, uint64_t times) {
    struct slot_histogram_cell *cell =
        (struct slot_histogram_cell *)(void *)((char *)slot + RING_SLOT_CLAIM_SIZE + (size_t)place * sizeof(uint64_t));
    unsigned octave, bucket;
    if (!histogram_quick(value, &octave, &bucket) || octave >= HISTOGRAM_OCTAVES)
        return false;
    /* acquire: pairs with who took the chunk. */
    uint16_t number = atomic_load_explicit(&cell->octaves[octave], memory_order_acquire);
    if (number == 0 || number > SLOT_METRIC_CHUNKS_MAX)
        return false;
    _Atomic uint64_t *counts =
        (_Atomic uint64_t *)(void *)((char *)slot + RING_SLOT_SIZE - (size_t)number * SLOT_METRIC_CHUNK_SIZE);
    /* The new sum is reckoned before the first locked operation, which all later loads have to wait for. */
    uint64_t bits = atomic_load_explicit(&cell->sum_bits, memory_order_relaxed), next = add_to_bits(bits, value * (double)times);
    atomic_fetch_add_explicit(&counts[bucket], times, memory_order_relaxed);
    if (!atomic_compare_exchange_strong_explicit(&cell->sum_bits, &bits, next, memory_order_relaxed,
                                                 memory_order_relaxed))
        atomic_add_double(&cell->sum_bits, value * (double)times);
    return true;
}

/* value is not NaN. -ENOSPC when its octave is new and no chunk is left: nothing was counted, send it by name. */
int slot_histogram_observe(struct ring_slot *slot, uint32_t place, double value);
int slot_histogram_observe_times(struct ring_slot *slot, uint32_t place, double value, uint64_t times);

/* Whether its octave has its chunk, or it needs none. */
bool slot_histogram_knows(struct ring_slot *slot, uint32_t place, double value);

/* Whether a series, and `more` bytes of the area, leave a half of the slot's series and of the area to others. */
bool slot_metrics_leave_half(struct ring_slot *slot, size_t more);

/* Move what was counted elsewhere in. The octave: -ENOSPC as above; `counts` are added, or nothing is. */
int slot_histogram_add_octave(struct ring_slot *slot, uint32_t place, unsigned octave,
                              const uint64_t counts[HISTOGRAM_BUCKETS]);
void slot_histogram_add_rest(struct ring_slot *slot, uint32_t place, uint64_t zero, double sum);

/* What the cell says now, for the process itself. */
uint64_t slot_counter_total(struct ring_slot *slot, uint32_t place);
double slot_gauge_value(struct ring_slot *slot, uint32_t place, uint64_t *ret_set_ns);
uint64_t slot_histogram_total(struct ring_slot *slot, uint32_t place, double *ret_sum); /* the count of all */

/* --- the reader (the collector) --- */

/* A private copy of the used part of a slot's area, checked; as of one moment for each cell, not for all: a histogram's sum may
 * be an observation ahead of its counts or behind. Begin with SLOT_METRICS_VIEW_EMPTY. */
struct slot_metrics_view {
    struct buffer bytes; /* laid out as the area is */
    uint32_t count;      /* series: numbered from 0, in the order of their registration */
    uint32_t chunks;
    uint32_t offsets[SLOT_METRICS_MAX]; /* of the series' heads */
};
#define SLOT_METRICS_VIEW_EMPTY ((struct slot_metrics_view) { .count = 0 })
void slot_metrics_view_finish(struct slot_metrics_view *view);

/* How many series the slot has now: one guarded load, to pass over slots without any. 0 also for one that makes no sense. */
uint32_t ring_reader_metric_count(struct ring *ring, uint32_t slot);
/* Copy and check: -EBADMSG for what makes no sense, -EFAULT, -ENOMEM. The view is used again. The slot is active or closed, and
 * stays so meanwhile (only the collector frees one with metrics). */
int ring_reader_metrics(struct ring *ring, uint32_t slot, struct slot_metrics_view *view);

/* The definition of one (metric < view->count); texts borrow the view. -EBADMSG when metric_definition_check refuses it. It never
 * changes while the slot has the same owner. */
int slot_metrics_definition(const struct slot_metrics_view *view, uint32_t metric, struct metric_definition *ret);

struct slot_metric_values {
    enum metric_kind kind; /* of the definition */
    uint64_t total;        /* counters */
    double value;          /* gauges: any double */
    uint64_t set_ns;       /* gauges: real; 0: never set */
    struct histogram
        histogram; /* histograms: the octaves borrow the view, never to be finished; the sum may be any double */
};
/* The values of one (metric < view->count). -EBADMSG for octaves without a chunk. */
int slot_metrics_values(const struct slot_metrics_view *view, uint32_t metric, struct slot_metric_values *ret);

#endif
