/* fake_reader.h - a store in memory behind reader.h, whose blocks are merged and removed at the moment a test chooses. */
#ifndef TASKFORGE_TESTS_UNIT_QUERY_FAKE_READER_H
#define TASKFORGE_TESTS_UNIT_QUERY_FAKE_READER_H

#include "common/store/reader.h"

enum { FAKE_BLOCKS_MAX = 256 };

struct fake_block {
    uint64_t first;
    uint32_t count;
    struct buffer block, index;
};

struct store_reader {
    struct fake_block blocks[FAKE_BLOCKS_MAX]; /* ascending */
    size_t count;
    uint64_t opened;
    void (*before_open)(struct store_reader *reader, uint64_t first); /* may merge and remove; before_seek, too */
    void (*before_seek)(struct store_reader *reader, uint64_t first);
};

void fake_finish(struct store_reader *reader);
/* Append a block of the entries; its first sequence is `first`. */
void fake_add(struct store_reader *reader, uint64_t first, const struct entry *entries, uint32_t count);
/* Make one block of blocks [at, at + number). */
void fake_merge(struct store_reader *reader, size_t at, size_t number);
void fake_remove(struct store_reader *reader, size_t at);
void fake_damage(struct store_reader *reader, size_t at); /* one flipped bit in the last column's bytes */

#endif
