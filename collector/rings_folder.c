#include "collector/rings_folder.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/diag.h"

enum { NAME_SIZE = 256 };

/* What a file gets for a name that can neither be unlinked nor moved out of the folder: a full folder of somebody else's. */
#define OUT_OF_THE_WAY ".removed."

/* --- lines about what others do --- */

bool rings_may_say(struct rings *rings) {
    struct rings_said *said = &rings->said;
    uint64_t now = clock_monotonic_ns();
    if (said->lines == 0 || now - said->since_ns >= RINGS_SAY_NS) {
        if (said->unsaid > 0)
            diag_warn("%llu more such lines about files among the rings were not printed",
                      (unsigned long long)said->unsaid);
        said->since_ns = now;
        said->lines = 0;
        said->unsaid = 0;
    }
    if (said->lines == RINGS_SAY_MAX) {
        said->unsaid++;
        return false;
    }
    said->lines++;
    return true;
}

/* Of a ring that cannot be opened, once for each file and reason. */
static bool is_said(struct rings *rings, ino_t inode, int why) {
    struct rings_said *said = &rings->said;
    for (size_t i = 0; i < RINGS_SAID_OPEN; i++)
        if (said->open[i].inode == inode && said->open[i].why == why)
            return true;
    said->open[said->next].inode = inode;
    said->open[said->next].why = why;
    said->next = (said->next + 1) % RINGS_SAID_OPEN;
    return false;
}

int rings_folder_open(struct rings *rings, struct error *error) {
    char path[PATHS_MAX + 16];
    snprintf(path, sizeof(path), "%s/rings", rings->runtime_dir);
    rings->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rings->folder_fd < 0)
        return error_set(error, -errno, "cannot open the folder of the rings, %s: %s", path, strerror(errno));
    rings->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (rings->watch_fd >= 0 &&
        inotify_add_watch(rings->watch_fd, path, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0) {
        close(rings->watch_fd); /* the look each second finds everything too */
        rings->watch_fd = -1;
    }
    return 0;
}

/* --- quarantine --- */

/* The oldest files beyond the limit go; names end in their time, so the least of a folder's is not the oldest: mtime is. */
static void quarantine_trim(int folder_fd) {
    for (;;) {
        int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
            if (fd >= 0)
                close(fd);
            return;
        }
        char oldest[NAME_SIZE] = "";
        struct timespec oldest_time = { 0 };
        size_t count = 0;
        for (struct dirent *entry; (entry = readdir(dir));) {
            struct stat status;
            if (entry->d_name[0] == '.' || fstatat(folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
            count++;
            if (!oldest[0] || status.st_ctim.tv_sec < oldest_time.tv_sec) {
                oldest_time = status.st_ctim;
                snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
            }
        }
        closedir(dir);
        if (count <= QUARANTINE_FILES_MAX || unlinkat(folder_fd, oldest, 0) < 0)
            return;
    }
}

static bool quarantine_move(struct rings *rings, const char *name) {
    char path[PATHS_MAX + 16], target[NAME_SIZE + 32];
    snprintf(path, sizeof(path), "%s/quarantine", rings->runtime_dir);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    snprintf(target, sizeof(target), "%s-%llu", name, (unsigned long long)clock_real_ns());
    bool moved = renameat(rings->folder_fd, name, fd, target) == 0;
    if (moved)
        quarantine_trim(fd);
    close(fd);
    return moved;
}

static bool is_this_ring(struct rings *rings, const char *name, const struct collector_ring *ring) {
    struct stat status;
    return fstatat(rings->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_dev == ring->device &&
           status.st_ino == ring->inode;
}

void rings_folder_quarantine(struct rings *rings, struct collector_ring *ring) {
    char name[16];
    snprintf(name, sizeof(name), "%u", (unsigned)ring->uid);
    if (!is_this_ring(rings, name, ring) || quarantine_move(rings, name))
        return;
    int why = errno;
    if (unlinkat(rings->folder_fd, name, 0) < 0)
        diag_error("cannot set rings/%s aside: %s", name, strerror(why));
}

void rings_folder_unlink(struct rings *rings, struct collector_ring *ring) {
    char name[16];
    snprintf(name, sizeof(name), "%u", (unsigned)ring->uid);
    if (is_this_ring(rings, name, ring) && unlinkat(rings->folder_fd, name, 0) < 0)
        diag_warn("cannot remove rings/%s: %s", name, strerror(errno));
}

static int read_retired(void *argument) {
    const struct ring_header *header = argument;
    return (int)(atomic_load_explicit(&header->attach, memory_order_acquire) & 1);
}

bool rings_folder_is_retired(struct collector_ring *ring) {
    return map_guarded(read_retired, ring->ring.header) == 1;
}

/* --- the look at the folder --- */

/* A name that a ring may have: the uid in decimal, as it is printed. */
static bool parse_uid(const char *name, uid_t *ret) {
    char *end, again[16];
    errno = 0;
    unsigned long value = strtoul(name, &end, 10);
    if (errno || *end || value >= UINT32_MAX)
        return false;
    snprintf(again, sizeof(again), "%lu", value);
    *ret = (uid_t)value;
    return strcmp(again, name) == 0;
}

/* Another name in the same folder: where it is ours that takes no right to what is moved. */
static bool move_out_of_the_way(struct rings *rings, const char *name) {
    char target[NAME_SIZE];
    if (strncmp(name, OUT_OF_THE_WAY, strlen(OUT_OF_THE_WAY)) == 0)
        return false;
    snprintf(target, sizeof(target), OUT_OF_THE_WAY "%llu", (unsigned long long)clock_real_ns());
    return renameat(rings->folder_fd, name, rings->folder_fd, target) == 0;
}

/* What has no business here: unlinked, or, if that cannot be done (a folder), moved out of the way. */
static void remove_foreign(struct rings *rings, const char *name, const char *what) {
    if ((unlinkat(rings->folder_fd, name, 0) == 0 || unlinkat(rings->folder_fd, name, AT_REMOVEDIR) == 0 ||
         quarantine_move(rings, name) || move_out_of_the_way(rings, name)) &&
        rings_may_say(rings))
        diag_warn("removed rings/%s: %s", name, what);
}

static bool is_stale(const struct stat *status) {
    uint64_t changed = (uint64_t)status->st_ctim.tv_sec * CLOCK_SECOND, now = clock_real_ns();
    return changed + STALE_FILE_NS < now;
}

/* A file that its name's user did not put there; we could perhaps not even open it. */
static bool is_foreign(const struct stat *status, uid_t uid) {
    return !S_ISREG(status->st_mode) || status->st_uid != uid;
}

/* Room for one more, whoever takes the place of his own over and over. */
static bool has_room(struct rings *rings, uid_t uid, const char *name) {
    size_t own = 0;
    for (size_t i = 0; i < rings->count; i++)
        own += rings->items[i]->uid == uid;
    if (rings->count < RINGS_MAX)
        return own < RINGS_OF_A_USER;
    if (!rings->said_full)
        diag_error("more than %d rings: rings/%s has to wait", RINGS_MAX, name);
    rings->said_full = true;
    return false;
}

/* True when the ring is open in the end, or is nothing to be opened. */
static bool open_ring(struct rings *rings, uid_t uid, const struct stat *status, const char *name) {
    struct ring ring;
    struct error error;
    int result = ring_reader_open(rings->folder_fd, uid, true, &ring, &error);
    if (result == 0)
        return rings_take_in(rings, &ring, uid, status->st_dev, status->st_ino) != -ENOMEM;
    if (result == -EPERM) { /* another one than a moment ago */
        remove_foreign(rings, name, error.text);
        return true;
    }
    if (result == -EBADMSG || result == -EFAULT) {
        if (rings_may_say(rings))
            diag_error("set rings/%s aside: %s", name, error.text);
        rings->broken_count++;
        if (!quarantine_move(rings, name))
            unlinkat(rings->folder_fd, name, 0);
        return true;
    }
    if (result == -ENOENT)
        return true;
    if (!is_said(rings, status->st_ino, result) && rings_may_say(rings))
        diag_error("cannot open rings/%s: %s", name, error.text);
    return false;
}

static bool look_at(struct rings *rings, const char *name) {
    struct stat status;
    uid_t uid;
    if (fstatat(rings->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    if (!parse_uid(name, &uid)) {
        if (is_stale(&status))
            remove_foreign(rings, name, "no ring, and nobody finished it");
        return true;
    }
    if (is_foreign(&status, uid)) {
        char what[96];
        snprintf(what, sizeof(what), "%s of user %u", S_ISREG(status.st_mode) ? "it is" : "no regular file, and",
                 (unsigned)status.st_uid);
        remove_foreign(rings, name, what);
        return true;
    }
    for (size_t i = 0; i < rings->count; i++) {
        struct collector_ring *ring = rings->items[i];
        if (ring->phase == RING_ACTIVE && ring->device == status.st_dev && ring->inode == status.st_ino)
            return true;
    }
    return has_room(rings, uid, name) && open_ring(rings, uid, &status, name);
}

/* An active ring whose name now belongs to another file, or to none: whoever still writes to it is sent to the new one. */
static void notice_replaced(struct rings *rings) {
    for (size_t i = 0; i < rings->count; i++) {
        struct collector_ring *ring = rings->items[i];
        char name[16];
        snprintf(name, sizeof(name), "%u", (unsigned)ring->uid);
        if (ring->phase != RING_ACTIVE || is_this_ring(rings, name, ring))
            continue;
        if (rings_may_say(rings))
            diag_warn("rings/%s was replaced by its owner: the old file is read to its end", name);
        ring_reader_retire(&ring->ring, true);
        rings_leave(rings, ring);
    }
}

bool rings_scan(struct rings *rings) {
    notice_replaced(rings);
    int fd = openat(rings->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool all = true;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            all &= look_at(rings, entry->d_name);
    closedir(dir);
    return all;
}
