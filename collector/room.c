#include "collector/room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/diag.h"

int room_init(struct room *room, const char *data_dir, void (*wake)(void *argument), void *argument) {
    *room = (struct room) { .wake = wake, .argument = argument };
    if (snprintf(room->data_dir, sizeof(room->data_dir), "%s", data_dir) >= (int)sizeof(room->data_dir))
        return -ENAMETOOLONG;
    return -pthread_mutex_init(&room->mutex, NULL);
}

void room_finish(struct room *room) {
    pthread_mutex_destroy(&room->mutex);
}

void room_set(struct room *room, uint64_t max_size, uint64_t headroom) {
    room->headroom = headroom;
    room->max_size = max_size;
}

enum {
    BESIDE_SHARE = 32, /* the last part of the store's size is for commits alone */
    ATTEMPTS = 100,    /* at a look during which no commit grows its file */
};

/* --- what there is --- */

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

uint64_t room_used(const struct room *room, uint64_t *ret_partitions) {
    char path[PATHS_MAX + 16];
    struct stat status;
    uint64_t used = 0, partitions = 0;
    snprintf(path, sizeof(path), "%s/reserve", room->data_dir);
    if (stat(path, &status) == 0)
        used += (uint64_t)status.st_blocks * 512;
    snprintf(path, sizeof(path), "%s/logs", room->data_dir);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
            continue;
        used += (uint64_t)status.st_blocks * 512;
        if (ends_with(entry->d_name, ".mdb"))
            partitions += (uint64_t)status.st_blocks * 512;
    }
    if (folder)
        closedir(folder);
    if (ret_partitions)
        *ret_partitions = partitions;
    return used;
}

/* The oldest file that was set aside as damaged, removed: true when there was one. */
static bool remove_set_aside(const struct room *room) {
    char path[PATHS_MAX + 16], oldest[NAME_MAX + 1] = "";
    struct stat status;
    struct timespec when = { 0 };
    snprintf(path, sizeof(path), "%s/logs", room->data_dir);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!ends_with(entry->d_name, PARTITION_ASIDE) ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
            continue;
        if (oldest[0] && (status.st_mtim.tv_sec > when.tv_sec ||
                          (status.st_mtim.tv_sec == when.tv_sec && status.st_mtim.tv_nsec >= when.tv_nsec)))
            continue;
        snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
        when = status.st_mtim;
    }
    bool removed = oldest[0] && unlinkat(dirfd(folder), oldest, 0) == 0;
    if (removed)
        diag_info("retention removed %s/%s, which was set aside: the store is larger than max_size", path, oldest);
    if (folder)
        closedir(folder);
    return removed;
}

static bool remove_oldest(const struct room *room) {
    struct partition_name *names;
    size_t count;
    bool removed = false;
    if (partition_list(room->data_dir, &names, &count, NULL) < 0)
        return false;
    if (count > 1)
        removed = partition_unlink(names[0].path) == 0;
    if (removed)
        diag_info("retention removed %s (%" PRIu64 " bytes): the store is larger than max_size", names[0].path,
                  names[0].size);
    free(names);
    return removed;
}

/* --- growing --- */

/* The lock is held. */
static void make_room(struct room *room, uint64_t more) {
    uint64_t used, max_size = room->max_size;
    while ((used = room_used(room, NULL) + room->promised + more) > max_size) {
        room->pressed = true;
        if (!remove_set_aside(room) && !remove_oldest(room))
            return;
    }
    if (used > max_size - room->headroom)
        room->wake(room->argument);
}

int room_grow(void *argument, int fd, uint64_t from, uint64_t to) {
    struct room *room = argument;
    pthread_mutex_lock(&room->mutex);
    room->growths++;
    if (room->max_size)
        make_room(room, to - from);
    int code = fd < 0 ? 0 : partition_grow_file(fd, from, to);
    pthread_mutex_unlock(&room->mutex);
    return code;
}

/* The one who calls this may be put off for long at any line, and whoever commits must not wait for that: nothing is looked at, and
 * nothing grows, under the lock. What is about to grow is counted as if it had. */
int room_grow_beside(void *argument, int fd, uint64_t from, uint64_t to) {
    struct room *room = argument;
    uint64_t more = to - from, max_size = room->max_size, most = max_size - max_size / BESIDE_SHARE;
    bool taken = false;
    for (unsigned attempt = 0; max_size && !taken; attempt++) {
        uint64_t seen = room->growths;
        if (attempt == ATTEMPTS || room_used(room, NULL) + more > most)
            return ENOSPC;
        pthread_mutex_lock(&room->mutex);
        taken = room->growths == seen;
        room->promised += taken ? more : 0;
        pthread_mutex_unlock(&room->mutex);
    }
    int code = partition_grow_file(fd, from, to);
    pthread_mutex_lock(&room->mutex);
    room->promised -= taken ? more : 0;
    pthread_mutex_unlock(&room->mutex);
    return code;
}

/* --- coming and going --- */

static int sync_folder(const char *path) {
    char folder[PARTITION_PATH_MAX];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 || (fsync(fd) < 0 && errno != EINVAL) ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return result;
}

/* What is noted of the file that was there is not true of the new one. */
static void forget_sum(const char *path) {
    char sum[PARTITION_PATH_MAX + 8];
    snprintf(sum, sizeof(sum), "%s.sum", path);
    (void)unlink(sum);
}

int room_replace(struct room *room, const char *built, const char *path, bool fresh) {
    char lock[PARTITION_PATH_MAX + 8];
    forget_sum(path); /* before, for a kill in between; and behind, since it may just have been made anew */
    pthread_mutex_lock(&room->mutex);
    bool there = access(path, F_OK) == 0;
    int result = there == fresh ? (fresh ? -EEXIST : -ENOENT) : rename(built, path) < 0 ? -errno : 0;
    pthread_mutex_unlock(&room->mutex);
    if (result < 0) {
        partition_unlink(built);
        return result;
    }
    forget_sum(path);
    snprintf(lock, sizeof(lock), "%s-lock", built);
    (void)unlink(lock);
    return sync_folder(path);
}
