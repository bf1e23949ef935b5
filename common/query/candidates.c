/* candidates.c - see candidates.h. */
#include "common/query/candidates.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"

enum {
    LOCATE_ATTEMPTS = 100, /* a block vanishes between index and opening at most once for each merge */
    GAP_ATTEMPTS = 3,      /* looks at what seems to hold nothing */
};

void candidates_finish(struct candidates *candidates) {
    free(candidates->items);
    *candidates = (struct candidates) { 0 };
}

struct range {
    uint64_t from, to;
    unsigned looks; /* so far */
};

struct collecting {
    const struct filter *filter;
    int (*answered)(void *argument, const struct index_entry *index);
    void *argument;
    struct candidates *candidates;
    struct range range; /* being walked; from moves behind each block */
    struct range *gaps; /* to be looked at once more */
    size_t gap_count, gap_capacity;
    struct error *error;
};

int candidates_append(struct candidates *candidates, const struct candidate *items, size_t count, struct error *error) {
    if (count > candidates->capacity - candidates->count) {
        size_t capacity = candidates->capacity ? candidates->capacity * 2 : 64;
        capacity = capacity < candidates->count + count ? candidates->count + count : capacity;
        struct candidate *grown = realloc(candidates->items, capacity * sizeof(*grown));
        if (!grown)
            return error_set(error, -ENOMEM, "out of memory for the plan of a query");
        candidates->items = grown;
        candidates->capacity = capacity;
    }
    for (size_t i = 0; i < count; i++)
        candidates->items[candidates->count++] = items[i];
    return 0;
}

static int add(struct collecting *collecting, const struct index_entry *index, uint64_t end) {
    const struct candidate candidate = {
        .block = index->first_sequence,
        .from = index->first_sequence > collecting->range.from ? index->first_sequence : collecting->range.from,
        .to = end < collecting->range.to ? end : collecting->range.to,
        .min_timestamp_ns = index->min_timestamp_ns,
        .max_timestamp_ns = index->max_timestamp_ns,
    };
    return candidates_append(collecting->candidates, &candidate, 1, collecting->error);
}

/* The reader walks in short transactions: a block merged with one that was visited already is passed over by the next. So what seems
 * to lie between blocks is looked at again. Real gaps (retired partitions, the ends) are few. */
static int note_gap(struct collecting *collecting, uint64_t from, uint64_t to) {
    if (from >= to || collecting->range.looks + 1 >= GAP_ATTEMPTS)
        return 0;
    if (collecting->gap_count == collecting->gap_capacity) {
        size_t capacity = collecting->gap_capacity ? collecting->gap_capacity * 2 : 8;
        struct range *grown = realloc(collecting->gaps, capacity * sizeof(*grown));
        if (!grown)
            return error_set(collecting->error, -ENOMEM, "out of memory for the plan of a query");
        collecting->gaps = grown;
        collecting->gap_capacity = capacity;
    }
    collecting->gaps[collecting->gap_count++] = (struct range) { from, to, collecting->range.looks + 1 };
    return 0;
}

static int plan_block(struct collecting *collecting, const struct index_entry *index, uint64_t end) {
    int status = filter_index(collecting->filter, index, collecting->error);
    if (status <= 0)
        return status;
    if (collecting->answered && index->first_sequence >= collecting->range.from && end <= collecting->range.to) {
        status = collecting->answered(collecting->argument, index);
        if (status != 0)
            return status < 0 ? status : 0;
    }
    return add(collecting, index, end);
}

static int collect_one(void *argument, const struct index_entry *index) {
    struct collecting *collecting = argument;
    uint64_t end = index->first_sequence + index->count;
    if (end <= collecting->range.from || index->first_sequence >= collecting->range.to)
        return 0;
    int status = note_gap(collecting, collecting->range.from, index->first_sequence);
    if (status == 0)
        status = plan_block(collecting, index, end);
    collecting->range.from = end;
    return status;
}

int candidates_collect(struct store_reader *reader, const struct filter *filter, uint64_t from, uint64_t to,
                       int (*answered)(void *argument, const struct index_entry *index), void *argument,
                       struct candidates *ret, struct error *error) {
    struct candidates candidates = { 0 };
    struct collecting collecting = { .filter = filter,
                                     .answered = answered,
                                     .argument = argument,
                                     .candidates = &candidates,
                                     .range = { from, to, 0 },
                                     .error = error };
    int status = 0;
    struct index_want want;
    filter_want(filter, &want);
    want.counts |= answered != NULL;
    for (bool more = true; more && status == 0;) {
        struct range *range = &collecting.range;
        if (range->from < range->to)
            status =
                store_reader_walk_parts(reader, range->from, range->to, false, &want, collect_one, &collecting, error);
        if (status == 0)
            status = note_gap(&collecting, range->from, range->to);
        more = collecting.gap_count > 0;
        if (more)
            *range = collecting.gaps[--collecting.gap_count];
    }
    free(collecting.gaps);
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
    for (int attempt = 0, empty = 0; attempt < LOCATE_ATTEMPTS && status == -ENOENT; attempt++) {
        uint64_t first;
        const struct index_want want = { 0 };
        if (attempt > 0 && (status = store_reader_refresh(reader, error)) < 0)
            return status;
        status = -ENOENT;
        int found = store_reader_walk_parts(reader, from, to, false, &want, note_first, &first, error);
        if (found < 0 || (found == 0 && ++empty == GAP_ATTEMPTS))
            return found;
        if (found == 0)
            continue;
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
