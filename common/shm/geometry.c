#include "common/shm/geometry.h"

#include <errno.h>

#include "common/base/check.h"
#include "common/shm/ring_reader.h"

enum {
    PAGE = 4096,
    SLOT_SHARE = 64 * 1024, /* of the ring: one slot for each */
    SLOT_TYPICAL_SIZE = 16 * 1024 /* what a process takes that has a page of call sites and no metric */,
    OVERFLOW_SHARE = 16 * 1024 * 1024,
};

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high) {
    return value < low ? low : value > high ? high : value;
}

static uint64_t round_up(uint64_t value) {
    return (value + PAGE - 1) / PAGE * PAGE;
}

void geometry_of_counts(uint32_t slot_count, uint32_t overflow_count, uint32_t lane_count, struct geometry *ret) {
    uint64_t lanes_at = RING_HEADER_SIZE + PAGE; /* behind the header and the anonymous ledger */
    uint64_t slots_at = round_up(lanes_at + (uint64_t)lane_count * RING_LANE_HEADER_SIZE);
    uint64_t data_at = slots_at + (uint64_t)slot_count * RING_SLOT_SIZE;
    *ret = (struct geometry) {
        .slot_count = slot_count,
        .overflow_count = overflow_count,
        .lane_count = lane_count,
        .lanes_at = lanes_at,
        .slots_at = slots_at,
        .data_at = data_at,
        .file_size = data_at + (uint64_t)overflow_count * RING_OVERFLOW_SIZE +
                     (uint64_t)(lane_count - overflow_count) * RING_LANE_SIZE,
    };
}

void geometry_of_size(uint64_t size, struct geometry *ret) {
    size = clamp(size, RING_SIZE_MIN, RING_SIZE_MAX);
    uint32_t slots = (uint32_t)clamp(size / SLOT_SHARE, RING_SLOTS_MIN, RING_SLOTS_MAX);
    uint32_t overflow = (uint32_t)clamp(size / OVERFLOW_SHARE, 1, RING_OVERFLOW_MAX);
    geometry_of_counts(slots, overflow, overflow, ret);
    /* As many lanes as there is memory for beside all slots; larger slots are claimed out of the same (layout.h, pages). */
    uint64_t fixed = ret->slots_at + (uint64_t)overflow * RING_OVERFLOW_SIZE + (uint64_t)slots * SLOT_TYPICAL_SIZE;
    uint64_t private = (size - fixed) / (RING_LANE_SIZE + RING_LANE_HEADER_SIZE);
    geometry_of_counts(slots, overflow, (uint32_t)clamp(overflow + private, overflow + 1, RING_LANES_MAX), ret);
    ret->size_limit = size;
}

int ring_header_check(const struct ring_header *header, uint64_t file_size, struct error *error) {
    struct geometry expected;
    if (header->magic != RING_MAGIC)
        return error_set(error, -EBADMSG, "the file is no ring: its first bytes are others");
    if (header->version > RING_VERSION)
        return error_set(error, -EPROTO, "the ring has format %u, newer than format %u, the last this program knows",
                         header->version, RING_VERSION);
    if (header->version < RING_VERSION)
        return error_set(error, -EBADMSG,
                         "the ring has format %u, of before the first release: restart who writes to it",
                         header->version);
    if (header->version != RING_VERSION || header->header_size != RING_HEADER_SIZE ||
        header->slot_size != RING_SLOT_SIZE || header->lane_size != RING_LANE_SIZE ||
        header->overflow_size != RING_OVERFLOW_SIZE)
        return error_set(error, -EBADMSG, "the ring's header is damaged: sizes that format %u does not have",
                         RING_VERSION);
    if (header->slot_count < 1 || header->slot_count > RING_SLOTS_MAX || header->overflow_count < 1 ||
        header->overflow_count > RING_OVERFLOW_MAX || header->lane_count <= header->overflow_count ||
        header->lane_count > RING_LANES_MAX)
        return error_set(error, -EBADMSG, "the ring's header is damaged: %u slots, %u lanes, %u of them overflow",
                         header->slot_count, header->lane_count, header->overflow_count);
    geometry_of_counts(header->slot_count, header->overflow_count, header->lane_count, &expected);
    if (header->lanes_at != expected.lanes_at || header->slots_at != expected.slots_at ||
        header->data_at != expected.data_at || header->file_size != expected.file_size)
        return error_set(error, -EBADMSG, "the ring's header is damaged: its parts stand where they cannot");
    if (file_size != expected.file_size)
        return error_set(error, -EBADMSG, "the ring has %llu bytes where its header says %llu: it was cut",
                         (unsigned long long)file_size, (unsigned long long)expected.file_size);
    return 0;
}

struct lane_header *ring_lane_header(const struct ring *ring, uint32_t lane) {
    check(lane < ring->lane_count);
    return (struct lane_header *)(void *)(ring->map.base + ring->lanes_at) + lane;
}

struct ring_slot *ring_slot_at(const struct ring *ring, uint32_t slot) {
    check(slot < ring->slot_count);
    return (struct ring_slot *)(void *)(ring->map.base + ring->slots_at + (uint64_t)slot * RING_SLOT_SIZE);
}

uint64_t ring_lane_size(const struct ring *ring, uint32_t lane) {
    return lane < ring->overflow_count ? RING_OVERFLOW_SIZE : RING_LANE_SIZE;
}

uint64_t ring_lane_data_at(const struct ring *ring, uint32_t lane) {
    check(lane < ring->lane_count);
    if (lane < ring->overflow_count)
        return ring->data_at + (uint64_t)lane * RING_OVERFLOW_SIZE;
    return ring->data_at + (uint64_t)ring->overflow_count * RING_OVERFLOW_SIZE +
           (uint64_t)(lane - ring->overflow_count) * RING_LANE_SIZE;
}
