/* Many threads of one process write through private and overflow lanes while one thread reads and gives lanes back. Run
 * under TSan it proves the orderings; without, that nothing is lost, repeated or reordered. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/torture/ring_lib.h"

enum { THREADS = 8, RECORDS_EACH_TURN = 3000 }; /* more threads than a small ring has private lanes; a turn is laps */

struct shared {
    struct ring ring;
    struct slot_claim claim;
    uint64_t turns;
    _Atomic uint32_t done;
    _Atomic uint64_t written[2 * THREADS];
};

struct thread {
    struct shared *shared;
    uint64_t number;
    pthread_t id;
};

static void write_turn(struct shared *shared, uint64_t stream, uint64_t *place) {
    struct lane_writer writer;
    uint32_t lane;
    if (ring_lane_claim(&shared->ring, &shared->claim, false, &writer, &lane) < 0)
        return; /* the pool is empty: this turn goes through overflow lanes alone */
    for (int i = 0; i < RECORDS_EACH_TURN; i++) {
        while (!stream_write(&writer, stream, *place))
            sched_yield();
        ++*place;
    }
    ring_lane_release(&shared->ring, &shared->claim, lane);
}

/* A stream of a thread may move to another lane only when the reader has emptied the first: two lanes have no order
 * between them. The client lives with that; this test wants one order, so each turn waits for the reader. */
static void wait_until_read(const _Atomic uint64_t *read, uint64_t place) {
    while (atomic_load(read) < place)
        sched_yield();
}

static _Atomic uint64_t read_up_to[2 * THREADS]; /* the next place of each stream, told by the reader */

static void *work(void *argument) {
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    uint64_t private = thread->number * 2, overflow = private + 1, place = 1, overflow_place = 1;
    for (uint64_t turn = 0; turn < shared->turns; turn++) {
        write_turn(shared, private, &place);
        wait_until_read(&read_up_to[private], place);
        for (int i = 0; i < RECORDS_EACH_TURN / 60; i++) {
            if (stream_write_overflow(&shared->ring, &shared->claim, overflow, overflow_place) == 0)
                overflow_place++;
            wait_until_read(&read_up_to[overflow], overflow_place);
        }
    }
    atomic_store(&shared->written[private], place - 1);
    atomic_store(&shared->written[overflow], overflow_place - 1);
    atomic_fetch_add(&shared->done, 1);
    return NULL;
}

static void read_once(struct follower *follower, const struct slot_claim *claim, uint64_t *freed) {
    struct lane_state state;
    for (uint32_t lane = 0; lane < follower->ring->lane_count; lane++) {
        follower_drain_lane(follower, lane, &state);
        if (lane < follower->ring->overflow_count || state.owner == 0)
            continue;
        require(state.slot == claim->index && state.generation == claim->generation, "lane %u is slot %u's", lane,
                state.slot);
        if (state.released) {
            int result = ring_reader_lane_free(follower->ring, lane, state.owner);
            require(result == 0 || result == -EAGAIN || result == -EBUSY, "lane %u: %d", lane, result);
            *freed += result == 0;
        }
    }
    for (uint64_t i = 0; i < follower->stream_max; i++)
        atomic_store(&read_up_to[i], follower->next[i]);
}

int main(void) {
    static struct shared shared;
    struct thread threads[THREADS];
    struct follower follower;
    char directory[64];
    uint64_t freed = 0;
    torture_directory(directory);
    require(map_guard_install(NULL) == 0, "guard");
    require(ring_attach(directory, RING_SIZE_MIN, &shared.ring, NULL) == 0, "attach");
    require(shared.ring.lane_count - shared.ring.overflow_count < THREADS, "the pool should be too small");
    require(ring_slot_claim(&shared.ring, TEXT_LITERAL("torture"), 0, &shared.claim) == 0, "slot");
    shared.turns = torture_count(8, 400);
    follower_init(&follower, &shared.ring, sizeof(read_up_to) / sizeof(read_up_to[0]));
    for (uint64_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread) { .shared = &shared, .number = i };
        require(pthread_create(&threads[i].id, NULL, work, &threads[i]) == 0, "thread");
    }
    while (atomic_load(&shared.done) < THREADS) {
        read_once(&follower, &shared.claim, &freed);
        sched_yield();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    read_once(&follower, &shared.claim, &freed);
    for (uint64_t i = 0; i < follower.stream_max; i++)
        require(follower.next[i] - 1 == shared.written[i], "stream %llu: %llu read, %llu written",
                (unsigned long long)i, (unsigned long long)follower.next[i] - 1, (unsigned long long)shared.written[i]);
    printf("%llu records read, %llu lanes given back\n", (unsigned long long)follower.records,
           (unsigned long long)freed);
    require(freed > 0 && follower.records > 0, "nothing happened");
    follower_finish(&follower);
    ring_finish(&shared.ring);
    torture_remove(directory);
    return 0;
}
