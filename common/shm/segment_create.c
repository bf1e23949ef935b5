/* segment_create.c - see segment.h: how a segment comes into being, takes its place, and is let go. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/shm/segment_private.h"

enum { MODE = 0640 };
#define STEP (UINT64_C(1) << 20)

int segment_allocate(struct segment_writer *writer, uint64_t end) {
    if (end <= writer->allocated)
        return 0;
    if (end > writer->map.size)
        return -ENOSPC;
    uint64_t to = (end + STEP - 1) / STEP * STEP;
    to = to < writer->map.size ? to : writer->map.size;
    int result = map_allocate(&writer->map, writer->allocated, to - writer->allocated);
    if (result == 0)
        writer->allocated = to;
    return result;
}

/* --- making --- */

/* There is one writer, so whatever has a temporary name was left over by a killed one. */
static void remove_leftovers(int folder) {
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (text_starts_with(text_of(entry->d_name), TEXT_LITERAL(SEGMENT_TEMPORARY)))
            unlinkat(folder, entry->d_name, 0);
    closedir(entries);
}

/* The folder's group although the folder is not setgid: where we may. The mode whatever the umask. */
static int set_access(int folder, int fd) {
    struct stat of_folder, of_file;
    if (fstat(folder, &of_folder) < 0 || fstat(fd, &of_file) < 0)
        return -errno;
    if (of_folder.st_gid != of_file.st_gid && fchown(fd, (uid_t)-1, of_folder.st_gid) < 0 && errno != EPERM)
        return -errno;
    return fchmod(fd, MODE) < 0 ? -errno : 0;
}

static int make_file(struct segment_writer *writer, uint64_t size, struct error *error) {
    struct rlimit limit;
    uint64_t random;
    int result = random_bytes(&random, sizeof(random));
    if (result < 0)
        return result;
    /* Beyond the limit the kernel would send SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
        return -EFBIG;
    snprintf(writer->temporary, sizeof(writer->temporary), SEGMENT_TEMPORARY "%016llx", (unsigned long long)random);
    int fd = openat(writer->folder, writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
    if (fd < 0) {
        result = -errno;
        writer->temporary[0] = '\0';
        return result;
    }
    result = set_access(writer->folder, fd);
    if (result == 0 && ftruncate(fd, (off_t)size) < 0)
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return map_file(fd, size, true, &writer->map, error);
}

static int put_scheme(char out[SEGMENT_SCHEME_TEXT], const char *text) {
    struct text name = text_of(text);
    if (name.length >= SEGMENT_SCHEME_TEXT || (name.length > 0 && metric_family_check(name) < 0))
        return -EINVAL;
    memcpy(out, name.data, name.length);
    return 0;
}

struct header_call {
    struct segment_writer *writer;
    const struct segment_header *header;
};

static int store_header(void *argument) {
    const struct header_call *call = argument;
    struct segment_header *to = segment_header_of(&call->writer->map);
    memcpy(to, call->header, offsetof(struct segment_header, replaced));
    atomic_store_explicit(&to->used, SEGMENT_HEADER_SIZE, memory_order_release);
    return 0;
}

static int write_header(struct segment_writer *writer, const struct metric_scheme *scheme) {
    struct segment_header header;
    memset(&header, 0, sizeof(header)); /* padding too: it is hashed */
    header.magic = SEGMENT_MAGIC;
    header.version = SEGMENT_VERSION;
    header.header_size = SEGMENT_HEADER_SIZE;
    header.file_size = writer->map.size;
    header.created_ns = clock_real_ns();
    int result = random_bytes(header.id, sizeof(header.id));
    if (result == 0)
        result = random_bytes(&writer->about_seed, sizeof(writer->about_seed));
    if (result == 0)
        result = put_scheme(header.namespace_, scheme->namespace_);
    if (result == 0)
        result = put_scheme(header.gauge_suffix, scheme->gauge_suffix);
    if (result == 0)
        result = segment_allocate(writer, SEGMENT_HEADER_SIZE);
    if (result < 0)
        return result;
    writer->used = SEGMENT_HEADER_SIZE;
    writer->header_hash = hash_bytes(&header, offsetof(struct segment_header, replaced));
    struct header_call call = { writer, &header };
    return map_guarded(store_header, &call);
}

int segment_create_sized(const char *runtime_dir, const struct metric_scheme *scheme, uint64_t size,
                         struct segment_writer **ret, struct error *error) {
    check(size >= SEGMENT_HEADER_SIZE && size <= SEGMENT_SIZE && size % SEGMENT_HEADER_SIZE == 0);
    struct error why = { "" };
    struct segment_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return error_set(error, -ENOMEM, "cannot make the metric segment in %s: out of memory", runtime_dir);
    writer->map = MAP_EMPTY;
    writer->folder = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = writer->folder < 0 ? -errno : 0;
    if (result == 0) {
        remove_leftovers(writer->folder);
        result = make_file(writer, size, &why);
    }
    if (result == 0)
        result = write_header(writer, scheme);
    if (result < 0) {
        segment_destroy(writer);
        return error_set(error, result, "cannot make the metric segment in %s: %s", runtime_dir,
                         why.text[0] ? why.text : strerror(-result));
    }
    *ret = writer;
    return 0;
}

int segment_create(const char *runtime_dir, const struct metric_scheme *scheme, struct segment_writer **ret,
                   struct error *error) {
    return segment_create_sized(runtime_dir, scheme, SEGMENT_SIZE, ret, error);
}

/* --- taking the place --- */

/* With pwrite, not through a mapping: whoever cuts the old file meanwhile shall not matter. */
static void mark_replaced(int fd) {
    uint64_t magic = 0, one = 1;
    if (pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) && magic == SEGMENT_MAGIC &&
        pwrite(fd, &one, sizeof(one), offsetof(struct segment_header, replaced)) < 0)
        return; /* readers look at the name, too */
}

int segment_publish(struct segment_writer *writer, struct error *error) {
    check(writer->temporary[0]);
    int old = openat(writer->folder, SEGMENT_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), result = 0;
    if (renameat(writer->folder, writer->temporary, writer->folder, SEGMENT_NAME) < 0)
        result = error_set(error, -errno, "cannot put the metric segment in its place: %s", strerror(errno));
    else
        writer->temporary[0] = '\0';
    if (old >= 0) {
        struct stat status;
        if (result == 0 && fstat(old, &status) == 0 && S_ISREG(status.st_mode))
            mark_replaced(old); /* behind the rename, so that who sees the mark finds the new one */
        close(old);
    }
    return result;
}

void segment_destroy(struct segment_writer *writer) {
    if (!writer)
        return;
    for (size_t i = 0; i < writer->count; i++) {
        free(writer->series[i].octaves);
        free(writer->series[i].exemplars);
    }
    free(writer->series);
    free(writer->abouts);
    map_finish(&writer->map);
    if (writer->folder >= 0) {
        if (writer->temporary[0])
            unlinkat(writer->folder, writer->temporary, 0);
        close(writer->folder);
    }
    free(writer);
}
