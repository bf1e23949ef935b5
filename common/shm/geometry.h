/* geometry.h - where things stand in a ring file: a pure function of its counts (layout.h draws it). */
#ifndef TASKFORGE_COMMON_SHM_GEOMETRY_H
#define TASKFORGE_COMMON_SHM_GEOMETRY_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/shm/ring.h"

struct geometry {
    uint32_t slot_count, overflow_count, lane_count;
    uint64_t lanes_at, slots_at, data_at, file_size;
    uint64_t size_limit; /* of geometry_of_size alone */
};

/* The counts for a ring that may take `size` bytes of memory (put within RING_SIZE_MIN and RING_SIZE_MAX). The file is longer:
 * pages are allocated as slots and lanes are claimed. */
void geometry_of_size(uint64_t size, struct geometry *ret);

/* The offsets that belong to counts, which must be within their limits. */
void geometry_of_counts(uint32_t slot_count, uint32_t overflow_count, uint32_t lane_count, struct geometry *ret);

/* Check a header (a private copy) against itself and the file's size. -EPROTO: newer version, -EBADMSG: garbage. */
int ring_header_check(const struct ring_header *header, uint64_t file_size, struct error *error);

/* Places inside a mapped ring; index must be below its count. */
struct lane_header *ring_lane_header(const struct ring *ring, uint32_t lane);
struct ring_slot *ring_slot_at(const struct ring *ring, uint32_t slot);
uint64_t ring_lane_data_at(const struct ring *ring, uint32_t lane);

#endif
