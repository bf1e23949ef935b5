/* io_fault.c - a library to be preloaded into the real programs: it makes calls on files fail, loses what a failed fsync did not
 * write, delays syncs, and records all that changes a file (io_fault.h). Only libc. */
#include "tests/torture/io_fault_private.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 4096 };

static struct io_control nothing, *control = &nothing;
static const char *under;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* the log's order is the order of what happened */

static struct descriptor {
    bool ours, folder, dsync;
    uint32_t file;
    char path[256];
} descriptors[FDS_MAX];

/* The real call of that name. */
#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    if (!real)                                                                                                         \
    real = (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void set_up(void) {
    const char *path = getenv("IO_FAULT_CONTROL"), *log = getenv("IO_FAULT_LOG");
    const char *folders = getenv("IO_FAULT_UNDER");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, IO_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED)
            control = map;
        close(fd);
    }
    if (log)
        io_record_open(log);
    under = folders;
}

/* --- which files --- */

static bool is_ours(const char *path) {
    size_t length = strlen(path);
    if (!under || (length > 5 && strcmp(path + length - 5, "-lock") == 0) ||
        (length > 8 && strcmp(path + length - 8, "/reserve") == 0))
        return false;
    for (const char *at = under; *at;) {
        size_t size = strcspn(at, ":");
        if (size > 0 && strncmp(path, at, size) == 0 && (path[size] == '/' || path[size] == '\0'))
            return true;
        at += size + (at[size] == ':');
    }
    return false;
}

static struct descriptor *descriptor_of(int fd) {
    return fd >= 0 && fd < FDS_MAX && descriptors[fd].ours ? &descriptors[fd] : NULL;
}

static void path_at(int folder, const char *path, char out[PATH_MAX]) {
    char link[64];
    if (path[0] == '/' || folder == AT_FDCWD) {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, out, PATH_MAX / 2);
    length = length < 0 ? 0 : length;
    snprintf(out + length, PATH_MAX - (size_t)length, "/%s", path);
}

/* --- faults --- */

/* Whether this call is to fail; errno is set then. */
static bool fails(enum io_kind kind, const char *path) {
    if (!(atomic_load(&control->kinds) >> kind & 1) || (control->only[0] && !strstr(path, control->only)))
        return false;
    uint64_t passed = atomic_fetch_add(&control->passed, 1) + 1, first = atomic_load(&control->first);
    if (passed < first || passed - first >= atomic_load(&control->count))
        return false;
    errno = (int)atomic_load(&control->error);
    atomic_fetch_add(&control->failed, 1);
    return true;
}

static bool lies(void) {
    return atomic_load(&control->mode) == IO_LIE;
}

static void delay_sync(void) {
    uint64_t ns = atomic_load(&control->sync_delay_ns);
    if (ns)
        nanosleep(&(struct timespec) { (time_t)(ns / 1000000000), (long)(ns % 1000000000) }, NULL);
}

/* --- open and close --- */

static void note_open(int fd, const char *path, int flags, bool existed) {
    struct stat status;
    if (fd < 0 || fd >= FDS_MAX || fstat(fd, &status) < 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
        return;
    struct descriptor *descriptor = &descriptors[fd];
    *descriptor =
        (struct descriptor) { .ours = true, .folder = S_ISDIR(status.st_mode), .dsync = (flags & O_DSYNC) != 0 };
    snprintf(descriptor->path, sizeof(descriptor->path), "%.255s", path);
    if (!descriptor->folder)
        descriptor->file = io_record_file(&status, path, !existed);
}

static int open_path(int (*real)(int, const char *, int, ...), int folder, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    path_at(folder, path, whole);
    if (!is_ours(whole))
        return real(folder, path, flags, mode);
    if (fails(IO_OPEN, whole))
        return -1;
    pthread_mutex_lock(&mutex);
    struct stat status;
    bool existed = !(flags & O_CREAT) || fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = real(folder, path, flags, mode), code = errno;
    if (fd >= 0)
        note_open(fd, whole, flags, existed);
    pthread_mutex_unlock(&mutex);
    errno = code;
    return fd;
}

#define OPEN_BODY(folder)                                                                                              \
    static int (*real)(int, const char *, int, ...);                                                                   \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                             \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode = va_arg(arguments, mode_t);                                                                              \
        va_end(arguments);                                                                                             \
    }                                                                                                                  \
    if (!real)                                                                                                         \
        real = (int (*)(int, const char *, int, ...))(uintptr_t)dlsym(RTLD_NEXT, "openat64");                          \
    return open_path(real, folder, path, flags, mode)

int open(const char *path, int flags, ...) {
    OPEN_BODY(AT_FDCWD);
}
int open64(const char *path, int flags, ...) {
    OPEN_BODY(AT_FDCWD);
}
int openat(int folder, const char *path, int flags, ...) {
    OPEN_BODY(folder);
}
int openat64(int folder, const char *path, int flags, ...) {
    OPEN_BODY(folder);
}

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FDS_MAX)
        descriptors[fd].ours = false;
    return real(fd);
}

/* --- writing --- */

static ssize_t write_out(int fd, const struct iovec *parts, int count, off_t offset) {
    ssize_t (*real)(int, const struct iovec *, int, off_t) = io_real_pwritev();
    struct descriptor *descriptor = descriptor_of(fd);
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (fails(IO_WRITE, descriptor->path)) {
        int code = errno;
        if (lies())
            (void)real(fd, parts, count, offset);
        errno = code;
        return -1;
    }
    pthread_mutex_lock(&mutex);
    if (atomic_load(&control->keep) && !descriptor->dsync)
        io_keep(fd, descriptor->file, offset, size);
    ssize_t put = real(fd, parts, count, offset);
    int code = errno;
    if (put > 0)
        io_record_write(descriptor->file, descriptor->dsync, offset, parts, count, (size_t)put);
    pthread_mutex_unlock(&mutex);
    if (descriptor->dsync)
        delay_sync();
    errno = code;
    return put;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REAL(pwrite);
    if (!descriptor_of(fd))
        return real(fd, data, size, offset);
    return write_out(fd, &(struct iovec) { (void *)(uintptr_t)data, size }, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return pwrite(fd, data, size, offset);
}

/* At the file's place, which is moved on: LMDB seeks and writes. */
static ssize_t write_here(int fd, const struct iovec *parts, int count) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t put = write_out(fd, parts, count, at);
    if (put > 0)
        lseek(fd, at + put, SEEK_SET);
    return put;
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (!descriptor_of(fd))
        return real(fd, data, size);
    return write_here(fd, &(struct iovec) { (void *)(uintptr_t)data, size }, 1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    return descriptor_of(fd) ? write_here(fd, parts, count) : real(fd, parts, count);
}

/* --- syncs and sizes --- */

static int sync_out(int fd, int (*real)(int)) {
    struct descriptor *descriptor = descriptor_of(fd);
    if (!descriptor)
        return real(fd);
    if (fails(IO_SYNC, descriptor->path)) {
        int code = errno;
        if (atomic_load(&control->mode) == IO_DROP) {
            pthread_mutex_lock(&mutex);
            io_undo(fd, descriptor->file);
            pthread_mutex_unlock(&mutex);
        }
        errno = code;
        return -1;
    }
    delay_sync();
    pthread_mutex_lock(&mutex);
    int result = real(fd), code = errno;
    if (result == 0) {
        io_forget(descriptor->file);
        io_record_event(descriptor->folder ? IO_EVENT_SYNC_FOLDER : IO_EVENT_SYNC, descriptor->file, 0,
                        descriptor->folder ? descriptor->path : "", NULL);
    }
    pthread_mutex_unlock(&mutex);
    errno = code;
    return result;
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return sync_out(fd, real);
}
int fsync(int fd) {
    REAL(fsync);
    return sync_out(fd, real);
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    struct descriptor *descriptor = descriptor_of(fd);
    if (!descriptor)
        return real(fd, length);
    if (fails(IO_SIZE, descriptor->path))
        return -1;
    pthread_mutex_lock(&mutex);
    int result = real(fd, length), code = errno;
    if (result == 0)
        io_record_event(IO_EVENT_TRUNCATE, descriptor->file, (uint64_t)length, "", NULL);
    pthread_mutex_unlock(&mutex);
    errno = code;
    return result;
}
int ftruncate64(int fd, off64_t length) {
    return ftruncate(fd, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    REAL(fallocate);
    struct descriptor *descriptor = descriptor_of(fd);
    if (!descriptor)
        return real(fd, mode, offset, length);
    if (fails(IO_SIZE, descriptor->path))
        return -1;
    pthread_mutex_lock(&mutex);
    int result = real(fd, mode, offset, length), code = errno;
    if (result == 0)
        io_record_event(IO_EVENT_ALLOCATE, descriptor->file, (uint64_t)(offset + length), "", NULL);
    pthread_mutex_unlock(&mutex);
    errno = code;
    return result;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return fallocate(fd, mode, offset, length);
}

/* --- names --- */

static bool name_fails(const char *path) {
    return is_ours(path) && fails(IO_NAME, path);
}

static void note_name(int result, enum io_event event, const char *path, const char *to) {
    if (result == 0 && is_ours(path))
        io_record_event(event, 0, 0, path, to);
}

#define NAME_BODY(call, event, path, to)                                                                               \
    if (name_fails(path))                                                                                              \
        return -1;                                                                                                     \
    pthread_mutex_lock(&mutex);                                                                                        \
    int result = call, code = errno;                                                                                   \
    note_name(result, event, path, to);                                                                                \
    pthread_mutex_unlock(&mutex);                                                                                      \
    errno = code;                                                                                                      \
    return result

int link(const char *from, const char *to) {
    REAL(link);
    NAME_BODY(real(from, to), IO_EVENT_LINK, from, to);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    NAME_BODY(real(from, to), IO_EVENT_RENAME, from, to);
}
int unlink(const char *path) {
    REAL(unlink);
    NAME_BODY(real(path), IO_EVENT_UNLINK, path, NULL);
}
int unlinkat(int folder, const char *path, int flags) {
    char whole[PATH_MAX];
    REAL(unlinkat);
    path_at(folder, path, whole);
    NAME_BODY(real(folder, path, flags), IO_EVENT_UNLINK, whole, NULL);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return name_fails(path) ? -1 : real(path, mode);
}

/* --- reading --- */

ssize_t pread(int fd, void *data, size_t size, off_t offset) {
    REAL(pread);
    struct descriptor *descriptor = descriptor_of(fd);
    return descriptor && fails(IO_READ, descriptor->path) ? -1 : real(fd, data, size, offset);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    return pread(fd, data, size, offset);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    REAL(mmap);
    struct descriptor *descriptor = descriptor_of(fd);
    return descriptor && fails(IO_MAP, descriptor->path) ? MAP_FAILED : real(at, size, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, size, protection, flags, fd, offset);
}
