#include "common/shm/map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"

int map_file(int fd, size_t size, bool writable, struct map *ret, struct error *error) {
    check(size > 0);
    struct stat status;
    int result;

    if (fstat(fd, &status) < 0) {
        result = error_set(error, -errno, "cannot look at the file to be mapped: %s", strerror(errno));
        goto fail;
    }
    if (!S_ISREG(status.st_mode)) {
        result = error_set(error, -EBADMSG, "what should be mapped is not a regular file");
        goto fail;
    }
    if (status.st_size < 0 || (uint64_t)status.st_size != size) {
        result = error_set(error, -EBADMSG, "the file has %lld bytes where %zu were expected",
                           (long long)status.st_size, size);
        goto fail;
    }
    void *base = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        result = error_set(error, -errno, "cannot map %zu bytes: %s", size, strerror(errno));
        goto fail;
    }
    *ret = (struct map) { .fd = fd, .base = base, .size = size, .device = status.st_dev, .inode = status.st_ino };
    return 0;

fail:
    close(fd);
    return result;
}

bool map_owns_descriptor(const struct map *map) {
    struct stat status;
    return map->fd >= 0 && fstat(map->fd, &status) == 0 && status.st_dev == map->device && status.st_ino == map->inode;
}

void map_finish(struct map *map) {
    if (map->base)
        munmap(map->base, map->size);
    if (map_owns_descriptor(map))
        close(map->fd);
    *map = MAP_EMPTY;
}

int map_allocate(const struct map *map, uint64_t at, uint64_t size) {
    check(size > 0 && at <= map->size && size <= map->size - at);
    if (!map_owns_descriptor(map))
        return -EBADF;
    while (fallocate(map->fd, 0, (off_t)at, (off_t)size) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}
