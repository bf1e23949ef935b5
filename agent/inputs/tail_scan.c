/* tail_scan.c - look at what the globs give: new files, files that grew, files that went. */
#include "agent/inputs/tail_priv.h"
#include "common/base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <unistd.h>

enum {
    SCAN_SHARE = 5, /* scans take at most one part in so many of the time */
    LAST_LINE_LOOK_BACK = 64 * 1024,
};

static _Thread_local bool glob_failed; /* glob's errfunc has no context */

static int on_glob_error(const char *path, int code) {
    (void)path;
    glob_failed = glob_failed || (code != ENOENT && code != ENOTDIR);
    return 0;
}

bool tail_is_wanted(const struct tail *tail, const char *path) {
    const struct config_input *config = tail->input.config;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < config->exclude.count; i++) {
        const char *pattern = config->exclude.items[i];
        if (fnmatch(pattern, strchr(pattern, '/') ? path : name, 0) == 0)
            return false;
    }
    return true;
}

uint64_t tail_mtime_ns(const struct stat *status) {
    return status->st_mtim.tv_sec > 0
               ? (uint64_t)status->st_mtim.tv_sec * CLOCK_SECOND + (uint64_t)status->st_mtim.tv_nsec
               : 0;
}

void tail_saw(struct tail_file *file, const struct stat *status) {
    uint64_t mtime_ns = tail_mtime_ns(status), size = (uint64_t)status->st_size;
    if (size != file->size || mtime_ns != file->mtime_ns || file->grew_ns == 0)
        file->grew_ns = clock_monotonic_ns();
    if (size < file->size)
        file->binary = false; /* another content: judged anew */
    file->size = size;
    file->mtime_ns = mtime_ns;
    file->unlinked = status->st_nlink == 0;
}

static bool is_too_old(const struct tail *tail, const struct tail_file *file) {
    uint64_t limit = tail->input.config->ignore_older_ns, now_ns = clock_real_ns();
    return limit != 0 && file->mtime_ns < now_ns && now_ns - file->mtime_ns > limit;
}

/* start_at end: behind the last newline, so that a line half written now comes whole. */
static uint64_t end_of_lines(const char *path, uint64_t size) {
    char bytes[LAST_LINE_LOOK_BACK];
    uint64_t length = size < sizeof(bytes) ? size : sizeof(bytes), result = size;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return size;
    ssize_t got = pread(fd, bytes, length, (off_t)(size - length));
    const char *newline = got > 0 ? memrchr(bytes, '\n', (size_t)got) : NULL;
    if (newline)
        result = size - length + (uint64_t)(newline - bytes) + 1;
    else if (got > 0 && size == length)
        result = 0;
    close(fd);
    return result;
}

static void found_new(struct tail *tail, const char *path, const struct stat *status) {
    if (!tail_is_wanted(tail, path) || own_is_file(tail->input.context->own, status->st_dev, status->st_ino) ||
        own_is_path(tail->input.context->own, path))
        return;
    if (tail->count >= TAIL_FILES_MAX) {
        if (!tail->limit_said)
            diag_warn("input %s follows %d files already: more are passed over", tail->input.config->name,
                      TAIL_FILES_MAX);
        tail->limit_said = true;
        return;
    }
    struct tail_file *file = tail_set_add(tail, status->st_dev, status->st_ino, path, path);
    if (!file)
        return; /* out of memory: the next scan tries again */
    file->seen = tail->scan;
    file->verified = true; /* nothing is known that could be wrong */
    tail_saw(file, status);
    file->announce = tail->first_scan && tail->first_start;
    if (file->announce && tail->input.config->start_at == CONFIG_START_END)
        file->offset = file->scanned = end_of_lines(path, file->size);
    file->ignored = is_too_old(tail, file);
    tail_watch_folder_of(tail, path);
    tail_set_ready(file);
}

/* A file that we know, at a path that may be new. */
static void found_again(struct tail_file *file, const char *path, const struct stat *status) {
    struct tail *tail = file->tail;
    if (file->seen == tail->scan)
        return; /* a second name of the same file: the first is kept */
    if (file->forget)
        tail_set_renew(file); /* its inode has come back as another file */
    bool was_missing = file->misses > 0, elsewhere = !file->path || strcmp(path, file->path) != 0;
    file->seen = tail->scan;
    file->misses = 0;
    tail_set_move(file, path);
    if (!file->verified || (elsewhere && file->fd < 0)) {
        tail_watch_folder_of(tail, path);
        tail_read_verify(file); /* where it fails the file's turn tries again, and says why */
    }
    if (file->remembered && file->fingerprint_length == 0 && strcmp(path, file->label) != 0)
        tail_set_renew(file); /* nothing was read of it, so nothing says that it is the same */
    if ((!tail_set_knows(file) || file->label[0] == '\0') && tail_set_label(file, path) != 0)
        return;
    if (strcmp(path, file->label) != 0)
        tail_rotated(file);
    else if (was_missing || file->rotated)
        file->rotated = file->finished = false; /* it came back to its name */
    tail_saw(file, status);
    if (file->ignored && !is_too_old(tail, file))
        file->ignored = false;
    if (file->size != file->offset || !file->verified || (file->rotated && !file->finished))
        tail_set_ready(file);
}

static void found(struct tail *tail, const char *path) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    struct tail_file *file = tail_set_find(tail, status.st_dev, status.st_ino);
    if (!file) {
        found_new(tail, path, &status);
    } else if (tail_is_wanted(tail, path)) {
        found_again(file, path, &status);
    }
}

static void scan_pattern(struct tail *tail, const char *pattern) {
    glob_t paths = { 0 };
    glob_failed = false;
    int result = glob(pattern, 0, on_glob_error, &paths);
    if (result == 0)
        for (size_t i = 0; i < paths.gl_pathc; i++)
            found(tail, paths.gl_pathv[i]);
    globfree(&paths);
    if (glob_failed || (result != 0 && result != GLOB_NOMATCH)) {
        tail->scan_incomplete = true;
        if (!tail->glob_said)
            diag_warn("input %s cannot list all folders of %s: it is tried again", tail->input.config->name, pattern);
        tail->glob_said = true;
    }
    /* the folder of the pattern, as far as it is a plain name: a first file may come */
    const char *wild = strpbrk(pattern, "*?[");
    const char *name = strrchr(pattern, '/');
    if (name && (!wild || wild > name))
        tail_watch_folder_of(tail, pattern);
}

void tail_scan_soon(struct tail *tail, uint64_t after_ms) {
    uint64_t now_ns = clock_monotonic_ns(), rest_ns = tail->scan_took_ns * SCAN_SHARE;
    uint64_t wait_ns = after_ms * CLOCK_MILLISECOND;
    if (wait_ns < rest_ns)
        wait_ns = rest_ns;
    if (tail->next_scan_ns > now_ns + wait_ns)
        tail->next_scan_ns = now_ns + wait_ns;
}

void tail_scan(struct tail *tail) {
    uint64_t begin_ns = clock_monotonic_ns();
    tail->scan++;
    tail->scan_incomplete = tail->missing = tail->unsettled = false;
    for (size_t i = 0; i < tail->input.config->paths.count; i++)
        scan_pattern(tail, tail->input.config->paths.items[i]);
    TAIL_FOR_EACH(tail, file)
    if (file->seen != tail->scan && !file->forget)
        tail_follow(file);
    tail_settle(tail);
    tail->first_scan = false;
    uint64_t end_ns = clock_monotonic_ns();
    tail->scan_took_ns = end_ns - begin_ns;
    tail->next_scan_ns = end_ns + TAIL_RESCAN_MS * CLOCK_MILLISECOND;
    if (tail->missing)
        tail_scan_soon(tail, TAIL_MISSING_MS);
    if (tail->unsettled)
        tail_scan_soon(tail, TAIL_SCAN_SOON_MS);
}
