/* store_verify: everything is read as a hostile reader's child would, one partition in one process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/gone.h"
#include "common/store/partition_origin.h"
#include "common/store/reader.h"

enum {
    FAULTS_MAX = 1000,      /* told of one partition; a file full of noise has no end of them */
    SPANS_AT_A_TIME = 4096, /* in one transaction */
};

/* What the child writes: lines of "fault ...", and at the end "done ENTRIES NEXT". */
struct check_run {
    struct partition *partition;
    struct partition_txn *txn;
    FILE *out;
    uint64_t entries;
    uint64_t next; /* the sequence that the next block must begin with; 0: any */
    bool rewritten; /* entries were taken out of it: blocks may be missing */
    unsigned faults;
};

static void fault(struct check_run *run, const char *text) {
    if (run->faults++ < FAULTS_MAX)
        fprintf(run->out, "fault %s\n", text);
}

static void fault_at(struct check_run *run, uint64_t sequence, const char *text) {
    char line[256];
    snprintf(line, sizeof(line), "block %llu: %s", (unsigned long long)sequence, text);
    fault(run, line);
}

/* The index value's counts and times against the block's rows. */
static void compare_block(struct check_run *run, const struct index_entry *index, struct block *block) {
    uint64_t levels[LEVEL_COUNT] = { 0 }, counted[LEVEL_COUNT] = { 0 };
    if (block_count(block) != index->count) {
        fault_at(run, index->first_sequence, "the index counts other entries than the block has");
        return;
    }
    for (uint32_t row = 0; row < index->count; row++) {
        uint64_t timestamp = block_timestamp(block, row);
        levels[block_level(block, row)]++;
        if (timestamp < index->min_timestamp_ns || timestamp > index->max_timestamp_ns) {
            fault_at(run, index->first_sequence, "an entry lies outside the time range of the index");
            return;
        }
    }
    for (uint32_t i = 0; i < index->count_count; i++) {
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            counted[level] += index->counts[i].by_level[level];
    }
    if (memcmp(levels, counted, sizeof(levels)) != 0)
        fault_at(run, index->first_sequence, "the index counts other levels than the block has");
}

static void check_block(struct check_run *run, uint64_t key, struct text encoded_index) {
    struct index_entry index;
    struct text encoded;
    struct block *block;
    struct error error = { "" };
    if (index_decode(encoded_index, &index) < 0) {
        fault_at(run, key, "its index value is damaged");
        run->next = 0;
        return;
    }
    if (index.first_sequence != key)
        fault_at(run, key, "its index value is another block's");
    else if (run->next != 0 && (run->rewritten ? key < run->next : key != run->next))
        fault_at(run, key, key < run->next ? "it overlaps the block before" : "entries are missing before it");
    int result = partition_block_get(run->txn, key, &encoded, &error);
    if (result == 0)
        result = block_open(encoded, key, &block, &error);
    if (result == 0) {
        result = block_load_all(block, &error);
        if (result == 0)
            compare_block(run, &index, block);
        block_destroy(block);
    }
    if (result < 0)
        fault(run, error.text);
    run->entries += index.count - index_count_gone(&index);
    run->next = key + index.count;
    index_entry_finish(&index);
}

static bool is_found(struct check_run *run, const struct span *span, uint64_t sequence, struct error *error) {
    struct partition_span_time time;
    uint64_t found;
    return partition_span_of_trace(run->txn, span->record.trace_id, sequence, &found, error) == 1 &&
           found == sequence &&
           partition_span_before(run->txn, span->record.start_ns, sequence + 1, &time, error) == 1 &&
           time.start_ns == span->record.start_ns && time.sequence == sequence &&
           memcmp(time.trace_id, span->record.trace_id, sizeof(time.trace_id)) == 0 &&
           time.service_hash == span_service_hash(span->record.service);
}

static void check_span(struct check_run *run, uint64_t sequence, struct text value) {
    struct error error = { "" };
    struct span span;
    char line[256];
    const char *what = NULL;
    if (span_decode(value, sequence, &span) < 0)
        what = "it is damaged";
    else if (!is_found(run, &span, sequence, &error))
        what = error.text[0] ? error.text : "it is not found by its trace or by its time";
    if (!what)
        return;
    snprintf(line, sizeof(line), "span %llu: %.200s", (unsigned long long)sequence, what);
    fault(run, line);
}

/* A transaction keeps copies of all that was read in it. Spans are only ever added behind the others, so that a later one is as good. */
static int renew(struct check_run *run, struct error *error) {
    partition_abort(run->txn);
    run->txn = NULL;
    return partition_begin(run->partition, false, &run->txn, error);
}

/* Each span, and that nothing else leads to spans. */
static void check_spans(struct check_run *run) {
    struct error error = { "" };
    struct partition_span_counts counts;
    uint64_t sequence = 0, seek = 0, spans = 0;
    struct text value;
    int result;
    while ((result = partition_span_seek(run->txn, seek, false, &sequence, &value, &error)) == 1 && sequence >= seek &&
           sequence != UINT64_MAX) {
        if (spans++ > 0 && sequence != seek)
            fault(run, "spans are missing");
        check_span(run, sequence, value);
        seek = sequence + 1;
        if (spans % SPANS_AT_A_TIME == 0 && (result = renew(run, &error)) < 0)
            break;
    }
    if (result == 0)
        result = partition_span_count(run->txn, &counts, &error);
    else if (result == 1)
        error_set(&error, -EBADMSG, "the spans are out of order");
    if (error.text[0])
        fault(run, error.text);
    else if (counts.spans != spans || counts.traces != spans || counts.times != spans)
        fault(run, "there are more ways to spans than spans");
}

static int pass_over(void *argument, struct text key, struct text value) {
    (void)argument;
    (void)key;
    (void)value;
    return 0;
}

static void check_partition(struct check_run *run, const char *path) {
    struct error error = { "" };
    struct partition_meta meta;
    if (partition_open(path, PARTITION_READ, 0, &run->partition, &error) < 0 ||
        partition_begin(run->partition, false, &run->txn, &error) < 0 ||
        partition_meta_get(run->txn, &meta, &error) < 0) {
        fault(run, error.text);
        return;
    }
    uint64_t key = 0, seek = 0;
    struct text index;
    int result;
    unsigned flags = partition_origin(run->partition)->flags;
    run->rewritten = flags & PARTITION_REWRITTEN;
    if (flags & PARTITION_JUMPED)
        run->next = 0;
    while ((result = partition_index_seek(run->txn, seek, false, &key, &index, &error)) == 1 && key >= seek &&
           key != UINT64_MAX) {
        check_block(run, key, index);
        seek = key + 1;
    }
    if (result < 0 || (result == 1 && key < seek))
        fault(run, result < 0 ? error.text : "the index is out of order");
    if (run->rewritten) /* its end may be missing, too */
        run->next = 0;
    check_spans(run);
    if (run->txn && partition_state_walk(run->txn, TEXT_EMPTY, pass_over, NULL, &error) < 0)
        fault(run, error.text);
}

static void child_main(int out, const char *path, uint64_t next) {
    struct check_run run = { .out = fdopen(out, "w"), .next = next };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!run.out)
        _exit(1);
    check_partition(&run, path);
    fprintf(run.out, "done %llu %llu\n", (unsigned long long)run.entries, (unsigned long long)run.next);
    fflush(run.out);
    _exit(0);
}

struct verify {
    void (*report)(void *argument, const char *line);
    void *argument;
    uint64_t entries, next;
    int faults;
};

static void tell(struct verify *verify, const char *path, const char *text) {
    char line[PARTITION_PATH_MAX + 600];
    const char *base = strrchr(path, '/');
    verify->faults++;
    snprintf(line, sizeof(line), "%s: %s", base ? base + 1 : path, text);
    verify->report(verify->argument, line);
}

/* Read what the child says until it ends. */
static void listen_to(struct verify *verify, FILE *from, pid_t child, const char *path) {
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool done = false;
    int status;
    while ((length = getline(&line, &room, from)) > 0) {
        unsigned long long entries, next;
        line[length - 1] = '\0';
        if (strncmp(line, "fault ", 6) == 0) {
            tell(verify, path, line + 6);
        } else if (sscanf(line, "done %llu %llu", &entries, &next) == 2) {
            verify->entries += entries;
            verify->next = next;
            done = true;
        }
    }
    free(line);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!done) {
        tell(verify, path, "damaged so that it could not be read to its end");
        verify->next = 0;
    }
}

static int verify_one(struct verify *verify, const char *path) {
    int ends[2];
    if (pipe(ends) < 0)
        return -errno;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        int code = errno;
        close(ends[0]);
        close(ends[1]);
        return -code;
    }
    if (child == 0) {
        close(ends[0]);
        child_main(ends[1], path, verify->next);
    }
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    if (!from) {
        close(ends[0]);
        return -ENOMEM;
    }
    listen_to(verify, from, child, path);
    fclose(from);
    return 0;
}

int store_verify(const char *data_dir, void (*report)(void *argument, const char *line), void *argument,
                 uint64_t *ret_entries, struct error *error) {
    struct verify verify = { .report = report, .argument = argument };
    struct partition_name *names = NULL;
    size_t count = 0;
    int result = partition_list(data_dir, &names, &count, error);
    for (size_t i = 0; i < count && result == 0; i++) {
        result = verify_one(&verify, names[i].path);
        if (result < 0)
            error_set(error, result, "%s: cannot start a process to check it: %s", names[i].path, strerror(-result));
    }
    free(names);
    if (result < 0)
        return result;
    *ret_entries = verify.entries;
    return verify.faults;
}
