/* An index value. First byte even: the rest as it stands. Odd: with the right checksum behind it. */
#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/filter_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t sum = 0;
    _cleanup_buffer_ struct buffer sealed = BUFFER_EMPTY;
    struct index_entry index;
    if (size < 1)
        return 0;
    buffer_append(&sealed, data + 1, size - 1);
    if (data[0] & 1) {
        uint64_t checksum = hash_bytes(data + 1, size - 1);
        buffer_append(&sealed, &checksum, sizeof(checksum));
    }
    if (index_decode(buffer_text(&sealed), &index) < 0)
        return 0;
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
