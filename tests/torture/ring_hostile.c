/* A process with the right to write the file scribbles on every part of it and cuts it while the reader goes on: the
 * reader gets errors, never a signal, never an endless loop. And producers that meet scribbled lanes and slots live on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/shm/slot_metrics.h"
#include "tests/torture/ring_lib.h"
#include "tests/torture/ring_sweep.h"

/* Values that hurt: limits, neighbours, other people's numbers. */
static uint64_t nasty(uint64_t *random) {
    static const uint64_t values[] = {
        0,
        1,
        7,
        8,
        24,
        255,
        256,
        4095,
        4096,
        4104,
        65535,
        65536,
        RING_LANE_SIZE,
        RING_OVERFLOW_SIZE,
        INT32_MAX,
        UINT32_MAX,
        INT64_MAX,
        UINT64_MAX,
        UINT64_MAX - 7,
        LANE_OWNER_RELEASED | 1,
        LANE_OWNER_RELEASED,
    };
    uint64_t draw = torture_random(random);
    return draw % 4 == 0 ? torture_random(random) : values[draw / 4 % (sizeof(values) / sizeof(values[0]))];
}

/* A place in one of the parts, the small ones as often as the large. */
static uint64_t place_in(const struct ring *ring, uint64_t *random) {
    const uint64_t bounds[][2] = {
        { 0, RING_HEADER_SIZE },
        { RING_HEADER_SIZE, ring->lanes_at },
        { ring->lanes_at, ring->slots_at },
        { ring->slots_at, ring->data_at },
        { ring->data_at, ring->data_at + 65536 },
        { ring->data_at, ring->map.size },
        { ring->slots_at, ring->slots_at + RING_SLOT_CLAIM_SIZE }, /* the slot in use, and its series */
        { ring->slots_at + RING_SLOT_CLAIM_SIZE, ring->slots_at + RING_SLOT_CLAIM_SIZE + 1024 },
    };
    const uint64_t *part = bounds[torture_random(random) % (sizeof(bounds) / sizeof(bounds[0]))];
    return part[0] + torture_random(random) % (part[1] - part[0] - 8) / 8 * 8;
}

/* pwrite, not the mapping: the scribbler cuts the file itself and shall live. */
static _Noreturn void scribble(const char *path, const struct ring *ring, uint64_t random, bool cut) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        _exit(1);
    for (;;) {
        uint64_t value = nasty(&random);
        if (pwrite(fd, &value, sizeof(value), (off_t)place_in(ring, &random)) < 0)
            _exit(2);
        if (cut && torture_random(&random) % 512 == 0) {
            if (ftruncate(fd, (off_t)(torture_random(&random) % ring->map.size)) < 0 ||
                ftruncate(fd, (off_t)ring->map.size) < 0)
                _exit(3);
        }
    }
}

static void restore(struct ring *ring, const char *front, uint64_t size) {
    for (uint64_t at = 0; at < size;) {
        ssize_t written = pwrite(ring->map.fd, front + at, size - at, (off_t)at);
        require(written > 0, "%s", strerror(errno));
        at += (uint64_t)written;
    }
}

/* A counter, a gauge and a timer, updated a few times; the ring may be full of nasty values. */
static void some_metrics(struct ring *ring, const struct slot_claim *claim) {
    const struct metric_definition definitions[] = {
        { .kind = METRIC_COUNTER, .name = TEXT_LITERAL("jobs") },
        { .kind = METRIC_GAUGE, .name = TEXT_LITERAL("depth"), .help = TEXT_LITERAL("how deep") },
        { .kind = METRIC_TIMER, .name = TEXT_LITERAL("work") },
    };
    uint32_t place;
    for (unsigned i = 0; i < sizeof(definitions) / sizeof(definitions[0]); i++) {
        if (slot_metric_add(ring, claim, &definitions[i], &place) < 0)
            continue;
        if (i == 0)
            slot_counter_add(claim->slot, place, 3);
        else if (i == 1)
            slot_gauge_add(claim->slot, place, 2.5, 1);
        for (double value = 0x1p-40; i == 2 && value < 0x1p60; value *= 8)
            slot_histogram_observe(claim->slot, place, value);
    }
}

static void some_records(struct ring *ring) {
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    require(ring_slot_claim(ring, TEXT_LITERAL("torture"), 0, &claim) == 0, "slot");
    require(ring_lane_claim(ring, &claim, false, &writer, &lane) == 0, "lane");
    for (uint64_t place = 1; place < 200; place++)
        stream_write(&writer, 1, place);
    require(ring_site_add(ring, &claim, LEVEL_INFO, TEXT_LITERAL("m"), TEXT_LITERAL("o"), TEXT_LITERAL("f")) == 1,
            "site");
    some_metrics(ring, &claim);
}

/* The reader against a live scribbler. */
static void read_on(const char *directory, struct ring *ring, uint64_t sweeps, bool cut) {
    char path[128];
    uint64_t records = 0;
    char *copy = malloc(RING_OVERFLOW_SIZE), *front = malloc(ring->data_at);
    require(copy && front, "out of memory");
    require(pread(ring->map.fd, front, ring->data_at, 0) == (ssize_t)ring->data_at, "front");
    snprintf(path, sizeof(path), "%s/rings/%u", directory, (unsigned)geteuid());
    pid_t scribbler = torture_fork();
    if (scribbler == 0)
        scribble(path, ring, (uint64_t)getpid() * 31 + 7, cut);
    for (uint64_t i = 0; i < sweeps; i++) {
        records += ring_sweep(ring, copy, i % 2);
        if (i % 8 == 7)
            restore(ring, front, ring->data_at); /* so that the reader gets further than the first check */
    }
    require(waitpid(scribbler, NULL, WNOHANG) == 0, "the scribbler has ended");
    kill(scribbler, SIGKILL);
    waitpid(scribbler, NULL, 0);
    restore(ring, front, ring->data_at);
    printf("%llu sweeps%s, %llu records in spite of it\n", (unsigned long long)sweeps,
           cut ? " of a file being cut" : "", (unsigned long long)records);
    free(copy);
    free(front);
}

/* One producer's whole life on lanes and slots full of nasty values. */
static void produce_on(struct ring *ring, uint64_t *random) {
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    for (int i = 0; i < 64; i++) {
        uint64_t value = nasty(random);
        uint64_t at = ring->lanes_at + torture_random(random) % (ring->data_at - ring->lanes_at - 8) / 8 * 8;
        memcpy(ring->map.base + at, &value, sizeof(value));
    }
    if (ring_slot_claim(ring, TEXT_LITERAL("torture"), 0, &claim) < 0)
        return;
    for (int i = 0; i < 4; i++) {
        if (ring_lane_claim(ring, &claim, false, &writer, &lane) < 0)
            continue;
        for (uint64_t place = 1; place < 50; place++)
            stream_write(&writer, 1, place);
        ring_lane_release(ring, &claim, lane);
    }
    stream_write_overflow(ring, &claim, 2, 1);
    ring_site_add(ring, &claim, LEVEL_INFO, TEXT_LITERAL("m"), TEXT_LITERAL("o"), TEXT_LITERAL("f"));
    some_metrics(ring, &claim);
    ring_slot_relock(ring, &claim);
    ring_slot_release(ring, &claim, *random % 2);
}

int main(void) {
    char directory[64];
    struct ring ring;
    uint64_t random = (uint64_t)getpid() * 104729 + 1;
    torture_directory(directory);
    require(map_guard_install(NULL) == 0, "guard");
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    char *front = malloc(ring.data_at);
    require(front && pread(ring.map.fd, front, ring.data_at, 0) == (ssize_t)ring.data_at, "front");
    uint64_t lives = torture_count(1000, 50000);
    for (uint64_t i = 0; i < lives; i++) {
        produce_on(&ring, &random);
        restore(&ring, front, ring.data_at);
    }
    free(front);
    some_records(&ring);
    read_on(directory, &ring, torture_count(1000, 50000), false);
    read_on(directory, &ring, torture_count(1000, 50000), true);
    ring_finish(&ring);
    torture_remove(directory);
    return 0;
}
