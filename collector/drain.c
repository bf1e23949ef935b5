#include "collector/drain.h"

#include <errno.h>
#include <unistd.h>

#include "collector/losses.h"
#include "collector/origin.h"
#include "collector/slots.h"
#include "common/base/check.h"
#include "common/base/diag.h"

void drain_host(char out[ENTRY_HOST_BYTES + 1]) {
    char name[ENTRY_HOST_BYTES + 1] = "";
    if (gethostname(name, ENTRY_HOST_BYTES) < 0 || !name[0])
        memcpy(name, "localhost", sizeof("localhost"));
    if (!text_utf8_valid(text_of(name)))
        memcpy(name, "unknown", sizeof("unknown"));
    memcpy(out, name, sizeof(name));
}

int drain_init(struct drain *drain, struct rings *rings, struct fold *fold, struct error *error) {
    *drain = (struct drain) { .rings = rings, .fold = fold };
    drain_host(drain->host);
    int result = uuid_generator_init(&drain->ids);
    return result < 0 ? error_set(error, result, "the kernel gives no random bytes") : 0;
}

void drain_finish(struct drain *drain) {
    order_finish(&drain->order);
    buffer_finish(&drain->text);
}

/* --- round --- */

/* Count the whole records among the newly copied bytes, and see what they ask for. False when one is no record. */
static bool scan_copied(struct lane *lane, uint64_t head, uint64_t copied_end, struct drain_state *state) {
    uint64_t at = lane->hand_end;
    bool sound = true;
    while (copied_end - at >= RECORD_HEADER_SIZE) {
        struct record_header header;
        const char *bytes = lane->hand.data + (at - lane->position);
        if (record_header_decode(bytes, (size_t)(head - at), at, &header) < 0) {
            sound = false;
            break;
        }
        if (header.length > copied_end - at)
            break;
        if ((header.kind == RECORD_ENTRY || header.kind == RECORD_CALL) && header.level >= LEVEL_ERROR)
            state->urgent = true;
        if (header.time_ns > lane->hand_time)
            lane->hand_time = header.time_ns;
        state->hand_records += header.kind != RECORD_PADDING && header.kind != RECORD_PROCESS_HELLO;
        at += header.length;
    }
    lane->hand_end = at;
    lane->hand.length = (size_t)(at - lane->position);
    return sound;
}

/* What moves only by our hand has to be where we left it, and the head may only go forward. A lane of the flight recorder is empty when it
 * becomes one, and is not copied: recorder.h. */
static bool lane_is_sound(const struct lane *lane, const struct lane_state *state) {
    if (state->recorder)
        return state->tail == lane->position && lane->hand_end == lane->position && state->head >= lane->state.head;
    return state->tail == lane->position && state->head >= lane->hand_end && state->head - state->tail <= lane->size;
}

static void lane_round(struct rings *rings, struct lane *lane, uint64_t budget, struct drain_state *state) {
    struct collector_ring *ring = lane->ring;
    struct lane_state seen;
    int result = ring_reader_lane(&ring->ring, lane->index, &seen);
    if (result < 0 || !lane_is_sound(lane, &seen)) {
        rings_break(rings, ring, "head and tail of a lane make no sense");
        return;
    }
    lane->state = seen;
    lane->truncated = false;
    if (seen.recorder)
        return;
    uint64_t in_hand = lane->hand_end - lane->position, fresh = seen.head - lane->hand_end;
    uint64_t take = budget <= in_hand ? 0 : fresh < budget - in_hand ? fresh : budget - in_hand;
    take &= ~(uint64_t)(RECORD_ALIGN - 1);
    if (take > 0) {
        if (seen.slot < ring->ring.slot_count &&
            (!ring->slots[seen.slot].known || ring->slots[seen.slot].info.generation != seen.generation))
            slots_meet(rings, ring, seen.slot);
        if (!buffer_reserve(&lane->hand, take)) {
            lane->hand.failed = false; /* out of memory: it stays in the lane until the next round */
            take = 0;
        } else if (ring_reader_copy(&ring->ring, lane->index, lane->hand_end, lane->hand_end + take,
                                    lane->hand.data + lane->hand.length) < 0) {
            rings_break(rings, ring, "the file was cut");
            return;
        } else if (!scan_copied(lane, seen.head, lane->hand_end + take, state)) {
            rings_break(rings, ring, "a lane holds what is no record");
            return;
        }
    }
    lane->truncated = lane->hand_end < seen.head;
    uint64_t filled = seen.head - lane->position;
    /* One process may have a quarter of an overflow lane unread: it is not to wait for the next flush with that. */
    state->pressed |= filled > lane->size / (lane->overflow ? 8 : 4) || lane->truncated;
    state->half_full |= filled > lane->size / 2;
    state->hand_bytes += lane->hand_end - lane->position;
}

/* Of the ring's share, what one lane may have in hand: as much as each other that has something, as far as the last round knows. */
static uint64_t lane_budget(const struct lane *lane, uint32_t busy, uint64_t in_hand) {
    uint64_t share = in_hand < HAND_RING_BYTES ? HAND_RING_BYTES / (busy ? busy : 1) : 0;
    uint64_t least = lane->overflow ? 2 * RECORD_SIZE_MAX : HAND_LANE_BYTES_MIN;
    return share < least ? least : share > HAND_LANE_BYTES_MAX ? HAND_LANE_BYTES_MAX : share;
}

static uint32_t count_busy(const struct collector_ring *ring) {
    uint32_t busy = 0;
    for (uint32_t i = 0; i < ring->ring.lane_count; i++)
        busy += ring->lanes[i].state.head > ring->lanes[i].position && !ring->lanes[i].state.recorder;
    return busy;
}

static void ring_round(struct drain *drain, struct collector_ring *ring, struct drain_state *state) {
    uint64_t cut = clock_real_ns(); /* before any head is read */
    uint64_t others = state->hand_bytes;
    uint32_t busy = count_busy(ring);
    ring->looked_again = false;
    for (uint32_t i = 0; i < ring->ring.lane_count && ring->phase != RING_BROKEN; i++) {
        struct lane *lane = &ring->lanes[i];
        lane_round(drain->rings, lane, lane_budget(lane, busy, state->hand_bytes - others), state);
        /* Beyond its last copied record such a lane may hold what is older than another lane's newest. */
        if (lane->truncated && lane->hand_time < cut)
            cut = lane->hand_time;
    }
    ring->cut_ns = cut;
}

static uint64_t ring_hand_bytes(const struct collector_ring *ring) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < ring->ring.lane_count; i++)
        bytes += ring->lanes[i].hand_end - ring->lanes[i].position;
    return bytes;
}

void drain_round(struct drain *drain, struct drain_state *ret) {
    struct rings *rings = drain->rings;
    *ret = (struct drain_state) { 0 };
    if (rings->count == 0)
        return;
    drain->next_ring = (drain->next_ring + 1) % rings->count;
    for (size_t i = 0; i < rings->count; i++) {
        struct collector_ring *ring = rings->items[(drain->next_ring + i) % rings->count];
        if (ring->phase == RING_BROKEN || ret->hand_bytes >= HAND_BYTES_MAX) {
            ret->hand_bytes += ring_hand_bytes(ring);
            ret->pressed |= ret->hand_bytes >= HAND_BYTES_MAX;
            continue;
        }
        ring_round(drain, ring, ret);
        if (ring->phase == RING_BROKEN) {
            ret->hand_bytes += ring_hand_bytes(ring);
            ret->pressed = true;
        }
    }
}

/* --- gather --- */

/* Decode the lane's next record: 1 when there is one to be merged, 0 when nothing more goes into this batch, negative
 * for bytes that are no record. */
static int lane_next(struct lane *lane, bool whole, uint64_t now_ns) {
    int result = span_reader_next(&lane->reader, &lane->record);
    if (result <= 0) {
        /* What ends it is padding, or, where the copy was cut, a hello whose record is still in the lane. */
        if (result == 0 && !lane->truncated)
            lane->taken = lane->hand_end;
        return result;
    }
    uint64_t time = lane->record.time_ns;
    if (!whole && order_waits(time, lane->ring->cut_ns, now_ns))
        return 0;
    lane->after = lane->reader.position;
    if (time > lane->key)
        lane->key = time;
    return 1;
}

static bool push_next(struct drain *drain, struct lane *lane, bool whole, uint64_t now_ns, uint32_t rank) {
    int result = lane_next(lane, whole || lane->ring->phase == RING_BROKEN, now_ns);
    if (result < 0) {
        rings_break(drain->rings, lane->ring, "a lane holds what is no record");
        lane->hand_end = lane->taken; /* nothing behind it can be read */
        lane->hand.length = (size_t)(lane->hand_end - lane->position);
        return true;
    }
    return result == 0 || order_push(&drain->order, (struct order_item) { lane->key, rank, lane }) == 0;
}

static bool begin_merge(struct drain *drain, bool whole, uint64_t now_ns) {
    uint32_t rank = 0;
    drain->order.count = 0;
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = 0; i < ring->ring.lane_count; i++, rank++) {
            struct lane *lane = &ring->lanes[i];
            lane->taken = lane->position;
            lane->key = 0;
            if (lane->hand_end == lane->position)
                continue;
            lane->reader = (struct span_reader) {
                .bytes = lane->hand.data,
                .position = lane->position,
                .end = lane->hand_end,
            };
            if (drain->fold) {
                fold_ahead_init(&lane->ahead, &drain->fold->memo, &drain->fold->table);
                lane->reader.known = fold_ahead_knows;
                lane->reader.context = &lane->ahead;
            }
            if (!push_next(drain, lane, whole, now_ns, rank))
                return false;
        }
    }
    return true;
}

static void put_positions(struct drain *drain, struct batch *batch) {
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
            struct lane *lane = &ring->lanes[i];
            if (lane->taken == lane->position)
                continue;
            struct state_key key;
            state_key_lane(&key, ring->ring.ring_id, i);
            batch_put_u64(batch, state_key_text(&key), lane->taken);
            ring->busy_ns = clock_monotonic_ns();
        }
    }
}

struct removing {
    const struct rings *rings;
    struct batch *batch;
};

static int remove_key(void *argument, struct text key, struct text value) {
    const struct removing *removing = argument;
    (void)value;
    if (rings_removes(removing->rings, key))
        batch_remove(removing->batch, key);
    return 0;
}

/* One walk for all: there may be many, and much state. */
static void put_removals(struct drain *drain, struct batch *batch) {
    struct removing removing = { drain->rings, batch };
    if (drain->rings->removal_count == 0)
        return;
    rings_sort_removals(drain->rings);
    state_map_walk(drain->rings->state, TEXT_EMPTY, remove_key, &removing);
}

/* The entry that tells of repeats: as those that were stored, with an id and the host of now. */
static void tell_repeats(void *context, struct entry *entry, struct batch *batch) {
    struct drain *drain = context;
    entry->host = text_of(drain->host);
    uuid_make(&drain->ids, entry->timestamp_ns, &entry->id);
    batch_add(batch, entry);
}

bool drain_gather(struct drain *drain, bool whole, uint64_t now_ns, struct batch *batch) {
    check(batch_is_empty(batch));
    if (drain->intake)
        drain->intake->now_ns = clock_monotonic_ns();
    if (drain->fold)
        drain->fold->now_ns = now_ns;
    if (!begin_merge(drain, whole, now_ns))
        return false;
    struct order_item item;
    while (batch->entry_count + batch->span_count < BATCH_ENTRIES_MAX && order_pop(&drain->order, &item)) {
        struct lane *lane = item.lane;
        origin_add_record(drain, lane, batch);
        lane->taken = lane->after;
        if (batch->failed || !push_next(drain, lane, whole, now_ns, item.rank))
            return false;
    }
    if (drain->intake)
        dedup_gather(&drain->intake->dedup, drain->rings->state, whole, drain->intake->now_ns, batch, tell_repeats,
                     drain);
    recorder_gather(drain, now_ns, batch);
    losses_gather(drain, whole, now_ns, batch);
    crash_gather(drain, whole, now_ns, batch);
    put_removals(drain, batch);
    put_positions(drain, batch);
    return !batch->failed;
}

/* --- settle, discard --- */

static void lane_settle(struct rings *rings, struct lane *lane) {
    uint64_t safe = lane->taken - lane->position;
    if (safe == 0)
        return;
    if (lane->hand_end > lane->position)
        buffer_consume(&lane->hand, (size_t)safe);
    else
        lane->hand_end = lane->taken; /* of the flight recorder: nothing is in hand */
    lane->position = lane->taken;
    if (lane->hand.length == 0) {
        lane->hand_time = 0;
    }
    if (lane->ring->phase == RING_BROKEN)
        return;
    if (ring_reader_set_tail(&lane->ring->ring, lane->index, lane->position) < 0)
        rings_break(rings, lane->ring, "the file was cut");
}

void drain_settle(struct drain *drain) {
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = 0; i < ring->ring.lane_count; i++)
            lane_settle(drain->rings, &ring->lanes[i]);
        losses_settle(ring);
        crash_settle(ring);
    }
    recorder_settle(drain);
    if (drain->intake)
        dedup_settle(&drain->intake->dedup);
    drain->rings->removal_count = 0;
}

void drain_trim(struct drain *drain) {
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = 0; i < ring->ring.lane_count; i++)
            if (ring->lanes[i].hand.length == 0)
                buffer_finish(&ring->lanes[i].hand);
    }
}

void drain_discard(struct drain *drain) {
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = 0; i < ring->ring.lane_count; i++)
            ring->lanes[i].taken = ring->lanes[i].position;
        losses_discard(ring);
        crash_discard(ring);
    }
    recorder_discard(drain);
    if (drain->intake)
        dedup_discard(&drain->intake->dedup);
}

void drain_own_entry(struct drain *drain, struct batch *batch, uint64_t time_ns, enum level level, const char *module,
                     const char *operation, struct text message, struct text metadata) {
    struct entry entry = {
        .timestamp_ns = time_ns,
        .level = level,
        .service = TEXT_LITERAL("taskforge"),
        .module = text_of(module),
        .operation = text_of(operation),
        .message = arena_copy(&batch->arena, message),
        .metadata = arena_copy(&batch->arena, metadata),
        .host = text_of(drain->host),
        .pid = (uint32_t)getpid(),
    };
    uuid_make(&drain->ids, time_ns, &entry.id);
    intake_entry(drain->intake, &entry, false, batch);
}
