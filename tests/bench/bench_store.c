/* What the store costs: realistic entries (tests/lib/realistic.h) through the collector's writer, batch after batch, each durable and
 * queryable when its commit ends.
 *
 *   bench_store ENTRIES DATA_DIR [--plain-ids]     batches of 10,000, as at full load
 *   bench_store --flushes COUNT DATA_DIR           flushes of 100, merged as they come, as on a quieter host
 *
 * --plain-ids gives trace, span and correlation ids that carry no random bits: what is left is what the entries' own words cost. Making the entries is
 * not counted. CPU is this thread's; the wall clock has the disk's syncs in it. run_store.py reads what is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "collector/limits.h"
#include "collector/writer.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/entry_copy.h"
#include "tests/lib/realistic.h"

enum { BATCH = 10000, SMALL = 100 };

struct store {
    struct partitions partitions;
    struct state_map state;
    struct writer writer;
    struct batch batch;
    struct entry_copies copies;
    struct entry entries[BATCH];
    struct realistic realistic;
    double cpu_s, check_s, wall_s, worst_s; /* check_s: of cpu_s, putting entries into the batch, which checks them */
    uint64_t commits;
};

static double now_s(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const struct error *error) {
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

static void store_open(struct store *store, const char *data_dir, uint64_t count, bool plain) {
    struct error error = { "" };
    realistic_init(&store->realistic, count, 1);
    store->realistic.plain_ids = plain;
    store->partitions = (struct partitions) { 0 };
    if (partitions_open(&store->partitions, data_dir, PARTITION_BYTES_MAX + PARTITION_MAP_SLACK, &store->state,
                        &error) < 0 ||
        writer_init(&store->writer, &store->partitions, &store->state, &error) < 0)
        fail(&error);
}

static void store_close(struct store *store) {
    writer_finish(&store->writer);
    partitions_close(&store->partitions);
    state_map_finish(&store->state);
    batch_finish(&store->batch);
    entry_copies_finish(&store->copies);
}

/* Entries in hand, off the clock; then they are put into a batch and committed. */
static void put(struct store *store, unsigned count) {
    struct error error = { "" };
    struct entry entry;
    entry_copies_clear(&store->copies);
    for (unsigned i = 0; i < count; i++) {
        realistic_next(&store->realistic, &entry);
        check(entry_copies_add(&store->copies, &entry) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        entry_copies_get(&store->copies, i, &store->entries[i]);
    double cpu = now_s(CLOCK_THREAD_CPUTIME_ID), wall = now_s(CLOCK_MONOTONIC);
    batch_clear(&store->batch);
    for (unsigned i = 0; i < count; i++)
        batch_add(&store->batch, &store->entries[i]);
    check(!store->batch.failed);
    store->check_s += now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
    if (writer_commit(&store->writer, &store->batch, true, clock_real_ns(), &error) < 0)
        fail(&error);
    wall = now_s(CLOCK_MONOTONIC) - wall;
    store->cpu_s += now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
    store->wall_s += wall;
    store->worst_s = wall > store->worst_s ? wall : store->worst_s;
    store->commits++;
}

static uint64_t file_bytes(const char *data_dir) {
    struct partition_name *names;
    size_t count;
    uint64_t bytes = 0;
    struct error error = { "" };
    if (partition_list(data_dir, &names, &count, &error) < 0)
        fail(&error);
    for (size_t i = 0; i < count; i++)
        bytes += names[i].size;
    free(names);
    return bytes;
}

int main(int argc, char **argv) {
    static struct store store;
    bool flushes = argc > 1 && strcmp(argv[1], "--flushes") == 0;
    if (argc < 3 + flushes)
        return 2;
    uint64_t count = strtoull(argv[1 + flushes], NULL, 10);
    const char *data_dir = argv[2 + flushes];
    unsigned at_once = flushes ? SMALL : BATCH;
    struct rusage usage;
    store_open(&store, data_dir, count, argc > 3 && strcmp(argv[3], "--plain-ids") == 0);
    for (uint64_t done = 0; done < count; done += at_once)
        put(&store, count - done < at_once ? (unsigned)(count - done) : at_once);
    uint64_t used = partition_used_size(store.partitions.current->partition);
    store_close(&store);
    getrusage(RUSAGE_SELF, &usage);
    printf("entries %llu cpu_s_per_million %.3f of_it_checks %.3f entries_per_s %.0f commit_mean_ms %.2f "
           "commit_worst_ms %.1f "
           "bytes_per_entry "
           "%.1f newest_used %.1f peak_rss_mib %.1f\n",
           (unsigned long long)count, store.cpu_s / (double)count * 1e6, store.check_s / (double)count * 1e6,
           (double)count / store.wall_s, store.wall_s / (double)store.commits * 1e3, store.worst_s * 1e3,
           (double)file_bytes(data_dir) / (double)count, (double)used / (double)count, (double)usage.ru_maxrss / 1024);
    return 0;
}
