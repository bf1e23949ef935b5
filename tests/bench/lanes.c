#include "tests/bench/lanes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/shm/map.h"
#include "tests/bench/timing.h"
#include "tests/torture/ring_lib.h"

struct floor_record {
    uint32_t length;
    uint8_t kind, flags, level, version;
    uint64_t position, time, id, trace[2], span, number;
    char text[112]; /* 100 bytes, and what makes the record a multiple of 8 */
};
static_assert(sizeof(struct floor_record) == FLOOR_RECORD, "as the bound call's record");

static struct {
    struct ring ring;
    struct lane_header floor;
    char *floor_data; /* RING_LANE_SIZE */
    struct floor_record record;
    char *copy; /* room for the largest lane */
    pthread_t thread;
    _Alignas(64) _Atomic uint64_t wanted; /* the writer's: take out what is there now */
    _Alignas(64) _Atomic uint64_t done;   /* the thread's: it is taken out */
    _Atomic int ending;
} lanes;

/* --- the floor --- */

static void floor_open(void) {
    int fd = memfd_create("floor", MFD_CLOEXEC); /* the same kind of pages as a ring's */
    check(fd >= 0 && ftruncate(fd, RING_LANE_SIZE) == 0);
    lanes.floor_data = mmap(NULL, RING_LANE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    check(lanes.floor_data != MAP_FAILED);
    close(fd);
    lanes.record = (struct floor_record) { .length = FLOOR_RECORD, .kind = RECORD_ENTRY, .trace = { 1, 2 }, .span = 3 };
    memset(lanes.record.text, 'x', 100);
}

void lanes_floor_write(unsigned i) {
    uint64_t head = atomic_load_explicit(&lanes.floor.head, memory_order_relaxed);
    if (RING_LANE_SIZE - head % RING_LANE_SIZE < FLOOR_RECORD)
        head += RING_LANE_SIZE - head % RING_LANE_SIZE;
    struct floor_record *record = (struct floor_record *)(void *)(lanes.floor_data + head % RING_LANE_SIZE);
    memcpy(record, &lanes.record, sizeof(*record));
    record->position = head;
#if defined(__x86_64__)
    record->time = timed_ticks();
#else
    record->time = clock_real_ns();
#endif
    record->number = i;
    atomic_store_explicit(&lanes.floor.head, head + FLOOR_RECORD, memory_order_release);
}

static uint64_t floor_bytes(void) {
    return atomic_load(&lanes.floor.head) - atomic_load(&lanes.floor.tail);
}

static void floor_take(bool copy) {
    uint64_t head, tail = atomic_load_explicit(&lanes.floor.tail, memory_order_relaxed);
    check(lane_head(&lanes.floor, RING_LANE_SIZE, tail, &head) == 0);
    if (copy)
        lane_copy(lanes.floor_data, RING_LANE_SIZE, tail, head, lanes.copy);
    atomic_store_explicit(&lanes.floor.tail, head, memory_order_release);
}

/* --- all lanes --- */

void lanes_open(const char *runtime_dir) {
    char path[128];
    struct error error = { "" };
    snprintf(path, sizeof(path), "%s/rings", runtime_dir);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(folder >= 0, "%s: %s", path, strerror(errno));
    require(map_guard_install(&error) == 0, "%s", error.text);
    require(ring_reader_open(folder, geteuid(), true, &lanes.ring, &error) == 0, "%s", error.text);
    close(folder);
    lanes.copy = malloc(RING_OVERFLOW_SIZE);
    check(lanes.copy);
    memset(lanes.copy, 1, RING_OVERFLOW_SIZE);
    floor_open();
}

void lanes_close(void) {
    munmap(lanes.floor_data, RING_LANE_SIZE);
    free(lanes.copy);
    ring_finish(&lanes.ring);
}

struct ring *lanes_ring(void) {
    return &lanes.ring;
}

static void take_out(bool copy) {
    struct ring *ring = lanes_ring();
    for (uint32_t lane = 0; lane < ring->lane_count; lane++) {
        struct lane_state state;
        check(ring_reader_lane(ring, lane, &state) == 0);
        if (state.head == state.tail)
            continue;
        check(!copy || ring_reader_copy(ring, lane, state.tail, state.head, lanes.copy) == 0);
        check(ring_reader_set_tail(ring, lane, state.head) == 0);
    }
    floor_take(copy);
}

void lanes_empty(void) {
    take_out(false);
}

uint64_t lanes_bytes(void) {
    struct ring *ring = lanes_ring();
    uint64_t bytes = floor_bytes();
    for (uint32_t lane = 0; lane < ring->lane_count; lane++) {
        struct lane_state state;
        check(ring_reader_lane(ring, lane, &state) == 0);
        bytes += state.head - state.tail;
    }
    return bytes;
}

/* --- beside --- */

static void *take_out_beside(void *argument) {
    const struct timespec pause = { .tv_nsec = CLOCK_MILLISECOND };
    (void)argument;
    timed_pin(0);
    while (!atomic_load(&lanes.ending)) {
        uint64_t wanted = atomic_load(&lanes.wanted);
        take_out(true);
        atomic_store(&lanes.done, wanted);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

void lanes_begin_beside(void) {
    atomic_store(&lanes.ending, 0);
    check(pthread_create(&lanes.thread, NULL, take_out_beside, NULL) == 0);
}

void lanes_wait(void) {
    uint64_t wanted = atomic_load(&lanes.wanted) + 1;
    atomic_store(&lanes.wanted, wanted);
    while (atomic_load(&lanes.done) != wanted)
        ; /* busy, as a program that goes on with its work */
}

void lanes_end_beside(void) {
    atomic_store(&lanes.ending, 1);
    check(pthread_join(lanes.thread, NULL) == 0);
}
