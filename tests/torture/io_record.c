/* io_record.c - the preload library's memory: which file is which, the log, and what a failing sync takes back. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/torture/io_fault_private.h"

enum { FILES_MAX = 65536 };

static int log_fd = -1;
static struct identity {
    dev_t device;
    ino_t inode;
} files[FILES_MAX];
static uint32_t file_count;

ssize_t (*io_real_pwritev(void))(int, const struct iovec *, int, off_t) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t);
    if (!real)
        real = (ssize_t(*)(int, const struct iovec *, int, off_t))(uintptr_t)dlsym(RTLD_NEXT, "pwritev");
    return real;
}

void io_record_open(const char *path) {
    log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        abort();
}

static void append(const struct io_record *record, const char *names, const struct iovec *parts, int count) {
    struct iovec all[2 + 1024]; /* as many as LMDB gives at once are far fewer */
    int used = 0;
    if (log_fd < 0)
        return;
    all[used++] = (struct iovec) { (void *)(uintptr_t)record, sizeof(*record) };
    if (record->name_bytes)
        all[used++] = (struct iovec) { (void *)(uintptr_t)names, record->name_bytes };
    for (int i = 0; i < count && i < 1024; i++)
        all[used++] = parts[i];
    for (int at = 0; at < used; at++) /* the log is none of the files that count: each write goes out whole */
        if (write(log_fd, all[at].iov_base, all[at].iov_len) != (ssize_t)all[at].iov_len)
            abort();
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void io_record_event(enum io_event event, uint32_t file, uint64_t length, const char *name, const char *second) {
    char names[2 * 4096];
    int size =
        second ? snprintf(names, sizeof(names), "%s%c%s", name, 0, second) : snprintf(names, sizeof(names), "%s", name);
    const struct io_record record = {
        .what = event, .file = file, .length = length, .time_ns = now(), .name_bytes = (uint32_t)size
    };
    append(&record, names, NULL, 0);
}

void io_record_write(uint32_t file, bool synced, off_t offset, const struct iovec *parts, int count, size_t size) {
    const struct io_record record = { .what = synced ? IO_EVENT_WRITE_SYNC : IO_EVENT_WRITE,
                                      .file = file,
                                      .offset = (uint64_t)offset,
                                      .length = size,
                                      .time_ns = now(),
                                      .data_bytes = (uint32_t)size };
    size_t whole = 0;
    for (int i = 0; i < count; i++)
        whole += parts[i].iov_len;
    if (whole != size && log_fd >= 0)
        abort(); /* a short write: these tests have none while they record */
    append(&record, NULL, parts, count);
}

uint32_t io_record_file(const struct stat *status, const char *path, bool made) {
    uint32_t file = file_count;
    while (!made && file > 0 && !(files[file - 1].device == status->st_dev && files[file - 1].inode == status->st_ino))
        file--;
    if (made || file == 0) {
        if (file_count == FILES_MAX)
            abort();
        files[file_count] = (struct identity) { status->st_dev, status->st_ino };
        file = ++file_count;
    }
    io_record_event(made ? IO_EVENT_CREATE : IO_EVENT_OPEN, file, (uint64_t)status->st_size, path, NULL);
    return file;
}

/* --- what a failing sync takes back --- */

static struct kept {
    struct kept *next; /* the one before it */
    uint32_t file;
    off_t offset;
    size_t size;
    char bytes[];
} * kept;

void io_keep(int fd, uint32_t file, off_t offset, size_t size) {
    char path[64];
    struct kept *one = malloc(sizeof(*one) + size);
    if (!one)
        abort();
    *one = (struct kept) { .next = kept, .file = file, .offset = offset };
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* the descriptor itself may be for writing only */
    int reading = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = reading < 0 ? -1 : pread(reading, one->bytes, size, offset);
    one->size = got < 0 ? 0 : (size_t)got;
    if (reading >= 0)
        close(reading);
    kept = one;
}

static void take_out(uint32_t file, int fd) {
    for (struct kept **at = &kept; *at;) {
        struct kept *one = *at;
        if (one->file != file) {
            at = &one->next;
            continue;
        }
        const struct iovec part = { one->bytes, one->size };
        if (fd >= 0 && one->size > 0 && io_real_pwritev()(fd, &part, 1, one->offset) != (ssize_t)one->size)
            abort();
        *at = one->next;
        free(one);
    }
}

void io_undo(int fd, uint32_t file) {
    take_out(file, fd);
}

void io_forget(uint32_t file) {
    take_out(file, -1);
}
