/* span_reader.c - records out of a copied span (ring_reader.h). Works on a private copy: nothing shared is touched. */
#include <errno.h>

#include "common/shm/ring_reader.h"

int span_reader_next(struct span_reader *reader, struct record *ret) {
    while (reader->position < reader->end) {
        struct record_header header;
        uint64_t available = reader->end - reader->position;
        if (record_header_decode(reader->bytes, available, reader->position, &header) < 0)
            return -EBADMSG;
        if (header.kind != RECORD_PADDING && record_decode(reader->bytes, header.length, reader->position, ret) < 0)
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
