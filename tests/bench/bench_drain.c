/* bench_drain - how many records a second come out of the lanes, of the size and kind that bench_call's bound call makes.
 *
 *   floor    memcpy of as many bytes out of memory of the same kind
 *   copied   each lane's head, its bytes copied, its tail set: what the collector does with it each millisecond
 *   round    the same by the collector's own rounds, which also look at each record's header
 *   batch    round and all that follows but the store: decoded, in order of time, formatted by call site, repaired, put
 *            into a batch; state and tails settled
 *
 * The lanes are filled by the library off the clock, by threads on another processor, which have a lane each, so that the bytes come from
 * there. Every entry of every batch is counted, and one of each is read. Prints; judges nothing else.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "collector/drain.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"
#include "tests/bench/lanes.h"
#include "tests/bench/timing.h"
#include "tests/torture/ring_lib.h"

enum { WRITERS = 8, RECORDS = 1500, FILLED = WRITERS * RECORDS, ROUNDS_DEFAULT = 100 };

static const char hundred[] =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
static char *same, *copy; /* memory of RING_LANE_SIZE for each writer: one that they fill, too, and one to copy to */
static size_t same_bytes; /* as much of it as the records take */
static pthread_barrier_t begin, end;
static bool ending;

/* --- filling --- */

static void *fill(void *argument) {
    char *mine = same + *(const size_t *)argument * RING_LANE_SIZE;
    timed_pin(0);
    check(tf_context_set("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", NULL) == 0);
    check(tf_prepare(NULL) == 0);
    for (int turn = 0;; turn++) {
        pthread_barrier_wait(&begin);
        if (ending)
            return NULL;
        for (int i = 0; i < RECORDS; i++)
            TF_LOG(TF_LEVEL_INFO, "process", "job %d: %s", i, hundred);
        memset(mine, turn, same_bytes);
        pthread_barrier_wait(&end);
    }
}

static void fill_lanes(void) {
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
}

static double now_s(void) {
    return (double)clock_monotonic_ns() / 1e9;
}

/* --- what is timed --- */

static double copy_same(void) {
    double start = now_s();
    for (size_t i = 0; i < WRITERS; i++)
        memcpy(copy, same + i * RING_LANE_SIZE, same_bytes);
    return now_s() - start;
}

static double copy_lanes(size_t *ret_bytes) {
    struct ring *ring = lanes_ring();
    struct lane_state state;
    double start = now_s();
    *ret_bytes = 0;
    for (uint32_t lane = 0; lane < ring->lane_count; lane++) {
        check(ring_reader_lane(ring, lane, &state) == 0);
        if (state.head == state.tail)
            continue;
        check(ring_reader_copy(ring, lane, state.tail, state.head, copy) == 0);
        check(ring_reader_set_tail(ring, lane, state.head) == 0);
        *ret_bytes += state.head - state.tail;
    }
    return now_s() - start;
}

struct rooms { /* of the collector */
    struct state_map state;
    struct rings rings;
    struct drain drain;
    struct batch batch;
};

static void look_at(const struct batch *batch) {
    const struct text message = batch->entries[batch->entry_count / 2].message;
    check(message.length > 100 && memcmp(message.data, "job ", 4) == 0);
    check(memcmp(message.data + message.length - 100, hundred, 100) == 0);
}

/* Until all is taken out: what a lane holds may be more than a round takes. */
static double take_batches(struct rooms *rooms, double *ret_round_s) {
    struct drain_state seen;
    size_t entries = 0;
    double seconds = 0;
    *ret_round_s = 0;
    while (entries < FILLED) {
        double start = now_s();
        drain_round(&rooms->drain, &seen);
        *ret_round_s += now_s() - start;
        check(drain_gather(&rooms->drain, false, clock_real_ns(), &rooms->batch));
        check(batch_apply(&rooms->batch, &rooms->state) == 0);
        drain_settle(&rooms->drain);
        seconds += now_s() - start;
        check(rooms->batch.entry_count > 0);
        entries += rooms->batch.entry_count;
        look_at(&rooms->batch);
        batch_clear(&rooms->batch);
    }
    check(entries == FILLED);
    return seconds;
}

/* --- measuring --- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double print_rate(const char *name, double *seconds, unsigned rounds, double floor, const char *goal) {
    qsort(seconds, rounds, sizeof(double), ascending);
    double median = FILLED / seconds[rounds / 2] / 1e6, best = FILLED / seconds[0] / 1e6;
    printf("%-40s %8.2f %8.2f %8.2f   %s\n", name, median, best, floor > 0 ? floor / median : 1, goal);
    return median;
}

static void measure_copies(double *floor_s, double *copied_s, unsigned rounds) {
    size_t bytes;
    fill_lanes();
    copy_lanes(&bytes);
    same_bytes = bytes / WRITERS;
    for (unsigned round = 0; round < rounds; round++) {
        fill_lanes();
        if (round % 2) /* whoever is second finds other caches */
            copied_s[round] = copy_lanes(&bytes);
        floor_s[round] = copy_same();
        if (round % 2 == 0)
            copied_s[round] = copy_lanes(&bytes);
    }
    printf("%d records of %zu bytes in %d lanes\n", FILLED, bytes / FILLED, WRITERS);
}

static void measure_batches(const char *runtime_dir, double *round_s, double *batch_s, unsigned rounds) {
    static struct rooms rooms;
    struct error error = { "" };
    require(daemon_runtime_dirs(runtime_dir, &error) == 0, "%s", error.text);
    require(rings_init(&rooms.rings, runtime_dir, &rooms.state, &error) == 0, "%s", error.text);
    require(drain_init(&rooms.drain, &rooms.rings, NULL, &error) == 0, "%s", error.text);
    check(rings_scan(&rooms.rings) && rooms.rings.count == 1);
    for (int round = -2; round < (int)rounds; round++) { /* two for the buffers to grow */
        fill_lanes();
        int at = round < 0 ? 0 : round;
        batch_s[at] = take_batches(&rooms, &round_s[at]);
    }
    batch_finish(&rooms.batch);
    drain_finish(&rooms.drain);
    rings_finish(&rooms.rings);
    state_map_finish(&rooms.state);
}

static void measure(const char *runtime_dir, unsigned rounds) {
    double *seconds[4];
    for (size_t i = 0; i < COUNT_OF(seconds); i++)
        check((seconds[i] = calloc(rounds, sizeof(double))) != NULL);
    measure_copies(seconds[0], seconds[1], rounds);
    measure_batches(runtime_dir, seconds[2], seconds[3], rounds);
    printf("%-40s %8s %8s %8s   %s\n", "million records a second", "median", "best", "floor /", "goal");
    double floor = print_rate("floor: memcpy of the same bytes", seconds[0], rounds, 0, "");
    print_rate("copied: heads, bytes, tails", seconds[1], rounds, floor, "15");
    print_rate("round: copied, headers checked", seconds[2], rounds, floor, "");
    print_rate("batch: decoded, in order, formatted", seconds[3], rounds, floor, "4");
    for (size_t i = 0; i < COUNT_OF(seconds); i++)
        free(seconds[i]);
}

/* --- main --- */

static char *shared_memory(void) {
    int fd = memfd_create("same", MFD_CLOEXEC); /* the same kind of pages as a ring's */
    check(fd >= 0 && ftruncate(fd, (off_t)WRITERS * RING_LANE_SIZE) == 0);
    char *memory =
        mmap(NULL, (size_t)WRITERS * RING_LANE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    check(memory != MAP_FAILED);
    close(fd);
    return memory;
}

int main(int argc, char **argv) {
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    char folder[64];
    pthread_t threads[WRITERS];
    size_t numbers[WRITERS];
    struct tf_options options = TF_OPTIONS_INIT;
    struct tf_loss_counts losses;
    check(rounds > 0);
    diag_open("bench_drain");
    torture_directory(folder);
    options.runtime_dir = folder;
    check(tf_default_open("bench", &options) == 0 && tf_prepare(NULL) == 0);
    same = shared_memory();
    copy = malloc(RING_OVERFLOW_SIZE);
    check(copy && pthread_barrier_init(&begin, NULL, WRITERS + 1) == 0);
    check(pthread_barrier_init(&end, NULL, WRITERS + 1) == 0);
    memset(copy, 1, RING_OVERFLOW_SIZE);
    timed_pin(1);
    for (size_t i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        check(pthread_create(&threads[i], NULL, fill, &numbers[i]) == 0);
    }
    lanes_open(folder);
    measure(folder, rounds);
    ending = true;
    pthread_barrier_wait(&begin);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    check(tf_losses(NULL, &losses, sizeof(losses)) == 0 && losses.total == 0);
    lanes_close();
    torture_remove(folder);
    return 0;
}
