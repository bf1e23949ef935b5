#include "collector/positions.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"

int position_targets_mark(struct position_targets *targets, struct rings *rings, int64_t uid) {
    size_t capacity = 0;
    *targets = POSITION_TARGETS_EMPTY;
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase == RING_BROKEN || (uid != POSITIONS_ANY_USER && ring->uid != (uid_t)uid))
            continue;
        for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
            struct lane_state state;
            if (ring_reader_lane(&ring->ring, i, &state) < 0 || state.recorder || state.head <= ring->lanes[i].position)
                continue;
            if (targets->count == capacity) {
                capacity = capacity ? capacity * 2 : 16;
                struct position_target *grown = realloc(targets->items, capacity * sizeof(*grown));
                if (!grown)
                    return -ENOMEM;
                targets->items = grown;
            }
            struct position_target *target = &targets->items[targets->count++];
            *target = (struct position_target) { .lane = i, .head = state.head };
            memcpy(target->ring_id, ring->ring.ring_id, sizeof(target->ring_id));
        }
    }
    return 0;
}

static bool is_safe(const struct position_target *target, const struct rings *rings) {
    for (size_t r = 0; r < rings->count; r++) {
        const struct collector_ring *ring = rings->items[r];
        if (memcmp(ring->ring.ring_id, target->ring_id, sizeof(target->ring_id)) == 0)
            return ring->phase == RING_BROKEN || ring->lanes[target->lane].position >= target->head;
    }
    return true;
}

bool position_targets_are_safe(const struct position_targets *targets, const struct rings *rings) {
    for (size_t i = 0; i < targets->count; i++)
        if (!is_safe(&targets->items[i], rings))
            return false;
    return true;
}

void position_targets_finish(struct position_targets *targets) {
    free(targets->items);
    *targets = POSITION_TARGETS_EMPTY;
}

/* --- calls --- */

static void call_finish(struct position_call *call) {
    free((char *)call->input.data);
    position_targets_finish(&call->targets);
    *call = (struct position_call) { 0 };
}

void positions_ask(struct positions *positions, struct rings *rings, struct control_call *call, struct text input) {
    if (input.length == 0 || input.length > 255) {
        control_fail(call, "positions needs the name of an input");
        return;
    }
    if (positions->count == POSITION_CALLS_MAX) {
        control_fail(call, "too many ask at once");
        return;
    }
    struct position_call *taken = &positions->calls[positions->count];
    *taken = (struct position_call) {
        .call = call,
        .uid = control_peer(call).uid,
        .input = { strndup(input.data, input.length), input.length },
        .deadline_ns = clock_monotonic_ns() + COMMIT_WAIT_NS,
    };
    if (!taken->input.data || position_targets_mark(&taken->targets, rings, taken->uid) < 0) {
        call_finish(taken);
        control_fail(call, "out of memory");
        return;
    }
    positions->count++;
}

struct answer {
    struct control_call *call;
    size_t prefix;
};

static void append_hex(struct buffer *out, struct text text) {
    for (size_t i = 0; i < text.length; i++)
        buffer_append_format(out, "%02x", (unsigned char)text.data[i]);
}

static int add_line(void *argument, struct text key, struct text value) {
    struct answer *answer = argument;
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    append_hex(&line, (struct text) { key.data + answer->prefix, key.length - answer->prefix });
    buffer_append_char(&line, ' ');
    append_hex(&line, value);
    control_add_text(answer->call, buffer_text(&line));
    return 0;
}

static void answer_call(struct position_call *call, const struct rings *rings) {
    struct state_key prefix;
    if (state_key_input(&prefix, call->uid, call->input, TEXT_EMPTY) < 0) {
        control_fail(call->call, "the name of the input is too long");
        return;
    }
    struct answer answer = { call->call, prefix.length };
    state_map_walk(rings->state, state_key_text(&prefix), add_line, &answer);
    control_done(call->call);
}

void positions_answer(struct positions *positions, struct rings *rings, uint64_t now_monotonic_ns) {
    for (size_t i = 0; i < positions->count;) {
        struct position_call *call = &positions->calls[i];
        if (position_targets_are_safe(&call->targets, rings)) {
            answer_call(call, rings);
        } else if (now_monotonic_ns >= call->deadline_ns) {
            control_fail(call->call, "what is in the rings cannot be stored now");
        } else {
            i++;
            continue;
        }
        call_finish(call);
        *call = positions->calls[--positions->count];
    }
}

void positions_finish(struct positions *positions) {
    for (size_t i = 0; i < positions->count; i++) {
        control_fail(positions->calls[i].call, "the collector ends");
        call_finish(&positions->calls[i]);
    }
    positions->count = 0;
}
