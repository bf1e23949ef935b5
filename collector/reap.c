#include "collector/reap.h"

#include "collector/cells.h"
#include "collector/crash.h"
#include "collector/fault.h"
#include "collector/losses.h"
#include "collector/recorder.h"
#include "collector/slots.h"
#include "common/base/check.h"
#include "common/base/clock.h"

/* --- who ended --- */

/* From now on nobody writes for it: what stands in the overflow lanes below their heads is all that it wrote there. */
static void begin_end(struct collector_ring *ring, struct slot *slot) {
    slot->ending = true;
    slot->end.noticed_ns = clock_monotonic_ns();
    slot->end.noticed_real_ns = clock_real_ns();
    for (uint32_t i = 0; i < ring->ring.overflow_count; i++) {
        struct lane_state state = { 0 };
        ring_reader_lane(&ring->ring, i, &state); /* one that makes no sense is found out by the next round */
        slot->end.overflow_heads[i] = state.head;
    }
}

/* Whether to ask for its lock: not while its process is watched and has not ended. */
static bool is_to_be_asked(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    return !slots_watch(rings, ring, index) || ring->slots[index].watch.ended;
}

/* Of whom the descriptor said that he has ended, his lock alone is asked for, which he may share with another process; who then is not
 * dead is asked for again with each scan. */
static bool is_dead(struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    struct slot_info info = slot->info;
    if (slot->watch.ended)
        info.pid_namespace = 0;
    slot->watch.ended = false;
    return ring_reader_slot_dead(&ring->ring, index, &info);
}

static void scan_ring(struct rings *rings, struct collector_ring *ring) {
    uint32_t most = rings->starting ? RING_SLOTS_MAX : LOCKS_LOOKED_AT, asked = 0, first = ring->next_look;
    slots_look(rings, ring);
    for (uint32_t n = 0; n < ring->slots_used; n++) {
        uint32_t i = (first + n) % ring->slots_used;
        struct slot *slot = &ring->slots[i];
        if (!slot->known || slot->ending)
            continue;
        if (slot->info.state == SLOT_CLOSED) {
            begin_end(ring, slot);
            recorder_note_end(ring, slot, false);
        } else if (is_to_be_asked(rings, ring, i) && (slot->watch.ended || asked < most)) {
            if (!slot->watch.ended && ++asked == most)
                ring->next_look = i + 1;
            if (is_dead(ring, i)) {
                begin_end(ring, slot);
                crash_notice(rings, ring, i);
                recorder_note_end(ring, slot, slot->end.gone);
            }
        }
    }
}

void reap_scan(struct rings *rings) {
    slots_note_deaths(rings);
    rings->deaths = false;
    for (size_t r = 0; r < rings->count; r++)
        if (rings->items[r]->phase != RING_BROKEN)
            scan_ring(rings, rings->items[r]);
}

/* --- lanes --- */

static struct slot *ending_owner(struct collector_ring *ring, const struct lane *lane) {
    if (lane->state.owner == 0 || lane->state.slot >= ring->ring.slot_count)
        return NULL;
    struct slot *slot = &ring->slots[lane->state.slot];
    return slot->known && slot->ending && slot->info.generation == lane->state.generation ? slot : NULL;
}

static void free_lane(struct collector_ring *ring, struct lane *lane) {
    if (ring_reader_lane_free(&ring->ring, lane->index, lane->state.owner) == 0)
        lane->state.owner = 0;
    fault_hit("lane_freed");
}

/* Lanes of processes that are ending, and lanes that their thread has left, its process living on. The snapshot is taken after we knew
 * that its owner writes no more. */
static void free_lanes(struct rings *rings, struct collector_ring *ring) {
    uint32_t free = 0, left = 0;
    for (uint32_t i = 0; i < ring->slots_used; i++)
        ring->slots[i].end.lanes_left = 0;
    for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (ring_reader_lane(&ring->ring, i, &lane->state) < 0)
            continue;
        struct slot *slot = ending_owner(ring, lane);
        bool drained = lane->state.head == lane->position;
        if (slot && !slot->end.lanes_counted)
            slot->end.lanes++;
        if (slot && !lane->overflow && !drained) {
            slot->end.lanes_left++;
            left++;
        } else if (slot || (!lane->overflow && lane->state.released && drained)) {
            free_lane(ring, lane); /* an overflow lane's records say themselves whose they are: it is free at once */
        }
        free += !lane->overflow && lane->state.owner == 0;
    }
    for (uint32_t i = 0; i < ring->slots_used; i++)
        ring->slots[i].end.lanes_counted = ring->slots[i].ending;
    /* Who has eight lanes gets no more of the last quarter (ring_lane.c): from there on others wait for these. */
    uint32_t private = ring->ring.lane_count - ring->ring.overflow_count;
    rings->hurry |= left > 0 && (free <= private / 4 || ring_reader_room(&ring->ring) < RING_LANE_SIZE);
}

/* --- slots --- */

static bool overflow_is_passed(const struct collector_ring *ring, const struct slot *slot) {
    for (uint32_t i = 0; i < ring->ring.overflow_count; i++)
        if (ring->lanes[i].position < slot->end.overflow_heads[i])
            return false;
    return true;
}

/* What the state has of a producer that is no more. */
static void remove_state(struct rings *rings, const struct slot *slot) {
    static const uint64_t nothing[LOSS_REASON_COUNT][LEVEL_COUNT];
    struct state_key key;
    static_assert(sizeof(nothing) == sizeof(slot->told.counts), "compared whole");
    if (memcmp(slot->told.counts, nothing, sizeof(nothing)) != 0) {
        state_key_losses(&key, slot->info.producer_id);
        rings_remove_state(rings, &key);
    }
    if (slot->cells) {
        state_key_cells(&key, slot->info.producer_id);
        rings_remove_state(rings, &key);
    }
    if (slot->recorder.wanted > 0) {
        state_key_want(&key, slot->info.producer_id);
        rings_remove_state(rings, &key);
    }
    if (slot->end.told) {
        state_key_gone(&key, slot->info.producer_id);
        rings_remove_state(rings, &key);
    }
}

/* True when the slot is free again. */
static bool finish_slot(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    slot->end.drained = slot->end.lanes_left == 0 && overflow_is_passed(ring, slot);
    if (!slot->end.drained || crash_is_untold(slot) || losses_are_untold(ring, index) ||
        cells_are_unfolded(rings, ring, index))
        return false;
    if (ring_reader_slot_free(&ring->ring, index, slot->info.state_word) < 0) {
        rings_slot_refresh(rings, ring, index); /* its state word moved: judge it anew at the next look */
        slot->ending = false;
        slot->end = (struct slot_end) { .told = slot->end.told };
        return false;
    }
    fault_hit("slot_freed");
    remove_state(rings, slot);
    slot_forget(slot);
    return true;
}

/* Nothing that a flush could do is left: crash_is_due says when there is. */
static bool waits_for_news(const struct slot *slot) {
    return slot->end.drained && crash_is_untold(slot);
}

bool reap_finish(struct rings *rings) {
    bool waiting = false;
    rings->hurry = false;
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase == RING_BROKEN)
            continue;
        free_lanes(rings, ring);
        for (uint32_t i = 0; i < ring->slots_used; i++)
            if (ring->slots[i].known && ring->slots[i].ending)
                waiting |= !finish_slot(rings, ring, i) && !waits_for_news(&ring->slots[i]);
    }
    return waiting;
}
