/* A hostile ring file: a whole ring with the input scribbled over it, read by everything a reader does.
 *
 * The input is a run of pieces: part (1 byte: what it is written over), place (2 bytes, in units of 8), length (1
 * byte), bytes. A part "span" instead takes all that follows as the committed bytes of lane 1, a part "recorder" the same of a
 * lane 1 that was overwritten twice. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/shm/geometry.h"
#include "common/shm/ring_file.h"
#include "common/shm/slot_metrics.h"
#include "tests/torture/ring_sweep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum part {
    PART_HEADER,
    PART_LANES,
    PART_SLOT,
    PART_SITES,
    PART_OVERFLOW_LANE,
    PART_PRIVATE_LANE,
    PART_SPAN,
    PART_METRICS,
    PART_RECORDER,
    PART_COUNT
};

enum { REACH = UINT16_MAX * 8 + UINT8_MAX + 1 }; /* how far from a part's start the input reaches */

static char *front; /* header, lane headers, slots: as they were made */
static struct geometry geometry;
static int file = -1;
static char *copy;

static struct ring map_it(void) {
    struct ring ring;
    int fd = fcntl(file, F_DUPFD_CLOEXEC, 3);
    check(fd >= 0 && ring_map(fd, true, &ring, NULL) == 0);
    return ring;
}

/* One whole ring with a slot, a lane in use, a call site and two metrics, in memory. */
static void make_ring(void) {
    char folder[] = "/tmp/taskforge-fuzz-XXXXXX", name[32];
    check(mkdtemp(folder));
    int rings_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file = ring_file_create(rings_fd, getuid(), RING_SIZE_MIN, NULL);
    check(file >= 0);
    snprintf(name, sizeof(name), "%u", (unsigned)getuid());
    unlinkat(rings_fd, name, 0);
    close(rings_fd);
    rmdir(folder);

    struct ring ring = map_it();
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    check(ring_slot_claim(&ring, TEXT_LITERAL("fuzz"), 0, &claim) == 0);
    check(ring_lane_claim(&ring, &claim, false, &writer, &lane) == 0 && lane == 1);
    check(ring_site_add(&ring, &claim, LEVEL_INFO, TEXT_LITERAL("m"), TEXT_LITERAL("o"), TEXT_LITERAL("f %d")) == 1);
    uint32_t place;
    const struct metric_definition counter = { .kind = METRIC_COUNTER, .name = TEXT_LITERAL("jobs") };
    const struct metric_definition timer = { .kind = METRIC_TIMER, .name = TEXT_LITERAL("work") };
    check(slot_metric_add(&ring, &claim, &counter, &place) == 0);
    check(slot_metric_add(&ring, &claim, &timer, &place) == 0);
    check(slot_histogram_observe(claim.slot, place, 0.25) == 0);
    ring_finish(&ring);
    geometry_of_size(RING_SIZE_MIN, &geometry);
    front = malloc(geometry.data_at);
    copy = malloc(RING_OVERFLOW_SIZE);
    check(front && copy && pread(file, front, geometry.data_at, 0) == (ssize_t)geometry.data_at);
}

static uint64_t start_of(enum part part) {
    const uint64_t starts[PART_COUNT] = {
        [PART_HEADER] = 0,
        [PART_LANES] = geometry.lanes_at,
        [PART_SLOT] = geometry.slots_at,
        [PART_SITES] = geometry.slots_at + offsetof(struct ring_slot, sites),
        [PART_METRICS] = geometry.slots_at + RING_SLOT_CLAIM_SIZE,
        [PART_OVERFLOW_LANE] = geometry.data_at + LANE_POSITION_START,
        [PART_PRIVATE_LANE] = geometry.data_at + RING_OVERFLOW_SIZE + LANE_POSITION_START,
        [PART_SPAN] = geometry.data_at + RING_OVERFLOW_SIZE + LANE_POSITION_START,
        [PART_RECORDER] = geometry.data_at + RING_OVERFLOW_SIZE + LANE_POSITION_START,
    };
    return starts[part];
}

static void scribble(const struct ring *ring, const uint8_t *data, size_t size) {
    while (size >= 4) {
        enum part part = data[0] % PART_COUNT;
        uint64_t at = start_of(part) + (uint64_t)(data[1] | data[2] << 8) * 8;
        size_t length = data[3];
        data += 4;
        size -= 4;
        if (part == PART_SPAN || part == PART_RECORDER) {
            struct lane_header *lane = ring_lane_header(ring, 1);
            length = size / 8 * 8;
            memcpy(ring->map.base + start_of(part), data, length);
            lane->tail = LANE_POSITION_START;
            lane->head = LANE_POSITION_START + length;
            if (part == PART_RECORDER) {
                lane->head += 2 * RING_LANE_SIZE;
                lane->owner |= LANE_OWNER_RECORDER;
            }
            return;
        }
        length = length < size ? length : size;
        memcpy(ring->map.base + at, data, length); /* REACH behind any part is still in the file */
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ring ring, again;
    struct error error = { "" };
    if (file < 0)
        make_ring();
    if (size > RING_LANE_SIZE / 2)
        return 0;
    check(pwrite(file, front, geometry.data_at, 0) == (ssize_t)geometry.data_at);
    ring = map_it();
    memset(ring.map.base + start_of(PART_OVERFLOW_LANE), 0, REACH); /* what the last input left in the lanes */
    memset(ring.map.base + start_of(PART_PRIVATE_LANE), 0, REACH);
    scribble(&ring, data, size);
    ring_sweep(&ring, copy, false);
    ring_sweep(&ring, copy, true);
    ring_sweep(&ring, copy, true);
    /* and as a file that is opened now */
    int fd = fcntl(file, F_DUPFD_CLOEXEC, 3);
    int result = ring_map(fd, true, &again, &error);
    check(result == 0 || error.text[0]);
    if (result == 0) {
        ring_sweep(&again, copy, false);
        ring_finish(&again);
    }
    ring_finish(&ring);
    return 0;
}
