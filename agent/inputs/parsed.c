/* parsed.c - the common result of the parsers, and the metadata map they build. */
#include "agent/inputs/parsed.h"

#include "common/base/check.h"

enum { MAP16_HEAD_SIZE = 3, PAIR_HEADS_SIZE = 32 };

void parse_scratch_finish(struct parse_scratch *scratch) {
    buffer_finish(&scratch->packed);
    buffer_finish(&scratch->metadata);
    buffer_finish(&scratch->text);
    buffer_finish(&scratch->repair);
}

void parsed_begin(struct parsed *ret) {
    *ret = (struct parsed) { .entry = { .level = LEVEL_INFO } };
}

/* The count is known at the end only, so the head is the map of 16 bits, written last into room kept for it. */
void metadata_begin(struct metadata_builder *builder, struct buffer *out) {
    *builder = (struct metadata_builder) { .out = out };
    buffer_clear(out);
    buffer_append(out, "\0\0\0", MAP16_HEAD_SIZE);
}

/* Room for one more pair, or a writer that fails. */
static struct pack_writer pair_writer(struct metadata_builder *builder, size_t bytes) {
    bool room = builder->pairs < METADATA_PAIRS_MAX && buffer_reserve(builder->out, bytes + PAIR_HEADS_SIZE);
    if (!room)
        return (struct pack_writer) { .failed = true };
    return (struct pack_writer) { .data = builder->out->data + builder->out->length,
                                  .capacity = bytes + PAIR_HEADS_SIZE };
}

static void pair_end(struct metadata_builder *builder, const struct pack_writer *writer) {
    if (writer->failed)
        return;
    builder->out->length += writer->length;
    builder->pairs++;
}

void metadata_add_text(struct metadata_builder *builder, struct text key, struct text value) {
    if (value.length == 0)
        return;
    struct pack_writer writer = pair_writer(builder, key.length + value.length);
    if (!writer.failed) {
        pack_text(&writer, key);
        pack_text(&writer, value);
    }
    pair_end(builder, &writer);
}

void metadata_add_raw(struct metadata_builder *builder, struct text key, struct text packed) {
    struct pack_writer writer = pair_writer(builder, key.length + packed.length);
    if (!writer.failed) {
        pack_text(&writer, key);
        pack_raw(&writer, packed);
    }
    pair_end(builder, &writer);
}

void metadata_add_pairs(struct metadata_builder *builder, struct text packed_pairs, uint32_t count) {
    if (count > METADATA_PAIRS_MAX - builder->pairs || !buffer_reserve(builder->out, packed_pairs.length))
        return;
    buffer_append_text(builder->out, packed_pairs);
    builder->pairs += count;
}

void metadata_add_uint(struct metadata_builder *builder, struct text key, uint64_t value) {
    struct pack_writer writer = pair_writer(builder, key.length);
    if (!writer.failed) {
        pack_text(&writer, key);
        pack_uint(&writer, value);
    }
    pair_end(builder, &writer);
}

struct text metadata_end(struct metadata_builder *builder) {
    if (builder->pairs == 0 || builder->out->failed)
        return TEXT_EMPTY;
    check(builder->out->length > MAP16_HEAD_SIZE);
    builder->out->data[0] = (char)0xde; /* msgpack's map 16 */
    builder->out->data[1] = (char)(builder->pairs >> 8);
    builder->out->data[2] = (char)(builder->pairs & 0xff);
    return buffer_text(builder->out);
}
