/* tail_watch.c - inotify on the folders of the files: what grew is in line at once, what came or went is scanned soon.
 * Only a help: the rescan finds everything by itself. */
#include "agent/inputs/tail_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    WATCH_NAMES = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB,
    WATCH_EVENTS = WATCH_NAMES | IN_MODIFY | IN_ONLYDIR | IN_EXCL_UNLINK,
};

static void forget_watch(struct tail *tail, int wd) {
    for (size_t i = 0; i < tail->watch_count; i++)
        if (tail->watches[i].wd == wd) {
            free(tail->watches[i].folder);
            tail->watches[i] = tail->watches[--tail->watch_count];
            return;
        }
}

static void changed(struct tail *tail, const struct inotify_event *event) {
    char path[PATH_MAX];
    for (size_t i = 0; i < tail->watch_count; i++) {
        if (tail->watches[i].wd != event->wd)
            continue;
        int length = snprintf(path, sizeof(path), "%s/%s", tail->watches[i].folder, event->name);
        struct tail_file *file = length > 0 && (size_t)length < sizeof(path) ? tail_set_at(tail, path) : NULL;
        if (file)
            tail_set_ready(file);
        return;
    }
}

static void on_events(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source;
    (void)events;
    struct tail *tail = context;
    _Alignas(struct inotify_event) char bytes[16384];
    ssize_t got = read(fd, bytes, sizeof(bytes));
    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
        at += (ssize_t)(sizeof(*event) + event->len);
        if (event->mask & IN_IGNORED)
            forget_watch(tail, event->wd);
        if (event->mask & (WATCH_NAMES | IN_Q_OVERFLOW | IN_IGNORED))
            tail_scan_soon(tail, TAIL_SCAN_SOON_MS);
        else if (event->len > 0)
            changed(tail, event);
    }
    if (!tail->holding)
        tail_schedule(tail);
}

void tail_watch_open(struct tail *tail) {
    tail->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (tail->watch_fd >= 0 &&
        loop_add_fd(tail->input.context->loop, tail->watch_fd, EPOLLIN, on_events, tail, &tail->watch_source) != 0) {
        close(tail->watch_fd);
        tail->watch_fd = -1;
    }
}

static void watch(struct tail *tail, const char *folder) {
    if (tail->watch_fd < 0 || tail->watch_count == TAIL_WATCHES_MAX)
        return;
    int wd = inotify_add_watch(tail->watch_fd, folder, WATCH_EVENTS);
    for (size_t i = 0; i < tail->watch_count && wd >= 0; i++)
        if (tail->watches[i].wd == wd)
            return; /* the same folder by another path: the first one's is kept */
    char *copy = wd >= 0 ? strdup(folder) : NULL;
    if (!copy)
        return;
    tail->watches[tail->watch_count].wd = wd;
    tail->watches[tail->watch_count++].folder = copy;
}

void tail_watch_folder_of(struct tail *tail, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return;
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    for (size_t i = 0; i < tail->watch_count; i++)
        if (strncmp(tail->watches[i].folder, path, length) == 0 && tail->watches[i].folder[length] == '\0')
            return;
    char *folder = strndup(path, length);
    if (folder)
        watch(tail, folder);
    free(folder);
}

void tail_watch_close(struct tail *tail) {
    loop_remove_fd(tail->watch_source);
    tail->watch_source = NULL;
    if (tail->watch_fd >= 0)
        close(tail->watch_fd);
    tail->watch_fd = -1;
    while (tail->watch_count > 0)
        free(tail->watches[--tail->watch_count].folder);
}
