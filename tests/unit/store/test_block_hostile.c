/* Blocks that no builder made, with checksums that fit: whatever their bytes are, they are decoded within their bounds or said to be damaged. */
#include <endian.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_private.h"
#include "store_entries.h"

enum { ROWS = 40, FIRST = 7, PARTS_MAX = 64, EDGE = 20, STRIDE = 13 };

struct part {
    unsigned id, codec;
    struct buffer plain;
    uint32_t raw; /* what the table says of its size */
};

struct parts {
    uint16_t version, columns; /* as the header says */
    uint32_t rows, flags;
    struct part parts[PARTS_MAX];
    unsigned count;
};

/* --- a block taken apart, and put together again --- */

static void make(struct buffer *out, bool one_host) {
    struct block_builder *builder;
    must(block_builder_create(&builder));
    must(block_builder_set_host(builder, TEXT_LITERAL("host")));
    for (uint64_t i = 0; i < ROWS; i++) {
        struct made_entry made;
        struct entry *entry = &made.entry;
        char map[64];
        make_entry(FIRST + i, &made);
        int length = snprintf(map, sizeof(map), "\x83\xa1k%c\xa5odd%02u\xa1%c\xa1z", (int)(i % 100), (unsigned)i % 7,
                              'a' + (int)(i % 3));
        entry->metadata = i % 4 == 3 ? TEXT_EMPTY : (struct text) { map, (size_t)length };
        entry->span_id = i % 3 ? TEXT_LITERAL("b7ad6b7169203331") : TEXT_LITERAL("no hex");
        entry->correlation_id = i % 2 ? TEXT_LITERAL("01890a5d-ac96-774b-bcce-b302099a8057") : TEXT_EMPTY;
        entry->pid = 7 + (uint32_t)(i % 3);
        if (i % 6 == 1)
            entry->error_details = TEXT_LITERAL("\xa4oops");
        if (i % 7 == 2 && !one_host)
            entry->host = TEXT_LITERAL("another");
        if (i % 4 == 1)
            memset(entry->organization_id.bytes, 9, UUID_SIZE);
        if (i % 8 == 3)
            memset(entry->id.bytes, (int)i, UUID_SIZE);
        must(block_builder_add(builder, entry));
    }
    must(block_builder_encode(builder, FIRST, out));
    block_builder_destroy(builder);
}

static void take_apart(struct text encoded, struct parts *ret) {
    *ret = (struct parts) { .version = get_u16(encoded.data + 4),
                            .columns = get_u16(encoded.data + 6),
                            .rows = get_u32(encoded.data + 8),
                            .flags = get_u32(encoded.data + 12) };
    const char *packed = encoded.data + BLOCK_HEADER_SIZE + ret->columns * BLOCK_TABLE_ENTRY_SIZE + BLOCK_CHECKSUM_SIZE;
    assert_in_range(ret->columns, 15, PARTS_MAX - 2);
    for (; ret->count < ret->columns; ret->count++) {
        const char *at = encoded.data + BLOCK_HEADER_SIZE + ret->count * BLOCK_TABLE_ENTRY_SIZE;
        struct part *part = &ret->parts[ret->count];
        *part = (struct part) { .id = get_u16(at), .codec = BLOCK_CODEC_PLAIN, .raw = get_u32(at + 8) };
        assert_true(buffer_reserve(&part->plain, part->raw + 1));
        must(block_decompress(get_u16(at + 2), (struct text) { packed + get_u32(at + 12), get_u32(at + 4) },
                              part->plain.data, part->raw));
        part->plain.length = part->raw;
    }
}

static void put_together(const struct parts *parts, struct buffer *out) {
    uint32_t at = 0;
    buffer_clear(out);
    append_u32(out, BLOCK_MAGIC);
    append_u16(out, parts->version);
    append_u16(out, parts->columns);
    append_u32(out, parts->rows);
    append_u32(out, parts->flags);
    for (unsigned i = 0; i < parts->count; i++) {
        const struct part *part = &parts->parts[i];
        append_u16(out, (uint16_t)part->id);
        append_u16(out, (uint16_t)part->codec);
        append_u32(out, (uint32_t)part->plain.length);
        append_u32(out, part->raw);
        append_u32(out, at);
        append_u64(out, hash_bytes_seeded(part->plain.data, part->plain.length, FIRST + part->id));
        append_u64(out, 0);
        at += (uint32_t)part->plain.length;
    }
    append_u64(out, hash_bytes_seeded(out->data, out->length, FIRST));
    for (unsigned i = 0; i < parts->count; i++)
        buffer_append_text(out, buffer_text(&parts->parts[i].plain));
    assert_false(out->failed);
}

static void finish(struct parts *parts) {
    for (unsigned i = 0; i < parts->count; i++)
        buffer_finish(&parts->parts[i].plain);
}

/* --- reading it in every way --- */

static uint64_t touch(struct text text) {
    uint64_t sum = text.length;
    for (size_t i = 0; i < text.length; i++)
        sum += (unsigned char)text.data[i];
    return sum;
}

static uint64_t touch_rows(const struct block *block, const uint32_t *rows, uint32_t count) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry;
        uint32_t row = rows ? rows[i] : i;
        block_entry(block, row, &entry);
        const struct text texts[] = { entry.service,       entry.module,  entry.operation,      entry.message,
                                      entry.trace_id,      entry.span_id, entry.correlation_id, entry.metadata,
                                      entry.error_details, entry.host };
        for (unsigned t = 0; t < COUNT_OF(texts); t++)
            sum += touch(texts[t]);
        assert_in_range(entry.level, 0, LEVEL_COUNT - 1);
    }
    return sum;
}

static volatile uint64_t touched; /* what is read is used */

/* 0, or what the first of the ways that failed has said. */
static int read_it(struct text encoded) {
    static const uint32_t few[] = { 0, ROWS / 2, ROWS - 1 };
    uint8_t marks[ROWS] = { 0 };
    struct block *block;
    uint32_t key;
    int result = block_open(encoded, FIRST, &block, &error);
    if (result < 0)
        return result;
    const uint32_t count = block_count(block);
    must(block_set_host(block, TEXT_LITERAL("host")));
    if (count == ROWS) {
        result = block_load_metadata_key(block, TEXT_LITERAL("a"), &key, &error);
        for (uint32_t row = 0; result == 1 && row < count; row++)
            touched += touch(block_metadata_value(block, key, row));
        result = result > 0 ? 0 : result;
        if (result == 0 && (result = block_mark_messages(block, TEXT_LITERAL("_12 w"), 0, count, marks, &error)) == 0)
            result = block_load_rows(block, few, COUNT_OF(few), &error);
        if (result == 0)
            touched += touch_rows(block, few, COUNT_OF(few));
    }
    int all = block_load_all(block, &error);
    if (all == 0)
        touched += touch_rows(block, NULL, count);
    block_destroy(block);
    return all < 0 ? all : result;
}

struct tally {
    unsigned tried, refused;
};

static void try_it(const struct parts *parts, struct buffer *room, struct tally *tally) {
    put_together(parts, room);
    int result = read_it(buffer_text(room));
    if (result != 0 && result != -EBADMSG)
        fail_msg("%d %s", result, error.text);
    tally->tried++;
    tally->refused += result != 0;
}

/* --- each part --- */

static void try_bytes(struct parts *parts, struct part *part, struct buffer *room, struct tally *tally) {
    char *bytes = part->plain.data;
    for (size_t i = 0; i < part->plain.length; i += i < EDGE || i + EDGE > part->plain.length ? 1 : STRIDE) {
        const char kept = bytes[i];
        const char others[] = { 0, (char)0xff, (char)(kept + 1), (char)(kept ^ 0xc0) };
        for (size_t o = 0; o < sizeof(others); o++) {
            bytes[i] = others[o];
            if (others[o] != kept)
                try_it(parts, room, tally);
        }
        bytes[i] = kept;
    }
}

/* Four bytes at a time: counts and sizes that are too large, and those that end a sum of them. */
static void try_words(struct parts *parts, struct part *part, struct buffer *room, struct tally *tally) {
    static const uint32_t words[] = { 0, 1, ROWS, ROWS + 1, UINT16_MAX, BLOCK_RAW_MAX, INT32_MAX, UINT32_MAX };
    for (size_t i = 0; i + 4 <= part->plain.length && i < EDGE; i++) {
        char kept[4];
        memcpy(kept, part->plain.data + i, 4);
        for (size_t w = 0; w < COUNT_OF(words); w++) {
            uint32_t word = htole32(words[w]);
            memcpy(part->plain.data + i, &word, 4);
            try_it(parts, room, tally);
        }
        memcpy(part->plain.data + i, kept, 4);
    }
}

static void try_lengths(struct parts *parts, struct part *part, struct buffer *room, struct tally *tally) {
    const struct buffer kept = part->plain;
    const size_t lengths[] = { 1, 2, 3, 4, 5, 8, kept.length / 2, kept.length - 1, kept.length + 1, kept.length + 300 };
    struct buffer longer = BUFFER_EMPTY;
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        for (int fill = 0; fill < 256; fill += 255) {
            if (lengths[i] == 0 || lengths[i] == kept.length || (fill && lengths[i] < kept.length))
                continue;
            buffer_clear(&longer);
            assert_true(buffer_reserve(&longer, kept.length + 300));
            memset(longer.data, fill, kept.length + 300);
            memcpy(longer.data, kept.data, kept.length);
            longer.length = lengths[i];
            part->plain = longer;
            part->raw = (uint32_t)lengths[i];
            try_it(parts, room, tally);
        }
    buffer_finish(&longer);
    part->plain = kept;
    part->raw = (uint32_t)kept.length;
}

static void sweep(bool one_host) {
    _cleanup_buffer_ struct buffer encoded = BUFFER_EMPTY, room = BUFFER_EMPTY;
    struct parts parts;
    make(&encoded, one_host);
    take_apart(buffer_text(&encoded), &parts);
    put_together(&parts, &room);
    assert_int_equal(read_it(buffer_text(&room)), 0); /* as it was, though nothing is compressed */
    for (unsigned i = 0; i < parts.count; i++) {
        struct tally bytes = { 0 }, words = { 0 }, lengths = { 0 };
        try_bytes(&parts, &parts.parts[i], &room, &bytes);
        try_words(&parts, &parts.parts[i], &room, &words);
        try_lengths(&parts, &parts.parts[i], &room, &lengths);
        assert_true(lengths.refused > 0);
    }
    finish(&parts);
}

static void whatever_a_column_holds_is_read_within_its_bounds(void **unused) {
    (void)unused;
    sweep(false);
}

static void likewise_where_the_host_is_the_partitions(void **unused) {
    (void)unused;
    sweep(true);
}

/* --- the table --- */

static void assert_refused(const struct parts *parts, int expected) {
    _cleanup_buffer_ struct buffer room = BUFFER_EMPTY;
    put_together(parts, &room);
    assert_int_equal(read_it(buffer_text(&room)), expected);
}

static void a_table_that_makes_no_sense_is_refused(void **unused) {
    (void)unused;
    _cleanup_buffer_ struct buffer encoded = BUFFER_EMPTY, room = BUFFER_EMPTY;
    struct parts parts, other;
    make(&encoded, false);
    take_apart(buffer_text(&encoded), &parts);

    static const uint32_t rows[] = { 0, ROWS - 1, ROWS + 1, BLOCK_ENTRIES_MAX, BLOCK_ENTRIES_MAX + 1, UINT32_MAX };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        other = parts;
        other.rows = rows[i];
        assert_refused(&other, -EBADMSG);
    }
    for (unsigned i = 0; i < parts.count; i++) {
        other = parts; /* a size that it has not */
        other.parts[i].raw--;
        assert_refused(&other, -EBADMSG);
        other.parts[i].raw = BLOCK_RAW_MAX + 1;
        assert_refused(&other, -EBADMSG);
        other = parts; /* bytes that are not compressed, in no way that is known or in the other */
        other.parts[i].codec = 7;
        assert_refused(&other, -EBADMSG);
        other.parts[i].codec = BLOCK_CODEC_ZSTD;
        assert_refused(&other, -EBADMSG);
        other = parts; /* twice */
        other.parts[other.count++] = parts.parts[i];
        other.columns++;
        assert_refused(&other, -EBADMSG);
        other = parts; /* not at all: empty, or impossible */
        other.parts[i] = other.parts[--other.count];
        other.columns--;
        put_together(&other, &room);
        int result = read_it(buffer_text(&room));
        assert_true(result == 0 || result == -EBADMSG);
    }
    other = parts;
    other.version = 0;
    assert_refused(&other, -EPROTO);
    other.version = BLOCK_VERSION + 1;
    assert_refused(&other, -EPROTO);
    other = parts;
    other.columns = UINT16_MAX;
    assert_refused(&other, -EBADMSG);

    other = parts; /* of a later version, which has one more: not ours to read */
    other.parts[other.count] = parts.parts[0];
    other.parts[other.count++].id = BLOCK_PLACES;
    other.columns++;
    assert_refused(&other, 0);
    finish(&parts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_column_holds_is_read_within_its_bounds),
        cmocka_unit_test(likewise_where_the_host_is_the_partitions),
        cmocka_unit_test(a_table_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
