/* span_codec.h - a stored span as bytes: the value of the database `spans` (partition.h), under its sequence. Pure.
 *
 *   0         1          2             4     8                                        checksum
 *  +---------+----------+-------------+-----+----------------------------------+------+----------------------------+
 *  | version | reserved | host length | pid | the span's record (model/record.h, | host | XXH3 of sequence and all    |
 *  | u8: 1   | 0        | u16         | u32 | position 0; its own length first)  |      | before, u64                 |
 *  +---------+----------+-------------+-----+----------------------------------+------+----------------------------+
 *
 * Integers little-endian. Decoding trusts nothing.
 */
#ifndef TASKFORGE_COMMON_STORE_SPAN_CODEC_H
#define TASKFORGE_COMMON_STORE_SPAN_CODEC_H

#include "common/model/span.h"

enum { SPAN_CODEC_VERSION = 1 };

/* Append. -E2BIG (a field is longer than a record takes it), -ENOMEM. */
int span_encode(const struct span *span, uint64_t sequence, struct buffer *out);

/* *ret borrows from value. -EBADMSG: damaged, or another span's; -EPROTO: a newer version. */
int span_decode(struct text value, uint64_t sequence, struct span *ret);

#endif
