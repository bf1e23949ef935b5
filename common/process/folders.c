/* The folders a daemon lives in and the lock that keeps a second instance away; declared in daemon.h. */
#include "common/process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOLDER_SIZE = 128, FOLDER_PATH_MAX = 512 };

/* --- folders --- */

static int explain(struct error *error, int code, const char *what, const char *path) {
    switch (-code) {
    case ENOENT:
        return error_set(error, code,
                         "%s %s cannot be created: the folder above it is missing; create it, or choose another", what,
                         path);
    case EACCES:
    case EPERM:
        return error_set(error, code, "%s %s: no permission for uid %u; change its owner, or choose another", what,
                         path, (unsigned)geteuid());
    case EROFS:
        return error_set(error, code, "%s %s is on a read-only file system; remount it, or choose another", what, path);
    case ENOTDIR:
    case ELOOP:
        return error_set(error, code, "%s %s is not a folder; remove what is there, or choose another", what, path);
    default:
        return error_set(error, code, "%s %s: %s", what, path, strerror(-code));
    }
}

/* Open the folder, creating its last part. *ret_made tells whether this call made it. */
static int open_folder(const char *path, mode_t mode, bool *ret_made, int *ret_fd) {
    int made = mkdir(path, mode) < 0 ? -errno : 0;
    int fd;

    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && made < 0 ? made : -errno;
    *ret_made = made == 0;
    *ret_fd = fd;
    return 0;
}

/* Writing is tried, not asked about: access(2) knows neither every read-only mount nor root's limits. */
static int try_to_write(int dir) {
    char name[64];
    int fd;

    fd = openat(dir, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno == ENOSPC || errno == EDQUOT) /* full is not unwritable */
        return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR)
        return -errno;
    snprintf(name, sizeof(name), ".writable.%ld", (long)getpid());
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? 0 : -errno;
    close(fd);
    return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

int daemon_make_dir(const char *path, mode_t mode, const char *what, struct error *error) {
    bool made = false;
    int fd = -1;
    int r = open_folder(path, mode, &made, &fd);

    if (r == 0 && made && fchmod(fd, mode) < 0) /* umask had its say */
        r = -errno;
    if (r == 0)
        r = try_to_write(fd);
    if (fd >= 0)
        close(fd);
    return r < 0 ? explain(error, r, what, path) : 0;
}

/* rings/ must be ours alone: its mode lets everybody put files there. */
static int make_rings(int runtime, const char *path, struct error *error) {
    const char *what = "the folder of the rings";
    struct stat status;
    int fd, r = 0;

    if (mkdirat(runtime, "rings", 0700) < 0 && errno != EEXIST)
        return explain(error, -errno, what, path);
    fd = openat(runtime, "rings", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return explain(error, -errno, what, path);
    if (fstat(fd, &status) < 0)
        r = explain(error, -errno, what, path);
    else if (status.st_uid != geteuid())
        r = error_set(error, -EPERM,
                      "%s %s belongs to uid %u, not to uid %u, which runs this process; remove it, or run as its owner",
                      what, path, (unsigned)status.st_uid, (unsigned)geteuid());
    else if ((status.st_mode & 07777) != 03773 && fchmod(fd, 03773) < 0)
        r = explain(error, -errno, what, path);
    close(fd);
    return r;
}

int daemon_runtime_dirs(const char *runtime_dir, struct error *error) {
    char rings[FOLDER_PATH_MAX];
    int fd, r = daemon_make_dir(runtime_dir, 0755, "the runtime folder (runtime_dir)", error);

    if (r < 0)
        return r;
    if (snprintf(rings, sizeof(rings), "%s/rings", runtime_dir) >= (int)sizeof(rings))
        return error_set(error, -ENAMETOOLONG, "the path of the runtime folder is too long");
    fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return explain(error, -errno, "the runtime folder (runtime_dir)", runtime_dir);
    r = make_rings(fd, rings, error);
    close(fd);
    return r;
}

/* --- the instance lock --- */

/* "taskforge-collector (pid 4711)", as the holder wrote it; what is in the file is cleaned by error_set. */
static void read_holder(int fd, char out[HOLDER_SIZE]) {
    ssize_t n = pread(fd, out, HOLDER_SIZE - 1, 0);

    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (out[0] == '\0')
        snprintf(out, HOLDER_SIZE, "another process, which is just starting");
}

static int write_holder(int fd) {
    char text[HOLDER_SIZE];
    int length = snprintf(text, sizeof(text), "%s (pid %ld)\n", program_invocation_short_name, (long)getpid());

    if (length >= (int)sizeof(text))
        length = (int)sizeof(text) - 1;
    if (ftruncate(fd, 0) < 0)
        return -errno;
    /* A full disk must not keep a daemon from running: then the file names nobody. */
    if (pwrite(fd, text, (size_t)length, 0) < 0 && errno != ENOSPC && errno != EDQUOT)
        return -errno;
    return 0;
}

static int lock_file(int fd, const char *path, struct error *error) {
    char holder[HOLDER_SIZE];
    int r;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return error_set(error, -errno, "cannot lock %s: %s", path, strerror(errno));
        read_holder(fd, holder);
        return error_set(error, -EBUSY, "%s is held by %s; stop that one first", path, holder);
    }
    r = write_holder(fd);
    return r < 0 ? error_set(error, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

/* An existing file is opened without O_CREAT: in a sticky folder the kernel refuses that to everybody but the file's owner
 * (fs.protected_regular), and root would not be told who holds it. */
static int open_lock(const char *path) {
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, flags);

    return fd < 0 && errno == ENOENT ? open(path, flags | O_CREAT, 0644) : fd;
}

int daemon_lock(const char *dir, const char *name, struct error *error) {
    char path[FOLDER_PATH_MAX];
    int fd, r;

    if (snprintf(path, sizeof(path), "%s/%s.lock", dir, name) >= (int)sizeof(path))
        return error_set(error, -ENAMETOOLONG, "the path of the lock file in %s is too long", dir);
    fd = open_lock(path);
    if (fd < 0)
        return explain(error, -errno, "the lock file", path);
    r = lock_file(fd, path, error);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}
