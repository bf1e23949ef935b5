#include "collector/slots.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DEATHS_AT_ONCE = 64 };

void slots_init(struct rings *rings) {
    struct rlimit limit;
    rings->deaths_fd = epoll_create1(EPOLL_CLOEXEC); /* -1: all locks are looked at */
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= INT32_MAX;
    rings->watch_fd_end = (known ? (int)limit.rlim_cur : INT32_MAX) - FILES_KEPT;
}

/* --- who is there --- */

void slots_look(struct rings *rings, struct collector_ring *ring) {
    uint64_t words[RING_SLOTS_MAX];
    rings_slots_count(ring);
    uint32_t count = ring_reader_slot_states(&ring->ring, ring->slots_used, words);
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = &ring->slots[i];
        if (slot->known ? words[i] != slot->info.state_word : (words[i] & 0xff) != SLOT_FREE)
            rings_slot_refresh(rings, ring, i);
    }
}

/* Producer ids are random; who chooses them makes the table slow for his own ring alone. */
static uint32_t first_place(const uint8_t producer_id[16], uint32_t mask) {
    uint32_t word;
    memcpy(&word, producer_id, sizeof(word));
    return word & mask;
}

static uint32_t table_mask(const struct collector_ring *ring) {
    uint32_t size = 1;
    while (size < 2 * ring->ring.slot_count)
        size *= 2;
    return size - 1;
}

static void index_producers(struct collector_ring *ring) {
    uint32_t mask = table_mask(ring);
    if (!ring->producers)
        ring->producers = malloc(((size_t)mask + 1) * sizeof(*ring->producers));
    if (!ring->producers)
        return;
    memset(ring->producers, 0, ((size_t)mask + 1) * sizeof(*ring->producers));
    for (uint32_t i = 0; i < ring->slots_used; i++) {
        if (!ring->slots[i].known)
            continue;
        uint32_t place = first_place(ring->slots[i].info.producer_id, mask);
        while (ring->producers[place])
            place = (place + 1) & mask;
        ring->producers[place] = (uint16_t)(i + 1);
    }
    ring->producers_are_old = false;
}

static struct slot *find(struct collector_ring *ring, const uint8_t producer_id[16]) {
    uint32_t mask = table_mask(ring);
    if (!ring->producers || ring->producers_are_old)
        index_producers(ring);
    uint32_t place = first_place(producer_id, mask);
    while (ring->producers && ring->producers[place]) { /* half of the table is empty */
        struct slot *slot = &ring->slots[ring->producers[place] - 1];
        if (slot->known && memcmp(slot->info.producer_id, producer_id, 16) == 0)
            return slot;
        place = (place + 1) & mask;
    }
    return NULL;
}

struct slot *slots_find(struct rings *rings, struct collector_ring *ring, const uint8_t producer_id[16]) {
    struct slot *slot = find(ring, producer_id);
    if (slot || ring->looked_again || ring->phase == RING_BROKEN)
        return slot;
    ring->looked_again = true;
    slots_look(rings, ring);
    return find(ring, producer_id);
}

/* --- who has ended --- */

bool slots_watch(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    if (slot->watch.tried)
        return slot->watch.fd >= 0;
    slot->watch.tried = true;
    int fd = rings->deaths_fd < 0 ? -1 : ring_reader_slot_watch(&ring->ring, index, &slot->info);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = slot };
    if (fd < 0)
        return false;
    if (fd >= rings->watch_fd_end || epoll_ctl(rings->deaths_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        return false;
    }
    slot->watch.fd = fd;
    slot->watch.deaths_fd = rings->deaths_fd;
    return true;
}

void slots_meet(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    if (rings_slot_refresh(rings, ring, index) && !slots_watch(rings, ring, index))
        rings->deaths = true;
}

/* Taken out before it is closed: a child of ours may hold a copy of it. */
void slot_unwatch(struct slot *slot) {
    if (slot->watch.fd < 0)
        return;
    epoll_ctl(slot->watch.deaths_fd, EPOLL_CTL_DEL, slot->watch.fd, NULL);
    close(slot->watch.fd);
    slot->watch.fd = -1;
}

bool slots_note_deaths(struct rings *rings) {
    struct epoll_event events[DEATHS_AT_ONCE];
    int count;
    while (rings->deaths_fd >= 0 && (count = epoll_wait(rings->deaths_fd, events, DEATHS_AT_ONCE, 0)) > 0)
        for (int i = 0; i < count; i++) {
            struct slot *slot = events[i].data.ptr;
            slot->watch.ended = true;
            slot_unwatch(slot);
            rings->deaths = true;
        }
    return rings->deaths;
}
