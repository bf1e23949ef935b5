/* tail_order.c - whose lines come first among the files that have, or had, the same label.
 *
 * A label is settled when one of its files moved or came. The rotated ones are looked at twice, between two looks at who
 * has the label itself. Only where all of that agrees it is true of one moment: a chain of renames moves each file once
 * before the label's file goes, so a file that one look missed on its way stands still in the other. Else the label is
 * left for the next scan, soon; what has its place is read meanwhile, what is new waits.
 *
 * New is what was written after the last file that is known; where none of those is left, what was written to later; and
 * where none ever was, what was written to since the input's first start. */
#include "agent/inputs/tail_priv.h"
#include "common/base/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct owner {
    bool there;
    dev_t device;
    ino_t inode;
};

struct group { /* the files of a label that is to be settled */
    char *label;
    struct tail_file **files;
    size_t count;
    bool list; /* the folder tells */
    bool failed;
    struct owner owners[2]; /* of the label itself */
    struct tail_family families[2];
};

/* --- two looks --- */

static void look(struct group *groups, size_t count, int pass, const struct tail_names *names) {
    for (size_t i = 0; i < count; i++)
        if (groups[i].list && tail_family_read(&groups[i].families[pass], groups[i].label, names) != 0)
            groups[i].failed = true;
}

static void look_at_owners(struct group *groups, size_t count, int pass) {
    struct stat status;
    for (size_t i = 0; i < count; i++)
        if (stat(groups[i].label, &status) == 0)
            groups[i].owners[pass] = (struct owner) { true, status.st_dev, status.st_ino };
}

/* `names` is the second listing. */
static int look_twice(struct group *groups, size_t count, const char *folder, struct tail_names *names) {
    look_at_owners(groups, count, 0);
    int result = tail_names_read(names, folder);
    look(groups, count, 0, names);
    tail_names_finish(names);
    if (result == -EAGAIN)
        return result;
    result = tail_names_read(names, folder);
    look(groups, count, 1, names);
    look_at_owners(groups, count, 1);
    return result;
}

static bool agrees(const struct group *group) {
    const struct owner *a = &group->owners[0], *b = &group->owners[1];
    return !group->failed && a->there == b->there && a->device == b->device && a->inode == b->inode &&
           tail_family_equal(&group->families[0], &group->families[1]);
}

/* --- who is new --- */

static void claim(struct tail *tail, const struct group *group, struct tail_member *member) {
    struct tail_file *file = tail_set_find(tail, member->status.st_dev, member->status.st_ino);
    member->file = file;
    if (!file)
        member->claim = TAIL_NEW;
    else if (file->forget || tail_is_at(file, member->path, &member->status) == 0)
        member->claim = TAIL_REPLACED;
    else if (!tail_set_knows(file))
        member->claim = TAIL_NEW;
    else
        member->claim = strcmp(file->label, group->label) == 0 ? TAIL_KNOWN : TAIL_FOREIGN;
}

/* From which time on files are new where no known one is left in the folder. */
static uint64_t newest_known_ns(const struct tail *tail, const struct group *group) {
    uint64_t newest_ns = 0;
    bool any = false;
    for (size_t i = 0; i < group->count; i++) {
        const struct tail_file *file = group->files[i];
        bool known = tail_set_knows(file);
        uint64_t time_ns = known ? file->mtime_ns : file->former.mtime_ns;
        any = any || known || time_ns > 0;
        if (time_ns > newest_ns)
            newest_ns = time_ns;
    }
    return any ? newest_ns : tail->since_ns;
}

/* A label that was copied and then truncated while nobody looked: what was read of it stands in the copy. */
static int go_on_in_copy(const struct group *group, struct tail_file *file) {
    for (size_t i = 0; i < group->count; i++) {
        struct tail_former *former = &group->files[i]->former;
        if (former->fingerprint_length == 0 || file->size < former->offset)
            continue;
        int result = tail_read_open(file);
        if (result == 0)
            result = tail_read_matches(file->fd, former->fingerprint, former->fingerprint_length);
        if (result < 0)
            return result;
        if (result == 1) {
            file->offset = file->scanned = former->offset;
            file->fingerprint = former->fingerprint;
            file->fingerprint_length = former->fingerprint_length;
            *former = (struct tail_former) { 0 };
            return 0;
        }
    }
    return 0;
}

/* 0, also where it is not to be read; -EAGAIN: later. */
static int adopt(struct tail *tail, const struct group *group, struct tail_member *member) {
    const struct own *own = tail->input.context->own;
    struct tail_file *file = member->file;
    if (!tail_is_wanted(tail, member->path) || own_is_path(own, member->path) ||
        own_is_file(own, member->status.st_dev, member->status.st_ino) || (!file && tail->count >= TAIL_FILES_MAX))
        return 0;
    if (!file)
        file = tail_set_add(tail, member->status.st_dev, member->status.st_ino, member->path, group->label);
    else if (member->claim == TAIL_REPLACED)
        tail_set_renew(file);
    if (!file || tail_set_label(file, group->label) != 0 || tail_set_move(file, member->path) != 0)
        return -EAGAIN;
    tail_saw(file, &member->status);
    if (file->offset == 0 && go_on_in_copy(group, file) != 0)
        return -EAGAIN;
    member->file = file;
    member->claim = TAIL_KNOWN;
    return 0;
}

static int adopt_new(struct tail *tail, const struct group *group, struct tail_family *family) {
    const struct owner *owner = &group->owners[1];
    struct tail_file *live = owner->there ? tail_set_find(tail, owner->device, owner->inode) : NULL;
    if (owner->there && !live) { /* it has come since, or no glob names it */
        for (size_t i = 0; i < group->count; i++)
            if (!tail_set_knows(group->files[i]))
                return -EAGAIN;
        return 0;
    }
    if (live && (tail_set_knows(live) || strcmp(live->label, group->label) != 0))
        return 0; /* the newest of all is known */
    uint64_t since_ns = newest_known_ns(tail, group);
    size_t from = 0;
    for (size_t i = 0; i < family->count; i++)
        if (family->items[i].claim == TAIL_KNOWN)
            from = i + 1;
    int result = 0;
    for (size_t i = from; i < family->count && result == 0; i++) {
        struct tail_member *member = &family->items[i];
        if (member->claim != TAIL_FOREIGN && (from > 0 || tail_mtime_ns(&member->status) >= since_ns))
            result = adopt(tail, group, member);
    }
    return result;
}

/* --- where they are --- */

static void place(struct tail_file *file, const char *path, const struct stat *status) {
    file->verified = true;
    file->moved = false;
    file->misses = 0;
    file->seen = file->tail->scan;
    tail_set_move(file, path);
    tail_saw(file, status);
    if (!file->rotated) {
        file->rotated = true;
        file->finished = file->size == file->offset && tail_is_quiet(file, TAIL_QUIET_MS);
    }
    if (file->size != file->offset)
        tail_set_ready(file);
}

/* By its inode, under any name: true unless it is certain that it is not there. */
static bool is_in_folder(struct tail_file *file, const struct tail_names *names) {
    char path[PATH_MAX];
    struct stat status;
    int folder = (int)(strrchr(file->label, '/') - file->label);
    for (size_t i = 0; i < names->count; i++) {
        if (names->items[i].inode != file->inode)
            continue;
        int length = snprintf(path, sizeof(path), "%.*s/%s", folder, file->label, names->items[i].name);
        if (length < 0 || (size_t)length >= sizeof(path) || stat(path, &status) != 0 || !S_ISREG(status.st_mode) ||
            status.st_dev != file->device || status.st_ino != file->inode)
            continue;
        int same = tail_is_at(file, path, &status);
        if (same == 1 && strcmp(path, file->label) != 0)
            place(file, path, &status);
        if (same != 0)
            return true;
    }
    return false;
}

static void find_missing(struct tail *tail, const struct group *group, const struct tail_names *names, bool listed) {
    for (size_t i = 0; i < group->count; i++) {
        struct tail_file *file = group->files[i];
        if (file->placed || !file->moved || file->fd >= 0 || file->seen == tail->scan || is_in_folder(file, names))
            continue;
        file->rotated = true;
        tail_set_move(file, NULL);
        if (!listed || tail->scan_incomplete)
            continue;
        file->misses++;
        tail->missing = true;
    }
}

/* --- their order --- */

static int compare_order(const void *left, const void *right) {
    const struct tail_file *a = *(struct tail_file *const *)left, *b = *(struct tail_file *const *)right;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* First those that are neither rotated in their folder nor at their label, last who has the label. */
static size_t line_up(const struct group *group, const struct tail_family *family, struct tail_file **line) {
    size_t count = 0;
    for (int live = 0; live < 2; live++) {
        for (size_t i = 0; i < group->count; i++) {
            struct tail_file *file = group->files[i];
            bool at_label = !file->rotated && file->path && strcmp(file->path, file->label) == 0;
            if (file->placed || at_label != (live == 1))
                continue;
            file->rotated = !at_label;
            line[count++] = file;
        }
        for (size_t i = 0; i < family->count && live == 0; i++)
            if (family->items[i].claim == TAIL_KNOWN)
                line[count++] = family->items[i].file;
    }
    return count;
}

static void set_order(struct tail *tail, struct tail_file **line, size_t count) {
    struct tail_file *last = NULL;
    for (size_t i = 0; i < count; i++)
        if (line[i]->order == 0)
            line[i]->order = ++tail->orders;
    qsort(line, count, sizeof(struct tail_file *), compare_order);
    for (size_t i = 0; i < count; i++) {
        struct tail_file *file = line[i];
        bool readable = file->fd >= 0 || file->path;
        if (readable)
            file->moved = false;
        file->after = NULL;
        if (!readable || file->finished)
            continue;
        file->after = last;
        last = file;
        tail_set_ready(file);
    }
}

/* -EAGAIN: later. */
static int settle(struct tail *tail, struct group *group, const struct tail_names *names, bool listed) {
    struct tail_family *family = &group->families[1];
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++)
        if (strcmp(group->files[i]->label, group->label) == 0) /* not taken into another group meanwhile */
            group->files[kept++] = group->files[i];
    group->count = kept;
    for (size_t i = 0; i < group->count; i++)
        group->files[i]->placed = false;
    tail_family_sort(family, group->label);
    for (size_t i = 0; i < family->count; i++)
        claim(tail, group, &family->items[i]);
    if (group->list && adopt_new(tail, group, family) != 0)
        return -EAGAIN;
    struct tail_file **line = calloc(group->count + family->count, sizeof(struct tail_file *));
    if (!line)
        return -EAGAIN;
    for (size_t i = 0; i < family->count; i++)
        if (family->items[i].claim == TAIL_KNOWN) {
            place(family->items[i].file, family->items[i].path, &family->items[i].status);
            family->items[i].file->placed = true;
        }
    find_missing(tail, group, names, listed);
    set_order(tail, line, line_up(group, family, line));
    free(line);
    return 0;
}

/* --- the labels --- */

static size_t folder_length(const char *label) {
    const char *slash = strrchr(label, '/');
    return slash ? (size_t)(slash - label) : 0;
}

static bool same_folder(const char *a, const char *b) {
    size_t length = folder_length(a);
    return length == folder_length(b) && strncmp(a, b, length) == 0;
}

static int compare_labels(const void *left, const void *right) {
    const char *a = (*(struct tail_file *const *)left)->label, *b = (*(struct tail_file *const *)right)->label;
    size_t a_length = folder_length(a), b_length = folder_length(b);
    if (a_length != b_length)
        return a_length < b_length ? -1 : 1;
    return strcmp(a, b);
}

/* The files of the first label into `ret`; false where there is nothing to find out. */
static bool take_group(const struct tail *tail, struct tail_file **files, size_t count, struct group *ret) {
    bool due = false;
    *ret = (struct group) { .label = files[0]->label, .files = files };
    for (; ret->count < count && strcmp(files[ret->count]->label, ret->label) == 0; ret->count++) {
        const struct tail_file *file = files[ret->count];
        bool came = !tail_set_knows(file) && !(tail->first_scan && tail->first_start);
        due = due || file->order == 0 || file->moved;
        ret->list = ret->list || ((came || file->moved) && ret->label[0] == '/');
    }
    return due;
}

/* All in one folder. One that must wait keeps those waiting that may be rotated files of it. */
static void settle_groups(struct tail *tail, struct group *groups, size_t count) {
    struct tail_names names = { 0 };
    const char *waiting = NULL;
    char folder[PATH_MAX];
    bool list = false;
    for (size_t i = 0; i < count; i++)
        list = list || groups[i].list;
    snprintf(folder, sizeof(folder), "%.*s", (int)folder_length(groups[0].label), groups[0].label);
    int result = list ? look_twice(groups, count, folder, &names) : 0;
    bool listed = list && (result == 0 || result == -ENOENT || result == -ENOTDIR);
    for (size_t i = 0; i < count; i++) {
        struct group *group = &groups[i];
        if ((waiting && tail_family_has(group->label, waiting)) ||
            (group->list && (result == -EAGAIN || !agrees(group))) || settle(tail, group, &names, listed) != 0) {
            waiting = waiting && tail_family_has(group->label, waiting) ? waiting : group->label;
            tail->unsettled = true;
        }
    }
    tail_names_finish(&names);
}

static void settle_folder(struct tail *tail, struct tail_file **files, size_t count) {
    struct group group, *groups = NULL;
    size_t due = 0, taken = 0;
    for (size_t i = 0; i < count; i += group.count)
        due += take_group(tail, files + i, count - i, &group);
    groups = due ? calloc(due, sizeof(*groups)) : NULL;
    for (size_t i = 0; groups && i < count; i += group.count) {
        if (!take_group(tail, files + i, count - i, &group))
            continue;
        group.label = strdup(group.label); /* its files may come to have another */
        if (group.label)
            groups[taken++] = group;
    }
    if (taken < due)
        tail->unsettled = true;
    if (taken > 0)
        settle_groups(tail, groups, taken);
    for (size_t i = 0; i < taken; i++) {
        tail_family_finish(&groups[i].families[0]);
        tail_family_finish(&groups[i].families[1]);
        free(groups[i].label);
    }
    free(groups);
}

void tail_settle(struct tail *tail) {
    size_t due = 0, count = 0;
    TAIL_FOR_EACH(tail, file)
    due += !file->forget && (file->order == 0 || file->moved);
    if (due == 0)
        return;
    struct tail_file **files = calloc(tail->count, sizeof(struct tail_file *));
    if (!files) {
        tail->unsettled = true;
        return;
    }
    TAIL_FOR_EACH(tail, file)
    if (!file->forget)
        files[count++] = file;
    check(count <= tail->count);
    qsort(files, count, sizeof(struct tail_file *), compare_labels);
    for (size_t from = 0, to = 0; from < count; from = to) {
        while (to < count && same_folder(files[from]->label, files[to]->label))
            to++;
        settle_folder(tail, files + from, to - from);
    }
    free(files);
    TAIL_FOR_EACH(tail, file)
    if (file->misses >= TAIL_MISSES && !file->forget)
        tail_gone(file);
}
