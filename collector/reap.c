#include "collector/reap.h"

#include "collector/cells.h"
#include "collector/fault.h"
#include "collector/losses.h"
#include "collector/recorder.h"

void reap_scan(struct rings *rings) {
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase != RING_BROKEN)
            rings_slots_count(ring);
        for (uint32_t i = 0; ring->phase != RING_BROKEN && i < ring->slots_used; i++) {
            if (!rings_slot_refresh(rings, ring, i))
                continue;
            struct slot *slot = &ring->slots[i];
            if (slot->ending)
                continue;
            bool gone = slot->info.state != SLOT_CLOSED && ring_reader_slot_dead(&ring->ring, i, &slot->info);
            slot->ending = gone || slot->info.state == SLOT_CLOSED;
            if (slot->ending)
                recorder_note_end(ring, slot, gone);
        }
    }
}

/* A fresh snapshot of the lane, taken after we knew that its owner writes no more. */
static bool is_drained_now(struct collector_ring *ring, struct lane *lane, uint64_t owner) {
    struct lane_state state;
    if (ring_reader_lane(&ring->ring, lane->index, &state) < 0 || state.owner != owner)
        return false;
    lane->state = state;
    return state.head == lane->position;
}

static bool lane_is_of(const struct lane *lane, uint32_t index, const struct slot *slot) {
    return lane->state.owner != 0 && lane->state.slot == index && lane->state.generation == slot->info.generation;
}

/* Free the lanes of a slot that is ending; false when one is not drained yet. */
static bool free_lanes(struct collector_ring *ring, uint32_t index, const struct slot *slot) {
    bool all = true;
    for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (ring_reader_lane(&ring->ring, i, &lane->state) < 0 || !lane_is_of(lane, index, slot))
            continue;
        /* An overflow lane's records say themselves whose they are: it is free at once. */
        if (!lane->overflow && !is_drained_now(ring, lane, lane->state.owner))
            all = false;
        else if (ring_reader_lane_free(&ring->ring, i, lane->state.owner) == 0)
            lane->state.owner = 0;
        fault_hit("lane_freed");
    }
    return all;
}

/* True when the slot is free again. */
static bool finish_slot(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    if (losses_are_untold(ring, index) || cells_are_unfolded(rings, ring, index) || !free_lanes(ring, index, slot))
        return false;
    if (ring_reader_slot_free(&ring->ring, index, slot->info.state_word) < 0) {
        rings_slot_refresh(rings, ring, index); /* its state word moved: judge it anew at the next look */
        slot->ending = false;
        return false;
    }
    fault_hit("slot_freed");
    struct state_key key;
    state_key_losses(&key, slot->info.producer_id);
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++)
            if (slot->told.counts[reason][level]) {
                rings_remove_state(rings, &key);
                reason = LOSS_REASON_COUNT; /* one prefix takes all of them */
                break;
            }
    if (slot->recorder.wanted > 0) {
        state_key_want(&key, slot->info.producer_id);
        rings_remove_state(rings, &key);
    }
    if (slot->cells) {
        state_key_cells(&key, slot->info.producer_id);
        rings_remove_state(rings, &key);
    }
    slot_forget(slot);
    return true;
}

/* Lanes that their thread has left, its process living on. */
static void free_released(struct collector_ring *ring) {
    for (uint32_t i = ring->ring.overflow_count; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (lane->state.owner == 0 || !lane->state.released || !is_drained_now(ring, lane, lane->state.owner))
            continue;
        if (ring_reader_lane_free(&ring->ring, i, lane->state.owner) == 0)
            lane->state.owner = 0;
        fault_hit("lane_freed");
    }
}

bool reap_finish(struct rings *rings) {
    bool waiting = false;
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase == RING_BROKEN)
            continue;
        free_released(ring);
        for (uint32_t i = 0; i < ring->slots_used; i++)
            if (ring->slots[i].known && ring->slots[i].ending)
                waiting |= !finish_slot(rings, ring, i);
    }
    return waiting;
}
