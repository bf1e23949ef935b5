/* ring_slot.c - slots and call sites, from the producer's side (ring.h). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/shm/fault.h"
#include "common/shm/geometry.h"
#include "common/shm/liveness.h"

enum { SITE_PAGE = 4096 };

static bool is_state(uint64_t word, enum slot_state state) {
    return (word & 0xff) == (uint64_t)state;
}

/* --- the budget of pages --- */

/* What the marks in the ring say is allocated. */
static uint64_t count_pages(const struct ring *ring) {
    uint64_t bytes = ring->slots_at;
    for (uint32_t lane = 0; lane < ring->lane_count; lane++)
        if (atomic_load_explicit(&ring_lane_header(ring, lane)->allocated, memory_order_relaxed) == 1)
            bytes += lane < ring->overflow_count ? RING_OVERFLOW_SIZE : RING_LANE_SIZE;
    for (uint32_t slot = 0, used = ring_slots_used(ring); slot < used; slot++) {
        uint32_t pages = atomic_load_explicit(&ring_slot_at(ring, slot)->pages, memory_order_relaxed);
        bytes += RING_SLOT_HEAD_SIZE + (pages & SLOT_PAGES_CLAIM ? RING_SLOT_CLAIM_SIZE - RING_SLOT_SPANS_AT : 0);
        bytes += (uint64_t)__builtin_popcount(pages & ~(SLOT_PAGES_SITES - 1U)) * SITE_PAGE;
        bytes += pages & SLOT_PAGES_METRICS ? RING_SLOT_METRICS_SIZE : 0;
    }
    return bytes;
}

/* Count before the pages are there. Who is killed in between leaves the count too high, for ever: so when it says that there is no
 * room, it is counted anew, once. That misses what others are about to allocate: the ring may come to have as much too many. */
static bool take_budget(struct ring *ring, uint64_t size, uint64_t kept) {
    _Atomic uint64_t *allocated = &ring->header->allocated;
    /* relaxed throughout: a budget, no order hangs on it. */
    uint64_t now = atomic_load_explicit(allocated, memory_order_relaxed);
    for (bool counted = false;;) {
        if (now <= ring->size_limit && size + kept <= ring->size_limit - now) {
            if (atomic_compare_exchange_weak_explicit(allocated, &now, now + size, memory_order_relaxed,
                                                      memory_order_relaxed))
                return true;
            continue;
        }
        uint64_t pages = count_pages(ring);
        if (counted || pages >= now)
            return false;
        counted = true;
        if (atomic_compare_exchange_strong_explicit(allocated, &now, pages, memory_order_relaxed, memory_order_relaxed))
            now = pages;
    }
}

static void give_budget(struct ring *ring, uint64_t size) {
    _Atomic uint64_t *allocated = &ring->header->allocated;
    uint64_t now = atomic_load_explicit(allocated, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(allocated, &now, now > size ? now - size : 0, memory_order_relaxed,
                                                  memory_order_relaxed))
        ; /* it may have been counted anew, without ours */
}

uint64_t ring_kept_for_slots(const struct ring *ring) {
    uint64_t unclaimed = ring->slot_count - ring_slots_used(ring);
    return unclaimed * (RING_SLOT_HEAD_SIZE + RING_SLOT_CLAIM_SIZE - RING_SLOT_SPANS_AT);
}

int ring_allocate(struct ring *ring, uint64_t at, uint64_t size, uint64_t kept) {
    if (!take_budget(ring, size, kept))
        return -ENOSPC;
    fault_point(pages_counted);
    int result = map_allocate(&ring->map, at, size);
    fault_point(pages_allocated);
    if (result < 0)
        give_budget(ring, size);
    return result;
}

int ring_slot_allocate(struct ring *ring, struct ring_slot *slot, enum slot_pages pages, uint64_t at, uint64_t size) {
    /* relaxed: only the slot's owner asks, under its record lock. */
    if (atomic_load_explicit(&slot->pages, memory_order_relaxed) & (uint32_t)pages)
        return 0;
    uint64_t kept = pages == SLOT_PAGES_CLAIM ? 0 : ring_kept_for_slots(ring);
    int result = ring_allocate(ring, at, size, kept);
    if (result == 0)
        atomic_fetch_or_explicit(&slot->pages, (uint32_t)pages, memory_order_relaxed);
    return result;
}

/* --- slots --- */

static uint16_t fit_name(struct text service) {
    return (uint16_t)(service.length < ENTRY_NAME_BYTES ? service.length : ENTRY_NAME_BYTES);
}

/* Make a free slot, whose lock we hold, ready; everything but the state word, which publishes it. */
static int fill_slot(const struct ring *ring, struct ring_slot *slot, struct text service, uint8_t min_level) {
    struct process_identity own;
    uint8_t producer_id[sizeof(slot->producer_id)];
    int result = random_bytes(producer_id, sizeof(producer_id));
    if (result < 0)
        return result;
    process_identity_own(&own);
    uint32_t pages = atomic_load_explicit(&slot->pages, memory_order_relaxed);
    memset((char *)slot + sizeof(slot->state), 0, RING_SLOT_HEAD_SIZE - sizeof(slot->state));
    memset((char *)slot + RING_SLOT_SPANS_AT, 0, RING_SLOT_CLAIM_SIZE - RING_SLOT_SPANS_AT);
    atomic_store_explicit(&slot->pages, pages, memory_order_relaxed);
    memcpy(slot->producer_id, producer_id, sizeof(producer_id));
    slot->pid = own.pid;
    slot->start_time = own.start_time;
    slot->pid_namespace = own.pid_namespace;
    slot->claimed_ns = clock_real_ns();
    slot->service_length = fit_name(service);
    if (slot->service_length > 0)
        memcpy(slot->service, service.data, slot->service_length);
    slot->min_level = min_level;
    /* relaxed: the state word publishes it, with the rest. */
    atomic_store_explicit(&slot->control,
                          slot_control_compose(ring->settings.level, min_level, ring->settings.recorder_levels, 0),
                          memory_order_relaxed);
    return 0;
}

/* Take one more slot in: its first page, then the count. Nobody looks at it before. */
static int take_in(struct ring *ring, uint32_t index) {
    uint64_t at = ring->slots_at + (uint64_t)index * RING_SLOT_SIZE;
    int result = ring_allocate(ring, at, RING_SLOT_HEAD_SIZE, 0);
    if (result < 0)
        return result;
    fault_point(slot_page);
    /* release: its page is there for whoever counts on it. Lost: another did the same with the same page. */
    if (!atomic_compare_exchange_strong_explicit(&ring->header->slots_used, &index, index + 1, memory_order_release,
                                                 memory_order_relaxed))
        give_budget(ring, RING_SLOT_HEAD_SIZE);
    fault_point(slot_taken_in);
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
static int try_slot(struct ring *ring, uint32_t index, struct text service, uint8_t min_level, struct slot_claim *ret) {
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
    fault_point(slot_locked);
    result = ring_slot_allocate(ring, slot, SLOT_PAGES_CLAIM,
                                ring->slots_at + (uint64_t)index * RING_SLOT_SIZE + RING_SLOT_SPANS_AT,
                                RING_SLOT_CLAIM_SIZE - RING_SLOT_SPANS_AT);
    if (result == 0)
        result = fill_slot(ring, slot, service, min_level);
    if (result < 0) {
        slot_lock_drop(ring->map.fd, index);
        return result;
    }
    uint32_t generation = (uint32_t)(word >> 8) + 1;
    fault_point(slot_filled);
    /* The release in it publishes what fill_slot wrote; that it is sequentially consistent, and before the
     * announcement, is for the retirement. */
    atomic_store(&slot->state, slot_state_word(generation, SLOT_ACTIVE));
    fault_point(slot_active);
    result = announce(ring);
    fault_point(slot_announced);
    if (result < 0) {
        atomic_store(&slot->state, slot_state_word(generation, SLOT_FREE));
        slot_lock_drop(ring->map.fd, index);
        return result;
    }
    *ret = (struct slot_claim) { .index = index, .generation = generation, .slot = slot };
    return 0;
}

uint32_t ring_slots_used(const struct ring *ring) {
    /* acquire: pairs with take_in. */
    uint32_t used = atomic_load_explicit(&ring->header->slots_used, memory_order_acquire);
    return used < ring->slot_count ? used : ring->slot_count;
}

int ring_slot_claim(struct ring *ring, struct text service, uint8_t min_level, struct slot_claim *ret) {
    if (!map_owns_descriptor(&ring->map))
        return -EBADF;
    if (atomic_load(&ring->header->attach) & 1) /* only saves the way: the announcement decides */
        return -ESTALE;
    int result = -EAGAIN;
    for (uint32_t index = 0; index < ring->slot_count && result == -EAGAIN; index++) {
        int taken = index < ring_slots_used(ring) ? 0 : take_in(ring, index);
        result = taken < 0 ? taken : try_slot(ring, index, service, min_level, ret);
    }
    return result;
}

void ring_slot_release(struct ring *ring, const struct slot_claim *claim, bool untouched) {
    uint64_t expected = slot_state_word(claim->generation, SLOT_ACTIVE);
    uint64_t next = slot_state_word(claim->generation, untouched ? SLOT_FREE : SLOT_CLOSED);
    fault_point(slot_releasing);
    /* release: all we wrote into the slot comes before. Lost: the slot was taken from us, and its lock is not ours. */
    if (!atomic_compare_exchange_strong_explicit(&claim->slot->state, &expected, next, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return;
    fault_point(slot_released);
    if (map_owns_descriptor(&ring->map))
        slot_lock_drop(ring->map.fd, claim->index);
}

void ring_slot_say_goodbye(const struct slot_claim *claim) {
    struct ring_slot *slot = claim->slot;
    /* Not in a child that no handler saw fork, nor in a slot that was taken from us. */
    if (slot->pid == (uint32_t)getpid() &&
        atomic_load_explicit(&slot->state, memory_order_relaxed) == slot_state_word(claim->generation, SLOT_ACTIVE))
        atomic_store_explicit(&slot->goodbye, 1, memory_order_release); /* read when the lock is gone, much later */
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

/* The pages of [from, to), offsets in the slot, are there. */
static int allocate_site_pages(struct ring *ring, const struct slot_claim *claim, size_t from, size_t to) {
    uint64_t slot_at = ring->slots_at + (uint64_t)claim->index * RING_SLOT_SIZE;
    int result = 0;
    for (size_t page = from / SITE_PAGE; page <= (to - 1) / SITE_PAGE && result == 0; page++)
        if (page > 0 && page < RING_SLOT_SPANS_AT / SITE_PAGE)
            result = ring_slot_allocate(ring, claim->slot, (enum slot_pages)(SLOT_PAGES_SITES << (page - 1)),
                                        slot_at + page * SITE_PAGE, SITE_PAGE);
    return result;
}

int ring_site_add(struct ring *ring, const struct slot_claim *claim, enum level level, struct text module,
                  struct text operation, struct text format) {
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
        end += (uint32_t)parts[i].length;
    }
    size_t site_at = offsetof(struct ring_slot, sites) + count * sizeof(struct slot_site);
    size_t text_at = offsetof(struct ring_slot, site_text);
    if (allocate_site_pages(ring, claim, site_at, site_at + sizeof(struct slot_site)) < 0 ||
        (end > used && allocate_site_pages(ring, claim, text_at + used, text_at + end) < 0))
        return -ENOSPC;
    for (size_t i = 0, at = used; i < COUNT_OF(parts); at += parts[i++].length)
        if (parts[i].length > 0)
            memcpy(slot->site_text + at, parts[i].data, parts[i].length);
    slot->sites[count] = (struct slot_site) {
        .text_at = used,
        .module_length = (uint16_t)module.length,
        .operation_length = (uint16_t)operation.length,
        .format_length = (uint16_t)format.length,
        .level = level,
    };
    slot->site_text_used = end;
    fault_point(site_written);
    /* release: the site and its text are there before the reader can see its number. */
    atomic_store_explicit(&slot->site_count, count + 1, memory_order_release);
    fault_point(site_added);
    return (int)count + 1;
}
