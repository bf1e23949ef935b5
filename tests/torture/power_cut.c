/* power_cut.c - the collector's own code on what a power cut could leave.
 *
 *   power_cut LOG ROOT SCRATCH CUTS SEED THREADS CALM_NS WINDOW_NS
 *
 * LOG was recorded (io_fault.h) of a collector whose files were below ROOT, while entries "appN THREAD NUMBER ..." came in, two threads of each app. At CUTS
 * moments an image is made below SCRATCH; the collector's code opens it, takes in the spill and commits once more; then the store must
 * hold, of each thread, the numbers from 0 on without a gap or a double, at least those that were there when an earlier sync
 * returned, and, for a cut before CALM_NS, all whose entries were older than WINDOW_NS then. The first image that fails is kept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/limits.h"
#include "collector/spill.h"
#include "collector/writer.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/store/reader.h"
#include "tests/torture/power_image.h"

enum { THREADS_MAX = 16, THREADS_EACH = 2 };

struct found {
    uint64_t counts[THREADS_MAX]; /* numbers 0 .. count - 1 are there */
};

static unsigned threads;

static void fail(const char *what, const char *why) {
    printf("%s: %s\n", what, why);
    fflush(stdout);
    _exit(1);
}

/* --- what the store holds --- */

struct walk {
    struct store_reader *reader;
    struct found *found;
    int64_t *times[THREADS_MAX]; /* of each number, when asked for */
    bool with_times;
};

static void note_row(struct walk *walk, struct text message, uint64_t time_ns) {
    unsigned app, thread;
    unsigned long long number;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)(message.length < 60 ? message.length : 60), message.data);
    if (sscanf(text, "app%u %u %llu ", &app, &thread, &number) != 3)
        return; /* the collector's own */
    thread += app * THREADS_EACH;
    if (thread >= threads)
        fail("an entry of a thread that never was", text);
    uint64_t *count = &walk->found->counts[thread];
    if (number != *count) {
        char why[128];
        snprintf(why, sizeof(why), "thread %u has number %llu after %" PRIu64 " of them", thread, number, *count);
        fail(number < *count ? "twice or out of order" : "a gap", why);
    }
    if (walk->with_times && (*count & (*count + 1)) == 0)
        walk->times[thread] = realloc(walk->times[thread], (2 * *count + 2) * sizeof(int64_t));
    if (walk->with_times)
        walk->times[thread][*count] = (int64_t)time_ns;
    ++*count;
}

static int note_block(void *argument, const struct index_entry *index) {
    struct walk *walk = argument;
    struct block *block;
    struct error error = { "" };
    if (store_reader_block(walk->reader, index->first_sequence, &block, &error) < 0 ||
        block_load_all(block, &error) < 0)
        fail("a block cannot be read", error.text);
    for (uint32_t row = 0; row < block_count(block); row++)
        note_row(walk, block_text(block, BLOCK_MESSAGE, row), block_timestamp(block, row));
    block_destroy(block);
    return 0;
}

static void on_damage(void *argument, const char *path, const char *why) {
    (void)argument;
    fail(path, why);
}

static void read_all(const char *data_dir, struct walk *walk) {
    struct error error = { "" };
    if (store_reader_open(data_dir, on_damage, NULL, &walk->reader, &error) < 0 ||
        store_reader_walk(walk->reader, 0, UINT64_MAX, false, note_block, walk, &error) < 0)
        fail("the store cannot be read", error.text);
    store_reader_close(walk->reader);
}

/* --- going on from an image --- */

static void take_in(struct writer *writer, struct spill *spill) {
    struct batch batch = BATCH_EMPTY;
    struct error error = { "" };
    uint64_t next;
    int result;
    while ((result = spill_next(spill, &batch, &next, &error)) == 1) {
        if (writer_commit(writer, &batch, false, clock_real_ns(), &error) < 0)
            fail("a frame of the spill cannot be committed", error.text);
        spill_taken(spill, next);
        batch_clear(&batch);
    }
    if (result < 0)
        fail("the spill cannot be read", error.text);
    batch_put_u64(&batch, TEXT_LITERAL("probe"), 1);
    if (writer_commit(writer, &batch, true, clock_real_ns(), &error) < 0)
        fail("the store takes no more", error.text);
    batch_finish(&batch);
}

static void go_on(const char *data_dir, const char *spill_dir) {
    struct partitions partitions = { 0 };
    struct state_map state = STATE_MAP_EMPTY;
    struct writer writer;
    struct spill spill;
    struct error error = { "" };
    if (partitions_open(&partitions, data_dir, PARTITION_BYTES_MAX + PARTITION_MAP_SLACK, &state, &error) < 0)
        fail("the store cannot be opened", error.text);
    if (writer_init(&writer, &partitions, &state, &error) < 0)
        fail("the writer cannot begin", error.text);
    if (spill_open(&spill, spill_dir, &state, &error) < 0)
        fail("the spill cannot be opened", error.text);
    take_in(&writer, &spill);
    spill_close(&spill);
    writer_finish(&writer);
    partitions_close(&partitions);
    state_map_finish(&state);
}

static void no_damage(const char *data_dir) {
    char path[600];
    snprintf(path, sizeof(path), "%s/logs", data_dir);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strstr(entry->d_name, ".damaged"))
            fail("set aside as damaged", entry->d_name);
    if (folder)
        closedir(folder);
}

/* In a process of its own: what it says on its stdout is why it failed. */
static bool try_image(const char *scratch, struct found *ret, char why[512]) {
    int results[2], words[2];
    check(pipe(results) == 0 && pipe(words) == 0);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        char data_dir[512], spill_dir[512];
        struct found found = { 0 };
        struct walk walk = { .found = &found };
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(words[1], 1);
        dup2(nowhere, 2);
        snprintf(data_dir, sizeof(data_dir), "%s/data", scratch);
        snprintf(spill_dir, sizeof(spill_dir), "%s/spill", scratch);
        mkdir(data_dir, 0700);
        go_on(data_dir, spill_dir);
        no_damage(data_dir);
        read_all(data_dir, &walk);
        _exit(write(results[1], &found, sizeof(found)) == (ssize_t)sizeof(found) ? 0 : 3);
    }
    close(results[1]);
    close(words[1]);
    ssize_t said = read(words[0], why, 511);
    bool good = read(results[0], ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
    why[said > 0 ? said : 0] = '\0';
    close(results[0]);
    close(words[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!good && said <= 0)
        snprintf(why, 512, "the process ended with status %#x", (unsigned)status);
    return good && status == 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void clear(const char *scratch) {
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    check(mkdir(scratch, 0700) == 0);
}

/* --- all cuts --- */

static int compare(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static size_t *choose_cuts(size_t events, size_t count) {
    size_t *cuts = calloc(count, sizeof(*cuts));
    check(cuts);
    for (size_t i = 0; i + 1 < count; i++)
        cuts[i] = (size_t)random() % events;
    cuts[count - 1] = events - 1;
    qsort(cuts, count, sizeof(*cuts), compare);
    return cuts;
}

/* Numbers of a thread whose entries are older than that. */
static uint64_t older_than(const struct walk *whole, unsigned thread, int64_t until_ns) {
    uint64_t count = 0;
    while (count < whole->found->counts[thread] && whole->times[thread][count] < until_ns)
        count++;
    return count;
}

/* How old the oldest entry was that a cut cost, of each thread that wrote then. */
struct ages {
    int64_t of[65536];
    size_t count;
};

static void note_age(struct ages *ages, int64_t age) {
    if (age > 0 && ages->count < sizeof(ages->of) / sizeof(ages->of[0]))
        ages->of[ages->count++] = age;
}

static int compare_ages(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc != 9)
        return 2;
    const char *scratch = argv[3];
    size_t count = strtoul(argv[4], NULL, 10);
    int64_t calm_ns = atoll(argv[7]), window_ns = atoll(argv[8]);
    unsigned long lost_most = 0;
    threads = (unsigned)atoi(argv[6]);
    check(threads <= THREADS_MAX && count > 1);
    srandom((unsigned)atoi(argv[5]));
    diag_open("power_cut");

    char data_dir[512], why[512];
    static struct ages ages;
    struct found all = { 0 }, floor = { 0 }, found;
    struct walk whole = { .found = &all, .with_times = true };
    snprintf(data_dir, sizeof(data_dir), "%s/data", argv[2]);
    read_all(data_dir, &whole);
    struct power_log *log = power_log_open(argv[1], argv[2]);
    size_t from = 0, *cuts = choose_cuts(power_log_count(log), count);
    for (size_t i = 0; i < count; i++) {
        static const unsigned shares[] = { 0, 16, 128, 240, 256 };
        unsigned share = i + 1 == count ? 0 : shares[i % 5];
        clear(scratch);
        if (cuts[i] < from)
            cuts[i] = from;
        from = cuts[i];
        while (share == 256 && !power_log_syncs(log, cuts[i]) && cuts[i] + 2 < power_log_count(log))
            cuts[i]++;
        power_log_play(log, cuts[i]);
        uint64_t seed = (uint64_t)random();
        power_log_image(log, scratch, share, seed);
        if (!try_image(scratch, &found, why)) {
            clear(scratch);
            power_log_image(log, scratch, share, seed); /* as it was before it was gone on from */
            printf("cut %zu of %zu, at event %zu of %zu, share %u: %s\n", i, count, cuts[i], power_log_count(log),
                   share, why);
            return 1;
        }
        int64_t now = power_log_time(log, cuts[i]);
        for (unsigned t = 0; t < threads; t++) {
            uint64_t due = now < calm_ns ? older_than(&whole, t, now - window_ns) : 0;
            if (found.counts[t] < floor.counts[t] || found.counts[t] < due) {
                printf("cut %zu, at event %zu, share %u: thread %u has %" PRIu64 " entries, %" PRIu64
                       " were safe, %" PRIu64 " were old\n",
                       i, cuts[i], share, t, found.counts[t], floor.counts[t], due);
                return 1;
            }
            int64_t age = found.counts[t] < all.counts[t] ? now - whole.times[t][found.counts[t]] : 0;
            if (now < calm_ns && share == 0)
                note_age(&ages, age);
        }
        if (share == 256 && power_log_syncs(log, cuts[i])) { /* it returns, and what is there now counts as safe */
            floor = found;
            from = cuts[i] + 1;
        }
    }
    for (unsigned t = 0; t < threads; t++)
        lost_most += all.counts[t] - found.counts[t];
    qsort(ages.of, ages.count, sizeof(ages.of[0]), compare_ages);
    printf("%zu cuts in %zu events, %lu lost at the end; the oldest entry that a cut cost: median %" PRId64
           " ms, at most %" PRId64 " ms old\n",
           count, power_log_count(log), lost_most, ages.count ? ages.of[ages.count / 2] / 1000000 : 0,
           ages.count ? ages.of[ages.count - 1] / 1000000 : 0);
    free(cuts);
    power_log_close(log);
    for (unsigned t = 0; t < threads; t++)
        free(whole.times[t]);
    return lost_most > 0;
}
