/* Many threads of one process write through private and overflow lanes, register call sites and count losses, while one
 * thread reads and gives lanes back. Run under TSan it proves the orderings; without, that nothing is lost, repeated or
 * reordered.
 *
 * TSan sees an ordering only where it protects plain memory. The lanes' bytes are that for head and tail. For the owner
 * word, whose orderings the tail mostly implies, each owner leaves a note to the next. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/shm/geometry.h"
#include "tests/torture/ring_lib.h"

enum { THREADS = 8, RECORDS_EACH_TURN = 3000 }; /* more threads than a small ring has private lanes; a turn is laps */
enum { LANES_MAX = 64 };

/* What an owner of a lane leaves to the next: plain memory, which the owner word alone hands over. */
struct note {
    uint64_t head;
};

struct shared {
    struct ring ring;
    struct slot_claim claim;
    uint64_t turns;
    _Atomic uint32_t done;
    _Atomic uint64_t written[2 * THREADS];
    struct note notes[LANES_MAX];
    _Atomic uint64_t taken_up, taken_up_unread, from_pool; /* private lanes, by where they came from */
};

struct thread {
    struct shared *shared;
    uint64_t number;
    pthread_t id;
};

static void note_check(const struct shared *shared, uint32_t lane, const struct lane_writer *writer) {
    uint64_t left = shared->notes[lane].head;
    require(left == 0 || left == writer->head, "lane %u: its last owner left it at %llu, we begin at %llu", lane,
            (unsigned long long)left, (unsigned long long)writer->head);
}

static void count_claim(struct shared *shared, uint32_t lane, const struct lane_writer *writer) {
    uint64_t owner = atomic_load_explicit(&ring_lane_header(&shared->ring, lane)->owner, memory_order_relaxed);
    bool taken_up = owner >> 48 != 0;
    atomic_fetch_add(taken_up ? &shared->taken_up : &shared->from_pool, 1);
    if (taken_up && writer->head != writer->tail)
        atomic_fetch_add(&shared->taken_up_unread, 1);
}

/* Until the reader has moved the tail beyond what we know, without learning of it in an order: relaxed. */
static void wait_for_tail(const struct lane_writer *writer) {
    while (atomic_load_explicit(&writer->header->tail, memory_order_relaxed) == writer->tail)
        sched_yield();
}

static void write_turn(struct shared *shared, uint64_t stream, uint64_t *place) {
    struct lane_writer writer;
    uint32_t lane;
    int result;
    while ((result = ring_lane_claim(&shared->ring, &shared->claim, false, &writer, &lane)) == -EAGAIN)
        sched_yield(); /* the pool is empty: what the next thread releases is taken up, whether it is read or not */
    require(result == 0, "lane: %d", result);
    note_check(shared, lane, &writer);
    count_claim(shared, lane, &writer);
    for (int i = 0; i < RECORDS_EACH_TURN; i++) {
        while (!stream_write(&writer, stream, *place))
            sched_yield();
        ++*place;
        loss_count(&shared->claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 1, *place);
    }
    if (stream / 2 % 2 == 0) /* half of them: the next owner alone sees the tail that makes room for him */
        wait_for_tail(&writer);
    shared->notes[lane].head = writer.head;
    ring_lane_release(&shared->ring, &shared->claim, lane);
}

static bool write_overflow(struct shared *shared, uint64_t stream, uint64_t place) {
    struct lane_writer writer;
    uint32_t lane;
    if (ring_overflow_take(&shared->ring, &shared->claim, &writer, &lane) < 0)
        return false;
    note_check(shared, lane, &writer);
    bool written = stream_write_with_hello(&writer, stream, place);
    shared->notes[lane].head = writer.head;
    ring_overflow_give(&shared->ring, lane);
    return written;
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
    /* a few turns more, should none have taken up what another released */
    for (uint64_t turn = 0; turn < shared->turns || (!atomic_load(&shared->taken_up) && turn < 20 * shared->turns);
         turn++) {
        write_turn(shared, private, &place);
        wait_until_read(&read_up_to[private], place);
        for (int i = 0; i < RECORDS_EACH_TURN / 60; i++) {
            if (write_overflow(shared, overflow, overflow_place))
                overflow_place++;
            wait_until_read(&read_up_to[overflow], overflow_place);
        }
    }
    atomic_store(&shared->written[private], place - 1);
    atomic_store(&shared->written[overflow], overflow_place - 1);
    atomic_fetch_add(&shared->done, 1);
    return NULL;
}

/* --- call sites: one thread registers them, as the client serialises it --- */

static struct text site_text(char buffer[32], int number) {
    return (struct text) { buffer, (size_t)snprintf(buffer, 32, "site %d of many", number) };
}

static void *register_sites(void *argument) {
    struct shared *shared = argument;
    char buffer[32];
    for (int number = 1; number <= SLOT_SITES_MAX; number++) {
        struct text text = site_text(buffer, number);
        require(ring_site_add(&shared->ring, &shared->claim, LEVEL_INFO, text, text, text) == number, "site %d",
                number);
        sched_yield();
    }
    return NULL;
}

static void read_sites(struct shared *shared, int *next) {
    static struct site_info site;
    char buffer[32];
    while (*next <= SLOT_SITES_MAX &&
           ring_reader_site(&shared->ring, shared->claim.index, (uint32_t)*next, &site) == 0) {
        struct text text = site_text(buffer, (*next)++);
        require(text_equal(site.module, text) && text_equal(site.operation, text) && text_equal(site.format, text),
                "site %d", *next - 1);
    }
}

static uint64_t read_losses(struct shared *shared, uint64_t before) {
    struct loss_counts losses;
    require(ring_reader_losses(&shared->ring, shared->claim.index, &losses) == 0, "losses");
    uint64_t count = losses.cells[LOSS_LANE_FULL][LEVEL_DEBUG].count;
    require(count >= before, "losses went back");
    require(count == 0 || losses.cells[LOSS_LANE_FULL][LEVEL_DEBUG].last_ns != 0, "counted, but not when");
    return count;
}

/* --- the reader --- */

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
    pthread_t registrar;
    uint64_t freed = 0, lost = 0;
    int next_site = 1;
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
    require(pthread_create(&registrar, NULL, register_sites, &shared) == 0, "thread");
    while (atomic_load(&shared.done) < THREADS) {
        read_once(&follower, &shared.claim, &freed);
        read_sites(&shared, &next_site);
        lost = read_losses(&shared, lost);
        sched_yield();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    pthread_join(registrar, NULL);
    read_once(&follower, &shared.claim, &freed);
    read_sites(&shared, &next_site);
    require(next_site == SLOT_SITES_MAX + 1, "site %d is not there", next_site);
    lost = read_losses(&shared, lost);
    for (uint64_t i = 0; i < THREADS; i++)
        lost -= shared.written[2 * i]; /* one with each record */
    require(lost == 0, "%lld losses more than were counted", (long long)lost);
    for (uint64_t i = 0; i < follower.stream_max; i++)
        require(follower.next[i] - 1 == shared.written[i], "stream %llu: %llu read, %llu written",
                (unsigned long long)i, (unsigned long long)follower.next[i] - 1, (unsigned long long)shared.written[i]);
    uint64_t taken_up = shared.taken_up, unread = shared.taken_up_unread, from_pool = shared.from_pool;
    printf("%llu records read, %llu lanes given back, %llu claimed from the pool, %llu taken up, %llu of them unread\n",
           (unsigned long long)follower.records, (unsigned long long)freed, (unsigned long long)from_pool,
           (unsigned long long)taken_up, (unsigned long long)unread);
    require(freed > 0 && follower.records > 0 && from_pool > 0 && taken_up > 0, "nothing happened");
    follower_finish(&follower);
    ring_finish(&shared.ring);
    torture_remove(directory);
    return 0;
}
