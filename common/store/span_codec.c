#include "common/store/span_codec.h"

#include <errno.h>

#include "common/base/hash.h"

enum { HEAD_SIZE = 8, CHECKSUM_SIZE = 8 };

struct head { /* as drawn */
    uint8_t version, reserved;
    uint16_t host_length;
    uint32_t pid;
};
_Static_assert(sizeof(struct head) == HEAD_SIZE, "no holes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "copied as it lies in memory");

int span_encode(const struct span *span, uint64_t sequence, struct buffer *out) {
    uint32_t size;
    int result = record_span_size(&span->record, &size);
    if (result < 0 || span->host.length > ENTRY_HOST_BYTES)
        return -E2BIG;
    const struct head head = { .version = SPAN_CODEC_VERSION,
                               .host_length = (uint16_t)span->host.length,
                               .pid = span->pid };
    size_t begin = out->length;
    buffer_append(out, &head, sizeof(head));
    if (!buffer_reserve(out, size))
        return -ENOMEM;
    record_span_encode(&span->record, 0, span->end_ns, out->data + out->length, size);
    out->length += size;
    buffer_append_text(out, span->host);
    if (out->failed)
        return -ENOMEM;
    uint64_t sum = hash_bytes_seeded(out->data + begin, out->length - begin, sequence);
    buffer_append(out, &sum, sizeof(sum));
    return out->failed ? -ENOMEM : 0;
}

int span_decode(struct text value, uint64_t sequence, struct span *ret) {
    struct head head;
    struct record record;
    uint64_t sum;
    if (value.length < HEAD_SIZE + CHECKSUM_SIZE)
        return -EBADMSG;
    size_t sealed = value.length - CHECKSUM_SIZE;
    memcpy(&sum, value.data + sealed, sizeof(sum));
    memcpy(&head, value.data, sizeof(head));
    if (sum != hash_bytes_seeded(value.data, sealed, sequence))
        return -EBADMSG;
    if (head.version != SPAN_CODEC_VERSION)
        return head.version > SPAN_CODEC_VERSION ? -EPROTO : -EBADMSG;
    if (head.host_length > ENTRY_HOST_BYTES || head.host_length > sealed - HEAD_SIZE)
        return -EBADMSG;
    size_t size = sealed - HEAD_SIZE - head.host_length;
    struct record_header header;
    if (record_header_decode(value.data + HEAD_SIZE, size, 0, &header) < 0 || header.length != size ||
        header.kind != RECORD_SPAN || record_decode(value.data + HEAD_SIZE, size, 0, &record) < 0)
        return -EBADMSG;
    *ret = (struct span) { .record = record.span,
                           .end_ns = record.time_ns,
                           .host = { value.data + HEAD_SIZE + size, head.host_length },
                           .pid = head.pid };
    return 0;
}
