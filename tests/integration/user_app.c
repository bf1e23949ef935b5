/* user_app.c - one user's app, which measures how long its entries take to be in the store.
 *
 *   user_app SERVICE COUNT MICROSECONDS    COUNT entries one after the other, a pause between, each waited for (tf_flush)
 *
 * Prints one line of JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/client/taskforge.h"

#define PATIENCE_NS UINT64_C(60000000000)

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    tf_client *client;
    if (argc != 4 || tf_open(argv[1], NULL, &client) < 0)
        return 2;
    unsigned count = (unsigned)atoi(argv[2]), accepted = 0, refused = 0, waited = 0;
    uint64_t *latencies = calloc(count, sizeof(*latencies));
    for (unsigned i = 0; latencies && i < count; i++) {
        uint64_t begin = now_us();
        int result = tf_logf(client, TF_LEVEL_INFO, NULL, "write", "line %u", accepted);
        if (result == 0)
            accepted++;
        else if (result == -EAGAIN)
            refused++;
        else
            return 3;
        if (result == 0 && tf_flush(client, PATIENCE_NS) < 0)
            return 4;
        if (result == 0)
            latencies[waited++] = now_us() - begin;
        nanosleep(&(struct timespec) { 0, atol(argv[3]) * 1000 }, NULL);
    }
    if (waited > 0)
        qsort(latencies, waited, sizeof(*latencies), compare);
    printf("{\"accepted\":%u,\"refused\":%u,\"median_us\":%llu,\"worst_us\":%llu}\n", accepted, refused,
           (unsigned long long)(waited ? latencies[waited / 2] : 0),
           (unsigned long long)(waited ? latencies[waited - 1] : 0));
    free(latencies);
    tf_close(client);
    return 0;
}
