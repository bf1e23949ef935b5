#include "common/store/partition_build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/filter_index.h"
#include "common/store/reader.h"

#define BUILD_MAP_SIZE (UINT64_C(64) << 30) /* address space, no memory */

enum {
    COMMIT_BYTES = 1024 * 1024, /* put in one transaction: what is held in memory, and what a sync has to write */
    ROWS_FULL = 4 * BLOCK_ENTRIES_FULL, /* of a block, with those that are gone */
};

struct partition_build {
    struct partition *partition;
    struct partition_txn *txn;
    struct block_builder *builder;
    struct partition_build_options options;
    char path[PARTITION_PATH_MAX];
    struct index_flush *flushes;
    uint32_t flush_count, flush_capacity;
    uint64_t next;              /* sequence of the next row */
    uint64_t first;             /* of the block in the builder */
    struct index_before before; /* it */
    uint64_t gone;              /* rows in hand behind the builder's last: none goes in before an entry follows */
    uint64_t entries;           /* all */
    uint32_t block_entries;
    uint64_t bytes_put;
    struct entry filler; /* a row that is gone; its time is the one before */
};

int partition_build_begin(const char *path, const struct partition_build_options *options, struct partition_build **ret,
                          struct error *error) {
    struct partition_build *build = calloc(1, sizeof(*build));
    if (!build)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    build->options = *options;
    build->options.meta.version = PARTITION_VERSION;
    build->options.meta.ready = 0;
    build->next = options->meta.first_sequence;
    build->before = INDEX_BEFORE_NOTHING;
    snprintf(build->path, sizeof(build->path), "%s", path);
    int result = block_builder_create(&build->builder);
    if (result == 0)
        result = block_builder_set_host(build->builder, options->origin->host);
    if (result < 0)
        error_set(error, result, "%s: out of memory", path);
    else
        result =
            partition_create_of(path, &build->options.meta, options->origin, BUILD_MAP_SIZE, &build->partition, error);
    if (result == -EEXIST) {
        block_builder_destroy(build->builder);
        free(build);
        return result;
    }
    if (result < 0) {
        partition_build_give_up(build);
        return result;
    }
    if (options->growth.grow)
        partition_set_growth(build->partition, options->growth);
    *ret = build;
    return 0;
}

/* --- transactions --- */

static int need_txn(struct partition_build *build, struct error *error) {
    return build->txn ? 0 : partition_begin(build->partition, true, &build->txn, error);
}

static int commit(struct partition_build *build, struct error *error) {
    if (!build->txn)
        return 0;
    struct partition_txn *txn = build->txn;
    build->txn = NULL;
    build->bytes_put = 0;
    return partition_commit(txn, error);
}

static int put(struct partition_build *build, size_t bytes, struct error *error) {
    build->bytes_put += bytes;
    if (build->bytes_put < COMMIT_BYTES)
        return 0;
    int result = commit(build, error);
    if (result == 0 && build->options.between && (result = build->options.between(build->options.argument)) < 0)
        error_set(error, result, "%s: given up: %s", build->path, strerror(-result));
    return result;
}

/* --- rows --- */

static int put_block(struct partition_build *build, struct error *error) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    if (block_builder_count(build->builder) == 0)
        return 0;
    int result = block_builder_encode(build->builder, build->first, &block);
    if (result == 0)
        result = index_encode_behind(build->builder, build->first, &build->before, build->flushes, build->flush_count,
                                     &index);
    if (result < 0)
        return error_set(error, result, "%s: cannot encode a block: %s", build->path, strerror(-result));
    result = need_txn(build, error);
    if (result == 0)
        result = partition_block_put(build->txn, build->first, buffer_text(&block), buffer_text(&index), error);
    if (result < 0)
        return result;
    block_builder_clear(build->builder);
    build->flush_count = build->block_entries = 0;
    return put(build, block.length + index.length, error);
}

static int note_flush(struct partition_build *build, uint64_t flush_ns) {
    if (build->flush_count > 0 && build->flushes[build->flush_count - 1].flush_ns >= flush_ns)
        return 0;
    if (build->flush_count == build->flush_capacity) {
        uint32_t capacity = build->flush_capacity ? build->flush_capacity * 2 : 64;
        struct index_flush *grown = realloc(build->flushes, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        build->flushes = grown;
        build->flush_capacity = capacity;
    }
    build->flushes[build->flush_count++] = (struct index_flush) { block_builder_count(build->builder), flush_ns };
    return 0;
}

static bool is_full(const struct partition_build *build) {
    return build->block_entries >= BLOCK_ENTRIES_FULL ||
           block_builder_count(build->builder) + build->gone >= ROWS_FULL ||
           block_builder_raw_size(build->builder) >= BLOCK_RAW_FULL;
}

/* One more: what a generator of ids makes next takes the least room (block_ids.c). */
static void count_up(struct uuid *id) {
    for (unsigned i = UUID_SIZE; i-- > UUID_SIZE / 2 && ++id->bytes[i] == 0;)
        ;
}

/* The rows that are gone between the builder's last entry and the one that follows. */
static int fill(struct partition_build *build) {
    int result = 0;
    for (; build->gone > 0 && result == 0; build->gone--) {
        count_up(&build->filler.id);
        result = block_builder_add(build->builder, &build->filler);
    }
    return result;
}

int partition_build_add(struct partition_build *build, const struct entry *entry, uint64_t flush_ns,
                        struct error *error) {
    int result = is_full(build) ? put_block(build, error) : 0;
    if (result < 0)
        return result;
    if (block_builder_count(build->builder) == 0) {
        build->first = build->next;
        build->gone = 0;
    }
    result = fill(build);
    if (result == 0)
        result = note_flush(build, flush_ns);
    if (result == 0)
        result = block_builder_add(build->builder, entry);
    if (result < 0)
        return error_set(error, result, "%s: cannot add an entry to a block: %s", build->path, strerror(-result));
    struct text host = partition_origin(build->partition)->host;
    build->filler = (struct entry) { .id = entry->id,
                                     .timestamp_ns = entry->timestamp_ns,
                                     .level = LEVEL_TRACE,
                                     .service = TEXT_LITERAL(""),
                                     .module = TEXT_LITERAL(""),
                                     .operation = TEXT_LITERAL(""),
                                     .message = TEXT_LITERAL(""),
                                     .host = text_equal(entry->host, host) ? host : TEXT_LITERAL("") };
    build->next++;
    build->entries++;
    build->block_entries++;
    return 0;
}

int partition_build_add_gone(struct partition_build *build, uint64_t count, struct error *error) {
    if (count > UINT64_MAX - 1 - build->next)
        return error_set(error, -EBADMSG, "%s: its sequences go too far", build->path);
    build->next += count;
    build->gone = count < ROWS_FULL ? build->gone + count : ROWS_FULL;
    return is_full(build) ? put_block(build, error) : 0;
}

/* --- all else --- */

int partition_build_add_span(struct partition_build *build, const struct span *span, uint64_t sequence,
                             struct text value, struct error *error) {
    struct partition_span_time time = { .start_ns = span->record.start_ns,
                                        .sequence = sequence,
                                        .service_hash = span_service_hash(span->record.service) };
    memcpy(time.trace_id, span->record.trace_id, sizeof(time.trace_id));
    int result = need_txn(build, error);
    if (result == 0)
        result = partition_span_put(build->txn, &time, value, error);
    return result < 0 ? result : put(build, 2 * value.length, error);
}

int partition_build_add_state(struct partition_build *build, struct text key, struct text value, struct error *error) {
    int result = need_txn(build, error);
    if (result == 0)
        result = partition_state_put(build->txn, key, value, error);
    return result < 0 ? result : put(build, key.length + value.length, error);
}

uint64_t partition_build_next(const struct partition_build *build) {
    return build->next;
}

uint64_t partition_build_entries(const struct partition_build *build) {
    return build->entries;
}

void partition_build_set_id(struct partition_build *build, const struct uuid *id) {
    build->options.meta.id = *id;
}

/* --- the end --- */

static int put_meta(struct partition_build *build, struct error *error) {
    int result = need_txn(build, error);
    if (result == 0)
        result = partition_meta_put(build->txn, &build->options.meta, error);
    return result < 0 ? result : commit(build, error);
}

static int end(struct partition_build *build, struct error *error) {
    struct partition_meta *meta = &build->options.meta;
    int result = put_block(build, error);
    if (result == 0)
        result = commit(build, error);
    meta->ready = 1;
    if (!meta->closed_ns)
        meta->closed_ns = clock_real_ns();
    for (int page = 0; page < 2 && result == 0; page++) /* twice: both meta pages lead to it */
        result = put_meta(build, error);
    return result;
}

static void free_build(struct partition_build *build) {
    partition_abort(build->txn);
    partition_close(build->partition);
    block_builder_destroy(build->builder);
    free(build->flushes);
    free(build);
}

int partition_build_end(struct partition_build *build, struct error *error) {
    int result = end(build, error);
    if (result < 0) {
        partition_build_give_up(build);
        return result;
    }
    free_build(build);
    return 0;
}

void partition_build_give_up(struct partition_build *build) {
    char path[PARTITION_PATH_MAX];
    if (!build)
        return;
    memcpy(path, build->path, sizeof(path));
    free_build(build);
    partition_unlink(path);
}
