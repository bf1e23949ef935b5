/* slot_spans_reader.c - the spans that a process has open (ring_reader.h): copied under the guard, each whole or not at all. */
#include <errno.h>
#include <string.h>

#include "common/shm/geometry.h"
#include "common/shm/ring_reader.h"

enum { COPY_ATTEMPTS = 4 };

struct spans_access {
    struct ring *ring;
    uint32_t number;
    struct ring_slot *slot;
    struct open_span *out;
    int count;
};

/* Each word an acquire: the copy is then done before the state is looked at again. */
static void copy_words(struct slot_span *to, const struct slot_span *from) {
    static_assert(sizeof(struct slot_span) % sizeof(uint64_t) == 0, "copied in whole words");
    uint64_t *out = (uint64_t *)(void *)to;
    const uint64_t *in = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < sizeof(struct slot_span) / sizeof(uint64_t); i++)
        out[i] = __atomic_load_n(&in[i], __ATOMIC_ACQUIRE);
}

/* True and *ret when the place holds a span that stayed as it was while it was copied. */
static bool copy_span(const struct slot_span *from, struct slot_span *ret) {
    for (int attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
        uint64_t state = atomic_load_explicit(&from->state, memory_order_acquire);
        if (state == 0)
            return false;
        if (state % 2 != 0)
            continue; /* being written: just opened, or killed in the middle of that */
        copy_words(ret, from);
        if (atomic_load_explicit(&from->state, memory_order_relaxed) == state) {
            atomic_store_explicit(&ret->state, state, memory_order_relaxed);
            return true;
        }
    }
    return false;
}

static void take(struct open_span *out, const struct slot_span *copy) {
    size_t length =
        copy->operation_length < SLOT_SPAN_OPERATION_BYTES ? copy->operation_length : SLOT_SPAN_OPERATION_BYTES;
    out->start_ns = atomic_load_explicit(&copy->state, memory_order_relaxed);
    out->thread = copy->thread;
    out->operation_length = (uint8_t)length;
    memcpy(out->trace_id, copy->trace_id, sizeof(out->trace_id));
    memcpy(out->span_id, copy->span_id, sizeof(out->span_id));
    memcpy(out->parent_id, copy->parent_id, sizeof(out->parent_id));
    memcpy(out->operation, copy->operation, length);
}

static int look_at_spans(void *argument) {
    struct spans_access *access = argument;
    access->count = 0;
    if (access->number >= ring_slots_used(access->ring))
        return 0;
    for (unsigned i = 0; i < SLOT_SPANS_MAX; i++) {
        struct slot_span copy;
        if (copy_span(&access->slot->spans[i], &copy))
            take(&access->out[access->count++], &copy);
    }
    return 0;
}

int ring_reader_spans(struct ring *ring, uint32_t slot, struct open_span ret[SLOT_SPANS_MAX]) {
    struct spans_access access = { .ring = ring, .number = slot, .slot = ring_slot_at(ring, slot), .out = ret };
    int result = map_guarded(look_at_spans, &access);
    return result < 0 ? result : access.count;
}
