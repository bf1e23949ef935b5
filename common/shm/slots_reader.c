/* slots_reader.c - the states of many slots in one go, and what room there is (ring_reader.h). */
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
