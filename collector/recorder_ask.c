/* recorder_ask.c - see recorder_private.h: what processes (tf_recorder_store) and people (tfctl recorder store) ask the recorder for. */
#include <inttypes.h>
#include <stdio.h>

#include "collector/recorder_private.h"
#include "common/base/check.h"
#include "common/model/pack.h"

#define ALL_NAME "(all)" /* in an audit entry, where a service has its name */

static struct text call_service(const struct recorder_call *call) {
    return (struct text) { call->service, call->service_length };
}

static bool asks_for(const struct recorder_call *call, const struct slot *slot) {
    return call->service_length == 0 || text_equal(call_service(call), slot->info.service);
}

/* --- processes --- */

/* How often the process has asked, if that is more than is done. */
static bool read_wanted(struct rings *rings, struct collector_ring *ring, uint32_t index, uint32_t *ret) {
    struct slot *slot = &ring->slots[index];
    struct recorder_slot *own = &slot->recorder;
    if (!slot->known)
        return false;
    if (!own->loaded) {
        struct state_key key;
        uint64_t done = 0;
        state_key_want(&key, slot->info.producer_id);
        state_map_get_u64(rings->state, state_key_text(&key), &done);
        own->wanted = own->wanting = (uint32_t)done;
        own->loaded = true;
    }
    return ring_reader_recorder_wanted(&ring->ring, index, ret) == 0 && *ret != own->wanted;
}

bool recorder_wants(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    uint32_t wanted;
    return read_wanted(rings, ring, index, &wanted);
}

static void note_wanted(struct drain *drain, struct lane *lane, uint64_t now_ns, struct batch *batch) {
    struct recorder *recorder = drain->recorder;
    struct slot *slot = recorder_slot_of(drain->rings, lane);
    struct state_key key;
    uint32_t wanted;
    if (!slot || !read_wanted(drain->rings, lane->ring, lane->state.slot, &wanted) ||
        slot->recorder.wanting == wanted || !rings_slot_is_same(lane->ring, lane->state.slot))
        return;
    slot->recorder.wanting = wanted;
    state_key_want(&key, slot->info.producer_id);
    batch_put_u64(batch, state_key_text(&key), wanted);
    if (recorder->keep_ns > 0)
        recorder_note(recorder, slot, recorder_window_before(recorder, now_ns, now_ns));
}

/* --- people --- */

static void pack_pair(struct pack_writer *writer, const char *key, struct text value) {
    pack_text(writer, text_of(key));
    pack_text(writer, value);
}

static void tell(struct drain *drain, const struct recorder_call *call, uint64_t now_ns, struct batch *batch) {
    char actor[32], message[ENTRY_NAME_BYTES + 128], metadata[ENTRY_NAME_BYTES + 256];
    struct text service = call->service_length ? call_service(call) : TEXT_LITERAL(ALL_NAME);
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    snprintf(actor, sizeof(actor), "uid:%" PRIu32, call->uid);
    snprintf(message, sizeof(message), "%s asked to store what is recorded of %.*s", actor,
             TEXT_FORMAT(call->service_length ? service : TEXT_LITERAL("all programs")));
    pack_map(&writer, 4);
    pack_pair(&writer, "actor", text_of(actor));
    pack_text(&writer, TEXT_LITERAL("peer_uid"));
    pack_uint(&writer, call->uid);
    pack_pair(&writer, "target", service);
    pack_text(&writer, TEXT_LITERAL("processes"));
    pack_uint(&writer, call->processes);
    check(!writer.failed);
    drain_own_entry(drain, batch, now_ns, LEVEL_INFO, "audit", "recorder", text_of(message),
                    (struct text) { metadata, writer.length });
}

static void note_call(struct drain *drain, struct recorder_call *call, uint64_t now_ns, struct batch *batch) {
    struct recorder *recorder = drain->recorder;
    struct rings *rings = drain->rings;
    call->processes = 0;
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        for (uint32_t i = 0; i < ring->slots_used; i++)
            ring->slots[i].recorder.is_asked = false;
        for (uint32_t i = ring->ring.overflow_count; ring->phase != RING_BROKEN && i < ring->ring.lane_count; i++) {
            struct lane *lane = &ring->lanes[i];
            struct slot *slot = lane->state.recorder ? recorder_slot_of(rings, lane) : NULL;
            if (!slot || slot->recorder.is_asked || !asks_for(call, slot))
                continue;
            slot->recorder.is_asked = true;
            call->processes++;
            recorder_note(recorder, slot, recorder_window_before(recorder, now_ns, now_ns));
        }
    }
    call->telling = true;
    tell(drain, call, now_ns, batch);
}

void recorder_note_requests(struct drain *drain, uint64_t now_ns, struct batch *batch) {
    struct recorder *recorder = drain->recorder;
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = ring->ring.overflow_count; ring->phase != RING_BROKEN && i < ring->ring.lane_count; i++)
            if (ring->lanes[i].state.recorder)
                note_wanted(drain, &ring->lanes[i], now_ns, batch);
    }
    for (size_t i = 0; i < recorder->call_count; i++)
        if (!recorder->calls[i].told)
            note_call(drain, &recorder->calls[i], now_ns, batch);
}

void recorder_count_entry(struct recorder *recorder, const struct slot *slot) {
    for (size_t i = 0; i < recorder->call_count; i++)
        recorder->calls[i].coming += slot && asks_for(&recorder->calls[i], slot);
}

/* --- the batch's end --- */

static void settle_wanted(struct rings *rings, bool safe) {
    for (size_t r = 0; r < rings->count; r++)
        for (uint32_t i = 0; i < rings->items[r]->slots_used; i++) {
            struct recorder_slot *own = &rings->items[r]->slots[i].recorder;
            if (safe)
                own->wanted = own->wanting;
            else
                own->wanting = own->wanted;
        }
}

/* Whether something of what is asked for did not find its place in a batch yet. */
static bool is_owed(struct rings *rings, const struct recorder_call *call) {
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        for (uint32_t i = ring->ring.overflow_count; ring->phase != RING_BROKEN && i < ring->ring.lane_count; i++) {
            struct lane *lane = &ring->lanes[i];
            if (!lane->recorder || lane->recorder->now.due.count == 0)
                continue;
            const struct slot *slot = recorder_slot_of(rings, lane);
            if (slot && asks_for(call, slot))
                return true;
        }
    }
    return false;
}

static void answer(const struct recorder_call *call) {
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    buffer_append_string(&line, "{\"service\":");
    if (call->service_length)
        json_append_string(&line, call_service(call));
    else
        buffer_append_string(&line, "null");
    buffer_append_format(&line, ",\"processes\":%u,\"entries\":%" PRIu64 "}", call->processes, call->entries);
    control_add_text(call->call, line.failed ? TEXT_LITERAL("{}") : buffer_text(&line));
    control_done(call->call);
}

void recorder_settle_requests(struct drain *drain) {
    struct recorder *recorder = drain->recorder;
    size_t kept = 0;
    settle_wanted(drain->rings, true);
    for (size_t i = 0; i < recorder->call_count; i++) {
        struct recorder_call *call = &recorder->calls[i];
        call->told |= call->telling;
        call->entries += call->coming;
        call->coming = 0;
        if (call->told && !is_owed(drain->rings, call))
            answer(call);
        else
            recorder->calls[kept++] = *call;
    }
    recorder->call_count = kept;
}

void recorder_discard_requests(struct drain *drain) {
    settle_wanted(drain->rings, false);
    for (size_t i = 0; i < drain->recorder->call_count; i++) {
        drain->recorder->calls[i].telling = false;
        drain->recorder->calls[i].coming = 0;
    }
}

void recorder_give_up(struct recorder *recorder, uint64_t now_monotonic_ns) {
    size_t kept = 0;
    for (size_t i = 0; i < recorder->call_count; i++)
        if (now_monotonic_ns < recorder->calls[i].deadline_ns)
            recorder->calls[kept++] = recorder->calls[i];
        else if (recorder->calls[i].told)
            control_fail(recorder->calls[i].call, "there is more than could be stored in time: the rest follows");
        else
            control_fail(recorder->calls[i].call, "the store cannot be written now: nothing is stored");
    recorder->call_count = kept;
}

void recorder_fail_requests(struct recorder *recorder) {
    for (size_t i = 0; i < recorder->call_count; i++)
        control_fail(recorder->calls[i].call, "the collector ends");
    recorder->call_count = 0;
}

/* --- asking --- */

void recorder_ask(struct recorder *recorder, struct control_call *call, struct text arguments) {
    struct text verb = control_word(&arguments), service = text_trim(arguments);
    struct recorder_call asked = { .call = call,
                                   .uid = (uint32_t)control_peer(call).uid,
                                   .deadline_ns = clock_monotonic_ns() + COMMIT_WAIT_NS };
    if (!control_may_change(call)) {
        control_fail(call, "only root, the collector's user and members of its group may have something stored");
    } else if (!text_is(verb, "store")) {
        control_fail(call, "usage: recorder store [SERVICE]");
    } else if (text_utf8_count(service) > ENTRY_NAME_CHARACTERS || service.length > sizeof(asked.service)) {
        control_fail(call, "a service has at most %d characters", ENTRY_NAME_CHARACTERS);
    } else if (recorder->keep_ns == 0) {
        control_fail(call, "there is no flight recorder: collector.flight_recorder.levels names no level");
    } else if (recorder->call_count == RECORDER_CALLS_MAX) {
        control_fail(call, "too many ask at once");
    } else {
        if (service.length > 0)
            memcpy(asked.service, service.data, service.length);
        asked.service_length = service.length;
        recorder->calls[recorder->call_count++] = asked;
    }
}
