/* segment.c - see segment.h: the readers' side: finding the file, its header, and whether another has taken its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/shm/segment_private.h"

#define SIZE_MAX_READ (UINT64_C(4) << 30)

/* --- opening --- */

static bool scheme_is_good(const char text[SEGMENT_SCHEME_TEXT], bool may_be_empty) {
    size_t length = strnlen(text, SEGMENT_SCHEME_TEXT);
    return length < SEGMENT_SCHEME_TEXT &&
           (length == 0 ? may_be_empty : metric_family_check((struct text) { text, length }) == 0);
}

int segment_read_header(void *argument) {
    struct segment *segment = argument;
    struct segment_header header;
    memcpy(&header, segment->map.base, offsetof(struct segment_header, replaced));
    if (header.magic != SEGMENT_MAGIC)
        return -EBADMSG;
    if (header.version > SEGMENT_VERSION)
        return -EPROTO;
    if (header.version < SEGMENT_VERSION_OLDEST || header.header_size != SEGMENT_HEADER_SIZE ||
        header.file_size != segment->map.size || !scheme_is_good(header.namespace_, false) ||
        !scheme_is_good(header.gauge_suffix, true))
        return -EBADMSG;
    memcpy(segment->info.namespace_, header.namespace_, SEGMENT_SCHEME_TEXT);
    memcpy(segment->info.gauge_suffix, header.gauge_suffix, SEGMENT_SCHEME_TEXT);
    memcpy(segment->info.id, header.id, sizeof(header.id));
    segment->info.created_ns = header.created_ns;
    segment->version = header.version;
    return 0;
}

int segment_open_file(const char *path, uint64_t *ret_size, struct error *error) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(error, -ENOENT,
                         "there is no metric segment %s: the collector, which makes it, has not run here", path);
    if (fd < 0 && errno == EACCES)
        return error_set(error, -EACCES, "may not read the metric segment %s: join the group taskforge", path);
    if (fd < 0)
        return error_set(error, -errno, "cannot open the metric segment %s: %s", path, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < SEGMENT_HEADER_SIZE ||
        (uint64_t)status.st_size > SIZE_MAX_READ) {
        close(fd);
        return error_set(error, -EBADMSG, "%s is not a metric segment, or was cut: the collector makes a new one",
                         path);
    }
    *ret_size = (uint64_t)status.st_size;
    return fd;
}

int segment_run(const struct segment *segment, int (*function)(void *argument), void *argument) {
    return segment->is_copy ? function(argument) : map_guarded(function, argument);
}

int segment_header_fault(const char *path, int result, struct error *error) {
    if (result == -EPROTO)
        return error_set(error, result, "the metric segment %s is of a newer version than this program can read", path);
    return error_set(error, -EBADMSG, "the metric segment %s is damaged: the collector makes a new one", path);
}

/* Open what is there now into *segment, which holds a path alone. */
static int map_named(struct segment *segment, struct error *error) {
    uint64_t size = 0;
    int fd = segment_open_file(segment->path, &size, error);
    if (fd < 0)
        return fd;
    int result = map_file(fd, size, false, &segment->map, error);
    if (result < 0)
        return error_prefix(error, result, "%s", segment->path);
    result = segment_run(segment, segment_read_header, segment);
    if (result == 0)
        return 0;
    map_finish(&segment->map);
    return segment_header_fault(segment->path, result, error);
}

int segment_open(const char *runtime_dir, struct segment **ret, struct error *error) {
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment || asprintf(&segment->path, "%s/" SEGMENT_NAME, runtime_dir) < 0) {
        free(segment);
        return error_set(error, -ENOMEM, "out of memory");
    }
    segment->map = MAP_EMPTY;
    int result = map_named(segment, error);
    if (result < 0) {
        segment_close(segment);
        return result;
    }
    *ret = segment;
    return 0;
}

void segment_close(struct segment *segment) {
    if (!segment)
        return;
    map_finish(&segment->map);
    free(segment->path);
    free(segment);
}

int segment_refresh(struct segment *segment, struct error *error) {
    struct stat named;
    if (lstat(segment->path, &named) == 0 && named.st_dev == segment->map.device && named.st_ino == segment->map.inode)
        return 0;
    struct segment fresh = { .path = segment->path, .map = MAP_EMPTY };
    int result = map_named(&fresh, error);
    if (result < 0)
        return result;
    map_finish(&segment->map);
    *segment = fresh;
    return 1;
}

/* --- header --- */

uint64_t segment_used(const struct segment *segment) {
    uint64_t used = segment_load(&segment_header_of(&segment->map)->used);
    return used >= SEGMENT_HEADER_SIZE && used <= segment->map.size && used % 8 == 0 ? used : 0;
}

struct info_call {
    const struct segment *segment;
    struct segment_info info;
};

static int read_info(void *argument) {
    struct info_call *call = argument;
    const struct segment_header *header = segment_header_of(&call->segment->map);
    call->info.changes = segment_load(&header->changes); /* first: what is read afterwards has all of them */
    call->info.used = segment_used(call->segment);
    call->info.series_count = segment_load(&header->series_count);
    call->info.heartbeat_ns = segment_load(&header->heartbeat_ns);
    call->info.last_commit_ns = segment_load(&header->last_commit_ns);
    call->info.replaced = segment_load(&header->replaced) != 0;
    return call->info.used == 0 || call->info.series_count > call->info.used / sizeof(struct segment_series) ? -EBADMSG
                                                                                                             : 0;
}

int segment_info_get(struct segment *segment, struct segment_info *ret) {
    struct info_call call = { segment, segment->info };
    int result = segment_run(segment, read_info, &call);
    if (result == 0)
        *ret = call.info;
    return result;
}
