#include "collector/retention.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "collector/limits.h"

enum {
    PARTITIONS_IN_STORE = 8, /* a full store has so many, or more */
    HEADROOM_SHARE = 16,
    RESERVE_SHARE = 16,
    WORTH_SHARE = 20, /* one in so many of a partition's entries is worth writing it anew */
};

uint64_t retention_max_size(const struct config_retention *limits, const struct retention_disk *disk) {
    if (limits->max_size)
        return limits->max_size;
    uint64_t tenth = disk->size / 10;
    return tenth && tenth < RETENTION_SIZE_DEFAULT ? tenth : RETENTION_SIZE_DEFAULT;
}

uint64_t retention_partition_bytes(const struct config_retention *limits, const struct retention_disk *disk) {
    uint64_t bytes = retention_max_size(limits, disk) / PARTITIONS_IN_STORE;
    return bytes < PARTITION_BYTES_MIN   ? PARTITION_BYTES_MIN
           : bytes > PARTITION_BYTES_MAX ? PARTITION_BYTES_MAX
                                         : bytes;
}

uint64_t retention_headroom(const struct config_retention *limits, const struct retention_disk *disk) {
    uint64_t max_size = retention_max_size(limits, disk);
    return max_size / HEADROOM_SHARE + (retention_is_selective(limits) ? retention_partition_bytes(limits, disk) : 0);
}

uint64_t retention_reserve_bytes(const struct config_retention *limits, const struct retention_disk *disk) {
    uint64_t share = retention_max_size(limits, disk) / RESERVE_SHARE;
    return share < RESERVE_BYTES ? share : RESERVE_BYTES;
}

size_t retention_choose(const struct partition_name *names, size_t count, const struct config_retention *limits,
                        const struct retention_disk *disk, uint64_t now_ns, const char **ret_why) {
    uint64_t size = disk->other, freed = 0, max_size = retention_max_size(limits, disk);
    uint64_t most = max_size - retention_headroom(limits, disk);
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
        else if (size - freed > most)
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
    *ret = (struct retention_disk) { .size = (uint64_t)disk.f_blocks * disk.f_frsize,
                                     .available = (uint64_t)disk.f_bavail * disk.f_frsize };
    return 0;
}

/* --- levels and services that go earlier --- */

bool retention_is_selective(const struct config_retention *limits) {
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        if (limits->levels[level].max_age_ns)
            return true;
    return limits->service_count > 0;
}

static bool is_older(const struct retention_share *share, uint64_t max_age_ns, uint64_t now_ns) {
    return max_age_ns && share->ended_ns && share->ended_ns < now_ns && now_ns - share->ended_ns > max_age_ns;
}

static uint64_t service_entries(const struct retention_share *share, size_t service) {
    uint64_t entries = 0;
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        entries += share->by_service[service][level];
    return entries;
}

/* The part of the file that is a service's, about. */
static uint64_t service_bytes(const struct retention_share *share, size_t service) {
    if (share->entries == 0)
        return 0;
    return (uint64_t)((double)share->size * (double)service_entries(share, service) / (double)share->entries);
}

/* By size: out of the oldest, until what is left fits. */
static void judge_size(const struct retention_share *shares, size_t count, size_t service, uint64_t max_size,
                       struct retention_verdict *verdicts) {
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        if (!(verdicts[i].services & UINT64_C(1) << service))
            size += service_bytes(&shares[i], service);
    for (size_t i = 0; i < count && size > max_size; i++) {
        if (verdicts[i].services & UINT64_C(1) << service || !shares[i].ended_ns ||
            !service_entries(&shares[i], service))
            continue;
        verdicts[i].services |= UINT64_C(1) << service;
        size -= service_bytes(&shares[i], service);
    }
}

static void weigh(const struct retention_share *share, size_t services, uint64_t now_ns,
                  struct retention_verdict *verdict) {
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        if (verdict->levels & 1U << level)
            verdict->entries += share->by_level[level];
        for (size_t i = 0; i < services && !(verdict->levels & 1U << level); i++)
            if (verdict->services & UINT64_C(1) << i)
                verdict->entries += share->by_service[i][level];
    }
    uint64_t since = share->rewritten_ns > share->ended_ns ? share->rewritten_ns : share->ended_ns;
    verdict->worth_it = verdict->entries > 0 && (verdict->entries >= share->entries / WORTH_SHARE ||
                                                 (now_ns > since && now_ns - since >= REWRITE_GAP_NS));
}

void retention_judge(const struct retention_share *shares, size_t count, const struct config_retention *limits,
                     uint64_t now_ns, struct retention_verdict *ret) {
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct retention_verdict) { 0 };
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            if (is_older(&shares[i], limits->levels[level].max_age_ns, now_ns))
                ret[i].levels |= 1U << level;
        for (size_t service = 0; service < limits->service_count; service++)
            if (is_older(&shares[i], limits->services[service].max_age_ns, now_ns))
                ret[i].services |= UINT64_C(1) << service;
    }
    for (size_t service = 0; service < limits->service_count; service++)
        if (limits->services[service].max_size)
            judge_size(shares, count, service, limits->services[service].max_size, ret);
    for (size_t i = 0; i < count; i++)
        weigh(&shares[i], limits->service_count, now_ns, &ret[i]);
}
