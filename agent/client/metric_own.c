/* metric_own.c - see metrics.h: what a handle counted outside of any slot, and its way on.
 *
 * The order of an addition is: count, octave's bit, sum, then `has_pending`. Who moves clears in the opposite order, so what is
 * added meanwhile is either taken or announced again.
 */
#include "agent/client/metrics.h"

#include <errno.h>
#include <sys/mman.h>

enum { OCTAVES_SIZE = HISTOGRAM_OCTAVES * HISTOGRAM_BUCKETS * (int)sizeof(uint64_t), WORD_BITS = 64 };

/* 2^(-1/64): a bucket's lower bound to its upper. */
#define BUCKET_RATIO 0x1.fa7c1819e90d8p-1

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

int own_cell_init(struct own_cell *cell, enum metric_kind kind) {
    *cell = (struct own_cell) { .octaves = NULL };
    if (!metric_kind_is_histogram(kind))
        return 0;
    void *pages = mmap(NULL, OCTAVES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return -ENOMEM;
    cell->octaves = pages;
    return 0;
}

void own_cell_finish(struct own_cell *cell) {
    if (cell->octaves)
        check(munmap((void *)cell->octaves, OCTAVES_SIZE) == 0);
}

void own_cell_clear(struct own_cell *cell) {
    void *octaves = (void *)cell->octaves;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        if (cell->used[o / WORD_BITS] >> (o % WORD_BITS) & 1)
            memset((void *)cell->octaves[o], 0, sizeof(cell->octaves[o]));
    *cell = (struct own_cell) { .octaves = octaves };
}

/* --- counting here --- */

static void announce(struct tf_metric *metric) {
    atomic_store(&metric->has_pending, true);
    metric_quick_close(metric); /* so that a call comes by that moves it on */
}

static void mark_octave(struct own_cell *own, unsigned octave) {
    atomic_fetch_or(&own->used[octave / WORD_BITS], UINT64_C(1) << (octave % WORD_BITS));
}

void own_counter_add(struct tf_metric *metric, uint64_t n) {
    atomic_fetch_add(&metric->own.count, n);
    announce(metric);
}

void own_gauge_set(struct tf_metric *metric, double value, uint64_t now_ns) {
    atomic_store(&metric->own.sum_bits, bits_of(0));
    atomic_store(&metric->own.bits, bits_of(value));
    atomic_store(&metric->own.set_ns, now_ns);
    announce(metric);
}

void own_gauge_keep(struct tf_metric *metric, double value, uint64_t set_ns) {
    atomic_store(&metric->own.bits, bits_of(value));
    atomic_store(&metric->own.set_ns, set_ns);
}

void own_gauge_add(struct tf_metric *metric, double n) {
    atomic_add_double(&metric->own.sum_bits, n);
    announce(metric);
}

void own_histogram_observe(struct tf_metric *metric, double value, uint64_t times) {
    struct own_cell *own = &metric->own;
    unsigned octave, bucket;
    if (histogram_place(value, &octave, &bucket)) {
        atomic_fetch_add(&own->octaves[octave][bucket], times);
        mark_octave(own, octave);
    } else {
        atomic_fetch_add(&own->count, times);
    }
    atomic_add_double(&own->sum_bits, value * (double)times);
    announce(metric);
}

static bool octave_is_used(const struct own_cell *own, unsigned octave) {
    return atomic_load(&own->used[octave / WORD_BITS]) >> (octave % WORD_BITS) & 1;
}

uint64_t own_histogram_count(const struct tf_metric *metric) {
    const struct own_cell *own = &metric->own;
    uint64_t count = atomic_load(&own->count);
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; octave_is_used(own, o) && b < HISTOGRAM_BUCKETS; b++)
            count += atomic_load(&own->octaves[o][b]);
    return count;
}

double own_gauge_value(const struct tf_metric *metric) {
    return double_of(atomic_load(&metric->own.bits)) + double_of(atomic_load(&metric->own.sum_bits));
}

/* --- into a slot --- */

/* One value stands for a bucket's observations, scaled so that their sum comes out as it was: every value was above its bucket's lower
 * bound, so the scaled one is too. (Values below 0 are only in the sum: with them it is the nearest that fits.) */
static double bucket_scale(const struct own_cell *own) {
    double upper = 0;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; octave_is_used(own, o) && b < HISTOGRAM_BUCKETS; b++)
            upper += (double)atomic_load(&own->octaves[o][b]) * histogram_upper(o, b);
    double scale = double_of(atomic_load(&own->sum_bits)) / upper;
    if (!(scale < 1)) /* NaN too */
        return 1;
    return scale > BUCKET_RATIO ? scale : BUCKET_RATIO * (1 + 0x1p-50); /* not on the lower bound itself */
}

/* One octave; false when the slot has no chunk for it. *sum: what its values come to. */
static bool move_octave(struct own_cell *own, unsigned octave, double scale, struct ring_slot *slot, uint32_t place,
                        double *sum) {
    uint64_t counts[HISTOGRAM_BUCKETS];
    atomic_fetch_and(&own->used[octave / WORD_BITS], ~(UINT64_C(1) << (octave % WORD_BITS)));
    *sum = 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        counts[b] = atomic_exchange(&own->octaves[octave][b], 0);
        if (counts[b] > 0)
            *sum += (double)counts[b] * histogram_upper(octave, b) * scale;
    }
    if (slot_histogram_add_octave(slot, place, octave, counts) == 0)
        return true;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        atomic_fetch_add(&own->octaves[octave][b], counts[b]);
    mark_octave(own, octave);
    return false;
}

static bool move_histogram(struct own_cell *own, struct ring_slot *slot, uint32_t place) {
    double scale = bucket_scale(own), moved = 0, part;
    bool left = false;
    uint64_t zero = atomic_exchange(&own->count, 0);
    double sum = double_of(atomic_exchange(&own->sum_bits, bits_of(0)));
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++) {
        if (!octave_is_used(own, o))
            continue;
        if (move_octave(own, o, scale, slot, place, &part))
            moved += part;
        else
            left = true;
    }
    slot_histogram_add_rest(slot, place, zero, left ? moved : sum);
    if (left)
        atomic_add_double(&own->sum_bits, sum - moved);
    return left;
}

static void move_gauge(struct own_cell *own, struct ring_slot *slot, uint32_t place) {
    uint64_t slot_set_ns, set_ns = atomic_load(&own->set_ns);
    slot_gauge_value(slot, place, &slot_set_ns);
    if (set_ns > slot_set_ns)
        slot_gauge_set(slot, place, double_of(atomic_load(&own->bits)), set_ns);
    double more = double_of(atomic_exchange(&own->sum_bits, bits_of(0)));
    if (more != 0)
        slot_gauge_add(slot, place, more, clock_real_ns());
}

bool own_move(struct tf_metric *metric, struct ring_slot *slot, uint32_t place) {
    atomic_exchange(&metric->has_pending, false);
    if (metric_kind_is_histogram(metric->definition.kind))
        return move_histogram(&metric->own, slot, place);
    if (metric->definition.kind == METRIC_COUNTER)
        slot_counter_add(slot, place, atomic_exchange(&metric->own.count, 0));
    else
        move_gauge(&metric->own, slot, place);
    return false;
}

/* --- by name, where the slot has no room --- */

static int send(struct call *call, struct tf_metric *metric, const struct record_metric_update *what) {
    const struct metric_definition *definition = &metric->definition;
    struct record record = { .kind = RECORD_METRIC_UPDATE,
                             .metric_update = { .metric_kind = (uint8_t)definition->kind,
                                                .naming = (uint8_t)definition->naming,
                                                .operation = what->operation,
                                                .value = what->value,
                                                .name = definition->name,
                                                .labels = definition->labels,
                                                .unit = definition->unit,
                                                .help = definition->help,
                                                .trace_id = what->trace_id,
                                                .times = what->times } };
    struct put put = { .other = &record, .level = METRIC_LEVEL, .time_ns = clock_real_ns() };
    return put_once(call, metric->client, thread_lane_find(call, metric->client), &put);
}

int metric_send(struct call *call, struct tf_metric *metric, enum metric_operation operation, double value,
                struct text trace_id) {
    return send(
        call, metric,
        &(struct record_metric_update) { .operation = (uint8_t)operation, .value = value, .trace_id = trace_id });
}

int metric_send_times(struct call *call, struct tf_metric *metric, double value, uint32_t times) {
    return send(call, metric,
                &(struct record_metric_update) { .operation = METRIC_ADD, .value = value, .times = times });
}

/* `count` observations of one value: how many found room. */
static uint64_t send_observations(struct call *call, struct tf_metric *metric, double value, uint64_t count,
                                  unsigned *budget) {
    uint64_t sent = 0;
    while (sent<count && * budget> 0) {
        uint32_t times = count - sent < UINT32_MAX ? (uint32_t)(count - sent) : UINT32_MAX;
        if (metric_send_times(call, metric, value, times) < 0)
            break;
        sent += times;
        --*budget;
        atomic_add_double(&metric->own.sum_bits, -value * times);
        atomic_fetch_add(&metric->left_count, times);
        atomic_add_double(&metric->left_sum_bits, value * times);
    }
    return sent;
}

static bool send_bucket(struct call *call, struct tf_metric *metric, _Atomic uint64_t *bucket, double value,
                        unsigned *budget) {
    uint64_t count = atomic_exchange(bucket, 0), sent = send_observations(call, metric, value, count, budget);
    atomic_fetch_add(bucket, count - sent);
    return sent < count;
}

static bool send_histogram(struct call *call, struct tf_metric *metric) {
    struct own_cell *own = &metric->own;
    unsigned budget = METRIC_SENT_AT_A_TIME;
    double scale = bucket_scale(own);
    bool left = send_bucket(call, metric, &own->count, 0, &budget);
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++) {
        if (!octave_is_used(own, o))
            continue;
        bool octave_left = false;
        atomic_fetch_and(&own->used[o / WORD_BITS], ~(UINT64_C(1) << (o % WORD_BITS)));
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            if (atomic_load(&own->octaves[o][b]) > 0)
                octave_left |= send_bucket(call, metric, &own->octaves[o][b], histogram_upper(o, b) * scale, &budget);
        if (octave_left)
            mark_octave(own, o);
        left |= octave_left;
    }
    return left;
}

static bool send_counter(struct call *call, struct tf_metric *metric) {
    uint64_t total = atomic_exchange(&metric->own.count, 0);
    if (total == 0)
        return false;
    if (metric_send(call, metric, METRIC_ADD, (double)total, TEXT_EMPTY) < 0) {
        atomic_fetch_add(&metric->own.count, total);
        return true;
    }
    atomic_fetch_add(&metric->left_count, total);
    return false;
}

static bool send_gauge(struct call *call, struct tf_metric *metric) {
    double more = double_of(atomic_exchange(&metric->own.sum_bits, bits_of(0)));
    atomic_add_double(&metric->own.bits, more);
    return metric_send(call, metric, METRIC_SET, double_of(atomic_load(&metric->own.bits)), TEXT_EMPTY) < 0;
}

bool own_send(struct call *call, struct tf_metric *metric) {
    if (metric_has_rule(metric))
        return true; /* it waits for a slot with room */
    atomic_exchange(&metric->has_pending, false);
    if (metric_kind_is_histogram(metric->definition.kind))
        return send_histogram(call, metric);
    return metric->definition.kind == METRIC_COUNTER ? send_counter(call, metric) : send_gauge(call, metric);
}
