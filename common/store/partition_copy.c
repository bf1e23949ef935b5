#include "common/store/partition_copy.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/store/filter_index.h"
#include "common/store/gone.h"

enum { SPANS_AT_A_TIME = 4096 /* in one transaction */ };

struct copying {
    const struct partition_copy_job *job;
    struct partition_build *build;
    struct partition_copied copied;
    uint64_t next;              /* the source's sequence that comes next */
    struct buffer index, block; /* as they are stored */
    uint8_t *verdicts;          /* by service of the block and level */
    size_t verdict_capacity;
    struct error *error;
};

static int no_memory(struct copying *copying) {
    return error_set(copying->error, -ENOMEM, "%s: out of memory", partition_path(copying->job->from));
}

/* --- entries --- */

/* The next block and its index value, taken in one short transaction: 1, 0 at the end. */
static int take_block(struct copying *copying, uint64_t *ret_first) {
    struct partition_txn *txn;
    struct text index, block;
    int result = partition_begin(copying->job->from, false, &txn, copying->error);
    if (result < 0)
        return result;
    buffer_clear(&copying->index);
    buffer_clear(&copying->block);
    result = partition_index_seek(txn, copying->next, false, ret_first, &index, copying->error);
    if (result == 1) {
        result = partition_block_get(txn, *ret_first, &block, copying->error);
        if (result == -ENOENT)
            result = -EBADMSG;
        if (result == 0) {
            buffer_append_text(&copying->index, index);
            buffer_append_text(&copying->block, block);
            result = copying->index.failed || copying->block.failed ? no_memory(copying) : 1;
        }
    }
    partition_abort(txn);
    return result;
}

/* Judge each service of the block at each level once. */
static int judge(struct copying *copying, const struct block *block) {
    const struct partition_copy_job *job = copying->job;
    uint32_t services = block_dictionary_size(block, BLOCK_SERVICE);
    size_t need = (size_t)services * LEVEL_COUNT;
    if (need > copying->verdict_capacity) {
        uint8_t *grown = realloc(copying->verdicts, need);
        if (!grown)
            return no_memory(copying);
        copying->verdicts = grown;
        copying->verdict_capacity = need;
    }
    for (uint32_t i = 0; i < services; i++) {
        struct text service = block_dictionary_text(block, BLOCK_SERVICE, i);
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            copying->verdicts[i * LEVEL_COUNT + level] =
                service.length > 0 && (!job->keep || job->keep(job->keep_argument, service, (enum level)level));
    }
    return 0;
}

static int copy_rows(struct copying *copying, struct block *block, const struct index_entry *index) {
    struct error *error = copying->error;
    int result = block_load_all(block, error);
    if (result == 0)
        result = judge(copying, block);
    if (result < 0)
        return result;
    const uint16_t *services = block_dictionary_rows(block, BLOCK_SERVICE);
    uint32_t flush = 0;
    for (uint32_t row = 0; row < index->count && result == 0; row++) {
        struct entry entry;
        while (flush + 1 < index->flush_count && index->flushes[flush + 1].first_row <= row)
            flush++;
        if (!copying->verdicts[services[row] * LEVEL_COUNT + block_level(block, row)]) {
            copying->copied.gone += !block_row_is_gone(block, row);
            result = partition_build_add_gone(copying->build, 1, error);
            continue;
        }
        block_entry(block, row, &entry);
        result = partition_build_add(copying->build, &entry, index->flushes[flush].flush_ns, error);
        copying->copied.kept++;
    }
    return result;
}

static int copy_block(struct copying *copying, uint64_t first) {
    struct index_entry index;
    struct block *block;
    int result = index_decode(buffer_text(&copying->index), &index);
    if (result < 0)
        return error_set(copying->error, result, "%s: the index value of block %llu is damaged",
                         partition_path(copying->job->from), (unsigned long long)first);
    if (index.first_sequence != first || index.count > UINT64_MAX - first)
        result = error_set(copying->error, -EBADMSG, "%s: the index value of block %llu is another block's",
                           partition_path(copying->job->from), (unsigned long long)first);
    if (result == 0)
        result = partition_block_open(copying->job->from, buffer_text(&copying->block), first, &block, copying->error);
    if (result == 0) {
        if (block_count(block) != index.count)
            result = error_set(copying->error, -EBADMSG, "%s: the index counts other entries than block %llu has",
                               partition_path(copying->job->from), (unsigned long long)first);
        else
            result = copy_rows(copying, block, &index);
        block_destroy(block);
    }
    copying->next = first + index.count;
    index_entry_finish(&index);
    return result;
}

static int copy_entries(struct copying *copying) {
    uint64_t first = 0;
    int result;
    while ((result = take_block(copying, &first)) == 1) {
        if (first < copying->next) /* so that a copy of a damaged tree always ends */
            return error_set(copying->error, -EBADMSG, "%s: the index is out of order",
                             partition_path(copying->job->from));
        result = partition_build_add_gone(copying->build, first - copying->next, copying->error);
        if (result == 0)
            result = copy_block(copying, first);
        if (result < 0)
            return result;
    }
    return result;
}

/* --- spans and state --- */

static int copy_some_spans(struct copying *copying, uint64_t *sequence) {
    struct partition_txn *txn;
    struct text value;
    uint64_t found;
    int result = partition_begin(copying->job->from, false, &txn, copying->error);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < SPANS_AT_A_TIME; i++) {
        struct span span;
        result = partition_span_seek(txn, *sequence, false, &found, &value, copying->error);
        if (result != 1)
            break;
        if (found < *sequence || found == UINT64_MAX)
            result = error_set(copying->error, -EBADMSG, "%s: the spans are out of order",
                               partition_path(copying->job->from));
        else if (span_decode(value, found, &span) < 0)
            result = error_set(copying->error, -EBADMSG, "%s: span %llu is damaged", partition_path(copying->job->from),
                               (unsigned long long)found);
        else
            result = partition_build_add_span(copying->build, &span, found, value, copying->error);
        if (result < 0)
            break;
        *sequence = found + 1;
        result = 1;
    }
    partition_abort(txn);
    return result;
}

static int copy_spans(struct copying *copying) {
    uint64_t sequence = 0;
    int result;
    while ((result = copy_some_spans(copying, &sequence)) == 1)
        ;
    return result;
}

static int copy_one_state(void *argument, struct text key, struct text value) {
    struct copying *copying = argument;
    return partition_build_add_state(copying->build, key, value, copying->error);
}

static int copy_state(struct copying *copying) {
    struct partition_txn *txn;
    int result = partition_begin(copying->job->from, false, &txn, copying->error);
    if (result < 0)
        return result;
    result = partition_state_walk(txn, TEXT_EMPTY, copy_one_state, copying, copying->error);
    partition_abort(txn);
    return result;
}

/* --- all of it --- */

static int read_meta(struct partition *from, struct partition_meta *ret, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(from, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, ret, error);
    partition_abort(txn);
    if (result == 0 && (!ret->ready || ret->closed_ns == 0))
        result = error_set(error, -EBUSY, "%s: it is still being written", partition_path(from));
    return result;
}

static int begin(struct copying *copying) {
    const struct partition_copy_job *job = copying->job;
    struct partition_origin origin = *partition_origin(job->from);
    struct partition_build_options options = {
        .origin = &origin, .growth = job->growth, .between = job->between, .argument = job->between_argument
    };
    int result = read_meta(job->from, &options.meta, copying->error);
    if (result < 0)
        return result;
    copying->next = options.meta.first_sequence;
    options.meta.first_sequence += job->shift;
    if (job->created_ns)
        options.meta.created_ns = job->created_ns;
    origin.flags |= job->flags;
    if (job->rewritten_ns)
        origin.rewritten_ns = job->rewritten_ns;
    return partition_build_begin(job->path, &options, &copying->build, copying->error);
}

int partition_copy(const struct partition_copy_job *job, struct partition_copied *ret, struct error *error) {
    struct error own;
    struct copying copying = { .job = job, .error = error ? error : &own };
    int result = begin(&copying);
    if (result < 0)
        return result;
    result = copy_entries(&copying);
    if (result == 0 && !job->entries_only)
        result = copy_spans(&copying);
    if (result == 0 && !job->entries_only)
        result = copy_state(&copying);
    if (result == 0)
        result = partition_build_end(copying.build, copying.error);
    else
        partition_build_give_up(copying.build);
    buffer_finish(&copying.index);
    buffer_finish(&copying.block);
    free(copying.verdicts);
    if (result == 0)
        *ret = copying.copied;
    return result;
}
