/* Lanes that overwrite, copied while their producers go on, and when those were killed in the middle of a record: what is copied is whole,
 * in order and without a gap. Under TSan it also proves the orderings around the copy, which itself is not shown to it. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/ring_lib.h"

enum { THREADS = 3, RECORDS_MIN = 3000 /* laps */ };

struct shared {
    struct ring ring;
    struct slot_claim claim;
    _Atomic bool stop;
    _Atomic uint64_t written[THREADS + 1];
    struct lane_writer writers[THREADS + 1];
    uint32_t lanes[THREADS + 1];
};

struct thread {
    struct shared *shared;
    uint64_t number;
    pthread_t id;
};

static void *work(void *argument) {
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    for (uint64_t place = 1; place <= RECORDS_MIN || !atomic_load_explicit(&shared->stop, memory_order_relaxed);
         place++) {
        require(stream_write(&shared->writers[thread->number], thread->number, place), "there is always room");
        atomic_store(&shared->written[thread->number], place);
    }
    return NULL;
}

/* Also from where the last look ended: nothing is missing but what was overwritten. */
static uint64_t look(struct follower *follower, struct shared *shared, uint64_t stream, uint64_t *seen) {
    uint64_t written = atomic_load(&shared->written[stream]), first = 0, last = 0;
    uint64_t count = follower_look(follower, shared->lanes[stream], LANE_POSITION_START, stream, &first, &last);
    require(count == 0 ? written == 0 || shared->writers[stream].overwrites : last >= written,
            "%llu were written before, the last seen is %llu", (unsigned long long)written, (unsigned long long)last);
    require(count == 0 || last >= *seen, "a look back");
    *seen = count > 0 ? last : *seen;
    return count;
}

static uint64_t look_at_threads(struct shared *shared, struct follower *follower) {
    struct thread threads[THREADS];
    uint64_t seen[THREADS] = { 0 }, records = 0;
    for (uint64_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread) { .shared = shared, .number = i };
        require(pthread_create(&threads[i].id, NULL, work, &threads[i]) == 0, "thread");
    }
    uint64_t looks = torture_count(150, 60000);
    for (uint64_t i = 0; looks > 0; i++) {
        uint64_t count = look(follower, shared, i % THREADS, &seen[i % THREADS]);
        records += count;
        looks -= count > 0;
    }
    atomic_store(&shared->stop, true);
    for (uint64_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        uint64_t count = look(follower, shared, i, &seen[i]);
        require(seen[i] == atomic_load(&shared->written[i]) && count > 100, "%llu are left of %llu",
                (unsigned long long)count, (unsigned long long)seen[i]);
        records += count;
    }
    return records;
}

static void look_at_killed(struct shared *shared, struct follower *follower, uint64_t *random) {
    uint64_t first = 0, last = 0, laps = RING_LANE_SIZE * (1 + torture_random(random) % 3);
    struct lane_writer *writer = &shared->writers[THREADS];
    _Atomic uint64_t *head = &writer->header->head;
    uint64_t begin = atomic_load(head), enough = begin + laps;
    pid_t child = torture_fork();
    if (child == 0) {
        for (uint64_t place = 1;; place++)
            stream_write(writer, THREADS, place);
    }
    while (atomic_load(head) < enough)
        follower_look(follower, shared->lanes[THREADS], begin, THREADS, &first, &last);
    kill(child, SIGKILL);
    require(waitpid(child, NULL, 0) == child, "%s", strerror(errno));
    uint64_t count = follower_look(follower, shared->lanes[THREADS], begin, THREADS, &first, &last);
    require(count > 100, "%llu records", (unsigned long long)count);
    require(lane_writer_init(writer, writer->header, writer->data, writer->size, true) == 0, "the lane is sound");
}

int main(void) {
    static struct shared shared;
    struct follower follower;
    char directory[64];
    uint64_t random = 88172645463325252;
    torture_directory(directory);
    require(map_guard_install(NULL) == 0, "guard");
    require(ring_attach(directory, UINT64_C(32) << 20, &shared.ring, NULL) == 0, "attach");
    require(ring_slot_claim(&shared.ring, TEXT_LITERAL("torture"), 0, &shared.claim) == 0, "slot");
    for (int i = 0; i <= THREADS; i++)
        require(ring_lane_claim(&shared.ring, &shared.claim, true, &shared.writers[i], &shared.lanes[i]) == 0, "lane");
    follower_init(&follower, &shared.ring, THREADS + 1);
    for (uint64_t i = torture_count(10, 3000); i > 0; i--) /* before there are threads: it forks */
        look_at_killed(&shared, &follower, &random);
    uint64_t records = look_at_threads(&shared, &follower);
    printf("%llu records copied\n", (unsigned long long)records);
    follower_finish(&follower);
    ring_finish(&shared.ring);
    torture_remove(directory);
    return 0;
}
