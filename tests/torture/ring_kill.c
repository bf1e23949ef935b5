/* Producers are killed with SIGKILL at random instants while the parent reads: what was committed is read, whole, in
 * order, without a gap; what the dead held is given back; the others go on. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/ring_lib.h"

enum { PRODUCERS = 3, STREAMS_EACH = 2 };

/* What a producer had committed when it was killed; in memory that outlives it. */
struct progress {
    _Atomic uint64_t committed[STREAMS_EACH]; /* private lane, overflow lanes */
};

struct producer {
    pid_t pid;
    uint64_t round;
    uint64_t lifetime; /* killed when that many more records were read */
};

static struct text service = { "torture", 7 };

static _Noreturn void produce(const char *directory, uint64_t round, struct progress *progress) {
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    struct error error = { "" };
    uint32_t lane;
    int result = ring_attach(directory, RING_SIZE_MIN, &ring, &error);
    require(result == 0, "attach: %s", error.text);
    while ((result = ring_slot_claim(&ring, service, 0, &claim)) == -EAGAIN)
        sched_yield(); /* the slots of the dead are being reaped */
    require(result == 0, "slot: %d", result);
    while ((result = ring_lane_claim(&ring, &claim, false, &writer, &lane)) == -EAGAIN)
        sched_yield();
    require(result == 0, "lane: %d", result);
    uint64_t place = 1, overflow_place = 1;
    for (;;) {
        if (stream_write(&writer, round * STREAMS_EACH, place))
            atomic_store(&progress->committed[0], place++);
        else
            sched_yield();
        if (place % 5 == 0 && stream_write_overflow(&ring, &claim, round * STREAMS_EACH + 1, overflow_place) == 0)
            atomic_store(&progress->committed[1], overflow_place++);
        if (place % 1000 == 0) { /* threads come and go */
            ring_lane_release(&ring, &claim, lane);
            while ((result = ring_lane_claim(&ring, &claim, false, &writer, &lane)) == -EAGAIN)
                sched_yield();
            require(result == 0, "lane: %d", result);
        }
    }
}

/* Give back what dead processes held, as the collector does. In some rounds an overflow lane is left for the next
 * producer to take over; its slot then waits. */
static void reap(struct follower *follower, bool overflow_too) {
    struct lane_state state;
    struct slot_info info;
    struct ring *ring = follower->ring;
    for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
        require(ring_reader_slot(ring, slot, &info) == 0, "slot %u", slot);
        if (!ring_reader_slot_dead(ring, slot, &info))
            continue;
        uint64_t own = lane_owner(slot, info.generation);
        for (uint32_t lane = 0; lane < ring->lane_count; lane++) {
            follower_drain_lane(follower, lane, &state); /* after the death: all of it */
            if (lane_owner_identity(state.owner) == own && (lane >= ring->overflow_count || overflow_too)) {
                int result = ring_reader_lane_free(ring, lane, state.owner);
                require(result == 0 || (result == -EAGAIN && lane < ring->overflow_count), "lane %u: %d", lane, result);
            }
        }
        int result = ring_reader_slot_free(ring, slot, info.state_word);
        require(result == 0 || result == -EBUSY, "slot %u: %d", slot, result);
    }
}

static void start(struct producer *producer, const char *directory, uint64_t round, struct progress *progress,
                  uint64_t *random) {
    *producer = (struct producer) { .round = round, .lifetime = torture_random(random) % 3000 };
    if (torture_random(random) % 4 == 0)
        producer->lifetime = 0; /* in the middle of attaching and claiming */
    producer->pid = torture_fork();
    if (producer->pid == 0)
        produce(directory, round, progress);
}

static void kill_and_account(struct producer *producer, struct follower *follower, const struct progress *progress) {
    int status;
    kill(producer->pid, SIGKILL);
    require(waitpid(producer->pid, &status, 0) == producer->pid, "%s", strerror(errno));
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the producer ended by itself: %x", status);
    follower_drain(follower);
    for (int i = 0; i < STREAMS_EACH; i++) {
        uint64_t committed = atomic_load(&progress->committed[i]);
        uint64_t read = follower->next[producer->round * STREAMS_EACH + (uint64_t)i] - 1;
        require(read == committed || read == committed + 1, "round %llu: %llu read, %llu committed",
                (unsigned long long)producer->round, (unsigned long long)read, (unsigned long long)committed);
    }
}

static void nobody_is_left(struct ring *ring) {
    struct lane_state lane;
    struct slot_info slot;
    for (uint32_t i = 0; i < ring->lane_count; i++)
        require(ring_reader_lane(ring, i, &lane) == 0 && lane.owner == 0 && lane.head == lane.tail, "lane %u", i);
    for (uint32_t i = 0; i < ring->slot_count; i++)
        require(ring_reader_slot(ring, i, &slot) == 0 && slot.state == SLOT_FREE, "slot %u", i);
    require(ring_reader_retire(ring, false) == 0, "not retired");
}

/* Killed while the ring itself is being made: whoever comes next finds a whole ring or makes one. */
static void kill_the_maker(uint64_t rounds, uint64_t *random) {
    for (uint64_t round = 0; round < rounds; round++) {
        char directory[64];
        struct ring ring;
        struct error error = { "" };
        torture_directory(directory);
        pid_t maker = torture_fork();
        if (maker == 0) {
            ring_attach(directory, RING_SIZE_MIN, &ring, NULL);
            for (;;)
                pause();
        }
        for (volatile uint64_t spin = torture_random(random) % 600000; spin > 0; spin--)
            ;
        kill(maker, SIGKILL);
        waitpid(maker, NULL, 0);
        int result = ring_attach(directory, RING_SIZE_MIN, &ring, &error);
        require(result == 0, "attach: %s", error.text);
        nobody_is_left(&ring);
        ring_finish(&ring);
        torture_remove(directory);
    }
}

int main(void) {
    uint64_t rounds = torture_count(300, 20000), random = (uint64_t)getpid() * 7919 + 1, next_round = 0;
    char directory[64];
    struct ring ring;
    struct follower follower;
    struct producer producers[PRODUCERS];
    require(map_guard_install(NULL) == 0, "guard");
    kill_the_maker(torture_count(100, 5000), &random);
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach"); /* our reader too: it claims nothing */
    follower_init(&follower, &ring, rounds * STREAMS_EACH);
    struct progress *progress =
        mmap(NULL, rounds * sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(progress != MAP_FAILED, "%s", strerror(errno));

    for (int i = 0; i < PRODUCERS; i++, next_round++)
        start(&producers[i], directory, next_round, &progress[next_round], &random);
    while (next_round < rounds) {
        uint64_t before = follower.records;
        follower_drain(&follower);
        uint64_t read = follower.records - before;
        for (int i = 0; i < PRODUCERS && next_round < rounds; i++) {
            struct producer *producer = &producers[i];
            if (producer->lifetime > read) {
                producer->lifetime -= read;
                continue;
            }
            kill_and_account(producer, &follower, &progress[producer->round]);
            reap(&follower, next_round % 2 == 0);
            start(producer, directory, next_round, &progress[next_round], &random);
            next_round++;
        }
        sched_yield();
    }
    for (int i = 0; i < PRODUCERS; i++)
        kill_and_account(&producers[i], &follower, &progress[producers[i].round]);
    reap(&follower, true);
    nobody_is_left(&ring);
    printf("%llu producers killed, %llu records read\n", (unsigned long long)rounds,
           (unsigned long long)follower.records);
    follower_finish(&follower);
    ring_finish(&ring);
    munmap(progress, rounds * sizeof(*progress));
    torture_remove(directory);
    return 0;
}
