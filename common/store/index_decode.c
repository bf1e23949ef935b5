/* index_decode.c - reading an index value, or parts of it: each is checked before it is used. */
#include <errno.h>
#include <stdlib.h>

#include "common/store/filter_index_private.h"

enum { COUNT_SIZE = 2 + LEVEL_COUNT, FLUSH_SIZE = 1 + 8, TEMPLATE_SIZE = 8 + 1 /* at least */ };

/* Room for `count` in an array that is kept, where so many can stand in `bytes`. */
static int reserve(void *array_pointer, uint32_t *capacity, uint32_t count, size_t element, size_t bytes,
                   size_t least) {
    void **array = array_pointer;
    if (count > bytes / least)
        return -EBADMSG;
    if (count <= *capacity && *array)
        return 0;
    free(*array);
    *array = calloc(count ? count : 1, element);
    *capacity = *array ? count : 0;
    return *array ? 0 : -ENOMEM;
}

static int decode_counts(struct index_entry *entry, const unsigned char **at, const unsigned char *end) {
    uint64_t total = 0;
    int result = reserve(&entry->counts, &entry->count_capacity, entry->count_count, sizeof(entry->counts[0]),
                         (size_t)(end - *at), COUNT_SIZE);
    if (result < 0)
        return result;
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
            unsigned used = 1;
            if (*at < end && **at < 0x80) /* as most are */
                count->by_level[level] = **at;
            else
                used = varint_get(*at, end, &count->by_level[level]);
            if (used == 0 || count->by_level[level] > entry->count)
                return -EBADMSG;
            *at += used;
            total += count->by_level[level];
        }
    }
    return total == entry->count ? 0 : -EBADMSG;
}

static int decode_flushes(struct index_entry *entry, const unsigned char **at, const unsigned char *end) {
    int result = reserve(&entry->flushes, &entry->flush_capacity, entry->flush_count, sizeof(entry->flushes[0]),
                         (size_t)(end - *at), FLUSH_SIZE);
    if (result < 0)
        return result;
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
    int result = reserve(&entry->templates, &entry->template_capacity, entry->template_count,
                         sizeof(entry->templates[0]), (size_t)(end - *at), TEMPLATE_SIZE);
    if (result < 0)
        return result;
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

/* --- version 1: one checksum, of all --- */

static int decode_1(const struct index_parts *parts, struct index_entry *entry) {
    const unsigned char *bytes = (const unsigned char *)parts->places[0].bytes;
    const unsigned char *at = bytes + INDEX_FIXED_SIZE_1, *end = bytes + parts->length - INDEX_CHECKSUM;
    if (parts->places[0].length != parts->length || parts->length < INDEX_FIXED_SIZE_1 + INDEX_CHECKSUM ||
        get_u64(end) != hash_bytes(bytes, parts->length - INDEX_CHECKSUM))
        return -EBADMSG;
    entry->template_count = 0;
    entry->has_more_templates = true;
    entry->weighed = false;
    entry->before = INDEX_BEFORE_UNKNOWN;
    entry->id_filter.in_pieces = entry->word_filter.in_pieces = false;
    int result = decode_counts(entry, &at, end);
    if (result == 0)
        result = decode_flushes(entry, &at, end);
    if (result == 0 && (size_t)(end - at) != entry->id_filter.size + entry->word_filter.size)
        result = -EBADMSG;
    entry->id_filter.at = (size_t)(at - bytes);
    entry->word_filter.at = entry->id_filter.at + entry->id_filter.size;
    return result;
}

/* --- version 2 --- */

static bool is_sealed(const char *bytes, size_t at, size_t length, uint64_t head_sum) {
    length -= INDEX_CHECKSUM;
    return get_u64(bytes + length) == index_part_sum(head_sum, at, bytes, length);
}

/* A part that lies in one of the places: 1 and its bytes, with its checksum; 0: it was not read; -EBADMSG. */
static int take_part(const struct index_parts *parts, size_t at, size_t end, uint64_t head_sum, const char **ret) {
    for (unsigned i = 0; i < parts->count; i++) {
        const struct index_place *place = &parts->places[i];
        if (at < place->at || end > place->at + place->length)
            continue;
        *ret = place->bytes + (at - place->at);
        return is_sealed(*ret, at, end - at, head_sum) ? 1 : -EBADMSG;
    }
    return 0;
}

static int decode_part(const struct index_parts *parts, size_t from, size_t to, uint64_t head_sum,
                       struct index_entry *entry,
                       int (*decode)(struct index_entry *entry, const unsigned char **at, const unsigned char *end)) {
    const char *part;
    if (to - from < INDEX_CHECKSUM)
        return -EBADMSG;
    int result = take_part(parts, from, to, head_sum, &part);
    if (result <= 0)
        return result;
    const unsigned char *at = (const unsigned char *)part, *end = at + (to - from) - INDEX_CHECKSUM;
    result = decode(entry, &at, end);
    return result < 0 ? result : at == end ? 1 : -EBADMSG;
}

/* All pieces of the filter that are in the place. */
static bool pieces_are_sealed(const struct index_filter *filter, const struct index_place *place, uint64_t head_sum) {
    enum { STRIDE = INDEX_PIECE + INDEX_CHECKSUM };
    size_t number = place->at > filter->at ? (place->at - filter->at + STRIDE - 1) / STRIDE : 0;
    for (; number * INDEX_PIECE < filter->size; number++) {
        struct index_place piece = index_filter_piece(filter, number * INDEX_PIECE);
        piece.length += INDEX_CHECKSUM;
        if (piece.at + piece.length > place->at + place->length)
            break;
        if (!is_sealed(place->bytes + (piece.at - place->at), piece.at, piece.length, head_sum))
            return false;
    }
    return true;
}

static int decode_2(const struct index_parts *parts, struct index_entry *entry) {
    const char *bytes = parts->places[0].bytes;
    if (parts->places[0].length < INDEX_FIXED_SIZE + INDEX_CHECKSUM)
        return -EBADMSG;
    struct index_layout layout = index_layout_of(bytes);
    const unsigned char *at = (const unsigned char *)bytes + INDEX_FIXED_SIZE;
    if (layout.flushes < INDEX_FIXED_SIZE + INDEX_CHECKSUM || layout.flushes > parts->places[0].length ||
        layout.end != parts->length)
        return -EBADMSG;
    const unsigned char *end = (const unsigned char *)bytes + layout.flushes - INDEX_CHECKSUM;
    uint64_t sum = get_u64(end);
    if (sum != hash_bytes(bytes, layout.flushes - INDEX_CHECKSUM))
        return -EBADMSG;
    entry->template_count = get_u32(bytes + 52);
    entry->has_more_templates = get_u16(bytes + 6) & INDEX_MORE_TEMPLATES;
    entry->weighed = get_u16(bytes + 6) & INDEX_WEIGHED;
    entry->before = (struct index_before) { get_u64(bytes + 68), get_u64(bytes + 76), get_u64(bytes + 84) };
    entry->id_filter.at = layout.ids;
    entry->word_filter.at = layout.words;
    entry->id_filter.in_pieces = entry->word_filter.in_pieces = true;
    if (entry->template_count > INDEX_TEMPLATES_MAX)
        return -EBADMSG;
    int result = parts->no_counts ? 0 : decode_counts(entry, &at, end);
    if (result < 0 || (!parts->no_counts && at != end))
        return result < 0 ? result : -EBADMSG;
    if (parts->no_counts)
        entry->count_count = 0;
    result = decode_part(parts, layout.flushes, layout.templates, sum, entry, decode_flushes);
    if (result == 0)
        entry->flush_count = 0;
    if (result >= 0)
        result = decode_part(parts, layout.templates, layout.ids, sum, entry, decode_templates);
    if (result == 0) {
        entry->template_count = 0;
        entry->has_more_templates = true;
    }
    for (unsigned i = 0; i < parts->count && result >= 0; i++)
        if (!pieces_are_sealed(&entry->id_filter, &parts->places[i], sum) ||
            !pieces_are_sealed(&entry->word_filter, &parts->places[i], sum))
            result = -EBADMSG;
    return result < 0 ? result : 0;
}

/* --- either --- */

static void take_fixed(const char *bytes, struct index_entry *entry) {
    entry->first_sequence = get_u64(bytes + 8);
    entry->count = get_u32(bytes + 16);
    entry->count_count = get_u32(bytes + 20);
    entry->flush_count = get_u32(bytes + 24);
    entry->id_filter.size = get_u32(bytes + INDEX_AT_IDS);
    entry->word_filter.size = get_u32(bytes + INDEX_AT_WORDS);
    entry->min_timestamp_ns = get_u64(bytes + 36);
    entry->max_timestamp_ns = get_u64(bytes + 44);
}

int index_decode_parts(const struct index_parts *parts, struct index_entry *entry) {
    const char *bytes = parts->places[0].bytes;
    if (parts->count == 0 || parts->places[0].length < INDEX_FIXED_SIZE_1 + INDEX_CHECKSUM ||
        get_u32(bytes) != INDEX_MAGIC)
        return -EBADMSG;
    unsigned version = get_u16(bytes + 4);
    take_fixed(bytes, entry);
    entry->parts.length = parts->length;
    entry->parts.count = parts->count;
    for (unsigned i = 0; i < parts->count; i++)
        entry->parts.places[i] = parts->places[i];
    if (entry->count == 0 || entry->count > BLOCK_ENTRIES_MAX || entry->count_count > entry->count ||
        entry->flush_count == 0 || entry->flush_count > entry->count || entry->id_filter.size % FILTER_BLOCK ||
        entry->word_filter.size % FILTER_BLOCK)
        return -EBADMSG;
    return version == INDEX_VERSION ? decode_2(parts, entry) : version == 1 ? decode_1(parts, entry) : -EBADMSG;
}

int index_decode(struct text encoded, struct index_entry *ret) {
    const struct index_parts whole = { encoded.length, false, 1, { { 0, encoded.length, encoded.data } } };
    *ret = (struct index_entry) { 0 };
    int result = index_decode_parts(&whole, ret);
    if (result < 0)
        index_entry_finish(ret);
    return result;
}

void index_entry_finish(struct index_entry *entry) {
    free(entry->counts);
    free(entry->flushes);
    free(entry->templates);
    *entry = (struct index_entry) { 0 };
}
