/* recorder_reader.c - lanes of the flight recorder, which their producers overwrite (ring_reader.h, layout.h). */
#include <errno.h>

#include "common/base/check.h"
#include "common/shm/geometry.h"
#include "common/shm/ring_reader.h"

struct recorder_access {
    const struct lane_header *header;
    const char *data;
    uint64_t size, from;
    char *out;
    uint64_t copied_from, begin, end;
};

#define NOT_SANITIZED __attribute__((noinline, no_sanitize("thread")))

/* Word by word, while the producer may write: what is torn by it is found out afterwards. */
static NOT_SANITIZED void copy_words(const struct recorder_access *access, uint64_t from, uint64_t to) {
    const volatile uint64_t *words = (const volatile uint64_t *)(const volatile void *)access->data;
    uint64_t *out = (uint64_t *)(void *)access->out, mask = access->size - 1;
    for (uint64_t at = from; at < to; at += sizeof(uint64_t))
        *out++ = words[(at & mask) / sizeof(uint64_t)];
}

static int copy_recorder(void *argument) {
    struct recorder_access *access = argument;
    uint64_t size = access->size;
    /* acquire: pairs with lane_commit. */
    uint64_t head = atomic_load_explicit(&access->header->head, memory_order_acquire);
    if (head % RECORD_ALIGN != 0 || head < access->from)
        return -EBADMSG;
    access->copied_from = head - access->from > size ? head - size : access->from;
    access->end = head;
    copy_words(access, access->copied_from, head);
    LANE_FENCE(memory_order_acquire); /* pairs with `announce` in lane.c */
    uint64_t newest = atomic_load_explicit(&access->header->head, memory_order_relaxed);
    if (newest < head)
        return -EBADMSG;
    uint64_t claimed = atomic_load_explicit(&access->header->claimed, memory_order_relaxed);
    newest = claimed > newest ? claimed : newest;
    uint64_t torn = newest > size ? newest - size : 0; /* below */
    access->begin = torn > access->copied_from ? torn : access->copied_from;
    return 0;
}

int ring_reader_recorder(struct ring *ring, uint32_t lane, uint64_t from, void *room, struct recorder_reader *ret) {
    check(lane >= ring->overflow_count && from % RECORD_ALIGN == 0 && (uintptr_t)room % RECORD_ALIGN == 0);
    struct recorder_access access = {
        .header = ring_lane_header(ring, lane),
        .data = ring->map.base + ring_lane_data_at(ring, lane),
        .size = ring_lane_size(ring, lane),
        .from = from,
        .out = room,
    };
    int result = map_guarded(copy_recorder, &access);
    if (result < 0)
        return result;
    uint64_t begin = access.begin < access.end ? access.begin : access.end;
    begin += -begin % RECORD_ALIGN; /* `claimed` may be anything */
    *ret = (struct recorder_reader) { access.out + (begin - access.copied_from), begin, access.end };
    return 0;
}

const char *recorder_reader_next(struct recorder_reader *reader, struct record_header *ret) {
    while (reader->end - reader->position >= RECORD_HEADER_SIZE) {
        const char *bytes = reader->bytes;
        bool found = record_header_decode(bytes, reader->end - reader->position, reader->position, ret) == 0;
        uint64_t step = found ? ret->length : RECORD_ALIGN;
        reader->bytes += step;
        reader->position += step;
        if (found && ret->kind != RECORD_PADDING)
            return bytes;
    }
    return NULL;
}
