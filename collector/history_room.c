/* history_room.c - see history.h: how much of the disk the samples may have.
 *
 * Each growth of the file that is written goes through grow(): the oldest samples go where all would be more than max_size, and nothing grows
 * into the last quarter of keep_free. Where less than keep_free is left of the disk, the curator removes the log's partitions each second;
 * history follows (history_yield) only when the newest one is all that is left of them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "collector/history_private.h"
#include "collector/retention.h"
#include "common/base/clock.h"
#include "common/base/diag.h"

enum { SHARE_OF_LOGS = 4, KEEP_FREE_PART = 4 };

uint64_t history_max_size(const struct history *history) {
    struct retention_disk disk = { 0 };
    if (history->own.history.max_size)
        return history->own.history.max_size;
    (void)retention_disk_of(history->data_dir, &disk);
    return retention_max_size(&history->own.retention, &disk) / SHARE_OF_LOGS;
}

uint64_t history_bytes(const struct history *history) {
    struct partition_name *names;
    size_t count;
    uint64_t bytes = 0;
    if (samples_list(history->data_dir, &names, &count, NULL) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        bytes += names[i].size;
    free(names);
    return bytes;
}

static bool drop_oldest(const struct history *history, const char *why) {
    struct error error = { "" };
    uint64_t bytes = 0;
    int result = samples_drop_oldest(history->data_dir, &bytes, &error);
    if (result < 0)
        diag_warn("history: %s", error.text);
    else if (result == 1)
        diag_info("history removed its oldest samples (%" PRIu64 " bytes): %s", bytes, why);
    return result == 1;
}

static bool log_has_closed_partitions(const struct history *history) {
    struct partition_name *names;
    size_t count;
    if (partition_list(history->data_dir, &names, &count, NULL) < 0)
        return false;
    free(names);
    return count > 1;
}

static uint64_t keep_free_of(const struct config_retention *limits, const struct retention_disk *disk) {
    return limits->keep_free_percent ? disk->size / 100 * limits->keep_free_percent : limits->keep_free_bytes;
}

/* Before a tick: one partition at most. Not within a growth, since that may be a new partition's, which then is the newest and may still fail. */
void history_yield(struct history *history) {
    struct retention_disk disk;
    if (retention_disk_of(history->data_dir, &disk) == 0 &&
        disk.available < keep_free_of(&history->own.retention, &disk) && !log_has_closed_partitions(history))
        (void)drop_oldest(history, "less of the disk is free than keep_free");
}

static int grow(void *argument, int fd, uint64_t from, uint64_t to) {
    struct history *history = argument;
    struct retention_disk disk;
    uint64_t more = to - from, max_size = history_max_size(history);
    while (history_bytes(history) + more > max_size && drop_oldest(history, "they are larger than history.max_size"))
        ;
    history->scarce = retention_disk_of(history->data_dir, &disk) == 0 &&
                      disk.available < keep_free_of(&history->own.retention, &disk) / KEEP_FREE_PART + more;
    if (history->scarce)
        return ENOSPC;
    return fd < 0 ? 0 : partition_grow_file(fd, from, to);
}

struct partition_growth history_growth(struct history *history) {
    return (struct partition_growth) { grow, history };
}

void history_expire(struct history *history, uint64_t now_real_ns) {
    struct error error = { "" };
    uint64_t bytes = 0, max_age_ns = history->own.history.max_age_ns;
    if (now_real_ns <= max_age_ns)
        return;
    int removed = samples_expire(history->data_dir, now_real_ns - max_age_ns, &bytes, &error);
    if (removed < 0)
        diag_warn("history: %s", error.text);
    else if (removed > 0)
        diag_info("history removed samples of %d day%s (%" PRIu64 " bytes): older than history.max_age", removed,
                  removed == 1 ? "" : "s", bytes);
}
