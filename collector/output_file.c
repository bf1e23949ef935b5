#include "collector/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/limits.h"

enum { OUTPUT_PATH_SIZE = 4096 };

/* A line that a killed predecessor did not finish is taken off: it comes again whole. */
static void drop_torn_line(int fd, uint64_t *size) {
    char bytes[4096];
    uint64_t at = *size;
    while (at > 0) {
        size_t part = at < sizeof(bytes) ? (size_t)at : sizeof(bytes);
        if (pread(fd, bytes, part, (off_t)(at - part)) != (ssize_t)part)
            return;
        const char *newline = memrchr(bytes, '\n', part);
        if (newline) {
            at = at - part + (uint64_t)(newline - bytes) + 1;
            break;
        }
        at -= part;
    }
    if (at != *size && ftruncate(fd, (off_t)at) == 0)
        *size = at;
}

static int open_path(const char *path, uint64_t *ret_size, struct error *error) {
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    struct stat status;
    if (fd < 0)
        return error_set(error, -errno, "cannot open the output file %s: %s", path, strerror(errno));
    if (fstat(fd, &status) < 0 || S_ISDIR(status.st_mode)) {
        close(fd);
        return error_set(error, -EISDIR, "the output file %s is no file", path);
    }
    *ret_size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    if (S_ISREG(status.st_mode))
        drop_torn_line(fd, ret_size);
    return fd;
}

int output_file_open(struct output_file *file, const char *path, uint64_t rotate_bytes, struct error *error) {
    *file = (struct output_file) { .fd = STDOUT_FILENO, .rotate_bytes = rotate_bytes };
    if (!path)
        return 0;
    file->path = strdup(path);
    if (!file->path)
        return error_set(error, -ENOMEM, "out of memory");
    file->fd = open_path(path, &file->size, error);
    if (file->fd < 0) {
        free(file->path);
        file->path = NULL;
        return file->fd;
    }
    return 0;
}

int output_file_reopen(struct output_file *file, struct error *error) {
    uint64_t size;
    if (!file->path)
        return 0;
    int fd = open_path(file->path, &size, error);
    if (fd < 0)
        return fd;
    close(file->fd);
    file->fd = fd;
    file->size = size;
    return 0;
}

void output_file_close(struct output_file *file) {
    if (file->path)
        close(file->fd);
    free(file->path);
    *file = (struct output_file) { .fd = -1 };
}

int output_file_rotate(struct output_file *file, struct error *error) {
    if (!file->path || file->size < file->rotate_bytes)
        return 0;
    char from[OUTPUT_PATH_SIZE], to[OUTPUT_PATH_SIZE];
    for (int i = OUTPUT_FILES_KEPT; i > 0; i--) {
        int length = snprintf(to, sizeof(to), "%s.%d", file->path, i);
        if (i > 1)
            snprintf(from, sizeof(from), "%s.%d", file->path, i - 1);
        else
            snprintf(from, sizeof(from), "%s", file->path);
        if (length < 0 || (size_t)length >= sizeof(to))
            return error_set(error, -ENAMETOOLONG, "the name of %s is too long to be rotated", file->path);
        if (rename(from, to) < 0 && errno != ENOENT)
            return error_set(error, -errno, "cannot rotate %s: %s", from, strerror(errno));
    }
    return output_file_reopen(file, error);
}

int64_t output_file_write(struct output_file *file, const char *data, uint64_t size) {
    ssize_t put = write(file->fd, data, size);
    if (put < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    file->size += (uint64_t)put;
    return put;
}
