/* candidates.h - the plan of a scan: which blocks could hold matches, by the index alone, and opening them although the collector
 * merges and retires blocks meanwhile. */
#ifndef TASKFORGE_COMMON_QUERY_CANDIDATES_H
#define TASKFORGE_COMMON_QUERY_CANDIDATES_H

#include "common/query/filter.h"
#include "common/store/reader.h"

struct candidate {
    uint64_t block;    /* its first sequence when the plan was made */
    uint64_t from, to; /* the sequences wanted of it */
    uint64_t min_timestamp_ns, max_timestamp_ns;
};

struct candidates {
    struct candidate *items; /* each sequence in one at most; in no order */
    size_t count;
    size_t capacity;
};

void candidates_finish(struct candidates *candidates);
int candidates_append(struct candidates *candidates, const struct candidate *items, size_t count, struct error *error);

/* Plan [from, to). `answered` (may be NULL) is asked first about each block that may match and lies in the range whole: 1 means that
 * its index value was enough and the block is left out; negative ends the plan. */
int candidates_collect(struct store_reader *reader, const struct filter *filter, uint64_t from, uint64_t to,
                       int (*answered)(void *argument, const struct index_entry *index), void *argument,
                       struct candidates *ret, struct error *error);

/* Open what holds the candidate's sequences now: usually its block; where that was merged or rewritten, whatever took its place; nothing
 * when it was retired. `visit` owns the block; rows [from_row, to_row) are the candidate's. Returns 0, or the first
 * negative value. */
int candidate_open(struct store_reader *reader, const struct candidate *candidate,
                   int (*visit)(void *argument, struct block *block, uint64_t first_sequence, uint32_t from_row,
                                uint32_t to_row),
                   void *argument, struct error *error);

/* The block that holds the first sequence in [from, to) that is stored. 1, 0 none, negative errno. The caller owns it. */
int candidate_locate(struct store_reader *reader, uint64_t from, uint64_t to, struct block **ret,
                     uint64_t *ret_first_sequence, struct error *error);

#endif
