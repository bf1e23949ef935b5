/* tail_rotate.c - where a file went that the globs do not give any more, and whose lines come first.
 *
 * A descriptor that is open follows its file anywhere. A file that is closed (or was rotated while the agent was dead)
 * is looked for in its label's folder by its inode, and by its fingerprint, since inodes are given out again. Files that
 * were made and renamed at the same label in between are then there too: their names are the label with a number or a
 * date behind it, and they were written to later. */
#include "agent/inputs/tail_priv.h"
#include "common/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool tail_is_quiet(const struct tail_file *file, uint64_t for_ms) {
    uint64_t for_ns = for_ms * CLOCK_MILLISECOND, now_ns = clock_real_ns();
    if (clock_monotonic_ns() - file->grew_ns >= for_ns)
        return true;
    return file->mtime_ns < now_ns && now_ns - file->mtime_ns >= for_ns; /* it was so before we looked */
}

/* The label's folder into `out`, without a slash at its end ("" for the root); the label's name is behind it. */
static const char *split(const char *label, char out[PATH_MAX]) {
    const char *slash = strrchr(label, '/');
    if (!slash || (size_t)(slash - label) >= PATH_MAX)
        return NULL;
    memcpy(out, label, (size_t)(slash - label));
    out[slash - label] = '\0';
    return slash + 1;
}

static bool join(char out[PATH_MAX], const char *folder, const char *name) {
    int length = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

static bool is_it(const struct tail_file *file, const char *path, struct stat *ret) {
    return stat(path, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_dev == file->device && ret->st_ino == file->inode;
}

/* The path in the label's folder under which the file stands now. */
static bool search(const struct tail_file *file, char out[PATH_MAX], struct stat *ret) {
    char folder[PATH_MAX];
    if (!split(file->label, folder))
        return false;
    DIR *listing = opendir(folder[0] ? folder : "/");
    if (!listing)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(listing));)
        found = entry->d_ino == file->inode && join(out, folder, entry->d_name) && is_it(file, out, ret);
    closedir(listing);
    return found;
}

/* "app.log" and "app.log.1", "app.log-20261123" */
static bool is_rotated_name(const char *name, const char *label_name) {
    size_t length = strlen(label_name);
    return strncmp(name, label_name, length) == 0 && (name[length] == '.' || name[length] == '-') &&
           name[length + 1] >= '0' && name[length + 1] <= '9';
}

static void adopt_one(struct tail_file *file, const char *path) {
    struct tail *tail = file->tail;
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_mtim.tv_sec < 0 ||
        (uint64_t)status.st_mtim.tv_sec * CLOCK_SECOND + (uint64_t)status.st_mtim.tv_nsec < file->mtime_ns)
        return;
    if (tail->count >= TAIL_FILES_MAX || tail_set_find(tail, status.st_dev, status.st_ino) ||
        !tail_is_wanted(tail, path) || own_is_path(tail->input.context->own, path))
        return;
    struct tail_file *between = tail_set_add(tail, status.st_dev, status.st_ino, path, file->label);
    if (!between)
        return;
    between->seen = tail->scan;
    between->verified = between->rotated = true;
    tail_saw(between, &status);
    tail_set_ready(between);
}

/* What had the label between this file and the one that has it now. */
static void adopt_between(struct tail_file *file) {
    char folder[PATH_MAX], path[PATH_MAX];
    const char *name = split(file->label, folder);
    DIR *listing = name ? opendir(folder[0] ? folder : "/") : NULL;
    if (!listing)
        return;
    for (struct dirent *entry; (entry = readdir(listing));)
        if (is_rotated_name(entry->d_name, name) && join(path, folder, entry->d_name))
            adopt_one(file, path);
    closedir(listing);
}

void tail_rotated(struct tail_file *file) {
    if (file->rotated)
        return;
    file->rotated = true;
    file->finished = false;
    adopt_between(file);
    tail_set_ready(file);
}

/* Whether the file system it was on is still there: one that is not mounted now has not lost its files. */
static bool is_mounted(const struct tail_file *file) {
    char folder[PATH_MAX];
    struct stat status;
    if (!split(file->label, folder))
        return true;
    for (char *slash; stat(folder[0] ? folder : "/", &status) != 0; *slash = '\0')
        if (errno != ENOENT || !(slash = strrchr(folder, '/')))
            return false;
    return status.st_dev == file->device;
}

static void gone(struct tail_file *file) {
    if (!is_mounted(file)) {
        tail_set_remove(file);
        return;
    }
    tail_read_close(file);
    tail_set_move(file, NULL);
    file->finished = file->forget = true;
    tail_set_ready(file);
}

static void follow_open(struct tail_file *file) {
    char link[64], path[PATH_MAX];
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return;
    tail_saw(file, &status);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
    ssize_t length = file->unlinked ? 0 : readlink(link, path, sizeof(path) - 1);
    if (length > 0)
        path[length] = '\0';
    tail_set_move(file, length > 0 ? path : NULL);
    tail_rotated(file);
    if (file->size != file->offset || !file->finished) {
        tail_set_ready(file);
    } else if (tail_is_quiet(file, TAIL_CLOSE_MS)) {
        if (file->unlinked)
            gone(file);
        else
            tail_read_close(file);
    }
}

/* A closed file at `path`, where something with its inode stands: 1 when it is the file, 0 when not, -errno. */
static int verify_at(const struct tail_file *file, const char *path, const struct stat *status) {
    if (file->verified && (uint64_t)status->st_size >= file->offset && strcmp(path, file->path ? file->path : "") == 0)
        return 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int result = (uint64_t)status->st_size < file->offset
                     ? 0
                     : tail_read_matches(fd, file->fingerprint, file->fingerprint_length);
    close(fd);
    return result;
}

static void follow_closed(struct tail_file *file) {
    char path[PATH_MAX];
    struct stat status;
    struct tail *tail = file->tail;
    bool there = file->path && is_it(file, file->path, &status);
    if (there && strcmp(file->path, file->label) == 0 && !file->rotated) {
        if (tail->first_scan)
            tail_set_remove(file); /* the configuration does not name it any more; its position stays */
        return;
    }
    if (there)
        snprintf(path, sizeof(path), "%s", file->path);
    int same = there || search(file, path, &status) ? verify_at(file, path, &status) : 0;
    if (same == 1) {
        file->misses = 0;
        file->verified = true;
        tail_set_move(file, path);
        tail_saw(file, &status);
        tail_rotated(file);
        if (file->size != file->offset || !file->finished)
            tail_set_ready(file);
        return;
    }
    if (same < 0)
        return; /* it may be the file, but cannot be read now */
    tail_rotated(file);
    tail_set_move(file, NULL);
    tail->missing = true;
    if (++file->misses >= TAIL_MISSES)
        gone(file);
}

void tail_follow(struct tail_file *file) {
    if (file->fd >= 0)
        follow_open(file);
    else
        follow_closed(file);
}

/* --- order --- */

/* Of two names that were rotated at the same instant: with numbers the greater is older, with dates the lesser. */
static int compare_suffixes(const struct tail_file *a, const struct tail_file *b) {
    enum { NUMBER_DIGITS = 5 };
    if (!a->path || !b->path)
        return 0;
    size_t a_length = strlen(a->path), b_length = strlen(b->path), label = strlen(a->label);
    bool numbers =
        a_length > label && b_length > label && a_length - label <= NUMBER_DIGITS && b_length - label <= NUMBER_DIGITS;
    if (numbers && a_length != b_length)
        return a_length > b_length ? -1 : 1;
    return numbers ? strcmp(b->path, a->path) : strcmp(a->path, b->path);
}

static int compare_age(const void *left, const void *right) {
    const struct tail_file *a = *(struct tail_file *const *)left, *b = *(struct tail_file *const *)right;
    int order = strcmp(a->label, b->label);
    if (order != 0)
        return order;
    if (a->mtime_ns != b->mtime_ns)
        return a->mtime_ns < b->mtime_ns ? -1 : 1;
    return compare_suffixes(a, b);
}

void tail_order(struct tail *tail) {
    size_t pending = 0, count = 0;
    TAIL_FOR_EACH(tail, file)
    pending += file->rotated && !file->finished;
    struct tail_file **list = pending ? calloc(pending, sizeof(struct tail_file *)) : NULL;
    if (!list)
        return;
    TAIL_FOR_EACH(tail, file)
    if (file->rotated && !file->finished)
        list[count++] = file;
    check(count == pending);
    qsort(list, count, sizeof(struct tail_file *), compare_age);
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || strcmp(list[i - 1]->label, list[i]->label) != 0;
        bool last = i + 1 == count || strcmp(list[i + 1]->label, list[i]->label) != 0;
        list[i]->after = first ? NULL : list[i - 1];
        struct tail_file *live = last ? tail_set_at(tail, list[i]->label) : NULL;
        if (live && !live->rotated)
            live->after = list[i];
    }
    free(list);
}
