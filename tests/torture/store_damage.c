/* Flipped bits and cut files: a store of known entries, state and spans, damaged at one place after the other, closed partition or open one. Each way of
 * reading gives what was written or says that something is left out: never another entry, never a signal, never for long. And a writer that goes on in
 * a damaged partition fails or writes what it should, and lives. TASKFORGE_LONG=1: 1,000 flips and 200 cuts. An argument is the seed to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/block.h"
#include "common/store/filter_index.h"
#include "common/store/reader.h"
#include "common/store/verify.h"
#include "tests/torture/ring_lib.h"

#define MAP_SIZE (UINT64_C(64) << 20)
#define NOW UINT64_C(1795457704123456789)

enum {
    CLOSED = 1200, /* entries of sequences 1 .. CLOSED in the closed partition */
    OPEN = 600,    /* and those behind them in the open one */
    BLOCK = 60,
    SPANS = 200,
    TRACES = 13,
    STATES = 150,
    PAGE = 4096,
    SECONDS_MAX = 20, /* of one case; a sanitizer is slow */
};

/* An environment in which LMDB faulted is left as it is, on purpose (partition.c). */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:liblmdb";
}

static char folder[64], logs[80], paths[2][PARTITION_PATH_MAX];
static struct {
    char *bytes;
    size_t size;
} files[2];

/* --- what is known --- */

struct made {
    struct entry entry;
    char message[160], trace[33];
};

static void make_entry(uint64_t sequence, struct made *made) {
    static const char *const services[] = { "billing", "queue", "mail" };
    struct uuid_generator generator = { .counter = sequence };
    struct entry *entry = &made->entry;
    *entry = (struct entry) { .timestamp_ns = NOW + sequence * 1000,
                              .level = (enum level)(sequence % LEVEL_COUNT),
                              .service = text_of(services[sequence % 3]),
                              .module = TEXT_LITERAL("worker"),
                              .operation = TEXT_LITERAL("run"),
                              .host = TEXT_LITERAL("host"),
                              .pid = 7 };
    uuid_make(&generator, entry->timestamp_ns, &entry->id);
    snprintf(made->message, sizeof(made->message), "entry number_%llu took %llu ms and the rest is %llx",
             (unsigned long long)sequence, (unsigned long long)(sequence * 7919 % 1000),
             (unsigned long long)(sequence * 0x9e3779b97f4a7c15u));
    snprintf(made->trace, sizeof(made->trace), "%032llx", (unsigned long long)(sequence / 4 + 1) * 0x9e3779b97f4a7c15u);
    entry->message = text_of(made->message);
    entry->trace_id = text_of(made->trace);
    if (sequence % 5 == 0)
        memset(entry->user_id.bytes, (int)(sequence % 250 + 1), UUID_SIZE);
}

static struct span make_span(unsigned number) {
    struct span span = { .record = { .start_ns = NOW + number * 17,
                                     .thread = 7,
                                     .failed = number % 2,
                                     .service = TEXT_LITERAL("billing"),
                                     .operation = TEXT_LITERAL("charge"),
                                     .status = TEXT_LITERAL("card refused") },
                         .end_ns = NOW + number * 17 + 1000,
                         .host = TEXT_LITERAL("host"),
                         .pid = 42 };
    span.record.trace_id[0] = (uint8_t)(number % TRACES + 1);
    memcpy(span.record.span_id, &(uint64_t) { number + 1 }, SPAN_ID_BYTES);
    return span;
}

static void put_block(struct partition_txn *txn, uint64_t first, uint32_t count) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    struct index_flush flush = { .flush_ns = NOW };
    struct block_builder *builder;
    struct made made;
    require(block_builder_create(&builder) == 0, "no builder");
    for (uint32_t i = 0; i < count; i++) {
        make_entry(first + i, &made);
        require(block_builder_add(builder, &made.entry) == 0, "an entry");
    }
    require(block_builder_encode(builder, first, &block) == 0 && index_encode(builder, first, &flush, 1, &index) == 0,
            "a block");
    block_builder_destroy(builder);
    require(partition_block_put(txn, first, buffer_text(&block), buffer_text(&index), NULL) == 0, "a block put");
}

static void put_span(struct partition_txn *txn, unsigned number) {
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct span span = make_span(number);
    struct partition_span_time time = { .start_ns = span.record.start_ns,
                                        .sequence = number,
                                        .service_hash = span_service_hash(span.record.service) };
    memcpy(time.trace_id, span.record.trace_id, sizeof(time.trace_id));
    require(span_encode(&span, number, &value) == 0 && partition_span_put(txn, &time, buffer_text(&value), NULL) == 0,
            "a span");
}

static void put_state(struct partition_txn *txn, unsigned number, const char *word) {
    char key[32], value[64];
    snprintf(key, sizeof(key), "lane/%04u", number);
    snprintf(value, sizeof(value), "%s %u", word, number * 31);
    require(partition_state_put(txn, text_of(key), text_of(value), NULL) == 0, "state");
}

/* Many commits, with small blocks merged as the collector does: pages come free and are used again. */
static void fill(const char *path, uint64_t first, uint64_t count, unsigned first_span, bool closed) {
    struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .created_ns = NOW + first };
    struct partition *partition;
    struct partition_txn *txn;
    struct error error = { "" };
    meta.first_sequence = first;
    require(partition_create(path, &meta, MAP_SIZE, &partition, &error) == 0, "%s", error.text);
    for (uint64_t at = 0; at < count; at += BLOCK) {
        require(partition_begin(partition, true, &txn, &error) == 0, "%s", error.text);
        put_block(txn, first + at, BLOCK);
        for (unsigned i = 0; i < SPANS * BLOCK / count / 2; i++)
            put_span(txn, first_span++);
        for (unsigned i = 0; i < STATES; i++)
            put_state(txn, i, "old");
        if (at % (4 * BLOCK) == 3 * BLOCK) {
            for (unsigned i = 0; i < 4; i++)
                require(partition_block_delete(txn, first + at - i * BLOCK, NULL) == 0, "a deletion");
            put_block(txn, first + at - 3 * BLOCK, 4 * BLOCK);
        }
        require(partition_commit(txn, &error) == 0, "%s", error.text);
    }
    require(partition_begin(partition, true, &txn, &error) == 0, "%s", error.text);
    for (unsigned i = 0; i < STATES; i++)
        put_state(txn, i, "new");
    meta.closed_ns = closed ? NOW : 0;
    require(partition_meta_put(txn, &meta, &error) == 0 && partition_commit(txn, &error) == 0, "%s", error.text);
    partition_close(partition);
}

static void load(unsigned which) {
    struct stat status;
    int fd = open(paths[which], O_RDONLY | O_CLOEXEC);
    require(fd >= 0 && fstat(fd, &status) == 0, "%s", paths[which]);
    files[which].size = (size_t)status.st_size;
    files[which].bytes = malloc(files[which].size);
    require(files[which].bytes && read(fd, files[which].bytes, files[which].size) == status.st_size, "a file");
    close(fd);
}

static void make_store(void) {
    snprintf(folder, sizeof(folder), "/tmp/taskforge-damage-XXXXXX");
    require(mkdtemp(folder) != NULL, "no folder");
    snprintf(logs, sizeof(logs), "%s/logs", folder);
    require(mkdir(logs, 0755) == 0, "no folder");
    partition_make_path(folder, 1, NOW, paths[0]);
    partition_make_path(folder, CLOSED + 1, NOW + CLOCK_SECOND, paths[1]);
    fill(paths[0], 1, CLOSED, 0, true);
    fill(paths[1], CLOSED + 1, OPEN, SPANS / 2, false);
    load(0);
    load(1);
}

/* --- reading; in a child --- */

static unsigned told;
static bool spans_may_hide; /* in the open partition nothing tells of a key that a flipped bit moved; the check after closing does */

static void note_damage(void *argument, const char *path, const char *why) {
    (void)argument;
    (void)path;
    (void)why;
    told++;
}

struct seen {
    struct store_reader *reader;
    uint8_t entries[CLOSED + OPEN + 1];
    unsigned count, states, spans;
};

static void judge_entry(struct seen *seen, uint64_t sequence, const struct entry *got) {
    _cleanup_buffer_ struct buffer a = BUFFER_EMPTY, b = BUFFER_EMPTY;
    struct made made;
    require(sequence >= 1 && sequence <= CLOSED + OPEN, "an entry of sequence %llu", (unsigned long long)sequence);
    make_entry(sequence, &made);
    entry_append_json(&a, &made.entry);
    entry_append_json(&b, got);
    require(text_equal(buffer_text(&a), buffer_text(&b)), "another entry at %llu: %.*s", (unsigned long long)sequence,
            TEXT_FORMAT(buffer_text(&b)));
    require(!seen->entries[sequence]++, "entry %llu twice", (unsigned long long)sequence);
    seen->count++;
}

static int read_block(void *argument, const struct index_entry *index) {
    struct seen *seen = argument;
    struct block *block;
    struct error error = { "" };
    int result = store_reader_block(seen->reader, index->first_sequence, &block, &error);
    if (result == 0) {
        result = block_load_all(block, &error);
        for (uint32_t row = 0; result == 0 && row < block_count(block); row++) {
            struct entry entry;
            block_entry(block, row, &entry);
            judge_entry(seen, index->first_sequence + row, &entry);
        }
        block_destroy(block);
    }
    require(result == 0 || result == -EBADMSG || result == -ENOENT, "a block: %d %s", result, error.text);
    told += result != 0;
    return 0;
}

static int read_state(void *argument, struct text key, struct text value) {
    struct seen *seen = argument;
    char room[64], want[64], old[64];
    unsigned number;
    snprintf(room, sizeof(room), "%.*s", TEXT_FORMAT(key));
    require(sscanf(room, "lane/%4u", &number) == 1 && number < STATES, "a key %s", room);
    snprintf(want, sizeof(want), "new %u", number * 31);
    snprintf(old, sizeof(old), "old %u",
             number * 31); /* a page of before, which no checksum can tell from the newest */
    require(text_is(value, want) || text_is(value, old), "a value of %s: %.*s", room, TEXT_FORMAT(value));
    seen->states++;
    return 0;
}

static int read_span(void *argument, const struct span *span) {
    struct seen *seen = argument;
    uint64_t number;
    memcpy(&number, span->record.span_id, sizeof(number));
    require(number >= 1 && number <= SPANS, "span %llu", (unsigned long long)number);
    struct span want = make_span((unsigned)number - 1);
    require(span->record.start_ns == want.record.start_ns && text_equal(span->record.status, want.record.status) &&
                memcmp(span->record.trace_id, want.record.trace_id, SPAN_TRACE_BYTES) == 0,
            "another span %llu", (unsigned long long)number);
    seen->spans++;
    return 0;
}

static void read_spans(struct seen *seen) {
    struct span_walk *walk;
    struct partition_span_time time;
    uint64_t before = UINT64_MAX;
    for (unsigned trace = 1; trace <= TRACES; trace++) {
        uint8_t id[SPAN_TRACE_BYTES] = { (uint8_t)trace };
        told += store_reader_trace(seen->reader, id, read_span, seen, NULL) < 0;
    }
    require(span_walk_open(seen->reader, UINT64_MAX, &walk, NULL) == 0, "a walk");
    while (span_walk_next(walk, &time, NULL) == 1) {
        require(time.start_ns <= before, "spans out of order");
        before = time.start_ns;
    }
    span_walk_close(walk);
}

static int count_block(void *argument, const struct index_entry *index) {
    *(uint64_t *)argument += index->count;
    return 0;
}

static void report(void *argument, const char *path, const char *fault, const struct verify_result *result) {
    (void)path;
    (void)result;
    *(unsigned *)argument += fault != NULL;
}

static bool read_all(void) {
    struct seen *seen = calloc(1, sizeof(*seen));
    struct error error = { "" };
    uint64_t end, counted = 0;
    require(seen && store_reader_open(folder, note_damage, NULL, &seen->reader, &error) == 0, "%s", error.text);
    require(store_reader_end(seen->reader, &end, &error) == 0, "%s", error.text);
    require(store_reader_walk(seen->reader, 0, UINT64_MAX, false, read_block, seen, &error) == 0, "%s", error.text);
    (void)store_reader_walk(seen->reader, 0, UINT64_MAX, true, count_block, &counted, &error);
    if (store_reader_state_walk(seen->reader, TEXT_EMPTY, read_state, seen, &error) < 0)
        told++;
    read_spans(seen);
    bool whole = seen->count == CLOSED + OPEN && seen->states == STATES && seen->spans == SPANS;
    bool said = told > 0 || (spans_may_hide && seen->count == CLOSED + OPEN && seen->states == STATES);
    require(whole || said, "%u entries, %u states and %u spans, and nothing is said", seen->count, seen->states,
            seen->spans);
    store_reader_close(seen->reader);
    free(seen);
    return whole;
}

static void verify_all(bool whole) {
    struct verify_totals totals;
    unsigned faults = 0;
    int result = store_verify(folder, report, &faults, &totals, NULL);
    require(result == (int)faults, "verify: %d, not %u", result, faults);
    require(whole || faults > 0, "something is missing, and verify finds no fault");
}

/* --- writing on; in a child --- */

static int write_some(struct partition *partition, uint64_t round) {
    struct partition_txn *txn;
    struct error error = { "" };
    char bytes[9000], key[32];
    memset(bytes, (int)round, sizeof(bytes));
    int result = partition_begin(partition, true, &txn, &error);
    if (result < 0)
        return result;
    uint64_t first = CLOSED + OPEN + 1 + round;
    result =
        partition_block_put(txn, first, (struct text) { bytes, 300 + round * 977 % 8000 }, TEXT_LITERAL("i"), &error);
    if (result == 0)
        result = partition_block_delete(txn, CLOSED + 1 + round * BLOCK, &error);
    for (unsigned i = 0; i < STATES && result == 0; i += 1 + (unsigned)round % 7) {
        snprintf(key, sizeof(key), "lane/%04u", i);
        result = round % 3 == 2
                     ? partition_state_delete(txn, text_of(key), &error)
                     : partition_state_put(txn, text_of(key), TEXT_LITERAL("a value that is longer"), &error);
    }
    if (result < 0) {
        partition_abort(txn);
        return result;
    }
    return partition_commit(txn, &error);
}

static void write_on(void) {
    struct partition *partition;
    if (partition_open(paths[1], PARTITION_WRITE, MAP_SIZE, &partition, NULL) < 0)
        return;
    for (uint64_t round = 0; round < 12; round++)
        if (write_some(partition, round) < 0)
            break;
    partition_close(partition);
    for (size_t i = 0; i < 64; i++) /* the heap is as it should be */
        free(malloc(i * 100));
}

/* --- one case --- */

static void write_file(unsigned which, const char *bytes, size_t size) {
    partition_unlink(paths[which]);
    int fd = open(paths[which], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "%s", paths[which]);
    close(fd);
}

static void run_child(void (*run)(void), const char *what) {
    pid_t child = fork();
    require(child >= 0, "no child");
    if (child == 0) {
        run();
        fflush(NULL);
        _exit(0);
    }
    int handle = (int)syscall(SYS_pidfd_open, child, 0), status;
    struct pollfd wait = { .fd = handle, .events = POLLIN };
    bool ended = poll(&wait, 1, SECONDS_MAX * 1000) == 1;
    if (!ended)
        kill(child, SIGKILL);
    require(waitpid(child, &status, 0) == child, "no end");
    close(handle);
    require(ended, "%s: it ran longer than %d s", what, SECONDS_MAX);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %s %d", what,
            WIFSIGNALED(status) ? "killed by signal" : "exit status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void read_and_verify(void) {
    verify_all(read_all());
}

static void expect_whole(void) {
    unsigned before = told;
    require(read_all() && told == before, "the sound store is not whole");
    verify_all(true);
}

static void run_case(unsigned which, const char *bytes, size_t size, const char *what) {
    write_file(which, bytes, size);
    spans_may_hide = which == 1;
    run_child(read_and_verify, what);
    if (which == 1) {
        write_file(which, bytes, size);
        run_child(write_on, what);
    }
    write_file(which, files[which].bytes, files[which].size);
}

/* LMDB's own fields stand at the front of a page, and its nodes' places behind them: most of the flips go there. */
static size_t place_in_page(unsigned *seed) {
    static const size_t within[] = { 16, 64, PAGE, PAGE };
    return (size_t)rand_r(seed) % within[(unsigned)rand_r(seed) % COUNT_OF(within)];
}

static void flip_one(unsigned number) {
    unsigned seed = number;
    unsigned which = (unsigned)rand_r(&seed) % 2;
    size_t size = files[which].size, page = (size_t)rand_r(&seed) % (size / PAGE) * PAGE;
    size_t at = page + place_in_page(&seed);
    unsigned bit = (unsigned)rand_r(&seed) % 8;
    char what[128];
    char *bytes = malloc(size);
    require(bytes != NULL, "no memory");
    memcpy(bytes, files[which].bytes, size);
    bytes[at] ^= (char)(1U << bit);
    snprintf(what, sizeof(what), "bit %u of byte %zu of the %s partition (seed %u)", bit, at, which ? "open" : "closed",
             number);
    run_case(which, bytes, size, what);
    free(bytes);
}

static void cut_one(unsigned seed) {
    unsigned which = (unsigned)rand_r(&seed) % 2;
    size_t pages = files[which].size / PAGE;
    size_t size = (size_t)rand_r(&seed) % pages * PAGE + (rand_r(&seed) % 2 ? (size_t)rand_r(&seed) % PAGE : 0);
    char what[128];
    snprintf(what, sizeof(what), "the %s partition cut to %zu", which ? "open" : "closed", size);
    run_case(which, files[which].bytes, size, what);
}

static void clean_up(void) {
    partition_unlink(paths[0]);
    partition_unlink(paths[1]);
    rmdir(logs);
    rmdir(folder);
}

int main(int argc, char **argv) {
    bool is_long = getenv("TASKFORGE_LONG") != NULL;
    unsigned flips = is_long ? 1000 : 60, cuts = is_long ? 200 : 12;
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)clock_real_ns();
    make_store();
    run_child(expect_whole, "nothing is damaged");
    for (unsigned i = 0; i < flips; i++)
        flip_one(seed + i);
    for (unsigned i = 0; i < cuts; i++)
        cut_one(seed + i);
    clean_up();
    printf("%u flips and %u cuts from seed %u on: no wrong entry, no dead process\n", flips, cuts, seed);
    return 0;
}
