/* index_ask.c - questions to an index value, and what has to be read of it for them. */
#include <endian.h>
#include <string.h>

#include "common/store/filter_index_private.h"

const uint32_t filter_salts[FILTER_WORDS] = { 0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                              0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U };

/* --- words --- */

/* For each byte value: 0-9, A-Z _ a-z, and all of UTF-8's. By a table, since it is asked of every byte that is stored. */
#define YES_8 1, 1, 1, 1, 1, 1, 1, 1
#define YES_32 YES_8, YES_8, YES_8, YES_8
const bool word_bytes[256] = {
    ['0'] = YES_8, 1, 1, ['A'] = YES_8,   YES_8,  YES_8,  1,     1, ['_'] = 1, ['a'] = YES_8, YES_8,
    YES_8,         1, 1, [0x80] = YES_32, YES_32, YES_32, YES_32
};

bool next_word(struct text text, size_t *at, size_t *ret_begin, size_t *ret_end) {
    size_t i = *at;
    while (i < text.length && !is_word_byte(text.data[i]))
        i++;
    *ret_begin = i;
    while (i < text.length && is_word_byte(text.data[i]))
        i++;
    *ret_end = *at = i;
    return *ret_begin < *ret_end;
}

/* The words that stand whole inside `fixed`: else one may go on outside. */
static bool next_whole_word(struct text fixed, size_t *at, uint64_t *ret_hash) {
    size_t begin, end;
    while (next_word(fixed, at, &begin, &end)) {
        if (begin == 0 || end == fixed.length || end - begin < WORD_MIN)
            continue;
        *ret_hash = filter_hash(INDEX_WORD, fixed.data + begin, end - begin);
        return true;
    }
    return false;
}

/* --- filters --- */

/* The bytes at `at`; NULL where they are in no place that was read. */
static const char *bytes_at(const struct index_parts *parts, size_t at, size_t length) {
    for (unsigned i = 0; i < parts->count; i++) {
        const struct index_place *place = &parts->places[i];
        if (at >= place->at && length <= place->length && at - place->at <= place->length - length)
            return place->bytes + (at - place->at);
    }
    return NULL;
}

/* The block of a filter; only out of a piece that is there whole, and was checked for that. */
static const char *find_block(const struct index_entry *entry, const struct index_filter *filter, size_t at) {
    if (!filter->in_pieces)
        return bytes_at(&entry->parts, filter->at + at, FILTER_BLOCK);
    struct index_place piece = index_filter_piece(filter, at);
    const char *bytes = bytes_at(&entry->parts, piece.at, piece.length + INDEX_CHECKSUM);
    return bytes ? bytes + at % INDEX_PIECE : NULL;
}

static bool filter_may_have(const struct index_entry *entry, const struct index_filter *filter, uint64_t hash) {
    if (filter->size == 0)
        return false;
    const char *block = find_block(entry, filter, filter_block(filter->size, hash));
    for (unsigned word = 0; block && word < FILTER_WORDS; word++) {
        uint32_t bits;
        memcpy(&bits, block + word * 4, 4);
        if (!(le32toh(bits) & filter_bit(hash, word)))
            return false;
    }
    return true;
}

bool index_may_contain(const struct index_entry *entry, struct text fixed) {
    size_t at = 0;
    uint64_t hash;
    while (next_whole_word(fixed, &at, &hash))
        if (!filter_may_have(entry, &entry->word_filter, hash))
            return false;
    return true;
}

bool index_may_have_id(const struct index_entry *entry, enum index_filter_kind kind, struct text value) {
    return filter_may_have(entry, &entry->id_filter, filter_hash(kind, value.data, value.length));
}

bool index_may_have_template(const struct index_entry *entry, uint64_t id) {
    for (uint32_t i = 0; i < entry->template_count; i++)
        if (entry->templates[i].id == id)
            return true;
    return entry->has_more_templates;
}

struct index_before index_before_next(struct index_before before, uint64_t min_ns, uint64_t max_ns) {
    uint64_t late_ns = before.max_ns > min_ns ? before.max_ns - min_ns : 0;
    return (struct index_before) { min_ns < before.min_ns ? min_ns : before.min_ns,
                                   max_ns > before.max_ns ? max_ns : before.max_ns,
                                   late_ns > before.late_ns ? late_ns : before.late_ns };
}

/* --- what has to be read --- */

static void want_probe(struct index_want *want, bool word, uint64_t hash) {
    if (want->probe_count == INDEX_PROBES_MAX)
        want->filters = true;
    else
        want->probes[want->probe_count++] = (struct index_probe) { word, hash };
}

void index_want_id(struct index_want *want, enum index_filter_kind kind, struct text value) {
    want_probe(want, false, filter_hash(kind, value.data, value.length));
}

void index_want_words(struct index_want *want, struct text fixed) {
    size_t at = 0;
    uint64_t hash;
    while (!want->filters && next_whole_word(fixed, &at, &hash))
        want_probe(want, true, hash);
}

struct index_layout index_layout_of(const char *fixed) {
    struct index_layout layout;
    layout.flushes = get_u32(fixed + INDEX_AT_HEAD);
    layout.templates = layout.flushes + get_u32(fixed + INDEX_AT_FLUSHES);
    layout.ids = layout.templates + get_u32(fixed + INDEX_AT_TEMPLATES);
    layout.words = layout.ids + index_filter_room(get_u32(fixed + INDEX_AT_IDS));
    layout.end = layout.words + index_filter_room(get_u32(fixed + INDEX_AT_WORDS));
    return layout;
}

static void add_place(struct index_parts *parts, size_t at, size_t end) {
    struct index_place *last = &parts->places[parts->count - 1];
    if (last->at + last->length == at)
        last->length = end - last->at;
    else
        parts->places[parts->count++] = (struct index_place) { at, end - at, NULL };
}

static void add_probe(struct index_parts *parts, const struct index_filter *filter, uint64_t hash) {
    if (filter->size == 0)
        return;
    struct index_place piece = index_filter_piece(filter, filter_block(filter->size, hash));
    for (unsigned i = 0; i < parts->count; i++)
        if (parts->places[i].at == piece.at)
            return;
    add_place(parts, piece.at, piece.at + piece.length + INDEX_CHECKSUM);
}

void index_find_places(const char *peek, size_t length, const struct index_want *want, struct index_parts *ret) {
    ret->length = length;
    ret->no_counts = want && !want->counts;
    ret->count = 1;
    ret->places[0] = (struct index_place) { 0, length, NULL };
    if (!want || length < INDEX_FIXED_SIZE || get_u16(peek + 4) != INDEX_VERSION)
        return;
    struct index_layout layout = index_layout_of(peek);
    if (layout.flushes < INDEX_FIXED_SIZE + INDEX_CHECKSUM || layout.end != length)
        return; /* it is damaged, as will be seen */
    ret->places[0].length = layout.flushes;
    if (want->flushes)
        add_place(ret, layout.flushes, layout.templates);
    if (want->templates)
        add_place(ret, layout.templates, layout.ids);
    if (want->filters) {
        add_place(ret, layout.ids, layout.end);
        return;
    }
    const struct index_filter ids = { layout.ids, get_u32(peek + INDEX_AT_IDS), true };
    const struct index_filter words = { layout.words, get_u32(peek + INDEX_AT_WORDS), true };
    for (uint32_t i = 0; i < want->probe_count; i++)
        add_probe(ret, want->probes[i].word ? &words : &ids, want->probes[i].hash);
}
