/* tail_set.c - the files of a tail input: by identity, by path, and those in line to be read. */
#include "agent/inputs/tail_priv.h"
#include "common/base/check.h"
#include "common/base/hash.h"

#include <errno.h>
#include <stdlib.h>

static size_t id_bucket(dev_t device, ino_t inode) {
    uint64_t id[2] = { (uint64_t)device, (uint64_t)inode };
    return hash_bytes(id, sizeof(id)) % TAIL_BUCKETS;
}

static size_t path_bucket(const char *path) {
    return hash_bytes(path, strlen(path)) % TAIL_BUCKETS;
}

struct tail_file *tail_set_find(const struct tail *tail, dev_t device, ino_t inode) {
    struct tail_file *file = tail->by_id[id_bucket(device, inode)];
    while (file && (file->device != device || file->inode != inode))
        file = file->next_id;
    return file;
}

struct tail_file *tail_set_at(const struct tail *tail, const char *path) {
    struct tail_file *file = tail->by_path[path_bucket(path)];
    while (file && strcmp(file->path, path) != 0)
        file = file->next_path;
    return file;
}

static void unlink_path(struct tail_file *file) {
    if (!file->path)
        return;
    struct tail_file **at = &file->tail->by_path[path_bucket(file->path)];
    while (*at != file) {
        check(*at);
        at = &(*at)->next_path;
    }
    *at = file->next_path;
    free(file->path);
    file->path = NULL;
}

int tail_set_move(struct tail_file *file, const char *path) {
    if (path && file->path && strcmp(path, file->path) == 0)
        return 0;
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy)
        return -ENOMEM;
    unlink_path(file);
    if (!copy)
        return 0;
    struct tail_file **bucket = &file->tail->by_path[path_bucket(copy)];
    file->path = copy;
    file->next_path = *bucket;
    *bucket = file;
    return 0;
}

struct tail_file *tail_set_add(struct tail *tail, dev_t device, ino_t inode, const char *path, const char *label) {
    struct tail_file *file = calloc(1, sizeof(*file));
    char *label_copy = strdup(label);
    if (!file || !label_copy) {
        free(file);
        free(label_copy);
        return NULL;
    }
    *file = (struct tail_file) { .tail = tail, .device = device, .inode = inode, .fd = -1, .label = label_copy };
    if (tail_set_move(file, path) != 0) {
        free(label_copy);
        free(file);
        return NULL;
    }
    struct tail_file **bucket = &tail->by_id[id_bucket(device, inode)];
    file->next_id = *bucket;
    *bucket = file;
    tail->count++;
    return file;
}

static void leave_line(struct tail_file *file) {
    struct tail *tail = file->tail;
    struct tail_file *before = NULL, *at = tail->ready_first;
    while (at && at != file) {
        before = at;
        at = at->next_ready;
    }
    if (!at)
        return;
    if (before)
        before->next_ready = file->next_ready;
    else
        tail->ready_first = file->next_ready;
    if (tail->ready_last == file)
        tail->ready_last = before;
    file->queued = false;
}

void tail_set_remove(struct tail_file *file) {
    struct tail *tail = file->tail;
    tail_read_close(file);
    if (file->queued)
        leave_line(file);
    tail->waiting_count -= file->waiting;
    tail_set_release(file);
    struct tail_file **at = &tail->by_id[id_bucket(file->device, file->inode)];
    while (*at != file) {
        check(*at);
        at = &(*at)->next_id;
    }
    *at = file->next_id;
    unlink_path(file);
    tail->count--;
    free(file->label);
    free(file);
}

void tail_set_ready(struct tail_file *file) {
    struct tail *tail = file->tail;
    if (file->queued)
        return;
    file->queued = true;
    file->next_ready = NULL;
    if (tail->ready_last)
        tail->ready_last->next_ready = file;
    else
        tail->ready_first = file;
    tail->ready_last = file;
}

struct tail_file *tail_set_next_ready(struct tail *tail) {
    struct tail_file *file = tail->ready_first;
    if (!file)
        return NULL;
    tail->ready_first = file->next_ready;
    if (!tail->ready_first)
        tail->ready_last = NULL;
    file->queued = false;
    return file;
}

void tail_set_ready_again(struct tail_file *file) {
    struct tail *tail = file->tail;
    if (file->queued)
        return;
    file->queued = true;
    file->next_ready = tail->ready_first;
    tail->ready_first = file;
    if (!tail->ready_last)
        tail->ready_last = file;
}

/* They wait for what it waits for itself. */
void tail_set_release(struct tail_file *file) {
    TAIL_FOR_EACH(file->tail, other)
    if (other->after == file) {
        other->after = file->after;
        tail_set_ready(other);
    }
}

void tail_set_renew(struct tail_file *file) {
    if (tail_set_knows(file))
        file->former =
            (struct tail_former) { file->offset, file->fingerprint, file->mtime_ns, file->fingerprint_length };
    tail_set_release(file);
    file->after = NULL;
    file->order = file->offset = file->scanned = 0;
    file->fingerprint_length = 0;
    file->misses = 0;
    file->remembered = file->announce = file->binary = file->said = false;
    file->rotated = file->finished = file->unlinked = file->forget = false;
}

int tail_set_label(struct tail_file *file, const char *label) {
    if (strcmp(file->label, label) == 0)
        return 0;
    char *copy = strdup(label);
    if (!copy)
        return -ENOMEM;
    free(file->label);
    file->label = copy;
    file->former = (struct tail_former) { 0 };
    return 0;
}

bool tail_set_knows(const struct tail_file *file) {
    return file->order > 0 || file->remembered;
}

void tail_set_clear(struct tail *tail) {
    for (size_t i = 0; i < TAIL_BUCKETS; i++)
        while (tail->by_id[i])
            tail_set_remove(tail->by_id[i]);
}
