/* Processes claim and release slots while the reader tries to retire the ring: it succeeds at some instant between two
 * claims, and from then on nobody has a slot or gets one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/ring_lib.h"

enum { CLAIMERS = 3 };

/* Claims until the ring is retired; while it holds a slot, the ring is not. */
static _Noreturn void claim_until_retired(const char *directory) {
    struct ring ring;
    struct slot_claim claim;
    int result = ring_attach(directory, RING_SIZE_MIN, &ring, NULL);
    if (result == -ESTALE)
        _exit(0);
    require(result == 0, "attach: %d", result);
    while ((result = ring_slot_claim(&ring, TEXT_LITERAL("torture"), 0, &claim)) == 0) {
        for (int look = 0; look < 500; look++)
            require((atomic_load(&ring.header->attach) & 1) == 0, "retired although slot %u is taken", claim.index);
        ring_slot_release(&ring, &claim, true);
    }
    require(result == -ESTALE, "claim: %d", result);
    _exit(0);
}

static uint64_t retire_once(uint64_t *random) {
    char directory[64];
    struct ring ring;
    struct slot_info slot;
    uint64_t refused = 0;
    int result, status;
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    for (int i = 0; i < CLAIMERS; i++)
        if (torture_fork() == 0)
            claim_until_retired(directory);
    uint64_t claims_before = torture_random(random) % 60; /* the race is wanted in the middle of their work */
    while (atomic_load(&ring.header->attach) >> 1 < claims_before)
        ;
    while ((result = ring_reader_retire(&ring, false)) == -EBUSY)
        refused++;
    require(result == 0, "retire: %d", result);
    for (int i = 0; i < CLAIMERS; i++) {
        require(wait(&status) > 0, "%s", strerror(errno));
        require(status == 0, "a claimer ended with %x", status);
    }
    for (uint32_t i = 0; i < ring.slot_count; i++)
        require(ring_reader_slot(&ring, i, &slot) == 0 && slot.state == SLOT_FREE, "slot %u", i);
    ring_finish(&ring);
    torture_remove(directory);
    return refused;
}

int main(void) {
    uint64_t rounds = torture_count(100, 5000), random = (uint64_t)getpid() * 6151 + 1, refused = 0;
    require(map_guard_install(NULL) == 0, "guard");
    uint64_t done = 0;
    while (done < rounds || (refused == 0 && done < 20 * rounds)) { /* on until the race has happened */
        refused += retire_once(&random);
        done++;
    }
    printf("%llu rings retired, %llu times refused\n", (unsigned long long)done, (unsigned long long)refused);
    require(refused > 0, "the race never happened");
    return 0;
}
