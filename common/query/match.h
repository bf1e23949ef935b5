/* match.h - which rows of a block pass a filter: column by column, the cheap ones first, each only for the rows still
 * standing, and none once no row is left. */
#ifndef TASKFORGE_COMMON_QUERY_MATCH_H
#define TASKFORGE_COMMON_QUERY_MATCH_H

#include "common/query/filter.h"
#include "common/store/block.h"

/* Rows of one block, ascending; a set is reused from block to block. */
struct row_set {
    uint32_t *rows;
    uint32_t count;
    uint32_t capacity;
};
#define ROW_SET_EMPTY ((struct row_set) { 0 })

void row_set_finish(struct row_set *set);

/* Fill *set with the rows of [from, to) that match; loads the columns it needs. 0; -EBADMSG damaged column, -ENOMEM,
 * -E2BIG an expression too costly. */
int match_block(const struct filter *filter, struct block *block, uint32_t from, uint32_t to, struct row_set *set,
                struct error *error);

#endif
