/* bench_fold - how many updates by name a second the collector folds: from the record's bytes to a settled total that the
 * segment shows, and what a commit costs where many series were touched.
 *
 *   decode   the records alone: what every reader of them pays
 *   fold     decoded, folded, put into the batch, applied to the state, settled, shown: all but the store's transaction
 *   commit   the same with that, of batches as the collector makes them each 100 ms, until every series was touched once
 *
 * Series of counters with three labels, in random order. Prints figures and their ratio to the limit or to the decoding alone; at the end
 * every total is looked at. One thread, as the collector's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collector/drain.h"
#include "collector/limits.h"
#include "collector/partitions.h"
#include "collector/writer.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/base/process_stat.h"
#include "common/process/daemon.h"
#include "common/shm/map.h"
#include "tests/torture/ring_lib.h"

#define LIMIT 5e6 /* updates a second */
#define TICK_S 15 /* all series are touched within one */

enum { BATCH_RECORDS = 200000, COMMITS_A_TICK = 150, RECORD_ROOM = 256, SERIES_OF_A_METRIC = 5000 };

struct place { /* the collector's rooms */
    char runtime_dir[64], data_dir[96];
    struct state_map state;
    struct partitions partitions;
    struct writer writer;
    struct fold fold;
    struct batch batch;
};

/* Of this thread alone: what other programs do meanwhile is no part of it. */
static double cpu_s(void) {
    struct timespec now;
    check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double now_s(void) {
    return (double)clock_monotonic_ns() / 1e9;
}

static void must(int result, const struct error *error) {
    require(result == 0, "%s", error->text);
}

/* --- records --- */

struct records {
    struct buffer bytes;
    size_t count;
};

static void add_record(struct records *records, uint64_t series) {
    char name[64], values[3][32], packed[METRIC_LABELS_BYTES];
    const struct metric_label labels[] = { { TEXT_LITERAL("handler"), { values[0], 0 } },
                                           { TEXT_LITERAL("instance"), { values[1], 0 } },
                                           { TEXT_LITERAL("status"), { values[2], 0 } } };
    struct metric_label given[3];
    struct record record = { .kind = RECORD_METRIC_UPDATE,
                             .position = 64 + records->bytes.length,
                             .time_ns = clock_real_ns() };
    snprintf(name, sizeof(name), "http_requests_%llu", (unsigned long long)(series / SERIES_OF_A_METRIC));
    snprintf(values[0], sizeof(values[0]), "/api/v1/jobs/%llu", (unsigned long long)(series % 100));
    snprintf(values[1], sizeof(values[1]), "web-%llu", (unsigned long long)(series / 100));
    snprintf(values[2], sizeof(values[2]), "%d", series % 7 ? 200 : 404);
    memcpy(given, labels, sizeof(given));
    for (int i = 0; i < 3; i++)
        given[i].value = text_of(values[i]);
    record.metric_update = (struct record_metric_update) {
        .metric_kind = METRIC_COUNTER, .operation = METRIC_ADD, .value = 1, .name = text_of(name)
    };
    check(metric_labels_pack(given, 3, packed, &record.metric_update.labels, NULL) == 0);
    check(buffer_reserve(&records->bytes, RECORD_ROOM));
    int size = record_encode(&record, records->bytes.data + records->bytes.length, RECORD_ROOM);
    check(size > 0);
    records->bytes.length += (size_t)size;
    records->count++;
}

static uint64_t dice(void) {
    static uint64_t state = 88172645463325252u; /* xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* A permutation of the series. */
static uint32_t *shuffled(size_t series) {
    uint32_t *order = malloc(series * sizeof(*order));
    check(order != NULL);
    for (size_t i = 0; i < series; i++) {
        size_t other = dice() % (i + 1);
        order[i] = order[other];
        order[other] = (uint32_t)i;
    }
    return order;
}

/* --- what is timed --- */

static double decode(const struct records *records) {
    struct span_reader reader = { .bytes = records->bytes.data, .position = 64, .end = 64 + records->bytes.length };
    struct record record;
    double begun = cpu_s(), sum = 0;
    while (span_reader_next(&reader, &record) == 1)
        sum += record.metric_update.value;
    check(sum == (double)records->count);
    return cpu_s() - begun;
}

/* As drain_gather and origin_add_record do it. */
static void gather(struct place *place, const struct records *records) {
    struct fold_ahead ahead;
    struct span_reader reader = { .bytes = records->bytes.data,
                                  .position = 64,
                                  .end = 64 + records->bytes.length,
                                  .known = fold_ahead_knows,
                                  .context = &ahead };
    struct record record;
    place->fold.now_ns = clock_real_ns();
    fold_ahead_init(&ahead, &place->fold.memo, &place->fold.table);
    while (span_reader_next(&reader, &record) == 1) {
        place->fold.user = 0;
        fold_update(&place->fold, &record.metric_update, record.time_ns, &place->batch);
    }
    fold_put(&place->fold, &place->batch);
    check(!place->batch.failed);
}

static double fold_records(struct place *place, const struct records *records) {
    double begun = cpu_s();
    gather(place, records);
    check(batch_prepare(&place->batch, &place->state) == 0 && batch_apply(&place->batch, &place->state) == 0);
    fold_settle(&place->fold);
    batch_clear(&place->batch);
    return cpu_s() - begun;
}

static double commit_records(struct place *place, const struct records *records) {
    struct error error = { "" };
    double begun = now_s();
    gather(place, records);
    must(writer_commit(&place->writer, &place->batch, true, clock_real_ns(), &error), &error);
    fold_settle(&place->fold);
    batch_clear(&place->batch);
    return now_s() - begun;
}

/* --- the rooms --- */

static void open_place(struct place *place, const char *data_dir, size_t series) {
    struct error error = { "" };
    const struct metric_scheme scheme = { "taskforge", "_gauge" };
    memset(place, 0, sizeof(*place));
    torture_directory(place->runtime_dir);
    must(daemon_runtime_dirs(place->runtime_dir, &error), &error);
    snprintf(place->data_dir, sizeof(place->data_dir), "%s", data_dir);
    if (place->data_dir[0]) {
        must(partitions_open(&place->partitions, place->data_dir, PARTITION_BYTES_MAX + PARTITION_MAP_SLACK,
                             &place->state, &error),
             &error);
        must(writer_init(&place->writer, &place->partitions, &place->state, &error), &error);
        place->writer.partition_ns = 86400 * CLOCK_SECOND;
    }
    must(fold_init(&place->fold, place->runtime_dir, &scheme, &place->state, &error), &error);
    fold_set_limits(&place->fold, &(struct fold_limits) { series + FOLD_SERIES_DEFAULT, series, 0 });
}

static void close_place(struct place *place) {
    batch_finish(&place->batch);
    fold_finish(&place->fold);
    if (place->data_dir[0]) {
        writer_finish(&place->writer);
        partitions_close(&place->partitions);
    }
    state_map_finish(&place->state);
    torture_remove(place->runtime_dir);
}

static double sum_of_totals(const struct place *place) {
    double sum = 0;
    SERIES_FOR_EACH(&place->fold.table, series)
    sum += series->safe.value;
    return sum;
}

static double resident_mib(void) {
    struct process_usage usage;
    return process_usage_read(&usage) == 0 ? (double)usage.resident_bytes / (1 << 20) : 0;
}

/* --- measuring --- */

static void measure_folding(size_t series, int rounds) {
    struct place place;
    struct records records = { BUFFER_EMPTY, 0 };
    uint32_t *order = shuffled(series);
    double best = 1e9, best_decode = 1e9;
    open_place(&place, "", series);
    for (size_t i = 0; i < BATCH_RECORDS; i++)
        add_record(&records, order[i % series]);
    for (int i = -1; i < rounds; i++) {
        double took = fold_records(&place, &records), alone = decode(&records);
        if (i >= 0 && took < best)
            best = took;
        best_decode = alone < best_decode ? alone : best_decode;
    }
    require(sum_of_totals(&place) == (double)records.count * (rounds + 1), "the totals are wrong");
    double rate = (double)records.count / best;
    printf(
        "fold    %8zu series  %6.2f M updates/s  %6.1f ns each  %5.2f x the limit of 5 M/s  (decoding alone %.1f ns)\n",
        series, rate / 1e6, 1e9 / rate, rate / LIMIT, best_decode / (double)records.count * 1e9);
    free(order);
    buffer_finish(&records.bytes);
    close_place(&place);
}

static void measure_commits(const char *data_dir, size_t series) {
    struct place place;
    struct records records[COMMITS_A_TICK] = { 0 };
    uint32_t *order = shuffled(series);
    double before = resident_mib();
    for (size_t i = 0; i < series; i++)
        add_record(&records[i % COMMITS_A_TICK], order[i]);
    double text = resident_mib() - before;
    open_place(&place, data_dir, series);
    double first = 0, all = 0, longest = 0, cpu = 0;
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < COMMITS_A_TICK; i++) {
            double busy = cpu_s(), took = commit_records(&place, &records[i]);
            cpu += turn ? cpu_s() - busy : 0;
            *(turn ? &all : &first) += took;
            longest = turn && took > longest ? took : longest;
        }
    require(sum_of_totals(&place) == (double)series * 3, "the totals are wrong");
    printf("commit  %8zu series  a tick's 150 commits %6.2f s (busy %.2f), %4.1f %% of its 15 s  longest %.0f ms  "
           "(when they are new "
           "%.2f s)  %.0f bytes of memory a series\n",
           series, all / 2, cpu / 2, all / 2 / TICK_S * 100, longest * 1e3, first,
           (resident_mib() - before - text) * (1 << 20) / (double)series);
    for (int i = 0; i < COMMITS_A_TICK; i++)
        buffer_finish(&records[i].bytes);
    free(order);
    close_place(&place);
}

int main(int argc, char **argv) {
    struct error error = { "" };
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    char data_dir[] = "./bench_fold.XXXXXX"; /* on a disk */
    diag_open("bench_fold");
    must(map_guard_install(&error), &error);
    measure_folding(1000, 20);
    measure_folding(100000, 20);
    if (most == 0)
        return 0;
    check(mkdtemp(data_dir) != NULL);
    measure_commits(data_dir, most);
    torture_remove(data_dir);
    return 0;
}
