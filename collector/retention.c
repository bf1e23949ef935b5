#include "collector/retention.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "collector/limits.h"
#include "common/base/diag.h"

uint64_t retention_max_size(const struct config_retention *limits, const struct retention_disk *disk) {
    if (limits->max_size)
        return limits->max_size;
    uint64_t tenth = disk->size / 10;
    return tenth && tenth < RETENTION_SIZE_DEFAULT ? tenth : RETENTION_SIZE_DEFAULT;
}

uint64_t retention_partition_bytes(const struct config_retention *limits, const struct retention_disk *disk) {
    uint64_t bytes = retention_max_size(limits, disk) / 8;
    return bytes < PARTITION_BYTES_MIN   ? PARTITION_BYTES_MIN
           : bytes > PARTITION_BYTES_MAX ? PARTITION_BYTES_MAX
                                         : bytes;
}

size_t retention_choose(const struct partition_name *names, size_t count, const struct config_retention *limits,
                        const struct retention_disk *disk, uint64_t now_ns, const char **ret_why) {
    uint64_t size = 0, freed = 0, max_size = retention_max_size(limits, disk);
    uint64_t keep_free =
        limits->keep_free_percent ? disk->size / 100 * limits->keep_free_percent : limits->keep_free_bytes;
    size_t gone = 0;
    *ret_why = NULL;
    for (size_t i = 0; i < count; i++)
        size += names[i].size;
    for (; gone + 1 < count; gone++) {
        uint64_t ended = names[gone + 1].created_ns;
        const char *why = NULL;
        if (limits->max_age_ns && ended < now_ns && now_ns - ended > limits->max_age_ns)
            why = "older than max_age";
        else if (size - freed > max_size)
            why = "the store is larger than max_size";
        else if (disk->available + freed < keep_free)
            why = "less of the disk is free than keep_free";
        if (!why)
            break;
        if (!*ret_why)
            *ret_why = why;
        freed += names[gone].size;
    }
    return gone;
}

int retention_disk_of(const char *path, struct retention_disk *ret) {
    struct statvfs disk;
    if (statvfs(path, &disk) < 0)
        return -errno;
    *ret = (struct retention_disk) { (uint64_t)disk.f_blocks * disk.f_frsize, (uint64_t)disk.f_bavail * disk.f_frsize };
    return 0;
}

void retention_run(const char *data_dir, const struct config_retention *limits, uint64_t now_ns) {
    struct partition_name *names;
    struct retention_disk disk;
    struct error error;
    size_t count;
    const char *why;
    int result = retention_disk_of(data_dir, &disk);
    if (result < 0) {
        diag_warn("retention cannot see the disk of %s: %s", data_dir, strerror(-result));
        return;
    }
    if (partition_list(data_dir, &names, &count, &error) < 0) {
        diag_warn("retention: %s", error.text);
        return;
    }
    size_t gone = retention_choose(names, count, limits, &disk, now_ns, &why);
    for (size_t i = 0; i < gone; i++) {
        result = partition_unlink(names[i].path);
        if (result < 0)
            diag_warn("retention cannot remove %s: %s", names[i].path, strerror(-result));
        else
            diag_info("retention removed %s (%" PRIu64 " bytes): %s", names[i].path, names[i].size, why);
    }
    free(names);
}
