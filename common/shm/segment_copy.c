/* segment_copy.c - see segment.h: the segment as a private copy, read with pread(2), which ends short where a mapping would raise SIGBUS.
 *
 * It is read until two passes found the same, and no series within an update: then each value is of one moment. A writer that was
 * killed within an update leaves it so: after some waiting what stands there is taken, as ever.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/shm/segment_private.h"

enum { ATTEMPTS_MAX = 100 };

static int read_whole(int fd, char *to, uint64_t at, uint64_t end) {
    while (at < end) {
        ssize_t count = pread(fd, to + at, end - at, (off_t)at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EBADMSG; /* cut */
        at += (uint64_t)count;
    }
    return 0;
}

/* The header, and all it says is used: that far, or a negative errno. */
static int64_t copy_once(int fd, char *to, uint64_t size) {
    int result = read_whole(fd, to, 0, SEGMENT_HEADER_SIZE);
    if (result < 0)
        return result;
    uint64_t used = atomic_load(&((struct segment_header *)(void *)to)->used);
    if (used < SEGMENT_HEADER_SIZE || used > size)
        return -EBADMSG;
    result = read_whole(fd, to, SEGMENT_HEADER_SIZE, used);
    return result < 0 ? result : (int64_t)used;
}

static char *map_memory(uint64_t size) {
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

static bool is_same(const char *copy, int64_t used, const char *other, int64_t other_used) {
    return used == other_used &&
           memcmp(copy + SEGMENT_HEADER_SIZE, other + SEGMENT_HEADER_SIZE, (size_t)used - SEGMENT_HEADER_SIZE) == 0;
}

/* Whether the writer was within an update of some series. What makes no sense is left to the reading. */
static bool is_between(const char *copy, int64_t used) {
    uint32_t version = ((const struct segment_header *)(const void *)copy)->version;
    for (uint64_t at = SEGMENT_HEADER_SIZE; at + sizeof(struct segment_piece) <= (uint64_t)used;) {
        struct segment_piece piece;
        memcpy(&piece, copy + at, sizeof(piece));
        if (piece.size < sizeof(piece) || piece.size % 8 != 0 || piece.size > (uint64_t)used - at)
            return false;
        const _Atomic uint64_t *words = segment_words(version, copy + at, &piece);
        if (words && words[SEGMENT_WORD_SEQUENCE] % 2 != 0)
            return true;
        at += piece.size;
    }
    return false;
}

/* Fill `base` from the file, with `other` to compare. */
static int copy_settled(int fd, char *base, char *other, uint64_t size) {
    bool same = false, between = false;
    for (int attempt = 0; attempt < ATTEMPTS_MAX && (!same || between); attempt++) {
        if (attempt > 0)
            nanosleep(&(struct timespec) { .tv_nsec = CLOCK_MILLISECOND }, NULL);
        int64_t used = copy_once(fd, base, size), other_used = used < 0 ? used : copy_once(fd, other, size);
        if (other_used < 0)
            return (int)other_used;
        same = is_same(base, used, other, other_used);
        between = is_between(base, used);
    }
    return same ? 0 : -EAGAIN;
}

static int copy_file(int fd, uint64_t size, struct segment *segment, struct error *error) {
    char *other = map_memory(size);
    segment->map = (struct map) { .fd = -1, .base = map_memory(size), .size = size };
    int result = -ENOMEM;
    if (other && segment->map.base)
        result = copy_settled(fd, segment->map.base, other, size);
    if (other)
        munmap(other, size);
    if (result == -ENOMEM)
        return error_set(error, result, "no memory to read the metric segment");
    if (result == -EAGAIN)
        return error_set(error, result, "the metric segment %s changed faster than it could be read", segment->path);
    if (result == 0)
        result = segment_read_header(segment);
    return result < 0 ? segment_header_fault(segment->path, result, error) : 0;
}

int segment_open_copy(const char *runtime_dir, struct segment **ret, struct error *error) {
    struct segment *segment = calloc(1, sizeof(*segment));
    uint64_t size = 0;
    if (!segment || asprintf(&segment->path, "%s/" SEGMENT_NAME, runtime_dir) < 0) {
        free(segment);
        return error_set(error, -ENOMEM, "no memory to read the metric segment");
    }
    segment->map = MAP_EMPTY;
    segment->is_copy = true;
    int fd = segment_open_file(segment->path, &size, error);
    int result = fd < 0 ? fd : copy_file(fd, size, segment, error);
    if (fd >= 0)
        close(fd);
    if (result < 0) {
        segment_close(segment);
        return result;
    }
    *ret = segment;
    return 0;
}
