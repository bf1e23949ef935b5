/* tail_rotate.c - what became of a file that the globs do not give any more.
 *
 * A descriptor that is open follows its file anywhere. A file that is closed is at the path where it was seen last, or it
 * is looked for in its label's folder (tail_order.c). */
#include "agent/inputs/tail_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

bool tail_is_quiet(const struct tail_file *file, uint64_t for_ms) {
    uint64_t for_ns = for_ms * CLOCK_MILLISECOND, now_ns = clock_real_ns();
    if (clock_monotonic_ns() - file->grew_ns >= for_ns)
        return true;
    return file->mtime_ns < now_ns && now_ns - file->mtime_ns >= for_ns; /* it was so before we looked */
}

static bool has_its_inode(const struct tail_file *file, const char *path, struct stat *ret) {
    return stat(path, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_dev == file->device && ret->st_ino == file->inode;
}

int tail_is_at(const struct tail_file *file, const char *path, const struct stat *status) {
    if (file->fd >= 0 ||
        (file->verified && (uint64_t)status->st_size == file->size && tail_mtime_ns(status) == file->mtime_ns))
        return 1;
    struct stat opened;
    int result, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &opened) != 0 || opened.st_dev != status->st_dev || opened.st_ino != status->st_ino)
        result = -ESTALE; /* renamed since it was looked at */
    else if ((uint64_t)opened.st_size < file->offset)
        result = 0;
    else
        result = tail_read_matches(fd, file->fingerprint, file->fingerprint_length);
    close(fd);
    return result;
}

void tail_rotated(struct tail_file *file) {
    if (file->rotated)
        return;
    file->rotated = file->moved = true;
    file->finished = false;
    tail_set_ready(file);
}

/* Whether the file system it was on is still there: one that is not mounted now has not lost its files. */
static bool is_mounted(const struct tail_file *file) {
    char folder[PATH_MAX];
    struct stat status;
    const char *slash = strrchr(file->label, '/');
    if (!slash || slash - file->label >= PATH_MAX)
        return true;
    memcpy(folder, file->label, (size_t)(slash - file->label));
    folder[slash - file->label] = '\0';
    for (char *end; stat(folder[0] ? folder : "/", &status) != 0; *end = '\0')
        if (errno != ENOENT || !(end = strrchr(folder, '/')))
            return false;
    return status.st_dev == file->device;
}

void tail_gone(struct tail_file *file) {
    if (!is_mounted(file)) {
        tail_set_remove(file);
        return;
    }
    tail_read_close(file);
    tail_set_move(file, NULL);
    tail_set_release(file);
    file->finished = file->forget = true;
    tail_set_ready(file);
}

static void follow_open(struct tail_file *file) {
    char link[64], path[PATH_MAX];
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return;
    tail_saw(file, &status);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
    ssize_t length = file->unlinked ? 0 : readlink(link, path, sizeof(path) - 1);
    if (length > 0)
        path[length] = '\0';
    tail_set_move(file, length > 0 ? path : NULL);
    tail_rotated(file);
    if (file->size != file->offset || !file->finished) {
        tail_set_ready(file);
    } else if (tail_is_quiet(file, TAIL_CLOSE_MS)) {
        if (file->unlinked)
            tail_gone(file);
        else
            tail_read_close(file);
    }
}

static void follow_closed(struct tail_file *file) {
    struct stat status;
    struct tail *tail = file->tail;
    bool there = file->path && has_its_inode(file, file->path, &status);
    if (there && strcmp(file->path, file->label) == 0 && !file->rotated) {
        if (tail->first_scan && !tail->scan_incomplete)
            tail_set_remove(file); /* the configuration does not name it any more; its position stays */
        return;
    }
    if (!there || tail_is_at(file, file->path, &status) == 0) {
        file->moved = true;
        return;
    }
    tail_saw(file, &status);
    if (file->size != file->offset || !file->finished)
        tail_set_ready(file);
}

void tail_follow(struct tail_file *file) {
    if (file->fd >= 0 && !file->rotated && has_its_inode(file, file->label, &(struct stat) { 0 }))
        return; /* the scan was not complete */
    if (file->fd >= 0)
        follow_open(file);
    else
        follow_closed(file);
}
