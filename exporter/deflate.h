/* deflate.h - one gzip stream (RFC 1951, 1952) out of pieces that several threads compress at the same time.
 *
 *   head ── blocks of piece 1, an empty one up to a byte's end ── blocks of piece 2 ... ── an empty last block, sum, length
 *
 * libdeflate compresses only what is whole; members one behind the other would be one stream, too, by RFC 1952, but curl and browsers stop
 * behind the first. So this encoder is our own. It is made for /metrics: a line is mostly what an earlier one has in the same place, so
 * looking at one earlier place for each four bytes finds what there is to be found. Each piece for itself: no match reaches into the one before.
 * Any thread, one at a time for each struct deflate.
 */
#ifndef TASKFORGE_EXPORTER_DEFLATE_H
#define TASKFORGE_EXPORTER_DEFLATE_H

#include "common/base/text.h"

struct deflate;
struct deflate *deflate_create(void); /* NULL: no memory */
void deflate_destroy(struct deflate *deflate);

struct deflate_sum {
    uint32_t crc; /* of a piece as it was */
    uint64_t length;
};

/* Append a piece, compressed, to *out, up to a byte's end. -ENOMEM: *out is as it was. */
int deflate_append(struct deflate *deflate, struct text in, struct buffer *out, struct deflate_sum *ret);

void deflate_head(struct buffer *out);
void deflate_tail(const struct deflate_sum *sums, size_t count,
                  struct buffer *out); /* sums of the pieces in their order */

#endif
