/* ledger.c - counting losses (ring.h). */
#include "common/base/check.h"
#include "common/shm/fault.h"
#include "common/shm/ring.h"

static const char *const names[LOSS_REASON_COUNT] = {
    [LOSS_LANE_FULL] = "lane_full", [LOSS_LANES_BUSY] = "lanes_busy", [LOSS_NO_RING] = "no_ring",
    [LOSS_INPUT] = "input",         [LOSS_QUOTA] = "quota",           [LOSS_RATE] = "rate_limited",
    [LOSS_REPEAT] = "repeated",     [LOSS_SAMPLED] = "sampled",
};

const char *loss_reason_name(enum loss_reason reason) {
    check((unsigned)reason < LOSS_REASON_COUNT);
    return names[reason];
}

void loss_count(struct loss_ledger *ledger, enum loss_reason reason, enum level level, uint64_t count,
                uint64_t now_ns) {
    check((unsigned)reason < LOSS_REASON_COUNT && (unsigned)level < LEVEL_COUNT);
    struct loss_cell *cell = &ledger->cells[reason][level];
    uint64_t none = atomic_load_explicit(&cell->first_ns, memory_order_relaxed);
    /* relaxed: the times are for people; the release on the count makes them visible to who acquires that count. Counts
     * of several threads are one release sequence: who acquires the last one has the times of all. */
    if (none == 0)
        atomic_compare_exchange_strong_explicit(&cell->first_ns, &none, now_ns, memory_order_relaxed,
                                                memory_order_relaxed);
    atomic_store_explicit(&cell->last_ns, now_ns, memory_order_relaxed);
    fault_point(loss_timed);
    atomic_fetch_add_explicit(&cell->count, count, memory_order_release);
    fault_point(loss_counted);
}
