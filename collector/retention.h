/* retention.h - the oldest closed partitions go when they are too old, too much, or the disk too full. Whole files only: no
 * time and no space is needed for it. The authority is never touched. One thread. */
#ifndef TASKFORGE_COLLECTOR_RETENTION_H
#define TASKFORGE_COLLECTOR_RETENTION_H

#include "common/process/config.h"
#include "common/store/partition.h"

struct retention_disk {
    uint64_t size, available; /* bytes */
};

/* How many of the `count` partitions, ascending, are to go; the last is never among them. `ret_why` says the first rule that
 * asked for it. Pure. A partition ends where the next begins: its age is counted from there. */
size_t retention_choose(const struct partition_name *names, size_t count, const struct config_retention *limits,
                        const struct retention_disk *disk, uint64_t now_ns, const char **ret_why);

/* The limit on the store's size that holds where none is written. Pure. */
uint64_t retention_max_size(const struct config_retention *limits, const struct retention_disk *disk);

/* Partitions are rolled at this size, so that retention has several to choose from. Pure. */
uint64_t retention_partition_bytes(const struct config_retention *limits, const struct retention_disk *disk);

int retention_disk_of(const char *path, struct retention_disk *ret);

/* Do it; says each file that went in one line. */
void retention_run(const char *data_dir, const struct config_retention *limits, uint64_t now_ns);

#endif
