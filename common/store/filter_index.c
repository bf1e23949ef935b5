/* The index value of a block, integers little-endian:
 *
 *    0      4        6       8       16       20        24        28          32           36    44    52         56
 *   +------+--------+-------+-------+--------+---------+---------+-----------+------------+-----+-----+----------+---
 *   |magic | version| flags | first | count  | services| flushes | id filter | word filter| min | max | templates|
 *   +------+--------+-------+-------+--------+---------+---------+-----------+------------+-----+-----+----------+---
 *   services: u16 length, bytes, a varint for each level; flushes: varint first row, u64 time; templates: u64 id, varint number of rows, the
 *   most frequent first (flag 1: there are more; flag 2: entries that stand for others are among them); the two filters; u64 checksum (XXH3) of all before
 *
 * Version 1 had no templates: what follows begins at 52.
 *
 * A filter is a split-block Bloom filter (Putze, Sanders, Singler 2007; as Impala and Parquet have it): 32-byte blocks, eight bits of a value, one in each
 * word of one block. No values: no bytes, which says "certainly not" to everything.
 */
#include "common/store/filter_index.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_private.h"

#define INDEX_MAGIC UINT32_C(0x58444954) /* "TIDX" */

enum {
    INDEX_VERSION = 2,  /* 1 is read, too */
    FLAG_TEMPLATES = 1, /* the rarest templates are not listed */
    FLAG_WEIGHED = 2,   /* an entry may stand for others (entry_weight) */
    FIXED_SIZE = 56,
    FIXED_SIZE_1 = 52,
    TEMPLATES_MAX = 512, /* listed */
    CHECKSUM_SIZE = 8,
    FILTER_BLOCK = 32,
    FILTER_WORDS = 8,
    FILTER_BITS_A_VALUE = 10,
    WORD_MIN = 2,
    SET_FIRST = 64,
    LATELY = 2048,
    LATELY_SHIFT = 64 - 11,
};

static const uint32_t salts[FILTER_WORDS] = { 0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                              0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U };

/* --- a set of hashes --- */

struct hash_set {
    uint64_t *slots; /* 0: free (a hash of 0 counts as 1) */
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
    hash = hash ? hash : 1;
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

/* --- filters --- */

static const unsigned char *filter_block(const char *filter, size_t blocks, uint64_t hash) {
    return (const unsigned char *)filter + ((hash >> 32) * blocks >> 32) * FILTER_BLOCK;
}

static uint32_t filter_bit(uint64_t hash, unsigned word) {
    return UINT32_C(1) << ((uint32_t)hash * salts[word] >> 27);
}

static void filter_append(const struct hash_set *set, struct buffer *out, uint32_t *ret_size) {
    size_t blocks = (set->size * FILTER_BITS_A_VALUE + FILTER_BLOCK * 8 - 1) / (FILTER_BLOCK * 8);
    size_t begin = out->length;
    *ret_size = (uint32_t)(blocks * FILTER_BLOCK);
    if (blocks == 0 || !buffer_reserve(out, *ret_size))
        return;
    memset(out->data + begin, 0, *ret_size);
    out->length += *ret_size;
    for (size_t i = 0; i < set->capacity; i++) {
        uint64_t hash = set->slots[i];
        if (!hash)
            continue;
        unsigned char *block = (unsigned char *)(uintptr_t)filter_block(out->data + begin, blocks, hash);
        for (unsigned word = 0; word < FILTER_WORDS; word++) {
            uint32_t bits;
            memcpy(&bits, block + word * 4, 4);
            bits |= htole32(filter_bit(hash, word));
            memcpy(block + word * 4, &bits, 4);
        }
    }
}

static bool filter_may_have(struct text filter, uint64_t hash) {
    hash = hash ? hash : 1;
    if (filter.length == 0)
        return false;
    const unsigned char *block = filter_block(filter.data, filter.length / FILTER_BLOCK, hash);
    for (unsigned word = 0; word < FILTER_WORDS; word++) {
        uint32_t bits;
        memcpy(&bits, block + word * 4, 4);
        if (!(le32toh(bits) & filter_bit(hash, word)))
            return false;
    }
    return true;
}

static uint64_t value_hash(enum index_filter_kind kind, const void *data, size_t size) {
    return hash_bytes_seeded(data, size, (uint64_t)kind);
}

/* --- words --- */

/* For each byte value: 0-9, A-Z _ a-z, and all of UTF-8's. By a table, since it is asked of every byte that is stored. */
#define YES_8 1, 1, 1, 1, 1, 1, 1, 1
#define YES_32 YES_8, YES_8, YES_8, YES_8
static const bool word_bytes[256] = {
    ['0'] = YES_8, 1, 1, ['A'] = YES_8,   YES_8,  YES_8,  1,     1, ['_'] = 1, ['a'] = YES_8, YES_8,
    YES_8,         1, 1, [0x80] = YES_32, YES_32, YES_32, YES_32
};

static inline bool is_word_byte(char c) {
    return word_bytes[(unsigned char)c];
}

/* The next word of text from *at on: true and its place. */
static bool next_word(struct text text, size_t *at, size_t *ret_begin, size_t *ret_end) {
    size_t i = *at;
    while (i < text.length && !is_word_byte(text.data[i]))
        i++;
    *ret_begin = i;
    while (i < text.length && is_word_byte(text.data[i]))
        i++;
    *ret_end = *at = i;
    return *ret_begin < *ret_end;
}

static void add_words(struct hash_set *set, struct text text) {
    size_t at = 0, begin, end;
    while (next_word(text, &at, &begin, &end)) {
        if (end - begin >= WORD_MIN)
            set_add(set, value_hash(INDEX_WORD, text.data + begin, end - begin));
    }
}

bool index_may_contain(const struct index_entry *entry, struct text fixed) {
    size_t at = 0, begin, end;
    while (next_word(fixed, &at, &begin, &end)) {
        bool whole = begin > 0 && end < fixed.length; /* else it may go on outside */
        if (whole && end - begin >= WORD_MIN &&
            !filter_may_have(entry->word_filter, value_hash(INDEX_WORD, fixed.data + begin, end - begin)))
            return false;
    }
    return true;
}

bool index_may_have_id(const struct index_entry *entry, enum index_filter_kind kind, struct text value) {
    return filter_may_have(entry->id_filter, value_hash(kind, value.data, value.length));
}

bool index_may_have_template(const struct index_entry *entry, uint64_t id) {
    for (uint32_t i = 0; i < entry->template_count; i++)
        if (entry->templates[i].id == id)
            return true;
    return entry->has_more_templates;
}

/* --- encoding --- */

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
    uint32_t size = builder->templates.size, listed = size < TEMPLATES_MAX ? size : TEMPLATES_MAX;
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

static void add_uuids(struct hash_set *set, enum index_filter_kind kind, const struct uuid *uuids, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!uuid_is_zero(&uuids[i]) && (i == 0 || !uuid_equal(&uuids[i], &uuids[i - 1])))
            set_add(set, value_hash(kind, uuids[i].bytes, UUID_SIZE));
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
                set_add(set, value_hash(INDEX_WORD, bytes + begin, at - begin));
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
                set_add(ids, value_hash(texts[i].kind, text.data, text.length));
        }
    }
    add_uuids(ids, INDEX_USER, builder->users, builder->count);
    add_uuids(ids, INDEX_ORGANIZATION, builder->organizations, builder->count);
    return gather_words(builder, words);
}

static void put_u32(struct buffer *out, size_t at, uint32_t value) {
    value = htole32(value);
    if (!out->failed)
        memcpy(out->data + at, &value, sizeof(value));
}

int index_encode(const struct block_builder *builder, uint64_t first_sequence, const struct index_flush *flushes,
                 uint32_t flush_count, struct buffer *out) {
    struct hash_set ids = { 0 }, words = { 0 };
    size_t begin = out->length;
    uint64_t min = UINT64_MAX, max = 0;
    uint32_t id_size = 0, word_size = 0;
    check(builder->count > 0 && flush_count > 0 && flushes[0].first_row == 0);
    for (uint32_t row = 0; row < builder->count; row++) {
        min = builder->timestamps[row] < min ? builder->timestamps[row] : min;
        max = builder->timestamps[row] > max ? builder->timestamps[row] : max;
    }
    append_u32(out, INDEX_MAGIC);
    append_u16(out, INDEX_VERSION);
    append_u16(out, (uint16_t)((builder->templates.size > TEMPLATES_MAX ? FLAG_TEMPLATES : 0) |
                               (block_metadata_is_weighed(builder) ? FLAG_WEIGHED : 0)));
    append_u64(out, first_sequence);
    append_u32(out, builder->count);
    append_u32(out, builder->names[block_name_of(BLOCK_SERVICE)].size);
    append_u32(out, flush_count);
    append_u32(out, 0); /* the filters' sizes: when they are known */
    append_u32(out, 0);
    append_u64(out, min);
    append_u64(out, max);
    append_u32(out, builder->templates.size < TEMPLATES_MAX ? builder->templates.size : TEMPLATES_MAX);
    uint32_t *rows = count_statements(builder);
    int result = rows ? append_counts(builder, rows, out) : -ENOMEM;
    for (uint32_t i = 0; i < flush_count; i++) {
        append_varint(out, flushes[i].first_row);
        append_u64(out, flushes[i].flush_ns);
    }
    if (result == 0)
        result = append_templates(builder, rows, out);
    free(rows);
    if (result >= 0)
        result = gather(builder, &ids, &words);
    filter_append(&ids, out, &id_size);
    filter_append(&words, out, &word_size);
    put_u32(out, begin + 28, id_size);
    put_u32(out, begin + 32, word_size);
    if (!out->failed)
        append_u64(out, hash_bytes(out->data + begin, out->length - begin));
    if (ids.failed || words.failed || out->failed)
        result = -ENOMEM;
    free(ids.slots);
    free(words.slots);
    return result;
}

/* --- decoding --- */

static int decode_counts(struct index_entry *entry, const unsigned char **at, const unsigned char *end) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < entry->count_count; i++) {
        struct index_count *count = &entry->counts[i];
        if (end - *at < 2)
            return -EBADMSG;
        size_t length = (size_t)(*at)[0] | (size_t)(*at)[1] << 8;
        *at += 2;
        if ((size_t)(end - *at) < length)
            return -EBADMSG;
        count->service = (struct text) { (const char *)*at, length };
        *at += length;
        for (unsigned level = 0; level < LEVEL_COUNT; level++) {
            unsigned used = varint_get(*at, end, &count->by_level[level]);
            if (used == 0 || count->by_level[level] > entry->count)
                return -EBADMSG;
            *at += used;
            total += count->by_level[level];
        }
    }
    return total == entry->count ? 0 : -EBADMSG;
}

static int decode_flushes(struct index_entry *entry, const unsigned char **at, const unsigned char *end) {
    for (uint32_t i = 0; i < entry->flush_count; i++) {
        uint64_t row;
        unsigned used = varint_get(*at, end, &row);
        if (used == 0 || end - *at - used < 8 || row >= entry->count ||
            (i == 0 ? row != 0 : row <= entry->flushes[i - 1].first_row))
            return -EBADMSG;
        entry->flushes[i] = (struct index_flush) { (uint32_t)row, get_u64(*at + used) };
        *at += used + 8;
    }
    return 0;
}

static int decode_templates(struct index_entry *entry, const unsigned char **at, const unsigned char *end) {
    uint64_t total = 0, count;
    for (uint32_t i = 0; i < entry->template_count; i++) {
        unsigned used = end - *at < 8 ? 0 : varint_get(*at + 8, end, &count);
        if (used == 0 || count > entry->count)
            return -EBADMSG;
        entry->templates[i] = (struct index_template) { get_u64(*at), (uint32_t)count };
        *at += 8 + used;
        total += count;
    }
    bool whole = total == entry->count;
    return entry->template_count == 0 || (entry->has_more_templates ? total < entry->count : whole) ? 0 : -EBADMSG;
}

int index_decode(struct text encoded, struct index_entry *ret) {
    const unsigned char *bytes = (const unsigned char *)encoded.data;
    if (encoded.length < FIXED_SIZE + CHECKSUM_SIZE || get_u32(bytes) != INDEX_MAGIC)
        return -EBADMSG;
    const unsigned char *end = bytes + encoded.length - CHECKSUM_SIZE;
    unsigned version = get_u16(bytes + 4);
    const unsigned char *at = bytes + (version == 1 ? FIXED_SIZE_1 : FIXED_SIZE);
    if (get_u64(end) != hash_bytes(bytes, encoded.length - CHECKSUM_SIZE) || version == 0 || version > INDEX_VERSION)
        return -EBADMSG;
    struct index_entry entry = { .first_sequence = get_u64(bytes + 8),
                                 .count = get_u32(bytes + 16),
                                 .count_count = get_u32(bytes + 20),
                                 .flush_count = get_u32(bytes + 24),
                                 .min_timestamp_ns = get_u64(bytes + 36),
                                 .max_timestamp_ns = get_u64(bytes + 44),
                                 .template_count = version == 1 ? 0 : get_u32(bytes + 52),
                                 .has_more_templates = version == 1 || get_u16(bytes + 6) & FLAG_TEMPLATES,
                                 .weighed = version > 1 && get_u16(bytes + 6) & FLAG_WEIGHED };
    size_t id_size = get_u32(bytes + 28), word_size = get_u32(bytes + 32);
    if (entry.count == 0 || entry.count > BLOCK_ENTRIES_MAX || entry.count_count > entry.count ||
        entry.flush_count == 0 || entry.flush_count > entry.count || entry.template_count > TEMPLATES_MAX ||
        id_size % FILTER_BLOCK || word_size % FILTER_BLOCK)
        return -EBADMSG;
    entry.counts = calloc(entry.count_count ? entry.count_count : 1, sizeof(entry.counts[0]));
    entry.flushes = calloc(entry.flush_count, sizeof(entry.flushes[0]));
    entry.templates = calloc(entry.template_count ? entry.template_count : 1, sizeof(entry.templates[0]));
    int result = entry.counts && entry.flushes && entry.templates ? decode_counts(&entry, &at, end) : -ENOMEM;
    if (result == 0)
        result = decode_flushes(&entry, &at, end);
    if (result == 0)
        result = decode_templates(&entry, &at, end);
    if (result == 0 && (size_t)(end - at) != id_size + word_size)
        result = -EBADMSG;
    if (result < 0) {
        index_entry_finish(&entry);
        return result;
    }
    entry.id_filter = (struct text) { (const char *)at, id_size };
    entry.word_filter = (struct text) { (const char *)at + id_size, word_size };
    *ret = entry;
    return 0;
}

void index_entry_finish(struct index_entry *entry) {
    free(entry->counts);
    free(entry->flushes);
    free(entry->templates);
    *entry = (struct index_entry) { 0 };
}
