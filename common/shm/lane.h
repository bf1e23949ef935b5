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

#include "common/base/check.h"
#include "common/model/level.h"
#include "common/model/record.h"
#include "common/shm/fault.h"
#include "common/shm/layout.h"

struct lane_writer {
    struct lane_header *header;
    char *data;
    uint64_t size;                /* of the data, a power of two */
    uint64_t head;                /* private copy: only we move it */
    uint64_t tail;                /* as last seen; reloaded when it looks full */
    bool overwrites;              /* a recorder lane: there is always room */
    uint64_t limits[LEVEL_COUNT]; /* bytes that each level may fill */
};

/* Begin (or go on) as the lane's only producer: reads head and tail once. -EBADMSG when they make no sense (tail above
 * head, more than size apart in a lane that does not overwrite, not a multiple of 8): such a lane is left alone. */
int lane_writer_init(struct lane_writer *writer, struct lane_header *header, char *data, uint64_t size,
                     bool overwrites);

/* Whether [.., end) fits above the tail, looking at the tail again when it does not seem to. */
static inline bool lane_has_room(struct lane_writer *writer, uint64_t end, uint64_t limit) {
    if (likely(end - writer->tail <= limit))
        return true;
    if (writer->overwrites)
        return true;
    /* acquire: pairs with the collector's release in ring_reader_set_tail: its copy is done before we overwrite. */
    uint64_t tail = atomic_load_explicit(&writer->header->tail, memory_order_acquire);
    if (tail < writer->tail || tail > writer->head) /* scribbled on: believe the old one */
        return false;
    writer->tail = tail;
    return end - tail <= limit;
}

/* The same as lane_claim where no lap ends in between: NULL when it does, or when there is no room. For who writes up to `most` bytes
 * straight into the lane and commits what it came to. */
static inline char *lane_claim_within(struct lane_writer *writer, uint32_t most, enum level level) {
    uint64_t offset = writer->head & (writer->size - 1);
    if (unlikely(writer->size - offset < (uint64_t)most + RECORD_HEADER_SIZE) ||
        unlikely(!lane_has_room(writer, writer->head + most, writer->limits[level])))
        return NULL;
    fault_point(span_claimed);
    return writer->data + offset;
}

/* What was stored before is seen before what is stored behind this; the other side likewise with its loads. The thread sanitizer knows no
 * fences: it is not shown the copy of a lane that is being overwritten (ring_reader_recorder). */
#if defined(__SANITIZE_THREAD__)
#define LANE_FENCE(order) atomic_signal_fence(order)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LANE_FENCE(order) atomic_signal_fence(order)
#endif
#endif
#ifndef LANE_FENCE
#define LANE_FENCE(order) atomic_thread_fence(order)
#endif

/* Publish without checks, for what lane_claim_within gave. */
static inline void lane_publish(struct lane_writer *writer, uint32_t size) {
    writer->head += size;
    fault_point(commit);
    /* release: all bytes below the new head, padding included, are visible to whoever acquires it. This store is the
     * commit. */
    atomic_store_explicit(&writer->header->head, writer->head, memory_order_release);
    fault_point(committed);
}

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
