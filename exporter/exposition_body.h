/* exposition_body.h - what goes out: pieces of memory that several answers may send at once; used by exposition*.c alone. */
#ifndef TASKFORGE_EXPORTER_EXPOSITION_BODY_H
#define TASKFORGE_EXPORTER_EXPOSITION_BODY_H

#include <stdatomic.h>

#include "exporter/exposition.h"

struct exposition_body {
    atomic_uint users;
    struct exposition_wish wish; /* what it is the answer to */
    uint8_t id[16];              /* of the segment ... */
    uint64_t changes;            /* ... and what it counted before it was read */
    uint64_t begun_ns;           /* monotonic */
    bool gzip;
    struct buffer *pieces;
    struct iovec *list;
    size_t count, capacity, length;
};

/* A body with room for `count` empty pieces, of one user: `old`, whose memory is used again when nobody else uses it, or a new one. NULL: no
 * memory, and `old` is let go all the same. */
struct exposition_body *exposition_body_make(struct exposition_body *old, size_t count);
void exposition_body_share(struct exposition_body *body); /* one user more */
/* All pieces are there: their list and length. False: one of them ran out of memory. */
bool exposition_body_close(struct exposition_body *body);

#endif
