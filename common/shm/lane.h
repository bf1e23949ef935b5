/* lane.h - one lane: a byte ring with one producer and one consumer. Pure memory: no system call, no allocation.
 *
 * The producer claims a span, fills it and commits with one release-store of the head. Killed anywhere before that, it
 * has published nothing. The consumer copies bytes below the head, and moves the tail when they are safe in the store.
 * The layout and its invariants are drawn in layout.h. Algorithm: the single-writer ring of Aeron's and LTTng's kind,
 * with absolute positions in place of a sequence. */
#ifndef TASKFORGE_COMMON_SHM_LANE_H
#define TASKFORGE_COMMON_SHM_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/level.h"
#include "common/shm/layout.h"

struct lane_writer {
    struct lane_header *header;
    char *data;
    uint64_t size; /* of the data, a power of two */
    uint64_t head; /* private copy: only we move it */
    uint64_t tail; /* as last seen; reloaded when it looks full */
};

/* Begin (or go on) as the lane's only producer: reads head and tail once. -EBADMSG when they make no sense (tail above
 * head, more than size apart, not a multiple of 8): such a lane is left alone. */
int lane_writer_init(struct lane_writer *writer, struct lane_header *header, char *data, uint64_t size);

/* A span of `size` bytes (a multiple of 8, at least a record's header, at most an eighth of the lane) at *ret_position,
 * or NULL when the lane has no room left for this level: trace and debug may fill half of it, info three quarters, warn
 * seven eighths, error and critical all. Nothing is visible until lane_commit. A second claim without commit replaces
 * the first. */
void *lane_claim(struct lane_writer *writer, uint32_t size, enum level level, uint64_t *ret_position);

/* Publish `size` bytes from what lane_claim gave: all of them or fewer (a multiple of 8, at least a record's header).
 */
void lane_commit(struct lane_writer *writer, uint32_t size);

/* --- the consumer's side; header and data may be hostile --- */

/* The committed head, acquire; -EBADMSG when it is not a possible one for a reader that stands at `from`. */
int lane_head(const struct lane_header *header, uint64_t size, uint64_t from, uint64_t *ret_head);

/* Copy the bytes [from, to) (at most `size` of them) to out. Call under map_guarded. */
void lane_copy(const char *data, uint64_t size, uint64_t from, uint64_t to, void *out);

#endif
