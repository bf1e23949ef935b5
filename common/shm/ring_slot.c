/* ring_slot.c - slots and call sites, from the producer's side (ring.h). */
#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/shm/geometry.h"
#include "common/shm/liveness.h"

static bool is_state(uint64_t word, enum slot_state state) {
    return (word & 0xff) == (uint64_t)state;
}

static uint16_t fit_name(struct text service) {
    return (uint16_t)(service.length < ENTRY_NAME_BYTES ? service.length : ENTRY_NAME_BYTES);
}

/* Make a free slot, whose lock we hold, ready; everything but the state word, which publishes it. */
static int fill_slot(const struct ring *ring, struct ring_slot *slot, struct text service) {
    struct process_identity own;
    uint8_t producer_id[sizeof(slot->producer_id)];
    int result = random_bytes(producer_id, sizeof(producer_id));
    if (result < 0)
        return result;
    process_identity_own(&own);
    memset((char *)slot + sizeof(slot->state), 0, RING_SLOT_CLAIM_SIZE - sizeof(slot->state));
    memcpy(slot->producer_id, producer_id, sizeof(producer_id));
    slot->pid = own.pid;
    slot->start_time = own.start_time;
    slot->pid_namespace = own.pid_namespace;
    slot->claimed_ns = clock_real_ns();
    slot->service_length = fit_name(service);
    if (slot->service_length > 0)
        memcpy(slot->service, service.data, slot->service_length);
    /* relaxed: the state word publishes it, with the rest. */
    atomic_store_explicit(&slot->control, ring->level & SLOT_CONTROL_LEVEL_MASK, memory_order_relaxed);
    return 0;
}

/* Count our claim in the attach word. The slot's state is active by now, so of us and a collector that retires the ring
 * one sees the other: it reads the word, then the states, then swaps; we set the state, then swap. All sequentially
 * consistent. */
static int announce(struct ring *ring) {
    uint64_t attach = atomic_load(&ring->header->attach);
    do {
        if (attach & 1)
            return -ESTALE;
    } while (!atomic_compare_exchange_weak(&ring->header->attach, &attach, attach + 2));
    return 0;
}

/* Try one slot: 0 claimed, -EAGAIN it is taken, else what stands in the way of any claim. */
static int try_slot(struct ring *ring, uint32_t index, struct text service, struct slot_claim *ret) {
    struct ring_slot *slot = ring_slot_at(ring, index);
    if (!is_state(atomic_load(&slot->state), SLOT_FREE))
        return -EAGAIN; /* also what keeps us from our own slots: record locks do not conflict in one process */
    int result = slot_lock_take(ring->map.fd, index);
    if (result < 0)
        return result;
    /* The acquire in it: who freed the slot has read all of it that he wanted before we write over it. */
    uint64_t word = atomic_load(&slot->state);
    if (!is_state(word, SLOT_FREE)) {
        /* Somebody claimed it between look and lock. If he has let go of the lock it is another process, or one that
         * died: ours to drop. A thread of our own would hold the same lock as we do: then it must stay. */
        struct process_identity own;
        process_identity_own(&own);
        if (slot->pid != own.pid || slot->start_time != own.start_time)
            slot_lock_drop(ring->map.fd, index);
        return -EAGAIN;
    }
    result = map_allocate(&ring->map, ring->slots_at + (uint64_t)index * RING_SLOT_SIZE, RING_SLOT_CLAIM_SIZE);
    if (result == 0)
        result = fill_slot(ring, slot, service);
    if (result < 0) {
        slot_lock_drop(ring->map.fd, index);
        return result;
    }
    uint32_t generation = (uint32_t)(word >> 8) + 1;
    /* The release in it publishes what fill_slot wrote; that it is sequentially consistent, and before the
     * announcement, is for the retirement. */
    atomic_store(&slot->state, slot_state_word(generation, SLOT_ACTIVE));
    result = announce(ring);
    if (result < 0) {
        atomic_store(&slot->state, slot_state_word(generation, SLOT_FREE));
        slot_lock_drop(ring->map.fd, index);
        return result;
    }
    *ret = (struct slot_claim) { .index = index, .generation = generation, .slot = slot };
    return 0;
}

int ring_slot_claim(struct ring *ring, struct text service, struct slot_claim *ret) {
    if (!map_owns_descriptor(&ring->map))
        return -EBADF;
    if (atomic_load(&ring->header->attach) & 1) /* only saves the way: the announcement decides */
        return -ESTALE;
    int result = -EAGAIN;
    for (uint32_t index = 0; index < ring->slot_count && result == -EAGAIN; index++)
        result = try_slot(ring, index, service, ret);
    return result;
}

void ring_slot_release(struct ring *ring, const struct slot_claim *claim, bool untouched) {
    uint64_t expected = slot_state_word(claim->generation, SLOT_ACTIVE);
    uint64_t next = slot_state_word(claim->generation, untouched ? SLOT_FREE : SLOT_CLOSED);
    /* release: all we wrote into the slot comes before. Lost: the slot was taken from us, and its lock is not ours. */
    if (!atomic_compare_exchange_strong_explicit(&claim->slot->state, &expected, next, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return;
    if (map_owns_descriptor(&ring->map))
        slot_lock_drop(ring->map.fd, claim->index);
}

int ring_slot_relock(struct ring *ring, const struct slot_claim *claim) {
    if (!map_owns_descriptor(&ring->map))
        return -EBADF;
    uint64_t active = slot_state_word(claim->generation, SLOT_ACTIVE);
    /* Any order will do: while we live only we change it, or somebody who took us for dead, and the lock tells us that
     * as well. */
    if (atomic_load(&claim->slot->state) != active)
        return -ESTALE;
    int result = slot_lock_take(ring->map.fd, claim->index);
    if (result == -EAGAIN)
        return -ESTALE; /* another process has our slot's lock: it was given away */
    return result;
}

int ring_site_add(const struct slot_claim *claim, enum level level, struct text module, struct text operation,
                  struct text format) {
    check((unsigned)level < LEVEL_COUNT);
    struct ring_slot *slot = claim->slot;
    /* relaxed: only we (serialised) write it. What stands there is checked all the same: others can write to the file.
     */
    uint32_t count = atomic_load_explicit(&slot->site_count, memory_order_relaxed);
    uint32_t used = slot->site_text_used;
    if (count >= SLOT_SITES_MAX || used > SLOT_SITE_TEXT_SIZE)
        return -ENOSPC;
    const struct text parts[] = { module, operation, format };
    uint32_t end = used;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (parts[i].length > SLOT_SITE_TEXT_SIZE - end)
            return -ENOSPC;
        if (parts[i].length > 0)
            memcpy(slot->site_text + end, parts[i].data, parts[i].length);
        end += (uint32_t)parts[i].length;
    }
    slot->sites[count] = (struct slot_site) {
        .text_at = used,
        .module_length = (uint16_t)module.length,
        .operation_length = (uint16_t)operation.length,
        .format_length = (uint16_t)format.length,
        .level = level,
    };
    slot->site_text_used = end;
    /* release: the site and its text are there before the reader can see its number. */
    atomic_store_explicit(&slot->site_count, count + 1, memory_order_release);
    return (int)count + 1;
}
