#include "common/shm/ring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/shm/fault.h"
#include "common/shm/geometry.h"

enum { FOLDER_PATH_MAX = 4096, NAME_SIZE = 64, RINGS_MODE = 03773, RING_MODE = 0660, RUNTIME_MODE = 0755 };

/* --- the folder --- */

static int make_folder(const char *path, mode_t mode) {
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : -errno;
    return chmod(path, mode) < 0 ? -errno : 0; /* ours, just made: the umask took bits away, mkdir never sets setgid */
}

int ring_folder_open(const char *runtime_dir, struct error *error) {
    char path[FOLDER_PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/rings", runtime_dir) >= sizeof(path))
        return error_set(error, -ENAMETOOLONG, "the runtime directory's path is too long");
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        int result = make_folder(runtime_dir, RUNTIME_MODE);
        if (result == 0)
            result = make_folder(path, RINGS_MODE);
        if (result < 0)
            return error_set(error, result, "cannot make the folder %s: %s", path, strerror(-result));
        fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0)
        return error_set(error, -errno, "cannot open the folder %s: %s", path, strerror(errno));
    return fd;
}

/* --- opening --- */

/* A descriptor below 3 stands where an application that closed its standard streams expects them: out of the way. */
static int above_standard_streams(int fd) {
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int result = moved < 0 ? -errno : moved;
    close(fd);
    return result;
}

int ring_file_open(int rings_fd, uid_t uid, bool writable, struct error *error) {
    char name[NAME_SIZE];
    struct stat status;
    snprintf(name, sizeof(name), "%u", (unsigned)uid);
    /* O_NONBLOCK: neither a FIFO nor a lease that its owner holds may keep us waiting. */
    int flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(rings_fd, name, flags);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 && errno == ELOOP)
        return error_set(error, -EPERM, "ring %s is a symbolic link: refused", name);
    if (fd < 0)
        return error_set(error, -errno, "cannot open ring %s: %s", name, strerror(errno));

    int result = 0;
    if (fstat(fd, &status) < 0)
        result = error_set(error, -errno, "cannot look at ring %s: %s", name, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        result = error_set(error, -EPERM, "ring %s is not a regular file: refused", name);
    else if (status.st_uid != uid)
        result = error_set(error, -EPERM, "ring %s belongs to user %u: refused", name, (unsigned)status.st_uid);
    if (result < 0) {
        close(fd);
        return result;
    }
    fd = above_standard_streams(fd);
    return fd < 0 ? error_set(error, fd, "cannot open ring %s: %s", name, strerror(-fd)) : fd;
}

/* --- making --- */

/* Everything before the slots: header, anonymous ledger, lane headers. The caller frees it; NULL without memory. */
static char *draw_front(const struct geometry *geometry, uid_t uid) {
    char *front = calloc(1, geometry->slots_at);
    if (!front)
        return NULL;
    struct ring_header header = {
        .magic = RING_MAGIC,
        .version = RING_VERSION,
        .header_size = RING_HEADER_SIZE,
        .uid = uid,
        .slot_count = geometry->slot_count,
        .overflow_count = geometry->overflow_count,
        .lane_count = geometry->lane_count,
        .file_size = geometry->file_size,
        .lanes_at = geometry->lanes_at,
        .slots_at = geometry->slots_at,
        .data_at = geometry->data_at,
        .created_ns = clock_real_ns(),
        .slot_size = RING_SLOT_SIZE,
        .lane_size = RING_LANE_SIZE,
        .overflow_size = RING_OVERFLOW_SIZE,
        .size_limit = geometry->size_limit,
        .allocated = geometry->slots_at,
    };
    if (random_bytes(header.ring_id, sizeof(header.ring_id)) < 0) {
        free(front);
        return NULL;
    }
    memcpy(front, &header, sizeof(header));
    struct lane_header lane = { .head = LANE_POSITION_START, .tail = LANE_POSITION_START };
    for (uint32_t i = 0; i < geometry->lane_count; i++)
        memcpy(front + geometry->lanes_at + (uint64_t)i * RING_LANE_HEADER_SIZE, &lane, sizeof(lane));
    return front;
}

static int allocate(int fd, uint64_t at, uint64_t size) {
    while (fallocate(fd, 0, (off_t)at, (off_t)size) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

static int write_at_start(int fd, const char *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t written = pwrite(fd, bytes + at, size - at, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        at += (size_t)written;
    }
    return 0;
}

/* The folder's group although the folder is not setgid (an own one somewhere): where we may. The mode whatever the
 * umask. */
static int set_access(int rings_fd, int fd) {
    struct stat folder, file;
    if (fstat(rings_fd, &folder) < 0 || fstat(fd, &file) < 0)
        return -errno;
    if (folder.st_gid != file.st_gid && fchown(fd, (uid_t)-1, folder.st_gid) < 0 && errno != EPERM)
        return -errno;
    return fchmod(fd, RING_MODE) < 0 ? -errno : 0;
}

static int build(int rings_fd, int fd, uid_t uid, uint64_t size) {
    struct geometry geometry;
    struct rlimit limit;
    geometry_of_size(size, &geometry);
    /* Beyond the limit the kernel would send SIGXFSZ and end the application. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < geometry.file_size)
        return -EFBIG;
    if (ftruncate(fd, (off_t)geometry.file_size) < 0)
        return -errno;
    fault_point(ring_sized);
    int result = allocate(fd, 0, geometry.slots_at);
    if (result < 0)
        return result;
    fault_point(ring_allocated);
    char *front = draw_front(&geometry, uid);
    if (!front)
        return -ENOMEM;
    result = write_at_start(fd, front, geometry.slots_at);
    free(front);
    fault_point(ring_written);
    return result < 0 ? result : set_access(rings_fd, fd);
}

int ring_file_create(int rings_fd, uid_t uid, uint64_t size, struct error *error) {
    char name[NAME_SIZE], temporary[NAME_SIZE];
    uint64_t random = 0;
    int result = random_bytes(&random, sizeof(random));
    if (result < 0)
        return error_set(error, result, "cannot make ring %u: no random bytes", (unsigned)uid);
    snprintf(name, sizeof(name), "%u", (unsigned)uid);
    snprintf(temporary, sizeof(temporary), ".%u.%016llx", (unsigned)uid, (unsigned long long)random);

    int fd = openat(rings_fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, RING_MODE);
    if (fd < 0)
        return error_set(error, -errno, "cannot make ring %s: %s", name, strerror(errno));
    fd = above_standard_streams(fd);
    fault_point(ring_named);
    result = fd < 0 ? fd : build(rings_fd, fd, uid, size);
    fault_point(ring_whole);
    if (result == 0 && linkat(rings_fd, temporary, rings_fd, name, 0) < 0)
        result = -errno;
    fault_point(ring_linked);
    unlinkat(rings_fd, temporary, 0);
    if (result == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    if (result == -EEXIST) /* attach to the winner's */
        return result;
    return error_set(error, result, "cannot make ring %s: %s", name, strerror(-result));
}
