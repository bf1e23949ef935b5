/* statements.h - which statements wrote the matching entries, and how often: by template of the message and service.
 *
 * Of each block only the filter's columns are read, and the small ones of statements and templates; by several threads where there
 * are many blocks.
 */
#ifndef TASKFORGE_COMMON_QUERY_STATEMENTS_H
#define TASKFORGE_COMMON_QUERY_STATEMENTS_H

#include "common/query/scan.h"

enum {
    STATEMENTS_MAX = 50000,     /* told apart by each thread; what more there are is counted together */
    STATEMENTS_TEXT_MAX = 1024, /* bytes kept of a template's text */
};

struct statement {
    uint64_t template;         /* block_template_id */
    struct text service, text; /* owned; BLOCK_GAP stands where an argument does */
    uint64_t total, by_level[LEVEL_COUNT];
};

struct statements {
    struct statement *items; /* the most frequent first */
    size_t count, capacity;
    uint32_t *table; /* open addressing: index + 1 */
    size_t table_size;
    uint64_t total, others; /* of all matches; of those of statements beyond STATEMENTS_MAX */
};

/* As tally_make. */
int statements_count(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                     struct statements *ret, struct error *error);
void statements_finish(struct statements *statements);

#endif
