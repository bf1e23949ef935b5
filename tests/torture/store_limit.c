/* The store's limits under a writer at full speed, with everything that works on it beside.
 *
 *   store_limit FOLDER        the test: a small store, watched all the time; then a closed partition written anew while commits go on
 *
 * Entries are realistic ones (tests/lib/realistic.h), ready in memory; commits are the collector's. The size is looked at under the lock through which files
 * grow, so that no file is counted before it goes and another behind its growth. TASKFORGE_LONG: ten times as many.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/curator_private.h"
#include "collector/limits.h"
#include "collector/writer.h"
#include "common/base/check.h"
#include "common/query/entry_copy.h"
#include "common/query/tally.h"
#include "tests/lib/realistic.h"

enum { BATCH = 5000, READY = 20 * BATCH };

struct store {
    struct partitions partitions;
    struct state_map state;
    struct writer writer;
    struct batch batch;
    struct curator *curator;
    struct realistic realistic;
    struct entry_copies copies; /* READY entries, used again and again */
    uint64_t commits, worst_ns;
    uint64_t slow; /* commits above 100 ms */
};

static void must(int result, const struct error *error) {
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

static void store_open(struct store *store, const char *data_dir, const struct config_retention *limits,
                       uint64_t partition_bytes) {
    struct error error = { "" };
    struct retention_disk disk;
    *store = (struct store) { 0 };
    must(
        partitions_open(&store->partitions, data_dir, PARTITION_BYTES_MAX + PARTITION_MAP_SLACK, &store->state, &error),
        &error);
    must(curator_create(&store->partitions, &store->curator, &error), &error);
    partitions_set_growth(&store->partitions, curator_growth(store->curator));
    must(writer_init(&store->writer, &store->partitions, &store->state, &error), &error);
    must(retention_disk_of(data_dir, &disk), &error);
    store->writer.partition_bytes = partition_bytes ? partition_bytes : retention_partition_bytes(limits, &disk);
    writer_set_reserve(&store->writer, retention_reserve_bytes(limits, &disk));
    curator_set(store->curator, limits);
    must(curator_start(store->curator, &error), &error);
    realistic_init(&store->realistic, 1000000, 1);
    for (unsigned i = 0; i < READY; i++) {
        struct entry entry;
        realistic_next(&store->realistic, &entry);
        check(entry_copies_add(&store->copies, &entry) == 0);
    }
}

static void store_close(struct store *store) {
    curator_stop(store->curator);
    writer_finish(&store->writer);
    partitions_close(&store->partitions);
    curator_destroy(store->curator);
    state_map_finish(&store->state);
    batch_finish(&store->batch);
    entry_copies_finish(&store->copies);
}

static void put(struct store *store) {
    struct error error = { "" };
    struct entry entry;
    unsigned from = (unsigned)(store->commits % (READY / BATCH)) * BATCH;
    batch_clear(&store->batch);
    for (unsigned i = 0; i < BATCH; i++) {
        entry_copies_get(&store->copies, from + i, &entry);
        batch_add(&store->batch, &entry);
    }
    check(!store->batch.failed);
    uint64_t begun = clock_monotonic_ns();
    must(writer_commit(&store->writer, &store->batch, true, clock_real_ns(), &error), &error);
    uint64_t took = clock_monotonic_ns() - begun;
    store->worst_ns = took > store->worst_ns ? took : store->worst_ns;
    store->slow += took > 100 * CLOCK_MILLISECOND;
    store->commits++;
}

/* --- the size --- */

struct watch {
    struct room *room;
    _Atomic bool stop;
    uint64_t largest, looks;
};

static void *watch(void *argument) {
    struct watch *watch = argument;
    while (!watch->stop) {
        pthread_mutex_lock(&watch->room->mutex);
        uint64_t used = room_used(watch->room, NULL);
        pthread_mutex_unlock(&watch->room->mutex);
        watch->largest = used > watch->largest ? used : watch->largest;
        watch->looks++;
        usleep(200);
    }
    return NULL;
}

static size_t partition_count(const char *data_dir) {
    struct partition_name *names;
    size_t count;
    check(partition_list(data_dir, &names, &count, NULL) == 0);
    free(names);
    return count;
}

/* Eight times as much as fits is written; never is there more than fits, and the newest is kept. */
static int holds_the_size(const char *data_dir, unsigned times) {
    static struct store store;
    const struct config_retention limits = { .max_size = UINT64_C(16) << 20 };
    pthread_t thread;
    store_open(&store, data_dir, &limits, 0);
    struct watch seen = { .room = &store.curator->room };
    check(pthread_create(&thread, NULL, watch, &seen) == 0);
    uint64_t written = 0, before = store.partitions.current->first_sequence;
    unsigned rolled = 0;
    while (rolled < 8 * times) {
        put(&store);
        written += BATCH;
        rolled += store.partitions.current->first_sequence != before;
        before = store.partitions.current->first_sequence;
    }
    seen.stop = true;
    pthread_join(thread, NULL);
    size_t left = partition_count(data_dir);
    printf("size: %llu entries, %llu commits, largest %.2f of 16 MiB in %llu looks, %zu partitions left; commit worst "
           "%.1f ms, %llu above 100 ms\n",
           (unsigned long long)written, (unsigned long long)store.commits, (double)seen.largest / 1048576,
           (unsigned long long)seen.looks, left, (double)store.worst_ns / 1e6, (unsigned long long)store.slow);
    store_close(&store);
    return seen.largest <= limits.max_size && seen.largest > limits.max_size * 3 / 4 && left >= 4 ? 0 : 1;
}

/* --- written anew while commits go on --- */

static uint64_t count_levels(const char *data_dir, enum level level) {
    struct store_reader *reader;
    struct filter filter;
    struct tally tally;
    struct error error = { "" };
    const struct scan_options options = SCAN_EVERYTHING;
    filter_init(&filter);
    filter_set_level(&filter, level);
    must(store_reader_open(data_dir, NULL, NULL, &reader, &error), &error);
    must(tally_make(reader, &filter, &options, true, &tally, &error), &error);
    uint64_t total = tally.total;
    tally_finish(&tally);
    filter_finish(&filter);
    store_reader_close(reader);
    return total;
}

static uint64_t worst_of(struct store *store, uint64_t ns, const char *until_gone) {
    struct stat before, now;
    uint64_t end = clock_monotonic_ns() + ns;
    store->worst_ns = store->slow = 0;
    check(stat(until_gone, &before) == 0);
    do {
        put(store);
        check(stat(until_gone, &now) == 0);
    } while (clock_monotonic_ns() < end && now.st_ino == before.st_ino);
    return store->worst_ns;
}

static int is_not_held_up(const char *data_dir, unsigned entries) {
    static struct store store;
    struct config_retention limits = { .max_size = UINT64_C(4) << 30 };
    char oldest[PARTITION_PATH_MAX];
    struct stat before, after;
    store_open(&store, data_dir, &limits, UINT64_C(1) << 30);
    for (unsigned i = 0; i < entries / BATCH; i++)
        put(&store);
    snprintf(oldest, sizeof(oldest), "%s", store.partitions.current_path);
    store.writer.roll_due = true;
    put(&store);
    check(stat(oldest, &before) == 0);
    uint64_t alone = worst_of(&store, entries / 100000 * CLOCK_SECOND, oldest), alone_slow = store.slow;
    uint64_t debug_ns = clock_monotonic_ns();
    limits.levels[LEVEL_DEBUG].max_age_ns = limits.levels[LEVEL_TRACE].max_age_ns = 1;
    curator_set(store.curator, &limits);
    uint64_t beside = worst_of(&store, 120 * CLOCK_SECOND, oldest), slow = store.slow;
    debug_ns = clock_monotonic_ns() - debug_ns;
    check(stat(oldest, &after) == 0);
    printf("anew: %u entries, %.1f to %.1f MiB in %.1f s; commit worst %.1f ms alone (%llu above 100 ms), %.1f ms "
           "beside (%llu)\n",
           entries, (double)before.st_size / 1048576, (double)after.st_size / 1048576, (double)debug_ns / 1e9,
           (double)alone / 1e6, (unsigned long long)alone_slow, (double)beside / 1e6, (unsigned long long)slow);
    store_close(&store);
    return after.st_size < before.st_size ? 0 : 1;
}

/* --- unlinking --- */

static int goes_at_once(const char *data_dir) {
    struct partition_name *names;
    size_t count;
    check(partition_list(data_dir, &names, &count, NULL) == 0 && count > 0);
    uint64_t debug = count_levels(data_dir, LEVEL_INFO), begun = clock_monotonic_ns();
    check(partition_unlink(names[0].path) == 0);
    uint64_t took = clock_monotonic_ns() - begun;
    printf("unlink: %.1f MiB in %.2f ms; %llu of level info left out of %llu\n", (double)names[0].size / 1048576,
           (double)took / 1e6, (unsigned long long)count_levels(data_dir, LEVEL_INFO), (unsigned long long)debug);
    free(names);
    return 0;
}

int main(int argc, char **argv) {
    char limited[PATHS_MAX], anew[PATHS_MAX], command[2 * PATHS_MAX];
    const char *given = argc > 1 ? argv[1] : "/tmp";
    unsigned entries = argc > 2 ? (unsigned)atoi(argv[2]) : getenv("TASKFORGE_LONG") ? 1000000 : 100000;
    snprintf(command, sizeof(command), "%s/taskforge-limit-XXXXXX", given);
    const char *folder = mkdtemp(command);
    check(folder != NULL);
    snprintf(limited, sizeof(limited), "%s/limited", folder);
    snprintf(anew, sizeof(anew), "%s/anew", folder);
    check(mkdir(limited, 0700) == 0 && mkdir(anew, 0700) == 0);
    int failed = holds_the_size(limited, getenv("TASKFORGE_LONG") ? 10 : 2);
    failed |= is_not_held_up(anew, entries);
    failed |= goes_at_once(anew);
    char remove[3 * PATHS_MAX];
    snprintf(remove, sizeof(remove), "rm -rf '%s'", folder);
    check(system(remove) == 0);
    return failed;
}
