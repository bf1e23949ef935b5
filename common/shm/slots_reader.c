/* slots_reader.c - the states of many slots, and the open spans of one, each in one go (ring_reader.h). */
#include <string.h>

#include "common/shm/geometry.h"
#include "common/shm/ring_reader.h"

struct states_access {
    struct ring *ring;
    uint32_t count;
    uint64_t *out;
};

static int copy_states(void *argument) {
    struct states_access *access = argument;
    uint32_t used = ring_slots_used(access->ring);
    if (access->count > used)
        access->count = used;
    for (uint32_t i = 0; i < access->count; i++)
        access->out[i] = atomic_load_explicit(&ring_slot_at(access->ring, i)->state, memory_order_relaxed);
    return 0;
}

uint32_t ring_reader_slot_states(struct ring *ring, uint32_t count, uint64_t *out) {
    struct states_access access = { .ring = ring, .count = count, .out = out };
    return map_guarded(copy_states, &access) < 0 ? 0 : access.count;
}

static int read_allocated(void *argument) {
    struct states_access *access = argument;
    *access->out = atomic_load_explicit(&access->ring->header->allocated, memory_order_relaxed);
    return 0;
}

uint64_t ring_reader_room(struct ring *ring) {
    uint64_t allocated = UINT64_MAX;
    struct states_access access = { .ring = ring, .out = &allocated };
    if (map_guarded(read_allocated, &access) < 0 || allocated > ring->size_limit)
        return 0;
    return ring->size_limit - allocated;
}

/* --- open spans --- */

struct spans_access {
    const struct slot_span *spans;
    struct open_span *out;
    int count;
};

/* In words, each an acquire: the copy is done before the state is looked at again. */
static void copy_span(struct slot_span *to, const struct slot_span *from) {
    static_assert(sizeof(*from) % sizeof(uint64_t) == 0, "copied in whole words");
    uint64_t *out = (uint64_t *)(void *)to;
    const uint64_t *in = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < sizeof(*from) / sizeof(*in); i++)
        out[i] = __atomic_load_n(&in[i], __ATOMIC_ACQUIRE);
}

static int copy_spans(void *argument) {
    struct spans_access *access = argument;
    for (int i = 0; i < SLOT_SPANS_MAX; i++) {
        const struct slot_span *span = &access->spans[i];
        struct slot_span copy;
        copy_span(&copy, span); /* its state first */
        uint64_t state = atomic_load_explicit(&copy.state, memory_order_relaxed);
        if (state == 0 || state & 1 || atomic_load_explicit(&span->state, memory_order_relaxed) != state)
            continue;
        struct open_span *out = &access->out[access->count++];
        *out = (struct open_span) {
            .start_ns = state,
            .thread = copy.thread,
            .operation_length =
                copy.operation_length < sizeof(copy.operation) ? copy.operation_length : sizeof(copy.operation),
        };
        memcpy(out->trace_id, copy.trace_id, sizeof(out->trace_id));
        memcpy(out->span_id, copy.span_id, sizeof(out->span_id));
        memcpy(out->parent_id, copy.parent_id, sizeof(out->parent_id));
        memcpy(out->operation, copy.operation, out->operation_length);
    }
    return 0;
}

int ring_reader_spans(struct ring *ring, uint32_t slot, struct open_span out[SLOT_SPANS_MAX]) {
    struct spans_access access = { .spans = ring_slot_at(ring, slot)->spans, .out = out };
    int result = map_guarded(copy_spans, &access);
    return result < 0 ? result : access.count;
}
