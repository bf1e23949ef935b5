/* fuzz_spill.c - a frame of the spill file: any bytes as its body, with and without the checksum put right, so that what lies
 * behind the checksum is reached too. What is decoded encodes again, and decodes to the same. */
#include <stddef.h>
#include <stdint.h>

#include "collector/spill_frame.h"
#include "common/base/check.h"
#include "common/base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct buffer *frame) {
    struct batch batch = BATCH_EMPTY, again = BATCH_EMPTY;
    struct buffer encoded = BUFFER_EMPTY;
    if (spill_frame_decode(buffer_text(frame), 1, 0, &batch) == 0) {
        check(spill_frame_encode(&batch, 1, 0, &encoded) == 0);
        check(spill_frame_decode(buffer_text(&encoded), 1, 0, &again) == 0);
        check(again.entry_count == batch.entry_count && again.put_count == batch.put_count &&
              again.span_count == batch.span_count);
    }
    buffer_finish(&encoded);
    batch_finish(&batch);
    batch_finish(&again);
}

/* The first 8 bytes are the counts, of spans and puts, or of entries and puts; the rest is the body. */
static void decode_body(const uint8_t *data, size_t size, bool spans) {
    struct buffer frame = BUFFER_EMPTY;
    struct batch empty = BATCH_EMPTY;
    if (spill_frame_encode(&empty, 1, 0, &frame) == 0) {
        frame.length = SPILL_FRAME_HEADER;
        memcpy(frame.data + (spans ? 12 : 32), data, 4);
        memcpy(frame.data + 36, data + 4, 4);
        buffer_append(&frame, data + 8, size - 8);
        state_u64_put(frame.data + 40, size - 8);
        uint64_t hash = hash_bytes(frame.data, frame.length);
        buffer_append(&frame, &hash, sizeof(hash));
        check(!frame.failed);
        decode(&frame);
    }
    buffer_finish(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t length;
    spill_frame_length((struct text) { (const char *)data, size }, 1, 0, &length);
    if (size >= 8) {
        decode_body(data, size, false);
        decode_body(data, size, true);
    }
    return 0;
}
