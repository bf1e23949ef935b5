#include "tests/lib/fail_at.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    unsigned kinds, left;
    int code;
    bool failed;
} plan;

void fail_at(unsigned kinds, unsigned number, int code) {
    plan.kinds = kinds;
    plan.left = number;
    plan.code = code;
    plan.failed = false;
}

bool fail_stop(void) {
    plan.kinds = 0;
    return plan.failed;
}

static bool is_due(unsigned kind) {
    if (!(plan.kinds & kind) || --plan.left > 0)
        return false;
    plan.kinds = 0;
    plan.failed = true;
    return true;
}

static bool fails(void) {
    if (!is_due(FAIL_CALL))
        return false;
    errno = plan.code;
    return true;
}

/* Allocations. */
#define WRAP_MEMORY(name, parameters, ...)                                                                             \
    void *__real_##name parameters;                                                                                    \
    void *__wrap_##name parameters;                                                                                    \
    void *__wrap_##name parameters {                                                                                   \
        if (!is_due(FAIL_MEMORY))                                                                                      \
            return __real_##name(__VA_ARGS__);                                                                         \
        errno = ENOMEM;                                                                                                \
        return NULL;                                                                                                   \
    }
/* Calls that give -1 (or `wrong`) and errno. */
#define WRAP(type, wrong, name, parameters, ...)                                                                       \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters {                                                                                    \
        return fails() ? (wrong) : __real_##name(__VA_ARGS__);                                                         \
    }
/* Those that may do less than they should. */
#define WRAP_PART(name, parameters, size, part, whole)                                                                 \
    ssize_t __real_##name parameters;                                                                                  \
    ssize_t __wrap_##name parameters;                                                                                  \
    ssize_t __wrap_##name parameters {                                                                                 \
        return fails() ? -1 : (size) > 1 && is_due(FAIL_SHORT) ? __real_##name part : __real_##name whole;             \
    }
/* Those with a mode that may not be there. */
#define WRAP_OPEN(name, parameters, ...)                                                                               \
    int __real_##name parameters;                                                                                      \
    int __wrap_##name parameters;                                                                                      \
    int __wrap_##name parameters {                                                                                     \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                        \
        va_end(more);                                                                                                  \
        return fails() ? -1 : __real_##name(__VA_ARGS__, flags, mode);                                                 \
    }

WRAP_MEMORY(malloc, (size_t size), size)
WRAP_MEMORY(calloc, (size_t count, size_t size), count, size)
WRAP_MEMORY(realloc, (void *memory, size_t size), memory, size)
WRAP_MEMORY(reallocarray, (void *memory, size_t count, size_t size), memory, count, size)

WRAP_OPEN(open64, (const char *path, int flags, ...), path)
WRAP_OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path)
WRAP(int, -1, stat64, (const char *path, struct stat *ret), path, ret)
WRAP(int, -1, lstat64, (const char *path, struct stat *ret), path, ret)
WRAP(int, -1, fstat64, (int fd, struct stat *ret), fd, ret)
WRAP(int, -1, fstatat64, (int folder, const char *path, struct stat *ret, int flags), folder, path, ret, flags)
WRAP(int, -1, statvfs64, (const char *path, struct statvfs *ret), path, ret)
WRAP(int, -1, fsync, (int fd), fd)
WRAP(int, -1, fdatasync, (int fd), fd)
WRAP(int, -1, ftruncate64, (int fd, off_t size), fd, size)
WRAP(int, -1, fallocate64, (int fd, int mode, off_t at, off_t size), fd, mode, at, size)
WRAP(int, plan.code, posix_fallocate64, (int fd, off_t at, off_t size), fd, at, size)
WRAP(int, -1, fchmod, (int fd, mode_t mode), fd, mode)
WRAP(int, -1, chmod, (const char *path, mode_t mode), path, mode)
WRAP(int, -1, fchown, (int fd, uid_t uid, gid_t gid), fd, uid, gid)
WRAP(int, -1, rename, (const char *from, const char *to), from, to)
WRAP(int, -1, link, (const char *from, const char *to), from, to)
WRAP(int, -1, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags), from_fd, from, to_fd, to,
     flags)
WRAP(int, -1, mkdir, (const char *path, mode_t mode), path, mode)
WRAP(int, -1, pipe2, (int ends[2], int flags), ends, flags)
WRAP(pid_t, -1, fork, (void))
WRAP(DIR *, NULL, opendir, (const char *path), path)
WRAP(struct dirent *, NULL, readdir64, (DIR * folder), folder)
WRAP(void *, MAP_FAILED, mmap64, (void *at, size_t size, int protection, int flags, int fd, off_t offset), at, size,
     protection, flags, fd, offset)

WRAP_PART(pread64, (int fd, void *bytes, size_t size, off_t at), size, (fd, bytes, size / 2, at), (fd, bytes, size, at))
WRAP_PART(pwrite64, (int fd, const void *bytes, size_t size, off_t at), size, (fd, bytes, size / 2, at),
          (fd, bytes, size, at))
WRAP_PART(write, (int fd, const void *bytes, size_t size), size, (fd, bytes, size / 2), (fd, bytes, size))
