/* store_entries.h - made-up entries, and blocks of them put into partitions. */
#ifndef TASKFORGE_TESTS_UNIT_STORE_ENTRIES_H
#define TASKFORGE_TESTS_UNIT_STORE_ENTRIES_H

#include "common/store/block.h"
#include "common/store/filter_index.h"
#include "store_fixture.h"

struct made_entry {
    struct entry entry;
    char message[96], trace[33];
};

/* The entry of a sequence: always the same one. */
static inline void make_entry(uint64_t sequence, struct made_entry *made) {
    static const char *const services[] = { "billing", "queue", "mail" };
    struct uuid_generator generator = { .counter = sequence };
    struct entry *entry = &made->entry;
    *entry = (struct entry) { .timestamp_ns = FIXTURE_NOW + sequence * 1000,
                              .level = (enum level)(sequence % LEVEL_COUNT),
                              .service = text_of(services[sequence % 3]),
                              .module = TEXT_LITERAL("worker"),
                              .operation = TEXT_LITERAL("run"),
                              .host = TEXT_LITERAL("host"),
                              .pid = 7 };
    uuid_make(&generator, entry->timestamp_ns, &entry->id);
    snprintf(made->message, sizeof(made->message), "entry number_%llu was written", (unsigned long long)sequence);
    snprintf(made->trace, sizeof(made->trace), "%032llx", (unsigned long long)(sequence / 4 + 1) * 0x9e3779b97f4a7c15u);
    entry->message = text_of(made->message);
    entry->trace_id = text_of(made->trace);
    if (sequence % 5 == 0)
        memset(entry->user_id.bytes, (int)(sequence % 250 + 1), UUID_SIZE);
}

static inline void make_block(uint64_t first, uint32_t count, struct buffer *block, struct buffer *index) {
    struct block_builder *builder;
    struct index_flush flush = { .first_row = 0, .flush_ns = FIXTURE_NOW };
    must(block_builder_create(&builder));
    for (uint32_t i = 0; i < count; i++) {
        struct made_entry made;
        make_entry(first + i, &made);
        must(block_builder_add(builder, &made.entry));
    }
    must(block_builder_encode(builder, first, block));
    must(index_encode(builder, first, &flush, 1, index));
    block_builder_destroy(builder);
}

static inline void put_entries(struct partition *partition, uint64_t first, uint32_t count) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    make_block(first, count, &block, &index);
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_block_put(txn, first, buffer_text(&block), buffer_text(&index), &error));
    must(partition_commit(txn, &error));
}

static inline void put_raw(struct partition *partition, uint64_t first, struct text block, struct text index) {
    struct partition_txn *txn = fixture_begin(partition, true);
    must(partition_block_put(txn, first, block, index, &error));
    must(partition_commit(txn, &error));
}

#endif
