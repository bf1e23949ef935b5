/* candidates.c - see candidates.h. */
#include "common/query/candidates.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"

enum { LOCATE_ATTEMPTS = 100 }; /* a block vanishes between index and opening at most once for each merge */

void candidates_finish(struct candidates *candidates) {
    free(candidates->items);
    *candidates = (struct candidates) { 0 };
}

struct collecting {
    const struct filter *filter;
    uint64_t from, to;
    int (*answered)(void *argument, const struct index_entry *index);
    void *argument;
    struct candidates *candidates;
    struct error *error;
};

static int add(struct collecting *collecting, const struct index_entry *index, uint64_t end) {
    struct candidates *candidates = collecting->candidates;
    if (candidates->count == candidates->capacity) {
        size_t capacity = candidates->capacity ? candidates->capacity * 2 : 64;
        struct candidate *grown = realloc(candidates->items, capacity * sizeof(*grown));
        if (!grown)
            return error_set(collecting->error, -ENOMEM, "out of memory for the plan of a query");
        candidates->items = grown;
        candidates->capacity = capacity;
    }
    candidates->items[candidates->count++] = (struct candidate) {
        .block = index->first_sequence,
        .from = index->first_sequence > collecting->from ? index->first_sequence : collecting->from,
        .to = end < collecting->to ? end : collecting->to,
        .min_timestamp_ns = index->min_timestamp_ns,
        .max_timestamp_ns = index->max_timestamp_ns,
    };
    return 0;
}

static int collect_one(void *argument, const struct index_entry *index) {
    struct collecting *collecting = argument;
    uint64_t end = index->first_sequence + index->count;
    if (end <= collecting->from || index->first_sequence >= collecting->to)
        return 0;
    int status = filter_index(collecting->filter, index, collecting->error);
    if (status <= 0)
        return status;
    if (collecting->answered && index->first_sequence >= collecting->from && end <= collecting->to) {
        status = collecting->answered(collecting->argument, index);
        if (status != 0)
            return status < 0 ? status : 0;
    }
    return add(collecting, index, end);
}

int candidates_collect(struct store_reader *reader, const struct filter *filter, uint64_t from, uint64_t to,
                       int (*answered)(void *argument, const struct index_entry *index), void *argument,
                       struct candidates *ret, struct error *error) {
    struct candidates candidates = { 0 };
    struct collecting collecting = { filter, from, to, answered, argument, &candidates, error };
    int status = from < to ? store_reader_walk(reader, from, to, false, collect_one, &collecting, error) : 0;
    if (status < 0) {
        candidates_finish(&candidates);
        return status;
    }
    *ret = candidates;
    return 0;
}

static int note_first(void *argument, const struct index_entry *index) {
    *(uint64_t *)argument = index->first_sequence;
    return 1;
}

int candidate_locate(struct store_reader *reader, uint64_t from, uint64_t to, struct block **ret,
                     uint64_t *ret_first_sequence, struct error *error) {
    int status = -ENOENT;
    for (int attempt = 0; attempt < LOCATE_ATTEMPTS && status == -ENOENT; attempt++) {
        uint64_t first;
        if (attempt > 0 && (status = store_reader_refresh(reader, error)) < 0)
            return status;
        int found = store_reader_walk(reader, from, to, false, note_first, &first, error);
        if (found <= 0)
            return found;
        status = store_reader_block(reader, first, ret, error);
        if (status == 0) {
            *ret_first_sequence = first;
            return 1;
        }
    }
    return status;
}

int candidate_open(struct store_reader *reader, const struct candidate *candidate,
                   int (*visit)(void *argument, struct block *block, uint64_t first_sequence, uint32_t from_row,
                                uint32_t to_row),
                   void *argument, struct error *error) {
    struct block *block;
    uint64_t first = candidate->block, at = candidate->from;
    int status = store_reader_block(reader, first, &block, error);
    int found = status == 0 ? 1 : status;
    if (status == -ENOENT)
        found = candidate_locate(reader, at, candidate->to, &block, &first, error);
    while (found > 0) {
        uint64_t end = first + block_count(block), to = end < candidate->to ? end : candidate->to;
        uint64_t from = first > at ? first : at;
        if (to <= from) { /* it shrank under its index: leave it */
            block_destroy(block);
            return 0;
        }
        status = visit(argument, block, first, (uint32_t)(from - first), (uint32_t)(to - first));
        if (status < 0 || end >= candidate->to)
            return status;
        at = end;
        found = candidate_locate(reader, at, candidate->to, &block, &first, error);
    }
    return found;
}
