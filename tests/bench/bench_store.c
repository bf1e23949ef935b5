/* What the store costs: entries a second into blocks, bytes an entry, a commit, scans; and the same data as JSON through zstd -1.
 *
 *   bench_store [ENTRIES]      (200,000 without; messages are the lines of $TASKFORGE_CORPORA/loghub where it is there)
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/block_private.h"
#include "common/store/reader.h"

enum { LINES_MAX = 100000, THREADS = 4, SMALL = 100, COMMITS = 100 };

static struct buffer corpus;
static struct {
    size_t at;
    uint16_t length;
} lines[LINES_MAX];
static unsigned line_count;
static char folder[64];
static unsigned seed = 1;
static double index_s; /* of all that encoding takes: the index values */

static double now_s(void) {
    return (double)clock_monotonic_ns() / 1e9;
}

/* This thread's own time: what encoding costs must not depend on who else is busy. */
static double cpu_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void add_line(const char *line, size_t length) {
    if (length == 0 || line_count == LINES_MAX)
        return;
    lines[line_count].at = corpus.length;
    lines[line_count++].length = (uint16_t)(length > 2000 ? 2000 : length);
    buffer_append(&corpus, line, length);
}

static void read_lines(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while (file && (length = getline(&line, &room, file)) > 0)
        add_line(line, strcspn(line, "\r\n"));
    free(line);
    if (file)
        fclose(file);
}

static void read_corpus(void) {
    const char *corpora = getenv("TASKFORGE_CORPORA");
    char path[1024];
    snprintf(path, sizeof(path), "%s/loghub", corpora ? corpora : "../shared/data");
    DIR *directory = opendir(path);
    for (struct dirent *item; directory && (item = readdir(directory)) != NULL;) {
        size_t length = strlen(item->d_name);
        if (length < 4 || strcmp(item->d_name + length - 4, ".log") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/loghub/%s", corpora ? corpora : "../shared/data", item->d_name);
        read_lines(path);
    }
    if (directory)
        closedir(directory);
    printf("messages: %s\n", line_count ? "loghub" : "made up");
    for (unsigned i = 0; line_count < 12000; i++) {
        char line[200];
        int length = snprintf(line, sizeof(line),
                              "request %08x from 10.%d.%d.%d: GET /api/v1/orders/%d answered 200 in %d ms, %d bytes",
                              (unsigned)rand_r(&seed), rand_r(&seed) % 4, rand_r(&seed) % 9, rand_r(&seed) % 250,
                              rand_r(&seed) % 90000, rand_r(&seed) % 900, rand_r(&seed) % 50000);
        add_line(line, (size_t)length);
    }
}

struct sample {
    struct entry entry;
    char trace[33], span[17];
};

/* Some threads of five services, an id for every request of about six entries, metadata on every fourth. */
static struct sample *make_samples(uint32_t count) {
    static const char *const services[] = { "billing", "queue", "mail", "gateway", "search" };
    static const char *const modules[] = { "worker", "http", "db", "cache" };
    static const char *const operations[] = { "run", "get", "put", "retry", "open", "close" };
    struct uuid_generator generators[THREADS];
    char traces[THREADS][33] = { "" };
    struct sample *samples = calloc(count, sizeof(*samples));
    uint64_t now = UINT64_C(1795457704123456789);
    check(samples);
    for (unsigned i = 0; i < THREADS; i++)
        check(uuid_generator_init(&generators[i]) == 0);
    for (uint32_t i = 0; i < count; i++) {
        struct sample *sample = &samples[i];
        unsigned thread = (unsigned)rand_r(&seed) % THREADS, die = (unsigned)rand_r(&seed) % 100;
        unsigned line = i % line_count;
        now += (uint64_t)rand_r(&seed) % 40000;
        if (rand_r(&seed) % 6 == 0 || !traces[thread][0])
            snprintf(traces[thread], sizeof(traces[0]), "%08x%08x%08x%08x", (unsigned)rand_r(&seed),
                     (unsigned)rand_r(&seed), (unsigned)rand_r(&seed), (unsigned)rand_r(&seed));
        memcpy(sample->trace, traces[thread], sizeof(sample->trace));
        sample->entry = (struct entry) {
            .timestamp_ns = now,
            .level = die < 60   ? LEVEL_INFO
                     : die < 90 ? LEVEL_DEBUG
                     : die < 97 ? LEVEL_WARN
                                : LEVEL_ERROR,
            .service = text_of(services[rand_r(&seed) % 5]),
            .module = text_of(modules[rand_r(&seed) % 4]),
            .operation = text_of(operations[rand_r(&seed) % 6]),
            .message = { corpus.data + lines[line].at, lines[line].length },
            .trace_id = { sample->trace, 32 },
            .host = TEXT_LITERAL("host-1.example.net"),
            .pid = 1000 + thread,
        };
        if (i % 4 == 0)
            sample->entry.metadata = TEXT_LITERAL("\x82\xa3job\xcd\x10\x20\xa5queue\xa4mail");
        uuid_make(&generators[thread], now, &sample->entry.id);
    }
    return samples;
}

static void add_rows(struct block_builder *builder, const struct sample *samples, uint32_t count) {
    block_builder_clear(builder);
    for (uint32_t i = 0; i < count; i++)
        check(block_builder_add(builder, &samples[i].entry) == 0);
}

static struct partition *store_new(void) {
    static const struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .first_sequence = 1 };
    char path[PARTITION_PATH_MAX];
    struct partition *partition;
    struct error error = { "" };
    snprintf(path, sizeof(path), "%s/logs", folder);
    check(mkdir(path, 0755) == 0);
    check(partition_make_path(folder, 1, 0, path) == 0);
    if (partition_create(path, &meta, UINT64_C(8) << 30, &partition, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return partition;
}

static void put(struct partition *partition, struct block_builder *builder, uint64_t first, uint64_t drop_from,
                double *encode_s, double *commit_s, size_t *bytes) {
    static struct buffer block, index;
    struct index_flush flush = { 0, 1 };
    struct partition_txn *txn;
    struct error error = { "" };
    double begin = cpu_s();
    buffer_clear(&block);
    buffer_clear(&index);
    check(block_builder_encode(builder, first, &block) == 0);
    double packed = cpu_s();
    check(index_encode(builder, first, &flush, 1, &index) == 0);
    index_s += cpu_s() - packed;
    *encode_s += cpu_s() - begin;
    *bytes += block.length + index.length;
    begin = now_s();
    check(partition_begin(partition, true, &txn, &error) == 0);
    for (uint64_t at = drop_from; drop_from && at < first + block_builder_count(builder); at += SMALL)
        check(partition_block_delete(txn, at, &error) == 0);
    check(partition_block_put(txn, first, buffer_text(&block), buffer_text(&index), &error) == 0);
    check(partition_state_put(txn, TEXT_LITERAL("sequence"), TEXT_LITERAL("0123456789abcdef"), &error) == 0);
    check(partition_commit(txn, &error) == 0);
    *commit_s += now_s() - begin;
}

static void bench_encode(struct partition *partition, const struct sample *samples, uint32_t count) {
    struct block_builder *builder;
    double add_s = 0, encode_s = 0, commit_s = 0;
    size_t bytes = 0;
    unsigned blocks = 0;
    check(block_builder_create(&builder) == 0);
    for (uint32_t at = 0; at < count; at += BLOCK_ENTRIES_FULL, blocks++) {
        double begin = cpu_s();
        add_rows(builder, samples + at, count - at < BLOCK_ENTRIES_FULL ? count - at : BLOCK_ENTRIES_FULL);
        add_s += cpu_s() - begin;
        put(partition, builder, at + 1, 0, &encode_s, &commit_s, &bytes);
    }
    printf("encode: %.0f entries a CPU second (add %.0f ns, pack %.0f ns, index %.0f ns an entry), %.1f bytes/entry\n",
           count / (add_s + encode_s), add_s / count * 1e9, (encode_s - index_s) / count * 1e9, index_s / count * 1e9,
           (double)bytes / count);
    printf("commit of a full block: %.2f ms; file %.1f bytes/entry\n", commit_s / blocks * 1e3,
           (double)partition_used_size(partition) / count);
    block_builder_destroy(builder);
}

/* Flushes of a hundred, merged into a full block each forty of them: what a running collector does. */
static void bench_commits(struct partition *partition, const struct sample *samples, uint64_t first) {
    struct block_builder *builder;
    double encode_s = 0, small_s = 0, worst_s = 0, merge_s = 0;
    size_t bytes = 0;
    uint64_t merged_from = first;
    unsigned merges = 0;
    check(block_builder_create(&builder) == 0);
    for (unsigned i = 1; i <= COMMITS; i++, first += SMALL) {
        double one_s = 0;
        add_rows(builder, samples + i * SMALL, SMALL);
        put(partition, builder, first, 0, &encode_s, &one_s, &bytes);
        small_s += one_s;
        worst_s = one_s > worst_s ? one_s : worst_s;
        if (i % 40 == 0) {
            add_rows(builder, samples, 40 * SMALL);
            put(partition, builder, merged_from, merged_from, &encode_s, &merge_s, &bytes);
            merged_from = first + SMALL;
            merges++;
        }
    }
    printf("commit of %d entries: %.2f ms, at worst %.2f ms; of a merge: %.2f ms\n", SMALL, small_s / COMMITS * 1e3,
           worst_s * 1e3, merge_s / merges * 1e3);
    block_builder_destroy(builder);
}

static void bench_json(const struct sample *samples, uint32_t count) {
    struct buffer json = BUFFER_EMPTY, packed = BUFFER_EMPTY;
    size_t plain = 0;
    double seconds = 0;
    for (uint32_t at = 0; at < count; at++) {
        entry_append_json(&json, &samples[at].entry);
        buffer_append_char(&json, '\n');
        if ((at + 1) % BLOCK_ENTRIES_FULL != 0 && at + 1 < count)
            continue;
        double begin = cpu_s();
        check(block_compress(buffer_text(&json), &packed) >= 0);
        seconds += cpu_s() - begin;
        plain += json.length;
        buffer_clear(&json);
    }
    printf("the same as JSON: %.1f bytes/entry; zstd -1 by %d: %.1f bytes/entry, %.0f ns an entry\n",
           (double)plain / count, BLOCK_ENTRIES_FULL, (double)packed.length / count, seconds / count * 1e9);
    buffer_finish(&json);
    buffer_finish(&packed);
}

struct scan {
    struct store_reader *reader;
    uint64_t found;
    struct text trace;
    enum { BY_INDEX, BY_LEVEL, BY_TEXT, BY_TRACE, WHOLE } kind;
};

static void scan_block(struct scan *scan, struct block *block) {
    static const enum block_column need[][2] = { [BY_LEVEL] = { BLOCK_LEVEL, BLOCK_SERVICE },
                                                 [BY_TEXT] = { BLOCK_MESSAGE, BLOCK_MESSAGE },
                                                 [BY_TRACE] = { BLOCK_TRACE_ID, BLOCK_TRACE_ID } };
    if (scan->kind == WHOLE) {
        check(block_load_all(block, NULL) == 0);
        scan->found += block_count(block);
        return;
    }
    check(block_load(block, need[scan->kind][0], NULL) == 0 && block_load(block, need[scan->kind][1], NULL) == 0);
    if (scan->kind == BY_TEXT) {
        const uint32_t *offsets;
        struct text bytes = block_message_bytes(block, &offsets);
        const char *at = bytes.data, *end = bytes.data + bytes.length;
        while ((at = memmem(at, (size_t)(end - at), "no such text", 12)) != NULL && scan->found++ < UINT64_MAX)
            at++;
        return;
    }
    const uint16_t *services = scan->kind == BY_LEVEL ? block_dictionary_rows(block, BLOCK_SERVICE) : NULL;
    for (uint32_t row = 0; row < block_count(block); row++)
        scan->found += services ? services[row] == 1 && block_level(block, row) == LEVEL_ERROR
                                : text_equal(block_text(block, BLOCK_TRACE_ID, row), scan->trace);
}

static int scan_one(void *argument, const struct index_entry *index) {
    struct scan *scan = argument;
    struct block *block;
    if (scan->kind == BY_INDEX) {
        for (uint32_t i = 0; i < index->count_count; i++)
            scan->found += index->counts[i].by_level[LEVEL_ERROR];
        return 0;
    }
    if (scan->kind == BY_TRACE && !index_may_have_id(index, INDEX_TRACE, scan->trace))
        return 0;
    if (store_reader_block(scan->reader, index->first_sequence, &block, NULL) < 0)
        return -1;
    scan_block(scan, block);
    block_destroy(block);
    return 0;
}

static void bench_scans(const struct sample *samples, uint32_t count) {
    static const char *const names[] = { "errors by service, from the index", "one service and level",
                                         "a text in all messages", "one trace id", "every column of all" };
    struct store_reader *reader;
    check(store_reader_open(folder, NULL, NULL, &reader, NULL) == 0);
    for (unsigned kind = BY_INDEX; kind <= WHOLE; kind++) {
        struct scan scan = { .reader = reader, .kind = kind, .trace = samples[count / 2].entry.trace_id };
        double begin = now_s();
        check(store_reader_walk(reader, 0, UINT64_MAX, false, scan_one, &scan, NULL) == 0);
        printf("scan for %s: %.2f ms, %llu found\n", names[kind], (now_s() - begin) * 1e3,
               (unsigned long long)scan.found);
    }
    store_reader_close(reader);
}

int main(int argc, char **argv) {
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200000;
    count = count < 2 * BLOCK_ENTRIES_FULL ? 2 * BLOCK_ENTRIES_FULL : count;
    snprintf(folder, sizeof(folder), "/var/tmp/taskforge-bench-XXXXXX");
    check(mkdtemp(folder));
    read_corpus();
    struct sample *samples = make_samples(count);
    struct partition *partition = store_new();
    char path[PARTITION_PATH_MAX], logs[80];
    snprintf(path, sizeof(path), "%s", partition_path(partition));
    bench_encode(partition, samples, count);
    bench_json(samples, count);
    bench_commits(partition, samples, count + 1);
    partition_close(partition);
    bench_scans(samples, count);
    partition_unlink(path);
    snprintf(logs, sizeof(logs), "%s/logs", folder);
    rmdir(logs);
    rmdir(folder);
    free(samples);
    buffer_finish(&corpus);
    return 0;
}
