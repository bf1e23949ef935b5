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

/* pwrite, not the mapping: the scribbler cuts the file itself and shall live. */
static _Noreturn void scribble(const char *path, const struct ring *ring, uint64_t random, uint64_t words, bool cut) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        _exit(1);
    for (uint64_t word = 0; word < words; word++) {
        uint64_t value = torture_nasty(&random);
        if (pwrite(fd, &value, sizeof(value), (off_t)torture_place(ring, &random)) < 0)
            _exit(2);
        if (cut && torture_random(&random) % 512 == 0) {
            if (ftruncate(fd, (off_t)(torture_random(&random) % ring->map.size)) < 0 ||
                ftruncate(fd, (off_t)ring->map.size) < 0)
                _exit(3);
        }
    }
    _exit(0);
}

static void restore(struct ring *ring, const char *front, uint64_t size) {
    for (uint64_t at = 0; at < size;) {
        ssize_t written = pwrite(ring->map.fd, front + at, size - at, (off_t)at);
        require(written > 0, "%s", strerror(errno));
        at += (uint64_t)written;
    }
}

/* The reader against a live scribbler, until that one has done its share. */
static void read_on(const char *directory, struct ring *ring, uint64_t words, bool cut) {
    char path[128];
    uint64_t records = 0, sweeps = 0;
    int status;
    char *copy = malloc(RING_OVERFLOW_SIZE), *front = malloc(ring->data_at);
    require(copy && front, "out of memory");
    require(pread(ring->map.fd, front, ring->data_at, 0) == (ssize_t)ring->data_at, "front");
    snprintf(path, sizeof(path), "%s/rings/%u", directory, (unsigned)geteuid());
    pid_t scribbler = torture_fork();
    if (scribbler == 0)
        scribble(path, ring, (uint64_t)getpid() * 31 + 7, words, cut);
    while (waitpid(scribbler, &status, WNOHANG) == 0) {
        records += ring_sweep(ring, copy, sweeps++ % 2);
        if (sweeps % 8 == 0)
            restore(ring, front, ring->data_at); /* so that the reader gets further than the first check */
    }
    require(status == 0, "the scribbler ended with %x", status);
    restore(ring, front, ring->data_at);
    printf("%llu words%s, %llu sweeps, %llu records in spite of it\n", (unsigned long long)words,
           cut ? " of a file being cut" : "", (unsigned long long)sweeps, (unsigned long long)records);
    free(copy);
    free(front);
}

/* One producer's whole life on lanes and slots full of nasty values. */
static void produce_on(struct ring *ring, uint64_t *random) {
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    for (int i = 0; i < 64; i++) {
        uint64_t value = torture_nasty(random);
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
    torture_metrics(ring, &claim);
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
    uint64_t lives = torture_count(300, 50000);
    for (uint64_t i = 0; i < lives; i++) {
        produce_on(&ring, &random);
        restore(&ring, front, ring.data_at);
    }
    free(front);
    torture_fill(&ring);
    read_on(directory, &ring, torture_count(500000, 10000000), false);
    read_on(directory, &ring, torture_count(50000, 2000000), true);
    ring_finish(&ring);
    torture_remove(directory);
    return 0;
}
