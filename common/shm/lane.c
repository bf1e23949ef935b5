#include "common/shm/lane.h"

#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/record.h"

static_assert(LANE_POSITION_START % RECORD_ALIGN == 0, "records begin on a multiple of 8");
static_assert(RING_LANE_SIZE % RECORD_ALIGN == 0 && RING_OVERFLOW_SIZE % RECORD_ALIGN == 0, "laps do too");
static_assert(RECORD_SIZE_MAX <= RING_OVERFLOW_SIZE / LANE_LARGE_SHARE / 2, "a hello and any record fit one claim");

/* How many eighths of a lane each level may fill. */
static const uint8_t share[LEVEL_COUNT] = {
    [LEVEL_TRACE] = 4, [LEVEL_DEBUG] = 4, [LEVEL_INFO] = 6, [LEVEL_WARN] = 7, [LEVEL_ERROR] = 8, [LEVEL_CRITICAL] = 8,
};

static bool is_possible(uint64_t head, uint64_t tail, uint64_t size) {
    return tail <= head && head - tail <= size && head % RECORD_ALIGN == 0 && tail % RECORD_ALIGN == 0;
}

int lane_writer_init(struct lane_writer *writer, struct lane_header *header, char *data, uint64_t size,
                     bool overwrites) {
    check(size >= 4096 && (size & (size - 1)) == 0);
    /* relaxed: whoever owned the lane before released it through the owner word, which our claim acquired; of a dead
     * owner see holder_is_dead in ring_lane.c. From here on only we move it. */
    uint64_t head = atomic_load_explicit(&header->head, memory_order_relaxed);
    /* acquire: the collector has copied what is below the tail before we overwrite it. */
    uint64_t tail = atomic_load_explicit(&header->tail, memory_order_acquire);
    if (!is_possible(head, tail, overwrites ? UINT64_MAX : size) || size - head % size < RECORD_HEADER_SIZE)
        return -EBADMSG;
    *writer = (struct lane_writer) {
        .header = header, .data = data, .size = size, .head = head, .tail = tail, .overwrites = overwrites
    };
    for (int level = 0; level < LEVEL_COUNT; level++)
        writer->limits[level] = overwrites ? UINT64_MAX : size / 8 * share[level];
    return 0;
}

/* Of a lane that overwrites: what lies below `end` by a lap is gone from now on. */
static void announce(struct lane_writer *writer, uint64_t end) {
    atomic_store_explicit(&writer->header->claimed, end, memory_order_relaxed);
    LANE_FENCE(memory_order_release); /* pairs with ring_reader_recorder: who sees a byte of the record sees this */
}

void *lane_claim(struct lane_writer *writer, uint32_t size, enum level level, uint64_t *ret_position) {
    check(size % RECORD_ALIGN == 0 && size >= RECORD_HEADER_SIZE && size <= writer->size / LANE_LARGE_SHARE);
    check((unsigned)level < LEVEL_COUNT);
    uint64_t limit = writer->limits[level];
    uint64_t offset = writer->head & (writer->size - 1);
    uint64_t rest = writer->size - offset;

    if (unlikely(rest < (uint64_t)size + RECORD_HEADER_SIZE)) {
        if (!lane_has_room(writer, writer->head + rest + size, limit))
            return NULL;
        if (writer->overwrites)
            announce(writer, writer->head + rest + size);
        struct record_header padding = {
            .length = (uint32_t)rest, .kind = RECORD_PADDING, .version = RECORD_VERSION, .position = writer->head
        };
        memcpy(writer->data + offset, &padding, sizeof(padding));
        fault_point(span_padded);
        writer->head += rest; /* ours alone: the commit that follows publishes the padding with its record */
        offset = 0;
    } else if (!lane_has_room(writer, writer->head + size, limit)) {
        return NULL;
    } else if (unlikely(writer->overwrites)) {
        announce(writer, writer->head + size);
    }
    *ret_position = writer->head;
    fault_point(span_claimed);
    return writer->data + offset;
}

void lane_commit(struct lane_writer *writer, uint32_t size) {
    check(size % RECORD_ALIGN == 0 && size >= RECORD_HEADER_SIZE && size <= writer->size / LANE_LARGE_SHARE);
    lane_publish(writer, size);
}

int lane_head(const struct lane_header *header, uint64_t size, uint64_t from, uint64_t *ret_head) {
    /* acquire: pairs with lane_commit; the copy that follows finds every byte below. */
    uint64_t head = atomic_load_explicit(&header->head, memory_order_acquire);
    if (!is_possible(head, from, size))
        return -EBADMSG;
    *ret_head = head;
    return 0;
}

void lane_copy(const char *data, uint64_t size, uint64_t from, uint64_t to, void *out) {
    check((size & (size - 1)) == 0 && from <= to && to - from <= size);
    uint64_t offset = from & (size - 1), length = to - from;
    uint64_t first = length < size - offset ? length : size - offset;
    memcpy(out, data + offset, first);
    memcpy((char *)out + first, data, length - first);
}
