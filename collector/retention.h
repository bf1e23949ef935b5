/* retention.h - what goes, and when. The oldest closed partitions go as whole files when they are too old, too much, or the disk too full: no
 * time and no space is needed for that. Where a level or a service goes earlier, a closed partition is written anew without it. The authority is never
 * touched. Pure; curator.h does it. */
#ifndef TASKFORGE_COLLECTOR_RETENTION_H
#define TASKFORGE_COLLECTOR_RETENTION_H

#include "common/process/config.h"
#include "common/store/partition.h"

struct retention_disk {
    uint64_t size, available; /* bytes */
    uint64_t
        other; /* bytes of the store in what is no partition: locks, what is being built or was set aside, the reserve */
};

/* How many of the `count` partitions, ascending, are to go; the last is never among them. `ret_why` says the first rule that
 * asked for it. Pure. A partition ends where the next begins: its age is counted from there. */
size_t retention_choose(const struct partition_name *names, size_t count, const struct config_retention *limits,
                        const struct retention_disk *disk, uint64_t now_ns, const char **ret_why);

/* The largest size of the store; where none is written, what holds then. */
uint64_t retention_max_size(const struct config_retention *limits, const struct retention_disk *disk);

/* Partitions are rolled at this size, so that retention has several to choose from. */
uint64_t retention_partition_bytes(const struct config_retention *limits, const struct retention_disk *disk);

/* So much below the largest size the oldest go: room for commits to come, which then need not wait for it, and for a partition that is written anew. */
uint64_t retention_headroom(const struct config_retention *limits, const struct retention_disk *disk);

/* The part of the store's largest size that is kept in reserve for a full disk. */
uint64_t retention_reserve_bytes(const struct config_retention *limits, const struct retention_disk *disk);

int retention_disk_of(const char *path, struct retention_disk *ret);

/* --- levels and services that go earlier --- */

/* What stands in one partition, as its index says. */
struct retention_share {
    uint64_t size;         /* bytes of the file */
    uint64_t ended_ns;     /* when the next one was begun; 0: it is the newest, out of which nothing goes */
    uint64_t rewritten_ns; /* when it was last written anew; 0: never */
    uint64_t entries;
    uint64_t by_level[LEVEL_COUNT];
    uint64_t by_service[CONFIG_RETENTION_SERVICES_MAX][LEVEL_COUNT]; /* of the services that have limits */
};

/* What is to go out of one. */
struct retention_verdict {
    unsigned levels;   /* bit 1 << level */
    uint64_t services; /* bit 1 << place among the limits' services */
    uint64_t entries;  /* how many those are */
    bool worth_it;     /* enough to write it anew, or long enough since that was done */
};

bool retention_is_selective(const struct config_retention *limits); /* whether any level or service has a limit */

/* Judge `count` partitions, the oldest first. A level or service goes when the partition ended longer ago than its max_age; a service of
 * which there is more than its max_size goes out of the oldest first. Its size is its share of each partition's entries times its bytes. */
void retention_judge(const struct retention_share *shares, size_t count, const struct config_retention *limits,
                     uint64_t now_ns, struct retention_verdict *ret);

#endif
