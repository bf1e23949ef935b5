/* run.h - the matches of one block in the order they are wanted, and their entries: straight out of the decoded block, or,
 * where too many blocks are open at once, out of windows that are read again as they are needed. A worker may have written them already. */
#ifndef TASKFORGE_COMMON_QUERY_RUN_H
#define TASKFORGE_COMMON_QUERY_RUN_H

#include "common/query/match.h"
#include "common/store/reader.h"

struct run_match {
    uint64_t timestamp_ns; /* 0 where the order is by arrival */
    uint64_t sequence;
};

struct run;

/* Takes the block over when it succeeds. `rows` is not empty. */
int run_create(struct block *block, uint64_t first_sequence, const struct row_set *rows, bool by_time, bool reverse,
               struct run **ret, struct error *error);
void run_destroy(struct run *run);

/* Write every match's entry with `render` now, and let the block go. 0; the run is as it was where that fails (-EBADMSG, -ENOMEM), or where it
 * would take too much room. */
int run_render(struct run *run, void (*render)(void *argument, struct buffer *out, const struct entry *entry),
               void *argument, struct error *error);
/* Decode what run_entry needs. */
int run_load(struct run *run, struct error *error);
/* What was written for the current match: false: it was not. */
bool run_text(const struct run *run, struct text *ret);

/* Let the decoded block, or what was written of it, go; matches stay. */
void run_evict(struct run *run);
size_t run_weight(const struct run *run); /* the memory that eviction gives back, roughly */
/* Nothing of it can be read: run_entry says 0 from now on. */
void run_give_up(struct run *run);

const struct run_match *run_at(const struct run *run);
bool run_advance(struct run *run); /* false: that was the last */

/* The entry at the current match; borrowed until the run advances. 1; 0 when it is no longer stored; negative errno. */
int run_entry(struct run *run, struct store_reader *reader, struct entry *ret, struct error *error);

static inline int run_compare(const struct run_match *a, const struct run_match *b) {
    if (a->timestamp_ns != b->timestamp_ns)
        return a->timestamp_ns < b->timestamp_ns ? -1 : 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

#endif
