/* Makes golden store values: blocks and their index values of the format that this program writes. What stands in them is made by rule, so that it
 * is the same each time: every field, ids of every shape, messages with and without arguments, metadata that is no map.
 *
 *   make_golden_store FILE.zst
 *
 * The file: for each block its first sequence u64, the lengths of block and index value u32, and both. */
#include <stdio.h>
#include <stdlib.h>

#include "common/store/filter_index.h"
#include "tests/golden/golden.h"
#include "tests/torture/ring_lib.h"

static const char *const messages[] = { "job %u of queue mail took %u ms", "user \"u%u\" signed in from 10.0.%u.7",
                                        "started", "cache miss for key user:%u (%u bytes)" };
static const char *const ids[] = {
    "", "0af7651916cd43dd8448eb211c80319c", "01890a5d-ac96-774b-bcce-b302099a8057", "B7AD6B7169203331", "abc", "z"
};
static const char *const services[] = { "billing", "queue", "mail" };
static const struct text metadata[] = {
    TEXT_INITIALIZER(""),
    TEXT_INITIALIZER("\x82\xa5queue\xa4mail\xa3job\xcd\x10\x20"),
    TEXT_INITIALIZER("\x81\xa5queue\xa4mail"),
    TEXT_INITIALIZER("\x80"),
    TEXT_INITIALIZER("\x81\xa1k\x82\xa1n\xc0\xa1m\x93\x01\x02\x03"),
    TEXT_INITIALIZER("\xde\x00\x01\xd9\x01k\x01"),
    TEXT_INITIALIZER("\xa4oops"),
};

static void make_entry(unsigned i, char message[200], struct entry *entry) {
    *entry = (struct entry) { .timestamp_ns = UINT64_C(1795457704123456789) + (uint64_t)i * 7654321,
                              .level = (enum level)(i * 7 % LEVEL_COUNT),
                              .service = text_of(services[i % COUNT_OF(services)]),
                              .module = i % 5 == 4 ? TEXT_LITERAL("http") : TEXT_LITERAL("worker"),
                              .operation = TEXT_LITERAL("run"),
                              .trace_id = text_of(ids[i / 4 % COUNT_OF(ids)]),
                              .span_id = text_of(ids[i % COUNT_OF(ids)]),
                              .correlation_id = text_of(ids[i / 50 % COUNT_OF(ids)]),
                              .metadata = metadata[i * 3 % COUNT_OF(metadata)],
                              .host = TEXT_LITERAL("a-host.example.net"),
                              .pid = 1000 + i % 4 };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int length = snprintf(message, 200, messages[i * 5 % COUNT_OF(messages)], i * 37, i * 1001 % 5000);
#pragma GCC diagnostic pop
    entry->message = (struct text) { message, (size_t)length };
    struct uuid_generator generator = { .counter = UINT64_C(0x123456789abcde) * (i % 3 + 1) + i };
    uuid_make(&generator, entry->timestamp_ns, &entry->id);
    if (i % 4 == 0)
        memset(entry->user_id.bytes, (int)(i % 7 + 1), UUID_SIZE);
    if (i % 6 == 0)
        memset(entry->organization_id.bytes, 9, UUID_SIZE);
    if (entry->level >= LEVEL_ERROR && i % 2)
        entry->error_details = TEXT_LITERAL("\xa4oops");
}

static void append_block(struct block_builder *builder, unsigned from, unsigned to, struct buffer *out) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    const struct index_flush flushes[] = { { 0, UINT64_C(1795457704200000000) },
                                           { (to - from) / 2, UINT64_C(1795457704300000000) } };
    uint64_t first = from + 1;
    block_builder_clear(builder);
    for (unsigned i = from; i < to; i++) {
        char message[200];
        struct entry entry;
        make_entry(i, message, &entry);
        require(block_builder_add(builder, &entry) == 0, "add");
    }
    require(block_builder_encode(builder, first, &block) == 0 && index_encode(builder, first, flushes, 2, &index) == 0,
            "encode");
    uint32_t lengths[2] = { (uint32_t)block.length, (uint32_t)index.length };
    buffer_append(out, &first, sizeof(first));
    buffer_append(out, lengths, sizeof(lengths));
    buffer_append_text(out, buffer_text(&block));
    buffer_append_text(out, buffer_text(&index));
}

int main(int argc, char **argv) {
    struct buffer out = BUFFER_EMPTY;
    struct block_builder *builder;
    require(argc == 2 && block_builder_create(&builder) == 0, "make_golden_store FILE.zst");
    append_block(builder, 0, 60, &out);
    append_block(builder, 60, 63, &out);
    append_block(builder, 63, 90, &out);
    require(!out.failed, "out of memory");
    golden_pack(out.data, out.length, argv[1]);
    buffer_finish(&out);
    block_builder_destroy(builder);
    return 0;
}
