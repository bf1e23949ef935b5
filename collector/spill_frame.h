/* spill_frame.h - one batch as bytes in the spill file. Pure. Version 2, version 1 is read; integers little-endian.
 *
 *   0       8         12       16        24       32        36      40            48
 *  +-------+---------+--------+---------+--------+---------+-------+-------------+-------------------------------------------+
 *  | magic | version | spans  | file id | offset | entries | puts  | body length | body: host, entries, spans, puts | XXH3   |
 *  +-------+---------+--------+---------+--------+---------+-------+-------------+-------------------------------------------+
 *
 *   host     u16 length, bytes
 *   entry    u32 pid, u32 length of the record, the record (common/model/record.h, position 0); u16 1 + number of the places of a call site's
 *            arguments (0: of no call site), u16 begin and u16 length of each. In version 1 without these
 *   span     u32 pid, u32 length of the record, the record
 *   put      u16 key length, u16 1: remove, u32 value length, key, value
 *   XXH3     u64 over everything before it
 *
 * A frame without spans is what it was before there were any.
 * File id and offset stand in the frame, so that bytes of another place or file never look right. Decoding trusts nothing.
 */
#ifndef TASKFORGE_COLLECTOR_SPILL_FRAME_H
#define TASKFORGE_COLLECTOR_SPILL_FRAME_H

#include "collector/batch.h"
#include "common/base/error.h"

enum { SPILL_FRAME_HEADER = 48, SPILL_FRAME_VERSION = 2, SPILL_FRAME_TAIL = 8 };
#define SPILL_FRAME_MAGIC UINT64_C(0x314c4c4950535454)

/* Append the frame to out. -ENOMEM, -E2BIG. */
int spill_frame_encode(const struct batch *batch, uint64_t file_id, uint64_t offset, struct buffer *out);

/* The whole length of a frame by its first SPILL_FRAME_HEADER bytes; -EBADMSG when they begin no frame of this place. */
int spill_frame_length(struct text header, uint64_t file_id, uint64_t offset, uint64_t *ret_length);

/* A whole frame into an empty batch, which borrows from `frame`. -EBADMSG, -ENOMEM; the batch is to be cleared then. */
int spill_frame_decode(struct text frame, uint64_t file_id, uint64_t offset, struct batch *batch);

#endif
