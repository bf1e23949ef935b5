/* verify_partition.c - see verify.h: reading one partition whole. Runs in a child. */
#include <errno.h>
#include <string.h>

#include "common/store/block.h"
#include "common/store/filter_index.h"
#include "common/store/gone.h"
#include "common/store/partition_origin.h"
#include "common/store/reader_private.h"
#include "common/store/span_codec.h"
#include "common/store/partition_samples.h"
#include "common/store/samples.h"
#include "common/store/verify_private.h"

enum { SPANS_AT_A_TIME = 4096 }; /* in one transaction */

void verify_fault(struct verify_run *run, const char *text) {
    if (run->result.faults++ == 0)
        snprintf(run->result.why, sizeof(run->result.why), "%.*s", PARTITION_SUM_WHY - 1, text);
    if (run->result.verdict < PARTITION_PARTLY)
        run->result.verdict = PARTITION_PARTLY;
    if (run->result.faults <= VERIFY_FAULTS_MAX)
        fprintf(run->out, "fault %s\n", text);
}

void verify_failed(struct verify_run *run, int result, const char *text) {
    if (!reader_is_passing(result)) {
        verify_fault(run, text);
        return;
    }
    if (!run->unchecked)
        fprintf(run->out, "unchecked %s\n", text);
    run->unchecked = true;
}

static void fault_at(struct verify_run *run, uint64_t sequence, const char *text) {
    char line[256];
    snprintf(line, sizeof(line), "block %llu: %s", (unsigned long long)sequence, text);
    verify_fault(run, line);
}

/* --- blocks and their index --- */

/* The index value's counts and times against the block's rows. */
static void compare_block(struct verify_run *run, const struct index_entry *index, struct block *block) {
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

/* The block of a sound index value, or of none. How many entries it has; 0: damaged. */
static uint32_t check_block(struct verify_run *run, uint64_t key, const struct index_entry *index) {
    struct error error = { "" };
    struct text encoded;
    struct block *block;
    uint32_t count = 0;
    int result = partition_block_get(run->txn, key, &encoded, &error);
    if (result == 0)
        result = partition_block_open(run->partition, encoded, key, &block, &error);
    if (result == 0) {
        count = block_count(block);
        result = block_load_all(block, &error);
        if (result == 0 && index)
            compare_block(run, index, block);
        block_destroy(block);
    }
    if (result < 0)
        verify_failed(run, result, error.text);
    return result < 0 ? 0 : count;
}

static void note_extent(struct verify_run *run, uint64_t key, uint64_t count, uint64_t gone) {
    struct verify_result *result = &run->result;
    if (result->blocks++ == 0)
        result->first = key;
    result->entries += count - gone;
    result->next = key + count;
}

static void check_index(struct verify_run *run, uint64_t key, struct text encoded) {
    struct index_entry index;
    int decoded = index_decode(encoded, &index);
    if (decoded == -ENOMEM) {
        verify_failed(run, decoded, "out of memory");
        return;
    }
    if (decoded < 0) {
        fault_at(run, key, "its index value is damaged");
        uint32_t count = check_block(run, key, NULL);
        note_extent(run, key, count, 0);
        run->result.next = count ? key + count : 0;
        return;
    }
    if (index.first_sequence != key)
        fault_at(run, key, "its index value is another block's");
    else if (run->result.next != 0 && (run->rewritten ? key < run->result.next : key != run->result.next))
        fault_at(run, key, key < run->result.next ? "it overlaps the block before" : "entries are missing before it");
    if (index.before.min_ns > run->before.min_ns || index.before.max_ns < run->before.max_ns ||
        index.before.late_ns < run->before.late_ns)
        fault_at(run, key, "entries before it lie outside the time range that its index value gives");
    run->before = index_before_next(run->before, index.min_timestamp_ns, index.max_timestamp_ns);
    (void)check_block(run, key, &index);
    note_extent(run, key, index.count, index_count_gone(&index));
    index_entry_finish(&index);
}

static void check_blocks(struct verify_run *run) {
    struct error error = { "" };
    struct text index;
    uint64_t key = 0, seek = 0;
    int result;
    run->before = INDEX_BEFORE_NOTHING;
    while ((result = partition_index_seek(run->txn, seek, false, &key, &index, &error)) == 1 && key >= seek &&
           key != UINT64_MAX) {
        check_index(run, key, index);
        partition_forget(run->txn);
        seek = key + 1;
    }
    if (result < 0)
        verify_failed(run, result, error.text);
    else if (result == 1 && key < seek)
        verify_fault(run, "the index is out of order");
}

/* As queries walk, both ways: a page may give each value that is asked for, and not lead from one to the next. */
static void check_walk(struct verify_run *run, bool descending) {
    struct error error = { "" };
    struct partition_batch batch = { 0 };
    uint64_t seen = 0, next = descending ? UINT64_MAX : 0;
    int count;
    while ((count = partition_index_batch(run->txn, next, descending, PARTITION_BATCH_MAX, NULL, &batch, &error)) > 0 &&
           seen <= run->result.blocks) {
        uint64_t last = batch.values[count - 1].key;
        seen += (uint64_t)count;
        if (last == (descending ? 0 : UINT64_MAX))
            break;
        next = descending ? last - 1 : last + 1;
    }
    buffer_finish(&batch.bytes);
    if (count < 0)
        verify_failed(run, count, error.text);
    else if (!run->unchecked && seen != run->result.blocks)
        verify_fault(run, "a walk through the index does not come by all of it");
}

/* No block stands there that the index does not know. */
static void check_strays(struct verify_run *run) {
    struct error error = { "" };
    struct text index;
    uint64_t key = 0, found = 0, seek = 0;
    int result;
    while ((result = partition_block_seek(run->txn, seek, false, &key, &error)) == 1 && key >= seek &&
           key != UINT64_MAX) {
        int known = partition_index_seek(run->txn, key, false, &found, &index, &error);
        if (known < 0)
            verify_failed(run, known, error.text);
        else if (known == 0 || found != key)
            fault_at(run, key, "it has no index value");
        partition_forget(run->txn);
        seek = key + 1;
    }
    if (result < 0)
        verify_failed(run, result, error.text);
    else if (result == 1 && key < seek)
        verify_fault(run, "the blocks are out of order");
}

/* --- spans --- */

/* By both ways to it: 1, 0. */
static int is_found(struct verify_run *run, const struct span *span, uint64_t sequence, struct error *error) {
    struct partition_span_time time;
    uint64_t found;
    int result = partition_span_of_trace(run->txn, span->record.trace_id, sequence, &found, error);
    if (result <= 0 || found != sequence)
        return result < 0 ? result : 0;
    result = partition_span_before(run->txn, span->record.start_ns, sequence + 1, &time, error);
    if (result <= 0)
        return result;
    return time.start_ns == span->record.start_ns && time.sequence == sequence &&
           memcmp(time.trace_id, span->record.trace_id, sizeof(time.trace_id)) == 0 &&
           time.service_hash == span_service_hash(span->record.service);
}

static void check_span(struct verify_run *run, uint64_t sequence, struct text value) {
    struct error error = { "" };
    struct span span;
    char line[256];
    int result = 0;
    const char *what = "it is damaged";
    if (span_decode(value, sequence, &span) == 0) {
        result = is_found(run, &span, sequence, &error);
        if (result == 1)
            return;
        what = result < 0 ? error.text : "it is not found by its trace or by its time";
    }
    snprintf(line, sizeof(line), "span %llu: %.200s", (unsigned long long)sequence, what);
    verify_failed(run, result, line);
}

/* Spans are only ever added behind the others, so that a later transaction is as good. */
static int renew(struct verify_run *run, struct error *error) {
    partition_abort(run->txn);
    run->txn = NULL;
    return partition_begin(run->partition, false, &run->txn, error);
}

/* Each span, and that nothing else leads to spans. */
static void check_spans(struct verify_run *run) {
    struct error error = { "" };
    struct partition_span_counts counts;
    uint64_t sequence = 0, seek = 0, spans = 0;
    struct text value;
    int result;
    while ((result = partition_span_seek(run->txn, seek, false, &sequence, &value, &error)) == 1 && sequence >= seek &&
           sequence != UINT64_MAX) {
        if (spans++ > 0 && sequence != seek)
            verify_fault(run, "spans are missing");
        check_span(run, sequence, value);
        seek = sequence + 1;
        if (spans % SPANS_AT_A_TIME == 0 && (result = renew(run, &error)) < 0)
            break;
    }
    run->result.spans = spans;
    if (result == 0)
        result = partition_span_count(run->txn, &counts, &error);
    else if (result == 1)
        result = error_set(&error, -EBADMSG, "the spans are out of order");
    if (result < 0)
        verify_failed(run, result, error.text);
    else if (counts.spans != spans || counts.traces != spans || counts.times != spans)
        verify_fault(run, "there are more ways to spans than spans");
}

/* --- all of it --- */

static int pass_over(void *argument, struct text key, struct text value) {
    (void)argument;
    (void)key;
    (void)value;
    return 0;
}

/* One of samples, whatever somebody calls it. */
static bool is_of_samples(const char *path) {
    struct partition *partition;
    if (partition_samples_open(path, PARTITION_READ, 0, &partition, NULL) < 0)
        return false;
    partition_close(partition);
    return true;
}

static int open_to_walk(struct verify_run *run, const char *path, struct error *error) {
    struct partition_meta meta;
    int result = partition_open(path, PARTITION_READ, 0, &run->partition, error);
    if (result == -ENOENT ||
        result == -EACCES) /* gone meanwhile, or not ours to read: no word about what stands in it */
        return error_set(error, -EAGAIN, "%s", error->text);
    if (result == 0)
        result = partition_begin(run->partition, false, &run->txn, error);
    return result == 0 ? partition_meta_get(run->txn, &meta, error) : result;
}

void verify_walk(struct verify_run *run, const char *path) {
    struct error error = { "" };
    if (samples_is_name(path)) {
        verify_samples(run, path);
        return;
    }
    run->result.verdict = PARTITION_SOUND;
    int result = open_to_walk(run, path, &error);
    if (result < 0) {
        if (!run->partition && is_of_samples(path)) {
            verify_samples(run, path);
            return;
        }
        verify_failed(run, result, error.text);
        run->result.verdict = PARTITION_UNREADABLE;
        return;
    }
    unsigned flags = partition_origin(run->partition)->flags;
    run->rewritten = flags & PARTITION_REWRITTEN;
    check_blocks(run);
    check_walk(run, false);
    check_walk(run, true);
    if (run->rewritten) /* its end may be missing, too */
        run->result.next = 0;
    /* Likewise what is before it; and an import may stand behind a place that a killed one did not fill. */
    if (flags & (PARTITION_REWRITTEN | PARTITION_JUMPED | PARTITION_IMPORTED))
        run->result.first = 0;
    check_strays(run);
    check_spans(run);
    if (run->txn && (result = partition_state_walk(run->txn, TEXT_EMPTY, pass_over, NULL, &error)) < 0)
        verify_failed(run, result, error.text);
}
