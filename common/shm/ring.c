#include "common/shm/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/shm/fault.h"
#include "common/shm/geometry.h"
#include "common/shm/ring_file.h"

enum { ATTACH_ATTEMPTS = 8 }; /* each one lost to somebody who made or removed the file meanwhile */

int ring_map(int fd, bool writable, struct ring *ret, struct error *error) {
    struct ring_header header;
    struct stat status;
    struct map map = MAP_EMPTY;
    int result = 0;
    /* pread, not the mapping: a file that is cut meanwhile is then a short read, and no SIGBUS. */
    if (fstat(fd, &status) < 0)
        result = error_set(error, -errno, "cannot look at the ring: %s", strerror(errno));
    else if (!S_ISREG(status.st_mode) || pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
        result = error_set(error, -EBADMSG, "the file is no ring: it is too short for a header");
    else
        result = ring_header_check(&header, (uint64_t)status.st_size, error);
    if (result < 0) {
        close(fd);
        return result;
    }
    result = map_file(fd, header.file_size, writable, &map, error);
    if (result < 0)
        return result;
    *ret = (struct ring) {
        .map = map,
        .header = (struct ring_header *)(void *)map.base,
        .uid = header.uid,
        .slot_count = header.slot_count,
        .overflow_count = header.overflow_count,
        .lane_count = header.lane_count,
        .lanes_at = header.lanes_at,
        .slots_at = header.slots_at,
        .data_at = header.data_at,
        .size_limit = header.size_limit,
    };
    memcpy(ret->ring_id, header.ring_id, sizeof(ret->ring_id));
    return 0;
}

void ring_finish(struct ring *ring) {
    map_finish(&ring->map);
    *ring = (struct ring) { .map = MAP_EMPTY };
}

/* The user's file, made when it is not there; -EEXIST when it came into being between the two looks. */
static int open_or_create(const char *runtime_dir, uid_t uid, uint64_t size, struct error *error) {
    int rings_fd = ring_folder_open(runtime_dir, error);
    if (rings_fd < 0)
        return rings_fd;
    int fd = ring_file_open(rings_fd, uid, true, error);
    if (fd == -ENOENT)
        fd = ring_file_create(rings_fd, uid, size, error);
    close(rings_fd);
    return fd;
}

int ring_attach(const char *runtime_dir, uint64_t size, struct ring *ret, struct error *error) {
    struct shared_settings settings;
    struct ring ring;
    uid_t uid = geteuid();
    settings_read(runtime_dir, &settings);
    if (size == 0)
        size = settings.ring_size;
    int fd = -EEXIST;
    for (int attempt = 0; attempt < ATTACH_ATTEMPTS && fd == -EEXIST; attempt++)
        fd = open_or_create(runtime_dir, uid, size, error);
    if (fd == -EEXIST)
        return error_set(error, -EAGAIN, "%s/rings/%u comes and goes: try again", runtime_dir, (unsigned)uid);
    if (fd < 0)
        return error_prefix(error, fd, "%s/rings", runtime_dir);
    fault_point(ring_opened);
    int result = ring_map(fd, true, &ring, error);
    if (result < 0)
        return error_prefix(error, result, "%s/rings/%u", runtime_dir, (unsigned)uid);
    if (ring.uid != uid) {
        ring_finish(&ring);
        return error_set(error, -EBADMSG, "%s/rings/%u says it is another user's", runtime_dir, (unsigned)uid);
    }
    /* acquire: for symmetry with the claim, which decides (ring_slot_claim looks again). */
    if (atomic_load_explicit(&ring.header->attach, memory_order_acquire) & 1) {
        ring_finish(&ring);
        return error_set(error, -ESTALE, "%s/rings/%u is retired: try again", runtime_dir, (unsigned)uid);
    }
    fault_point(ring_mapped);
    ring.settings = settings;
    *ret = ring;
    return 0;
}

const struct ring_slot *ring_slot_of(const struct ring *ring, uint32_t slot) {
    return ring_slot_at(ring, slot);
}

struct loss_ledger *ring_anonymous_ledger(struct ring *ring) {
    return (struct loss_ledger *)(void *)(ring->map.base + RING_HEADER_SIZE);
}
