/* writer.c - an app under torture: numbered entries at a rate, and an account of them in a file that outlives SIGKILL.
 *
 *   writer SERVICE drop|wait ENTRIES_A_SECOND PROGRESS_FILE
 *
 * The file holds two numbers, kept in shared memory: calls that returned well, calls that found no room. Ends well when its stdin does.
 * Every second entry is written by a macro (deferred formatting), the others by tf_logf.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"

struct progress {
    volatile uint64_t returned;
    volatile uint64_t refused;
};

static uint64_t lost(tf_client *client) {
    struct tf_loss_counts losses;
    if (tf_losses(client, &losses, sizeof(losses)) < 0)
        abort();
    return losses.total;
}

/* One entry; 0 or what the call said. */
static int write_one(tf_client *client, uint64_t number) {
    if (number % 2)
        return tf_logf(client, TF_LEVEL_INFO, NULL, "count", "number %llu of a writer", (unsigned long long)number);
    uint64_t before = lost(client);
    TF_LOG_TO(client, TF_LEVEL_INFO, "count", "number %llu of a writer", (unsigned long long)number);
    return lost(client) == before ? 0 : -1;
}

/* Wait for the next tick, or for the end of stdin: 0 then. */
static int next_tick(struct timespec *due, long period_ns) {
    struct timespec now;
    due->tv_nsec += period_ns;
    if (due->tv_nsec >= 1000000000) {
        due->tv_nsec -= 1000000000;
        due->tv_sec++;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left = (due->tv_sec - now.tv_sec) * 1000 + (due->tv_nsec - now.tv_nsec) / 1000000;
    struct pollfd input = { .fd = 0, .events = POLLIN };
    return poll(&input, 1, left > 0 ? (int)left : 0) == 0;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    int fd = open(argv[4], O_RDWR | O_CLOEXEC);
    struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (progress == MAP_FAILED)
        return 1;
    struct tf_options options = TF_OPTIONS_INIT;
    if (strcmp(argv[2], "wait") == 0) {
        options.policy = TF_POLICY_WAIT;
        options.wait_ns = 60 * UINT64_C(1000000000);
    }
    tf_client *client;
    if (tf_open(argv[1], &options, &client) < 0) {
        fprintf(stderr, "writer: %s\n", tf_last_error());
        return 1;
    }
    long rate = atol(argv[3]), burst = rate / 100 > 0 ? rate / 100 : 1;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    uint64_t number = 0;
    do {
        for (long i = 0; i < burst; i++) {
            if (write_one(client, number++) == 0)
                progress->returned++;
            else
                progress->refused++;
        }
    } while (next_tick(&due, 1000000000 / (rate / burst)));
    tf_close(client);
    return 0;
}
