/* index_encode.c - the index value of what a builder holds: filter_index_private.h has its layout. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/store/filter_index_private.h"

enum {
    ID_BITS = 16 /* for each distinct one: a block opened for nothing costs more */,
    WORD_BITS = 10,
    SET_FIRST = 64,
    LATELY = 2048,
    LATELY_SHIFT = 64 - 11
};

/* --- a set of hashes --- */

struct hash_set {
    uint64_t *slots; /* 0: free (no hash is 0) */
    size_t capacity, size;
    bool failed;
};

static bool set_grow(struct hash_set *set) {
    size_t capacity = set->capacity ? set->capacity * 2 : SET_FIRST;
    uint64_t *slots = calloc(capacity, sizeof(*slots));
    if (!slots) {
        set->failed = true;
        return false;
    }
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i]) {
            size_t at = set->slots[i] & (capacity - 1);
            while (slots[at])
                at = (at + 1) & (capacity - 1);
            slots[at] = set->slots[i];
        }
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return true;
}

static void set_add(struct hash_set *set, uint64_t hash) {
    if (set->size * 2 >= set->capacity && !set_grow(set))
        return;
    size_t at = hash & (set->capacity - 1);
    while (set->slots[at] && set->slots[at] != hash)
        at = (at + 1) & (set->capacity - 1);
    if (!set->slots[at]) {
        set->slots[at] = hash;
        set->size++;
    }
}

static void set_bits(char *block, uint64_t hash) {
    for (unsigned word = 0; word < FILTER_WORDS; word++) {
        uint32_t bits;
        memcpy(&bits, block + word * 4, 4);
        bits |= htole32(filter_bit(hash, word));
        memcpy(block + word * 4, &bits, 4);
    }
}

/* Leaves room for the checksums of its pieces. */
static void append_filter(const struct hash_set *set, size_t bits, struct buffer *out, uint32_t *ret_size) {
    size_t blocks = (set->size * bits + FILTER_BLOCK * 8 - 1) / (FILTER_BLOCK * 8);
    size_t begin = out->length, size = blocks * FILTER_BLOCK;
    *ret_size = (uint32_t)size;
    if (blocks == 0 || !buffer_reserve(out, index_filter_room(size)))
        return;
    memset(out->data + begin, 0, index_filter_room(size));
    out->length += index_filter_room(size);
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i])
            set_bits(out->data + begin + index_filter_place(filter_block(size, set->slots[i])), set->slots[i]);
}

/* --- what stands in them --- */

static void add_words(struct hash_set *set, struct text text) {
    size_t at = 0, begin, end;
    while (next_word(text, &at, &begin, &end)) {
        if (end - begin >= WORD_MIN)
            set_add(set, filter_hash(INDEX_WORD, text.data + begin, end - begin));
    }
}

static void add_uuids(struct hash_set *set, enum index_filter_kind kind, const struct uuid *uuids, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!uuid_is_zero(&uuids[i]) && (i == 0 || !uuid_equal(&uuids[i], &uuids[i - 1])))
            set_add(set, filter_hash(kind, uuids[i].bytes, UUID_SIZE));
    }
}

/* Does a word of the messages perhaps go across an edge of a gap? Not of those that were mined. */
static bool words_cross_edges(struct text template) {
    for (size_t i = 0; i < template.length; i++) {
        if (template.data[i] != BLOCK_GAP)
            continue;
        if (i > 0 && (is_word_byte(template.data[i - 1]) || template.data[i - 1] == BLOCK_GAP))
            return true;
        if (i + 1 < template.length && is_word_byte(template.data[i + 1]))
            return true;
    }
    return false;
}

/* Short words that were there lately, by their bytes: most numbers and names in arguments come again and again. */
struct lately {
    uint64_t words[LATELY];
};

static bool was_lately(struct lately *lately, const char *word, size_t length) {
    uint64_t bytes = 0;
    if (length > sizeof(bytes))
        return false;
    memcpy(&bytes, word, sizeof(bytes)); /* behind the arguments is as much room */
    bytes = le64toh(bytes) & (UINT64_MAX >> (64 - 8 * length));
    uint64_t *slot = &lately->words[(bytes * UINT64_C(0x9e3779b97f4a7c15)) >> LATELY_SHIFT];
    bool was = *slot == bytes;
    *slot = bytes;
    return was;
}

/* The arguments are one run of bytes; a word ends where its argument does. */
static void add_argument_words(struct hash_set *set, const struct value_run *run) {
    struct lately lately = { { 0 } };
    const char *bytes = run->bytes.data;
    for (uint32_t i = 0, at = 0; i < run->count; i++) {
        uint32_t end = run->ends[i];
        if (text_starts_with((struct text) { bytes + at, end - at }, TEXT_LITERAL(ENTRY_SEALED_MARK))) {
            at = end; /* what is sealed has no words */
            continue;
        }
        while (at < end) {
            uint32_t begin = at;
            while (at < end && is_word_byte(bytes[at]))
                at++;
            if (at - begin >= WORD_MIN && !was_lately(&lately, bytes + begin, at - begin))
                set_add(set, filter_hash(INDEX_WORD, bytes + begin, at - begin));
            at += at < end; /* what ended it is none of a word */
        }
    }
}

/* The words of all messages: those of templates once, those of arguments as they stand, and of a message whole where the two meet in a word. */
static int gather_words(const struct block_builder *builder, struct hash_set *words) {
    _cleanup_buffer_ struct buffer message = BUFFER_EMPTY;
    uint32_t size = builder->templates.size;
    bool *crossed = calloc(size, sizeof(*crossed)), any = false;
    if (!crossed)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++) {
        struct text template = dictionary_get(&builder->templates, i);
        any |= crossed[i] = words_cross_edges(template);
        if (!crossed[i])
            add_words(words, template);
    }
    add_argument_words(words, &builder->arguments);
    for (uint32_t row = 0; row < builder->count && any; row++) {
        if (!crossed[builder_statement(builder, row)->template])
            continue;
        buffer_clear(&message);
        builder_append_message(builder, row, &message);
        add_words(words, buffer_text(&message));
    }
    free(crossed);
    return message.failed ? -ENOMEM : 0;
}

static int gather(const struct block_builder *builder, struct hash_set *ids, struct hash_set *words) {
    static const struct {
        enum index_filter_kind kind;
        enum block_column column;
    } texts[] = { { INDEX_TRACE, BLOCK_TRACE_ID },
                  { INDEX_SPAN, BLOCK_SPAN_ID },
                  { INDEX_CORRELATION, BLOCK_CORRELATION_ID } };
    for (unsigned i = 0; i < COUNT_OF(texts); i++) {
        const struct text_run *run = &builder->texts[block_text_of(texts[i].column)];
        for (uint32_t row = 0; run->bytes.length > 0 && row < builder->count; row++) {
            struct text text = text_run_get(run, row);
            if (text.length > 0)
                set_add(ids, filter_hash(texts[i].kind, text.data, text.length));
        }
    }
    add_uuids(ids, INDEX_USER, builder->users, builder->count);
    add_uuids(ids, INDEX_ORGANIZATION, builder->organizations, builder->count);
    return gather_words(builder, words);
}

/* --- the other parts --- */

static void append_varint(struct buffer *out, uint64_t value) {
    unsigned char room[10];
    buffer_append(out, room, varint_put(room, value));
}

/* How many rows each statement has; free it. */
static uint32_t *count_statements(const struct block_builder *builder) {
    uint32_t *counts = calloc(builder->statements.size, sizeof(*counts));
    for (uint32_t row = 0; counts && row < builder->count; row++)
        counts[builder->statement_rows[row]]++;
    return counts;
}

static int append_counts(const struct block_builder *builder, const uint32_t *rows, struct buffer *out) {
    const struct dictionary *services = &builder->names[block_name_of(BLOCK_SERVICE)];
    const struct block_statement *statements = builder_statements(builder);
    uint64_t(*counts)[LEVEL_COUNT] = calloc(services->size, sizeof(*counts));
    if (!counts)
        return -ENOMEM;
    for (uint32_t i = 0; i < builder->statements.size; i++)
        counts[statements[i].service][statements[i].level] += rows[i];
    for (uint32_t i = 0; i < services->size; i++) {
        struct text name = dictionary_get(services, i);
        append_u16(out, (uint16_t)name.length);
        buffer_append_text(out, name);
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            append_varint(out, counts[i][level]);
    }
    free(counts);
    return 0;
}

static int more_rows_first(const void *a, const void *b) {
    const struct index_template *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* How many were listed, or -ENOMEM. */
static int append_templates(const struct block_builder *builder, const uint32_t *rows, struct buffer *out) {
    const struct block_statement *statements = builder_statements(builder);
    uint32_t size = builder->templates.size, listed = size < INDEX_TEMPLATES_MAX ? size : INDEX_TEMPLATES_MAX;
    struct index_template *templates = calloc(size, sizeof(*templates));
    if (!templates)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++)
        templates[i].id = builder->templates.hashes[i];
    for (uint32_t i = 0; i < builder->statements.size; i++)
        templates[statements[i].template].count += rows[i];
    qsort(templates, size, sizeof(*templates), more_rows_first);
    for (uint32_t i = 0; i < listed; i++) {
        append_u64(out, templates[i].id);
        append_varint(out, templates[i].count);
    }
    free(templates);
    return (int)listed;
}

static void put_u32(struct buffer *out, size_t at, uint32_t value) {
    value = htole32(value);
    if (!out->failed)
        memcpy(out->data + at, &value, sizeof(value));
}

static void put_u64(char *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

/* Head, flushes and templates. The sizes of the parts go into the head. */
static int append_parts(const struct block_builder *builder, const struct index_flush *flushes, uint32_t flush_count,
                        size_t begin, struct buffer *out) {
    uint32_t *rows = count_statements(builder);
    int result = rows ? append_counts(builder, rows, out) : -ENOMEM;
    append_u64(out, 0); /* checksums: when all is known */
    put_u32(out, begin + INDEX_AT_HEAD, (uint32_t)(out->length - begin));
    size_t at = out->length;
    for (uint32_t i = 0; i < flush_count; i++) {
        append_varint(out, flushes[i].first_row);
        append_u64(out, flushes[i].flush_ns);
    }
    append_u64(out, 0);
    put_u32(out, begin + INDEX_AT_FLUSHES, (uint32_t)(out->length - at));
    at = out->length;
    if (result == 0)
        result = append_templates(builder, rows, out);
    append_u64(out, 0);
    put_u32(out, begin + INDEX_AT_TEMPLATES, (uint32_t)(out->length - at));
    free(rows);
    return result < 0 ? result : 0;
}

static int append_filters(const struct block_builder *builder, size_t begin, struct buffer *out) {
    struct hash_set ids = { 0 }, words = { 0 };
    uint32_t id_size = 0, word_size = 0;
    int result = gather(builder, &ids, &words);
    append_filter(&ids, ID_BITS, out, &id_size);
    append_filter(&words, WORD_BITS, out, &word_size);
    put_u32(out, begin + INDEX_AT_IDS, id_size);
    put_u32(out, begin + INDEX_AT_WORDS, word_size);
    if (ids.failed || words.failed)
        result = -ENOMEM;
    free(ids.slots);
    free(words.slots);
    return result;
}

static void seal_part(char *value, size_t at, size_t end, uint64_t head_sum) {
    end -= INDEX_CHECKSUM;
    put_u64(value + end, index_part_sum(head_sum, at, value + at, end - at));
}

static void seal_filter(char *value, size_t at, size_t end, uint64_t head_sum) {
    for (size_t next; at < end; at = next) {
        next = end - at < INDEX_PIECE + INDEX_CHECKSUM ? end : at + INDEX_PIECE + INDEX_CHECKSUM;
        seal_part(value, at, next, head_sum);
    }
}

static void seal(char *value) {
    struct index_layout layout = index_layout_of(value);
    uint64_t sum = hash_bytes(value, layout.flushes - INDEX_CHECKSUM);
    put_u64(value + layout.flushes - INDEX_CHECKSUM, sum);
    seal_part(value, layout.flushes, layout.templates, sum);
    seal_part(value, layout.templates, layout.ids, sum);
    seal_filter(value, layout.ids, layout.words, sum);
    seal_filter(value, layout.words, layout.end, sum);
}

static void append_fixed(const struct block_builder *builder, uint64_t first_sequence, struct index_before *before,
                         uint32_t flush_count, struct buffer *out) {
    uint64_t min = UINT64_MAX, max = 0;
    uint32_t templates = builder->templates.size;
    for (uint32_t row = 0; row < builder->count; row++) {
        min = builder->timestamps[row] < min ? builder->timestamps[row] : min;
        max = builder->timestamps[row] > max ? builder->timestamps[row] : max;
    }
    append_u32(out, INDEX_MAGIC);
    append_u16(out, INDEX_VERSION);
    append_u16(out, (uint16_t)((templates > INDEX_TEMPLATES_MAX ? INDEX_MORE_TEMPLATES : 0) |
                               (block_metadata_is_weighed(builder) ? INDEX_WEIGHED : 0)));
    append_u64(out, first_sequence);
    append_u32(out, builder->count);
    append_u32(out, builder->names[block_name_of(BLOCK_SERVICE)].size);
    append_u32(out, flush_count);
    append_u64(out, 0); /* the filters' sizes: when they are known */
    append_u64(out, min);
    append_u64(out, max);
    append_u32(out, templates < INDEX_TEMPLATES_MAX ? templates : INDEX_TEMPLATES_MAX);
    append_u32(out, 0); /* the parts' sizes */
    append_u64(out, 0);
    append_u64(out, before->min_ns);
    append_u64(out, before->max_ns);
    append_u64(out, before->late_ns);
    *before = index_before_next(*before, min, max);
}

int index_encode_behind(const struct block_builder *builder, uint64_t first_sequence, struct index_before *before,
                        const struct index_flush *flushes, uint32_t flush_count, struct buffer *out) {
    size_t begin = out->length;
    check(builder->count > 0 && flush_count > 0 && flushes[0].first_row == 0);
    append_fixed(builder, first_sequence, before, flush_count, out);
    int result = append_parts(builder, flushes, flush_count, begin, out);
    if (result == 0)
        result = append_filters(builder, begin, out);
    if (result == 0 && out->failed)
        result = -ENOMEM;
    if (result == 0)
        seal(out->data + begin);
    return result;
}

int index_encode(const struct block_builder *builder, uint64_t first_sequence, const struct index_flush *flushes,
                 uint32_t flush_count, struct buffer *out) {
    struct index_before before = INDEX_BEFORE_UNKNOWN;
    return index_encode_behind(builder, first_sequence, &before, flushes, flush_count, out);
}
