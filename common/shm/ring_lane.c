/* ring_lane.c - private and overflow lanes, from the producer's side (ring.h). */
#include <errno.h>

#include "common/base/check.h"
#include "common/shm/fault.h"
#include "common/shm/geometry.h"
#include "common/shm/liveness.h"
#include "common/shm/ring_reader.h"

enum { LANES_FEW = 2, LANES_MANY = 8 }; /* of one process, see has_its_share */

/* Swap the owner word. acq_rel: what the last owner did with the lane comes before all we do; ours before the next
 * one's. relaxed where it fails: then the lane is not touched. */
static bool swap_owner(struct lane_header *header, uint64_t expected, uint64_t next) {
    return atomic_compare_exchange_strong_explicit(&header->owner, &expected, next, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static bool is_allocated(const struct lane_header *header) {
    /* relaxed: pages once allocated stay; who set it had the lane before us. */
    return atomic_load_explicit(&header->allocated, memory_order_relaxed) == 1;
}

/* The lane is ours by its owner word: give it its pages and begin to write. */
static int begin(struct ring *ring, uint32_t lane, struct lane_header *header, bool overwrites,
                 struct lane_writer *ret) {
    uint64_t size = ring_lane_size(ring, lane), at = ring_lane_data_at(ring, lane);
    if (!is_allocated(header)) {
        int result = ring_allocate(ring, at, size, ring_kept_for_slots(ring));
        if (result < 0)
            return result;
        fault_point(lane_allocated);
        /* relaxed: whoever owns the lane next acquires the owner word. Dead before it was stored: allocated again, no
         * harm. */
        atomic_store_explicit(&header->allocated, 1, memory_order_relaxed);
    }
    return lane_writer_init(ret, header, ring->map.base + at, size, overwrites);
}

/* --- private lanes --- */

/* A lane that an earlier thread of this slot released. */
static int take_released(struct ring *ring, uint64_t own, bool recorder, struct lane_writer *ret, uint32_t *ret_lane) {
    for (uint32_t lane = ring->overflow_count; lane < ring->lane_count; lane++) {
        struct lane_header *header = ring_lane_header(ring, lane);
        /* relaxed: a guess that the swap proves; what the thread before us wrote comes by the swap's acquire. */
        uint64_t owner = atomic_load_explicit(&header->owner, memory_order_relaxed);
        if (!(owner & LANE_OWNER_RELEASED) || lane_owner_identity(owner) != lane_owner_identity(own) ||
            recorder != !!(owner & LANE_OWNER_RECORDER))
            continue;
        uint64_t taken = lane_owner_next_turn(owner);
        if (!swap_owner(header, owner, taken))
            continue;
        fault_point(lane_retaken);
        if (begin(ring, lane, header, recorder, ret) == 0) {
            *ret_lane = lane;
            return 0;
        }
        swap_owner(header, taken, taken | LANE_OWNER_RELEASED); /* scribbled on: leave it to the collector */
    }
    return -EAGAIN;
}

/* Lanes are left for others: who has two takes no more when an eighth of them is left, who has eight when a quarter is. */
static bool has_its_share(const struct ring *ring, uint64_t own) {
    uint32_t all = ring->lane_count - ring->overflow_count, free = 0, mine = 0;
    for (uint32_t lane = ring->overflow_count; lane < ring->lane_count; lane++) {
        /* relaxed: a count that may be old by the time it is used; only fairness hangs on it. */
        uint64_t owner = atomic_load_explicit(&ring_lane_header(ring, lane)->owner, memory_order_relaxed);
        free += owner == 0;
        mine += owner != 0 && lane_owner_identity(owner) == lane_owner_identity(own);
    }
    return mine >= LANES_MANY ? free <= all / 4 : mine >= LANES_FEW ? free <= all / 8 : false;
}

static int take_free(struct ring *ring, uint64_t own, struct lane_writer *ret, uint32_t *ret_lane) {
    int result = -EAGAIN;
    if (has_its_share(ring, own))
        return -EAGAIN;
    for (uint32_t lane = ring->overflow_count; lane < ring->lane_count; lane++) {
        struct lane_header *header = ring_lane_header(ring, lane);
        if (result != -EAGAIN && !is_allocated(header)) /* no space: only a lane that has its pages will do */
            continue;
        /* relaxed: it only saves a swap in vain. */
        if (atomic_load_explicit(&header->owner, memory_order_relaxed) != 0 || !swap_owner(header, 0, own))
            continue;
        fault_point(lane_taken);
        int begun = begin(ring, lane, header, own & LANE_OWNER_RECORDER, ret);
        if (begun == 0) {
            *ret_lane = lane;
            return 0;
        }
        swap_owner(header, own, 0);
        if (begun != -EBADMSG) /* a lane that makes no sense is left alone */
            result = begun;
    }
    return result;
}

int ring_lane_claim(struct ring *ring, const struct slot_claim *claim, bool recorder, struct lane_writer *ret,
                    uint32_t *ret_lane) {
    uint64_t own = lane_owner(claim->index, claim->generation) | (recorder ? LANE_OWNER_RECORDER : 0);
    int result = take_released(ring, own, recorder, ret, ret_lane);
    if (result < 0)
        result = take_free(ring, own, ret, ret_lane);
    fault_point(lane_claimed);
    return result;
}

void ring_lane_release(struct ring *ring, const struct slot_claim *claim, uint32_t lane) {
    struct lane_header *header = ring_lane_header(ring, lane);
    uint64_t own = lane_owner(claim->index, claim->generation);
    /* relaxed: while we have the lane nobody else changes the word; the swap's release hands our records and head
     * on. */
    uint64_t owner = atomic_load_explicit(&header->owner, memory_order_relaxed);
    fault_point(lane_releasing);
    if (lane_owner_identity(owner) == own) /* else it was taken from us: nothing to give */
        swap_owner(header, owner, owner | LANE_OWNER_RELEASED);
    fault_point(lane_released);
}

/* --- overflow lanes --- */

static uint64_t fill_of(const struct lane_header *header) {
    /* relaxed: a guess that only orders the attempts. */
    uint64_t head = atomic_load_explicit(&header->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&header->tail, memory_order_relaxed);
    return head - tail;
}

/* The best free lane that was not tried yet: the first that is less than half full, else the emptiest. lane_count:
 * none. */
static uint32_t choose(const struct ring *ring, uint32_t tried) {
    uint32_t best = ring->lane_count;
    uint64_t least = UINT64_MAX;
    for (uint32_t lane = 0; lane < ring->overflow_count; lane++) {
        const struct lane_header *header = ring_lane_header(ring, lane);
        /* relaxed: a guess, the swap decides. */
        if (tried & 1U << lane || atomic_load_explicit(&header->owner, memory_order_relaxed) != 0)
            continue;
        uint64_t fill = fill_of(header);
        if (fill < RING_OVERFLOW_SIZE / 2)
            return lane;
        if (fill < least) {
            least = fill;
            best = lane;
        }
    }
    return best;
}

/* Whether who holds a lane by this owner word will never give it back: its slot has another owner by now, or its
 * process is dead. Looks at the shared slot without trust: it only decides whether we try to take over.
 *
 * Nobody hands us the lane of the dead: what comes between his last commit and our look at the head is the kernel. All
 * his stores come before his lock and his pid are gone, and our system calls found them gone. Where another one found
 * that and freed the slot since, his swap of the state word stands between, which we acquire. */
static bool holder_is_dead(const struct ring *ring, uint64_t owner) {
    uint32_t index = lane_owner_slot(owner);
    if (index >= ring->slot_count)
        return false;
    const struct ring_slot *slot = ring_slot_at(ring, index);
    /* acquire: pairs with the claim (what stands below is this state's owner's or a later one's) and with the
     * freeing. */
    uint64_t word = atomic_load_explicit(&slot->state, memory_order_acquire);
    if ((uint32_t)(word >> 8) != lane_owner_generation(owner) || (word & 0xff) == SLOT_FREE)
        return true;
    struct process_identity process = { .pid = slot->pid,
                                        .start_time = slot->start_time,
                                        .pid_namespace = slot->pid_namespace };
    return slot_owner_is_dead(ring->map.fd, index, &process);
}

int ring_overflow_take(struct ring *ring, const struct slot_claim *claim, struct lane_writer *ret, uint32_t *ret_lane) {
    static_assert(RING_OVERFLOW_MAX <= 32, "a bit of `tried` for each");
    uint64_t own = lane_owner(claim->index, claim->generation);
    uint32_t tried = 0;
    int result = -EAGAIN;
    for (uint32_t lane; (lane = choose(ring, tried)) < ring->overflow_count; tried |= 1U << lane) {
        struct lane_header *header = ring_lane_header(ring, lane);
        if (!swap_owner(header, 0, own))
            continue;
        fault_point(overflow_taken);
        int begun = begin(ring, lane, header, false, ret);
        if (begun == 0) {
            *ret_lane = lane;
            return 0;
        }
        swap_owner(header, own, 0);
        if (begun != -EBADMSG)
            result = begun;
    }
    /* All busy (or unusable): only now the system calls that find out whether a holder is dead. Our own slot's are
     * other threads'. */
    for (uint32_t lane = 0; lane < ring->overflow_count; lane++) {
        struct lane_header *header = ring_lane_header(ring, lane);
        /* acquire: the holder had his slot before he took the lane, so its state is seen as that or later, never as the
         * free slot that it was before: a living holder is not taken for one whose slot is gone. */
        uint64_t owner = atomic_load_explicit(&header->owner, memory_order_acquire);
        if (owner == 0 || lane_owner_identity(owner) == own || !holder_is_dead(ring, owner) ||
            !swap_owner(header, owner, own))
            continue;
        if (begin(ring, lane, header, false, ret) == 0) {
            *ret_lane = lane;
            return 0;
        }
        swap_owner(header, own, 0);
    }
    return result;
}

void ring_overflow_give(struct ring *ring, uint32_t lane) {
    check(lane < ring->overflow_count);
    fault_point(overflow_giving);
    /* release: the next holder, who acquires the owner word, begins behind our last commit. A store will do: while we
     * live nobody else swaps the word. */
    atomic_store_explicit(&ring_lane_header(ring, lane)->owner, 0, memory_order_release);
    fault_point(overflow_given);
}
