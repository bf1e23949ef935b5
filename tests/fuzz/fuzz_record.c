/* Any bytes as a record: refused, or decoded within them; what was decoded encodes and decodes to the same again,
 * and an entry can be repaired, formatted and written, a span written. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/model/span.h"
#include "common/model/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char room[2][RECORD_SIZE_MAX] __attribute__((aligned(8)));

static void use_entry(struct record_entry *record) {
    _cleanup_buffer_ struct buffer scratch = BUFFER_EMPTY, json = BUFFER_EMPTY, message = BUFFER_EMPTY;
    if (record->site != 0) {
        template_format(record->entry.service, record->entry.message, &message);
        record->entry.message = buffer_text(&message);
    }
    check(entry_repair(&record->entry, 0, &scratch) >= 0);
    check(entry_validate(&record->entry, NULL) == 0);
    entry_append_json(&json, &record->entry);
    check(!memchr(json.data, '\n', json.length));
}

static void use_span(const struct record *record) {
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    const struct span span = { .record = record->span, .end_ns = record->time_ns };
    span_append_json(&json, &span);
    check(!memchr(json.data, '\n', json.length));
}

static void encode_again(const struct record *record) {
    int first = record_encode(record, room[0], sizeof(room[0]));
    check(first > 0);
    struct record back;
    check(record_decode(room[0], (size_t)first, record->position, &back) == 0);
    int second = record_encode(&back, room[1], sizeof(room[1]));
    check(second == first && memcmp(room[0], room[1], (size_t)first) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t position = 0;
    struct record record;
    if (size >= RECORD_HEADER_SIZE)
        memcpy(&position, data + 8, sizeof(position)); /* as if it were the lap expected */
    if (record_decode(data, size, position, &record) < 0)
        return 0;
    if (record.kind == RECORD_PADDING)
        return 0;
    encode_again(&record);
    if (record.kind == RECORD_ENTRY)
        use_entry(&record.entry);
    if (record.kind == RECORD_SPAN)
        use_span(&record);
    return 0;
}
