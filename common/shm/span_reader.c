/* span_reader.c - records out of a copied span (ring_reader.h). Works on a private copy: nothing shared is touched. */
#include <errno.h>

#include "common/shm/ring_reader.h"

static int decode(const struct span_reader *reader, const struct record_header *header, struct record *ret) {
    if (header->kind == RECORD_PADDING)
        return 0;
    if (header->kind == RECORD_METRIC_UPDATE) {
        ret->metric_update.known = NULL;
        ret->metric_update.hash[0] = ret->metric_update.hash[1] = 0;
        if (reader->known && reader->known(reader->context, reader->bytes, reader->end - reader->position, header,
                                           &ret->metric_update)) {
            ret->kind = RECORD_METRIC_UPDATE;
            ret->position = header->position;
            ret->time_ns = header->time_ns;
            return 0;
        }
    }
    return record_decode(reader->bytes, header->length, reader->position, ret);
}

int span_reader_next(struct span_reader *reader, struct record *ret) {
    while (reader->position < reader->end) {
        struct record_header header;
        uint64_t available = reader->end - reader->position;
        if (record_header_decode(reader->bytes, available, reader->position, &header) < 0)
            return -EBADMSG;
        if (decode(reader, &header, ret) < 0)
            return -EBADMSG;
        reader->bytes += header.length; /* a header at least: this ends */
        reader->position += header.length;
        if (header.kind == RECORD_PROCESS_HELLO) {
            reader->has_hello = true;
            reader->hello = ret->process_hello;
        } else if (header.kind != RECORD_PADDING) {
            return 1;
        }
    }
    return reader->position == reader->end ? 0 : -EBADMSG;
}
