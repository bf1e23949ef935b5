/* The entries of a few rows: columns are decompressed, but what is put together by row - ids in hex, messages, metadata - is made for those rows only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/store/block_reading.h"

enum { FEW = 4 }; /* one row in so many, and whole columns cost less */

static bool is_put_together(enum block_column column) {
    return column == BLOCK_TRACE_ID || column == BLOCK_SPAN_ID || column == BLOCK_CORRELATION_ID ||
           column == BLOCK_MESSAGE || column == BLOCK_METADATA;
}

static int want(struct block *block, const uint32_t *rows, uint32_t count) {
    if (!block->wanted)
        block->wanted = malloc(block->count);
    if (!block->wanted)
        return -ENOMEM;
    memset(block->wanted, 0, block->count);
    for (uint32_t i = 0; i < count; i++) {
        check(rows[i] < block->count);
        block->wanted[rows[i]] = 1;
    }
    return 0;
}

int block_load_rows(struct block *block, const uint32_t *rows, uint32_t count, struct error *error) {
    if (block->version == 1 || count >= block->count / FEW)
        return block_load_all(block, error);
    int result = want(block, rows, count);
    if (result < 0)
        return error_set(error, result, "block %llu: out of memory", (unsigned long long)block->first_sequence);
    for (unsigned column = 0; column < BLOCK_COLUMN_COUNT && result == 0; column++)
        result = block_load_some(block, (enum block_column)column,
                                 is_put_together((enum block_column)column) ? block->wanted : NULL, error);
    return result;
}
