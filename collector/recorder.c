#include "collector/recorder.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/recorder_private.h"
#include "common/base/check.h"

/* --- noting --- */

struct recorder_window recorder_window_before(const struct recorder *recorder, uint64_t time_ns, uint64_t now_ns) {
    uint64_t until = time_ns < now_ns ? time_ns : now_ns;
    return (struct recorder_window) { until > recorder->keep_ns ? until - recorder->keep_ns : 0, until };
}

void recorder_note(struct recorder *recorder, struct slot *slot, struct recorder_window window) {
    recorder_windows_add(&slot->recorder.noted, window);
    recorder->noted = true;
}

void recorder_note_error(struct recorder *recorder, struct slot *slot, uint64_t time_ns, struct text trace_id) {
    if (recorder->keep_ns == 0)
        return;
    struct recorder_window window = recorder_window_before(recorder, time_ns, clock_real_ns());
    if (slot)
        recorder_note(recorder, slot, window);
    recorder_note_trace(recorder, trace_id, window);
}

void recorder_note_end(struct collector_ring *ring, struct slot *slot, bool gone) {
    slot->recorder.ended = true;
    slot->recorder.gone = gone;
    for (uint32_t i = 0; i < ring->ring.overflow_count; i++) {
        struct lane_state state = { 0 };
        ring_reader_lane(&ring->ring, i, &state); /* one that makes no sense is found out by the next round */
        slot->recorder.overflow_heads[i] = state.head;
    }
}

static void forget_noted(struct recorder *recorder, struct rings *rings) {
    if (!recorder->noted)
        return;
    recorder->noted = false;
    for (size_t r = 0; r < rings->count; r++)
        for (uint32_t i = 0; i < rings->items[r]->slots_used; i++)
            rings->items[r]->slots[i].recorder.noted.count = 0;
}

/* --- which lanes are given up --- */

struct slot *recorder_slot_of(struct rings *rings, struct lane *lane) {
    struct collector_ring *ring = lane->ring;
    if (lane->state.slot >= ring->ring.slot_count)
        return NULL;
    struct slot *slot = &ring->slots[lane->state.slot];
    if (!slot->known || slot->info.generation != lane->state.generation)
        rings_slot_refresh(rings, ring, lane->state.slot);
    return slot->known && slot->info.generation == lane->state.generation ? slot : NULL;
}

static bool is_recorder(const struct lane *lane) {
    return !lane->overflow && lane->state.recorder;
}

/* The one of those lanes that has been left longest, and is not given up yet; NULL: there is none. */
static struct lane *longest_left(struct collector_ring *ring) {
    struct lane *longest = NULL;
    for (uint32_t i = ring->ring.overflow_count; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (is_recorder(lane) && lane->state.released && !lane->rest.over &&
            (!longest || lane->rest.since_ns < longest->rest.since_ns))
            longest = lane;
    }
    return longest;
}

/* See which lanes their threads have left, and give up those that have been left long enough, or that others need. */
static bool look_at_left(const struct recorder *recorder, struct collector_ring *ring, uint64_t now) {
    uint32_t private = ring->ring.lane_count - ring->ring.overflow_count, free = 0;
    bool any = false;
    for (uint32_t i = ring->ring.overflow_count; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        free += lane->state.owner == 0;
        if (!is_recorder(lane) || !lane->state.released) {
            lane->rest = (struct recorder_rest) { .owner = 0 };
            continue;
        }
        if (lane->rest.owner != lane->state.owner) /* the word tells one turn from the next */
            lane->rest = (struct recorder_rest) { .owner = lane->state.owner, .since_ns = now };
        lane->rest.over |= now - lane->rest.since_ns >= recorder->keep_ns;
        any |= lane->rest.over && !lane_is_drained(lane);
        free += lane->rest.over;
    }
    for (struct lane *lane; free * RECORDER_FREE_SHARE < private && (lane = longest_left(ring)); free++)
        any = lane->rest.over = true;
    return any;
}

/* Whether all that an ended process wrote elsewhere is in this batch or safe: errors are among it. */
static bool is_read(struct collector_ring *ring, const struct slot *slot) {
    uint32_t index = (uint32_t)(slot - ring->slots);
    for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
        const struct lane *lane = &ring->lanes[i];
        struct lane_state state;
        if (lane->overflow) {
            if (lane->taken < slot->recorder.overflow_heads[i])
                return false;
        } else if (ring_reader_lane(&ring->ring, i, &state) < 0 ||
                   (state.owner != 0 && !state.recorder && state.slot == index &&
                    state.generation == slot->info.generation && lane->taken != state.head)) {
            return false;
        }
    }
    return true;
}

/* --- gather --- */

void recorder_set_mark(struct lane *lane, const struct recorder_mark *mark, struct batch *batch) {
    struct state_key key;
    char value[RECORDER_MARK_SIZE];
    if (!lane->recorder && recorder_mark_is_empty(mark))
        return;
    if (!lane->recorder)
        lane->recorder = calloc(1, sizeof(*lane->recorder));
    if (!lane->recorder) {
        batch->failed = true;
        return;
    }
    lane->recorder->next = *mark;
    lane->recorder->moves = true;
    recorder_mark_key(&key, lane->ring->ring.ring_id, lane->index);
    if (recorder_mark_is_empty(mark))
        batch_remove(batch, state_key_text(&key));
    else
        batch_put(batch, state_key_text(&key), (struct text) { value, recorder_mark_encode(mark, lane->taken, value) });
}

/* Of a process that went without goodbye: the last of what it recorded, whenever it was found dead. */
static void join_last_words(struct recorder *recorder, struct collector_ring *ring, struct slot *slot, uint64_t now_ns,
                            struct recorder_windows *due) {
    struct recorder_slot *own = &slot->recorder;
    uint32_t index = (uint32_t)(slot - ring->slots);
    for (uint32_t i = ring->ring.overflow_count; !own->newest_known && i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (!is_recorder(lane) || lane->state.slot != index || lane->state.generation != slot->info.generation)
            continue;
        uint64_t newest = recorder_newest(recorder, lane);
        own->newest_ns = newest > own->newest_ns ? newest : own->newest_ns;
    }
    own->newest_known = true;
    if (own->newest_ns > 0)
        recorder_windows_add(due, recorder_window_before(recorder, own->newest_ns, now_ns));
}

struct gathering {
    struct drain *drain;
    struct recorder *recorder;
    uint64_t now_ns;
    bool scan; /* traces are looked for everywhere */
    struct batch *batch;
};

static bool is_full(const struct recorder *recorder) {
    return recorder->item_count >= RECORDER_ENTRIES_MAX || recorder->item_bytes >= RECORDER_BYTES_MAX;
}

/* Not in this batch: what is due of it is remembered. */
static void put_off(struct lane *lane, const struct recorder_windows *due, struct batch *batch) {
    struct recorder_mark mark = { .due = RECORDER_WINDOWS_NONE };
    if (lane->recorder)
        mark = lane->recorder->now;
    if (recorder_windows_equal(&mark.due, due))
        return;
    mark.due = *due;
    recorder_set_mark(lane, &mark, batch);
}

/* Where all is done with once this batch is safe: the head of a lane that nobody writes to any more, and that nobody may still ask
 * for. 0: it goes on. */
static uint64_t end_of(const struct gathering *gathering, struct lane *lane, const struct slot *slot) {
    bool left = lane->rest.over && lane->rest.owner == lane->state.owner;
    struct lane_state state;
    if (gathering->recorder->trace_count > 0 && !gathering->scan)
        return 0;
    if (!left && !(slot->recorder.ended && is_read(lane->ring, slot)))
        return 0;
    /* Of a lane that was left it is the last while the word is the same: another thread may take it up. */
    return ring_reader_lane(&lane->ring->ring, lane->index, &state) == 0 && state.owner == lane->state.owner
               ? state.head
               : 0;
}

/* False when it has to wait for the next batch. */
static bool gather_lane(const struct gathering *gathering, struct lane *lane) {
    struct recorder *recorder = gathering->recorder;
    struct slot *slot = recorder_slot_of(gathering->drain->rings, lane);
    struct recorder_windows due = RECORDER_WINDOWS_NONE;
    if (!slot)
        return true;
    if (lane->recorder && recorder->keep_ns > 0)
        due = lane->recorder->now.due;
    recorder_windows_join(&due, &slot->recorder.noted);
    uint64_t end = end_of(gathering, lane, slot);
    if (end > 0 && slot->recorder.gone && recorder->keep_ns > 0)
        join_last_words(recorder, lane->ring, slot, gathering->now_ns, &due);
    if (due.count > 0 || gathering->scan) {
        if (is_full(recorder)) {
            put_off(lane, &due, gathering->batch);
            return false;
        }
        recorder_walk(gathering->drain, lane, &due, end, gathering->batch);
    } else if (end > 0) {
        const struct recorder_mark nothing = { .due = RECORDER_WINDOWS_NONE };
        lane->taken = end;
        recorder_set_mark(lane, &nothing, gathering->batch);
    } else {
        put_off(lane, &due, gathering->batch); /* what was due when the recorder was turned off */
    }
    return true;
}

static bool gather_ring(const struct gathering *gathering, struct collector_ring *ring, uint64_t now) {
    uint32_t private = ring->ring.lane_count - ring->ring.overflow_count;
    bool all = true;
    look_at_left(gathering->recorder, ring, now);
    for (uint32_t i = 0; i < private && ring->phase != RING_BROKEN; i++) {
        uint32_t number = ring->ring.overflow_count + (uint32_t)((gathering->recorder->first_lane + i) % private);
        struct lane *lane = &ring->lanes[number];
        if (is_recorder(lane))
            all &= gather_lane(gathering, lane);
    }
    return all;
}

void recorder_gather(struct drain *drain, uint64_t now_ns, struct batch *batch) {
    struct recorder *recorder = drain->recorder;
    struct rings *rings = drain->rings;
    if (!recorder)
        return;
    recorder_note_requests(drain, now_ns, batch);
    uint64_t begin = clock_monotonic_ns();
    bool is_off = recorder->keep_ns == 0, all = true;
    bool scan = !is_off && recorder->trace_count > 0 && begin >= recorder->next_scan_ns;
    const struct gathering gathering = { drain, recorder, now_ns, scan, batch };
    recorder->first_lane++;
    for (size_t i = 0; i < rings->count && !batch->failed; i++) {
        struct collector_ring *ring = rings->items[(drain->next_ring + i) % rings->count];
        if (ring->phase != RING_BROKEN)
            all &= gather_ring(&gathering, ring, begin);
    }
    recorder->scanned = is_off || (scan && all);
    if (scan) {
        uint64_t end = clock_monotonic_ns();
        recorder->next_scan_ns = end + (end - begin) * (RECORDER_SCAN_SHARE - 1);
    }
    recorder_add_items(drain, now_ns, batch);
    recorder_put_traces(recorder, batch);
}

/* --- settle --- */

static void settle_marks(struct collector_ring *ring, bool safe) {
    for (uint32_t i = ring->ring.overflow_count; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (!lane->recorder)
            continue;
        if (lane->recorder->moves && safe)
            lane->recorder->now = lane->recorder->next;
        lane->recorder->moves = false;
        if (recorder_mark_is_empty(&lane->recorder->now)) {
            free(lane->recorder);
            lane->recorder = NULL;
        }
    }
}

void recorder_settle(struct drain *drain) {
    if (!drain->recorder)
        return;
    for (size_t r = 0; r < drain->rings->count; r++)
        settle_marks(drain->rings->items[r], true);
    recorder_settle_traces(drain->recorder);
    forget_noted(drain->recorder, drain->rings);
    recorder_settle_requests(drain);
}

void recorder_discard(struct drain *drain) {
    if (!drain->recorder)
        return;
    for (size_t r = 0; r < drain->rings->count; r++)
        settle_marks(drain->rings->items[r], false);
    recorder_discard_traces(drain->recorder);
    forget_noted(drain->recorder, drain->rings);
    recorder_discard_requests(drain);
}

/* --- when --- */

bool recorder_is_due(struct recorder *recorder, struct rings *rings) {
    uint64_t now = clock_monotonic_ns();
    bool due = recorder->trace_count > 0 && now >= recorder->next_scan_ns;
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase == RING_BROKEN)
            continue;
        due |= look_at_left(recorder, ring, now);
        for (uint32_t i = ring->ring.overflow_count; !due && i < ring->ring.lane_count; i++) {
            const struct lane *lane = &ring->lanes[i];
            due = is_recorder(lane) &&
                  ((lane->recorder && lane->recorder->now.due.count > 0) ||
                   (lane->state.slot < ring->ring.slot_count && recorder_wants(rings, ring, lane->state.slot)));
        }
    }
    return due;
}

int recorder_init(struct recorder *recorder, const struct state_map *state) {
    *recorder = (struct recorder) { .keep_ns = 0 };
    recorder->room = aligned_alloc(RECORD_ALIGN, RING_LANE_SIZE);
    if (!recorder->room)
        return -ENOMEM;
    recorder_load_traces(recorder, state);
    return 0;
}

void recorder_finish(struct recorder *recorder) {
    recorder_fail_requests(recorder);
    free(recorder->traces);
    free(recorder->room);
    free(recorder->items);
    *recorder = (struct recorder) { .keep_ns = 0 };
}

void recorder_configure(struct recorder *recorder, uint64_t keep_ns) {
    recorder->keep_ns = keep_ns;
}
