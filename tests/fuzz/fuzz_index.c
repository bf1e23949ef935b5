/* An index value. First byte: bit 0: the rest with the right checksum behind it, as version 1 has it; bit 1: with the right checksums in it, as version 2 has
 * them; else as it stands. */
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/filter_index_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(char *value, size_t at, size_t end, uint64_t head_sum) {
    if (end - at < INDEX_CHECKSUM)
        return;
    uint64_t sum = index_part_sum(head_sum, at, value + at, end - at - INDEX_CHECKSUM);
    memcpy(value + end - INDEX_CHECKSUM, &sum, sizeof(sum));
}

static void seal_all(char *value, size_t length) {
    if (length < INDEX_FIXED_SIZE + INDEX_CHECKSUM)
        return;
    const struct index_layout layout = index_layout_of(value);
    if (layout.end != length || layout.flushes < INDEX_FIXED_SIZE + INDEX_CHECKSUM)
        return;
    uint64_t sum = hash_bytes(value, layout.flushes - INDEX_CHECKSUM);
    memcpy(value + layout.flushes - INDEX_CHECKSUM, &sum, sizeof(sum));
    seal(value, layout.flushes, layout.templates, sum);
    seal(value, layout.templates, layout.ids, sum);
    for (size_t at = layout.ids; at < layout.words; at += INDEX_PIECE + INDEX_CHECKSUM)
        seal(value, at, layout.words - at < INDEX_PIECE ? layout.words : at + INDEX_PIECE + INDEX_CHECKSUM, sum);
    for (size_t at = layout.words; at < length; at += INDEX_PIECE + INDEX_CHECKSUM)
        seal(value, at, length - at < INDEX_PIECE ? length : at + INDEX_PIECE + INDEX_CHECKSUM, sum);
}

/* The same value by the parts that a walk may take. */
static void look_at_parts(const struct buffer *sealed, const struct index_entry *whole) {
    const struct text trace = TEXT_LITERAL("0af7651916cd43dd8448eb211c80319c");
    struct index_want want = { .flushes = true };
    struct index_entry index = { 0 };
    struct index_parts parts;
    char peek[INDEX_PEEK] = { 0 };
    index_want_id(&want, INDEX_TRACE, trace);
    memcpy(peek, sealed->data, sealed->length < INDEX_PEEK ? sealed->length : INDEX_PEEK);
    index_find_places(peek, sealed->length, &want, &parts);
    for (unsigned i = 0; i < parts.count; i++) {
        check(parts.places[i].at + parts.places[i].length <= sealed->length);
        parts.places[i].bytes = sealed->data + parts.places[i].at;
    }
    int result = index_decode_parts(&parts, &index);
    if (whole) {
        check(result == 0 && index.flush_count == whole->flush_count && index.count == whole->count);
        check(index_may_have_id(&index, INDEX_TRACE, trace) == index_may_have_id(whole, INDEX_TRACE, trace));
    }
    index_entry_finish(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t sum = 0;
    _cleanup_buffer_ struct buffer sealed = BUFFER_EMPTY;
    struct index_entry index;
    if (size < 2)
        return 0;
    buffer_append(&sealed, data + 1, size - 1);
    if (data[0] & 1) {
        uint64_t checksum = hash_bytes(data + 1, size - 1);
        buffer_append(&sealed, &checksum, sizeof(checksum));
    }
    if (data[0] & 2)
        seal_all(sealed.data, sealed.length);
    if (index_decode(buffer_text(&sealed), &index) < 0) {
        look_at_parts(&sealed, NULL);
        return 0;
    }
    look_at_parts(&sealed, &index);
    check(index.count > 0 && index.flush_count > 0);
    for (uint32_t i = 0; i < index.count_count; i++)
        sum += hash_bytes(index.counts[i].service.data, index.counts[i].service.length) +
               index.counts[i].by_level[LEVEL_INFO];
    for (uint32_t i = 1; i < index.flush_count; i++)
        check(index.flushes[i - 1].first_row < index.flushes[i].first_row);
    sum += index_may_have_id(&index, INDEX_TRACE, TEXT_LITERAL("0af7651916cd43dd8448eb211c80319c"));
    sum += index_may_have_template(&index, 7);
    for (uint32_t i = 0; i < index.template_count; i++)
        check(index_may_have_template(&index, index.templates[i].id) && index.templates[i].count <= index.count);
    sum += index_may_contain(&index, TEXT_LITERAL(" timeout of "));
    __asm__ volatile("" : : "r"(sum)); /* so that all of it is read */
    index_entry_finish(&index);
    return 0;
}
