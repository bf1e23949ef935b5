/* bench_visible - the time from a log call until the entry can be read in the store, by a reader that looks all the time; and what
 * fsync takes in the same folder, below which no commit can be.
 *
 *     bench_visible DATA_DIR
 *
 * A collector runs (run_visible.py). One entry after the other, with pauses of different lengths between, so that they meet
 * the collector at any point of its rounds. Then it says "idle" and stays attached until its standard input ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/reader.h"
#include "tests/torture/ring_lib.h"

enum { ENTRIES = 40, SYNCS = 40, BLOCKS_MAX = 64 };
#define LOOK_NS (CLOCK_MILLISECOND / 5)
#define PAUSE_LEAST_NS (100 * CLOCK_MILLISECOND)
#define PAUSE_MORE_NS (150 * CLOCK_MILLISECOND)
#define GIVE_UP_NS (30 * CLOCK_SECOND)

static const char *data_dir;
static struct store_reader *reader;
static uint64_t looked_up_to; /* sequences below were looked at */

static void pause_ns(uint64_t ns) {
    nanosleep(&(struct timespec) { .tv_sec = (time_t)(ns / CLOCK_SECOND), .tv_nsec = (long)(ns % CLOCK_SECOND) }, NULL);
}

/* --- looking --- */

struct blocks {
    uint64_t first[BLOCKS_MAX];
    size_t count;
};

static int note(void *argument, const struct index_entry *index) {
    struct blocks *blocks = argument;
    check(blocks->count < BLOCKS_MAX);
    blocks->first[blocks->count++] = index->first_sequence;
    return 0;
}

static bool block_has(uint64_t first, const char *message) {
    struct block *block;
    struct error error = { "" };
    bool found = false;
    int result = store_reader_block(reader, first, &block, &error);
    if (result < 0) { /* merged meanwhile: at the next look */
        require(result == -ENOENT, "%s", error.text);
        return false;
    }
    require(block_load(block, BLOCK_MESSAGE, &error) == 0, "%s", error.text);
    for (uint32_t row = 0; row < block_count(block) && !found; row++)
        found = text_is(block_text(block, BLOCK_MESSAGE, row), message);
    block_destroy(block);
    return found;
}

static bool store_has(const char *message) {
    struct error error = { "" };
    struct blocks blocks = { .count = 0 };
    uint64_t end;
    require(store_reader_refresh(reader, &error) == 0, "%s", error.text);
    require(store_reader_end(reader, &end, &error) == 0, "%s", error.text);
    if (end == looked_up_to)
        return false;
    require(store_reader_walk(reader, looked_up_to, end, false, note, &blocks, &error) == 0, "%s", error.text);
    for (size_t i = 0; i < blocks.count; i++)
        if (block_has(blocks.first[i], message)) {
            looked_up_to = end;
            return true;
        }
    return false;
}

/* --- measuring --- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, double *ms, size_t count, const char *goal) {
    qsort(ms, count, sizeof(*ms), ascending);
    printf("%-44s %8.2f %8.2f %8.2f   %s\n", name, ms[0], ms[count / 2], ms[count - 1], goal);
    fflush(stdout);
}

static void measure_level(int level, const char *name, const char *goal) {
    double ms[ENTRIES];
    uint64_t state = 4711;
    for (int i = 0; i < ENTRIES; i++) {
        char message[64];
        snprintf(message, sizeof(message), "%s %d", name, i);
        pause_ns(PAUSE_LEAST_NS + torture_random(&state) % PAUSE_MORE_NS);
        uint64_t begin = clock_monotonic_ns();
        TF_LOG(level, "show", "%s", message);
        while (!store_has(message)) {
            require(clock_monotonic_ns() - begin < GIVE_UP_NS, "\"%s\" is not in %s", message, data_dir);
            pause_ns(LOOK_NS);
        }
        ms[i] = (double)(clock_monotonic_ns() - begin) / CLOCK_MILLISECOND;
    }
    print_times(name, ms, ENTRIES, goal);
}

static void measure_fsync(void) {
    double ms[SYNCS];
    char path[512], page[4096];
    snprintf(path, sizeof(path), "%s/fsync", data_dir);
    memset(page, 'x', sizeof(page));
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    require(fd >= 0, "%s", path);
    for (int i = 0; i < SYNCS; i++) {
        check(pwrite(fd, page, sizeof(page), (off_t)i * (off_t)sizeof(page)) == (ssize_t)sizeof(page));
        uint64_t begin = clock_monotonic_ns();
        check(fsync(fd) == 0);
        ms[i] = (double)(clock_monotonic_ns() - begin) / CLOCK_MILLISECOND;
    }
    close(fd);
    unlink(path);
    print_times("limit: fsync of a page in that folder", ms, SYNCS, "");
}

int main(int argc, char **argv) {
    struct error error = { "" };
    struct tf_loss_counts losses;
    if (argc != 2)
        return 2;
    data_dir = argv[1];
    require(tf_default_open("bench_visible", NULL) == 0, "%s", tf_last_error());
    require(store_reader_open(data_dir, NULL, NULL, &reader, &error) == 0, "%s", error.text);
    printf("%-44s %8s %8s %8s   %s\n", "ms until it can be read", "least", "p50", "max", "goal (max)");
    measure_fsync();
    measure_level(TF_LEVEL_INFO, "info", "150");
    measure_level(TF_LEVEL_ERROR, "error", "50");
    measure_fsync();
    check(tf_losses(NULL, &losses, sizeof(losses)) == 0 && losses.total == 0);
    printf("idle\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    store_reader_close(reader);
    return 0;
}
