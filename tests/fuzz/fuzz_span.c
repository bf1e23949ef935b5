/* A stored span: any bytes with the checksum put right, so that what lies behind it is reached. What is decoded encodes to the same again, and
 * can be shown. As JSON: any bytes are read back as a span or refused. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/span_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(const struct span *span) {
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    static char room[256 * 1024];
    struct span back;
    span_append_json(&json, span);
    check(!json.failed && !memchr(json.data, '\n', json.length));
    if (span_from_json(buffer_text(&json), room, sizeof(room), &back) == 0)
        check(memcmp(back.record.trace_id, span->record.trace_id, SPAN_TRACE_BYTES) == 0 && back.pid == span->pid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY, again = BUFFER_EMPTY;
    static char room[4096];
    struct span span;
    (void)span_from_json((struct text) { (const char *)data, size }, room, sizeof(room), &span);
    check(span_decode((struct text) { (const char *)data, size }, 1, &span) != 0 || size > 8);
    buffer_append(&value, data, size);
    uint64_t sum = hash_bytes_seeded(value.data, value.length, 1);
    buffer_append(&value, &sum, sizeof(sum));
    check(!value.failed);
    if (span_decode(buffer_text(&value), 1, &span) < 0)
        return 0;
    show(&span);
    check(span_encode(&span, 1, &again) == 0);
    struct span back;
    check(span_decode(buffer_text(&again), 1, &back) == 0 && back.end_ns == span.end_ns &&
          text_equal(back.host, span.host) && text_equal(back.record.metadata, span.record.metadata));
    return 0;
}
