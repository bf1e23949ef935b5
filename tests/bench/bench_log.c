/* bench_log - what one log call costs the application: TF_INFO with six strings and a message of 100 bytes, deferred and
 * formatted here, tf_log and an entry with metadata; beside them, in the same run, what an application would do by hand.
 *
 *     bench_log [ROUNDS [PART]]      PART: only the calls whose name contains it
 *
 * Calls are timed one by one by clock_gettime, whose own cost is measured and subtracted; the mean is the
 * processor time of whole batches (so that other processes do not count). Between batches
 * the lanes are emptied, as a collector would, so that nothing is dropped (and that is checked). Prints; judges nothing.
 */
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "tests/lib/drain.h"

enum { BATCH = 1000, ROUNDS_DEFAULT = 300, WARM_UP = 10 };

static tf_client *client;
static int null_fd;
static const char *const words[6] = {
    "mailer-7", "queue=outgoing", "user 4711", "eu-central", "attempt 2", "accepted"
};
static const char hundred[] =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

static uint64_t read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

/* --- the calls --- */

static void call_nothing(void) {
    __asm__ volatile("" ::: "memory");
}
static void call_clock(void) {
    now();
}
static void call_deferred(void) {
    TF_LOG_TO(client, TF_LEVEL_INFO, "deliver", "%s %s %s %s %s %s: %s", words[0], words[1], words[2], words[3],
              words[4], words[5], hundred);
}
static void call_formatted(void) {
    tf_logf(client, TF_LEVEL_INFO, "main", "deliver", "%s %s %s %s %s %s: %s", words[0], words[1], words[2], words[3],
            words[4], words[5], hundred);
}
static void call_numbers(void) {
    TF_LOG_TO(client, TF_LEVEL_INFO, "deliver", "job %d of %d took %.3f ms", 17, 4711, 12.25);
}
static void call_plain(void) {
    tf_log(client, TF_LEVEL_INFO, "main", "deliver", hundred);
}
static void call_metadata(void) {
    struct tf_field fields[] = { tf_str("queue", words[1]), tf_int("attempt", 2), tf_bool("last", 0) };
    tf_log_with_metadata(client, TF_LEVEL_INFO, "main", "deliver", hundred, fields, 3);
}
static void call_unwanted(void) {
    TF_LOG_TO(client, TF_LEVEL_TRACE, "deliver", "%s", hundred);
}
static void call_by_hand(void) { /* what a simple logger does: time, text, one write(2) */
    char line[512];
    struct timespec time;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &time);
    gmtime_r(&time.tv_sec, &utc);
    int length = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ info %s %s %s %s %s %s: %s\n",
                          utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                          time.tv_nsec, words[0], words[1], words[2], words[3], words[4], words[5], hundred);
    ssize_t written = write(null_fd, line, (size_t)length);
    (void)written;
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    { "clock_gettime alone", call_clock },
    { "TF_LOG, level not wanted", call_unwanted },
    { "TF_LOG, three numbers, deferred", call_numbers },
    { "TF_LOG, six strings and 100 bytes, deferred", call_deferred },
    { "tf_logf, the same, formatted here", call_formatted },
    { "tf_log, 100 bytes", call_plain },
    { "tf_log_with_metadata, 100 bytes, 3 fields", call_metadata },
    { "by hand: gmtime, snprintf, write(/dev/null)", call_by_hand },
};

/* --- measuring --- */

static void empty_lanes(struct ring *ring) {
    for (uint32_t lane = 0; lane < ring->lane_count; lane++) {
        struct lane_state state;
        check(ring_reader_lane(ring, lane, &state) == 0);
        if (state.head != state.tail)
            check(ring_reader_set_tail(ring, lane, state.head) == 0);
    }
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct result {
    double mean;
    uint64_t p50, p99;
};

static struct result measure(void (*call)(void), struct ring *ring, unsigned rounds) {
    uint64_t *times = malloc((size_t)rounds * BATCH * sizeof(*times)), total = 0;
    check(times);
    for (unsigned round = 0; round < rounds + WARM_UP; round++) {
        uint64_t begin = read_clock(CLOCK_THREAD_CPUTIME_ID);
        for (int i = 0; i < BATCH; i++)
            call();
        if (round >= WARM_UP)
            total += read_clock(CLOCK_THREAD_CPUTIME_ID) - begin;
        empty_lanes(ring);
    }
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < BATCH; i++) {
            uint64_t begin = now();
            call();
            times[round * BATCH + i] = now() - begin;
        }
        empty_lanes(ring);
    }
    size_t count = (size_t)rounds * BATCH;
    qsort(times, count, sizeof(*times), ascending);
    struct result result = { (double)total / (double)count, times[count / 2], times[count / 100 * 99] };
    free(times);
    return result;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv) {
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    char folder[] = "/dev/shm/tf-bench-XXXXXX";
    struct tf_options options = TF_OPTIONS_INIT;
    check(rounds > 0 && mkdtemp(folder));
    options.runtime_dir = folder;
    options.min_level = TF_LEVEL_DEBUG;
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    check(null_fd >= 0 && tf_open("bench", &options, &client) == 0 && tf_prepare(client) == 0);
    struct drain drain;
    drain_open(&drain, folder);

    struct result clock =
        measure(call_nothing, &drain.ring, rounds); /* two readings of the clock with nothing between */
    double by_hand = measure(call_by_hand, &drain.ring, rounds).mean;
    printf("%-46s %8s %8s %8s %10s\n", "ns for one call", "mean", "p50", "p99", "of by hand");
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        if (argc > 2 && !strstr(calls[i].name, argv[2]))
            continue;
        struct result result = measure(calls[i].call, &drain.ring, rounds);
        uint64_t p50 = result.p50 > clock.p50 ? result.p50 - clock.p50 : 0;
        uint64_t p99 = result.p99 > clock.p50 ? result.p99 - clock.p50 : 0;
        printf("%-46s %8.1f %8" PRIu64 " %8" PRIu64 " %9.0f%%\n", calls[i].name, result.mean, p50, p99,
               100 * result.mean / by_hand);
    }
    struct tf_loss_counts losses;
    check(tf_losses(client, &losses, sizeof(losses)) == 0);
    printf("lost: %" PRIu64 "\n", losses.total);
    drain_close(&drain);
    tf_close(client);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return losses.total != 0;
}
