#include "fake_reader.h"

#include <errno.h>

#include "common/base/check.h"

static void fill(struct fake_block *fake, uint64_t first, struct block_builder *builder) {
    struct index_flush flush = { 0, 1 };
    fake->first = first;
    fake->count = block_builder_count(builder);
    fake->block = fake->index = BUFFER_EMPTY;
    check(block_builder_encode(builder, first, &fake->block) == 0);
    check(index_encode(builder, first, &flush, 1, &fake->index) == 0);
}

static void finish(struct fake_block *fake) {
    buffer_finish(&fake->block);
    buffer_finish(&fake->index);
}

void fake_finish(struct store_reader *reader) {
    for (size_t i = 0; i < reader->count; i++)
        finish(&reader->blocks[i]);
    *reader = (struct store_reader) { 0 };
}

void fake_add(struct store_reader *reader, uint64_t first, const struct entry *entries, uint32_t count) {
    struct block_builder *builder;
    check(reader->count < FAKE_BLOCKS_MAX && block_builder_create(&builder) == 0);
    for (uint32_t i = 0; i < count; i++)
        check(block_builder_add(builder, &entries[i]) == 0);
    fill(&reader->blocks[reader->count++], first, builder);
    block_builder_destroy(builder);
}

void fake_merge(struct store_reader *reader, size_t at, size_t number) {
    struct block_builder *builder;
    struct fake_block merged;
    check(at + number <= reader->count && block_builder_create(&builder) == 0);
    for (size_t i = at; i < at + number; i++) {
        struct block *block;
        check(block_open(buffer_text(&reader->blocks[i].block), reader->blocks[i].first, &block, NULL) == 0);
        check(block_load_all(block, NULL) == 0);
        for (uint32_t row = 0; row < block_count(block); row++) {
            struct entry entry;
            block_entry(block, row, &entry);
            check(block_builder_add(builder, &entry) == 0);
        }
        block_destroy(block);
    }
    fill(&merged, reader->blocks[at].first, builder);
    block_builder_destroy(builder);
    for (size_t i = 1; i < number; i++)
        fake_remove(reader, at + 1);
    finish(&reader->blocks[at]);
    reader->blocks[at] = merged;
}

void fake_remove(struct store_reader *reader, size_t at) {
    finish(&reader->blocks[at]);
    memmove(&reader->blocks[at], &reader->blocks[at + 1], (reader->count - at - 1) * sizeof(reader->blocks[0]));
    reader->count--;
}

void fake_damage(struct store_reader *reader, size_t at) {
    struct buffer *block = &reader->blocks[at].block;
    block->data[0] ^= 1; /* the magic */
}

int store_reader_refresh(struct store_reader *reader, struct error *error) {
    (void)reader, (void)error;
    return 0;
}

int store_reader_end(struct store_reader *reader, uint64_t *ret_sequence, struct error *error) {
    const struct fake_block *last = reader->count ? &reader->blocks[reader->count - 1] : NULL;
    (void)error;
    *ret_sequence = last ? last->first + last->count : 0;
    return 0;
}

/* The block that holds the sequence, or the next behind it (strictly: starts at it or behind). */
static const struct fake_block *seek(struct store_reader *reader, uint64_t sequence, bool strictly) {
    if (reader->before_seek)
        reader->before_seek(reader, sequence);
    for (size_t i = 0; i < reader->count; i++)
        if (reader->blocks[i].first >= sequence ||
            (!strictly && reader->blocks[i].first + reader->blocks[i].count > sequence))
            return &reader->blocks[i];
    return NULL;
}

/* As the real one: a transaction for each step, which goes on at the key behind the block visited last. */
int store_reader_walk_parts(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                            const struct index_want *want,
                            int (*visit)(void *argument, const struct index_entry *index), void *argument,
                            struct error *error) {
    (void)error;
    (void)want;
    check(!descending);
    const struct fake_block *fake = seek(reader, from, false);
    while (fake && fake->first < to) {
        struct index_entry index;
        uint64_t end = fake->first + fake->count;
        check(index_decode(buffer_text(&fake->index), &index) == 0);
        int status = visit(argument, &index);
        index_entry_finish(&index);
        if (status != 0)
            return status;
        fake = seek(reader, end, true);
    }
    return 0;
}

int store_reader_before(struct store_reader *reader, uint64_t sequence, struct index_before *ret, struct error *error) {
    (void)error;
    *ret = INDEX_BEFORE_NOTHING;
    for (size_t i = 0; i < reader->count && reader->blocks[i].first < sequence; i++) {
        struct index_entry index;
        check(index_decode(buffer_text(&reader->blocks[i].index), &index) == 0);
        *ret = index_before_next(*ret, index.min_timestamp_ns, index.max_timestamp_ns);
        index_entry_finish(&index);
    }
    return 0;
}

int store_reader_earliest(struct store_reader *reader, uint64_t sequence, uint64_t *ret_ns, struct error *error) {
    (void)error;
    *ret_ns = UINT64_MAX;
    for (size_t i = 0; i < reader->count; i++) {
        struct index_entry index;
        check(index_decode(buffer_text(&reader->blocks[i].index), &index) == 0);
        if (index.first_sequence + index.count > sequence && index.min_timestamp_ns < *ret_ns)
            *ret_ns = index.min_timestamp_ns;
        index_entry_finish(&index);
    }
    return 0;
}

int store_reader_block(struct store_reader *reader, uint64_t first_sequence, struct block **ret, struct error *error) {
    if (reader->before_open)
        reader->before_open(reader, first_sequence);
    reader->opened++;
    for (size_t i = 0; i < reader->count; i++)
        if (reader->blocks[i].first == first_sequence)
            return block_open(buffer_text(&reader->blocks[i].block), first_sequence, ret, error);
    return error_set(error, -ENOENT, "no block %llu", (unsigned long long)first_sequence);
}
