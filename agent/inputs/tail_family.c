/* tail_family.c - the rotated files of a label: what is in its folder under its name with a number or a date behind it,
 * and in which order it was written. */
#include "agent/inputs/tail_priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROOM = 64, NUMBER_DIGITS = 4 /* a number has at most so many, a date more */ };

/* --- the names in a folder --- */

static int compare_names(const void *left, const void *right) {
    return strcmp(((const struct tail_name *)left)->name, ((const struct tail_name *)right)->name);
}

static int add_name(struct tail_names *names, size_t *room, const struct dirent *entry) {
    if (names->count == *room) {
        size_t more = *room ? 2 * *room : FIRST_ROOM;
        struct tail_name *items = realloc(names->items, more * sizeof(*items));
        if (!items)
            return -EAGAIN;
        names->items = items;
        *room = more;
    }
    char *copy = strdup(entry->d_name);
    if (!copy)
        return -EAGAIN;
    names->items[names->count++] = (struct tail_name) { copy, entry->d_ino };
    return 0;
}

int tail_names_read(struct tail_names *ret, const char *folder) {
    size_t room = 0;
    int result = 0;
    *ret = (struct tail_names) { 0 };
    DIR *listing = opendir(folder[0] ? folder : "/");
    if (!listing)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -EAGAIN : -errno;
    for (struct dirent *entry; result == 0 && (entry = readdir(listing));)
        result = add_name(ret, &room, entry);
    closedir(listing);
    if (result == 0 && ret->count > 0)
        qsort(ret->items, ret->count, sizeof(*ret->items), compare_names);
    return result;
}

void tail_names_finish(struct tail_names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].name);
    free(names->items);
    *names = (struct tail_names) { 0 };
}

/* The first that is not before `name`. */
static size_t find_name(const struct tail_names *names, const char *name) {
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- the family --- */

bool tail_family_has(const char *name, const char *label_name) {
    size_t length = strlen(label_name);
    return strncmp(name, label_name, length) == 0 && (name[length] == '.' || name[length] == '-') &&
           name[length + 1] >= '0' && name[length + 1] <= '9';
}

/* 1: added; 0: not a file; -EAGAIN: renamed meanwhile. */
static int add_member(struct tail_family *family, const char *folder, size_t folder_length, const char *name) {
    struct tail_member member = { 0 };
    if (asprintf(&member.path, "%.*s/%s", (int)folder_length, folder, name) < 0)
        return -EAGAIN;
    bool there = stat(member.path, &member.status) == 0;
    bool renamed = !there && errno == ENOENT && lstat(member.path, &member.status) != 0; /* else it points nowhere */
    if (!there || !S_ISREG(member.status.st_mode)) {
        free(member.path);
        return renamed ? -EAGAIN : 0;
    }
    if (family->count % FIRST_ROOM == 0) {
        struct tail_member *items = realloc(family->items, (family->count + FIRST_ROOM) * sizeof(*items));
        if (!items) {
            free(member.path);
            return -EAGAIN;
        }
        family->items = items;
    }
    family->items[family->count++] = member;
    return 1;
}

int tail_family_read(struct tail_family *ret, const char *label, const struct tail_names *names) {
    const char *name = strrchr(label, '/') + 1;
    int result = 0;
    for (size_t i = find_name(names, name), length = strlen(name); i < names->count && result >= 0; i++) {
        if (strncmp(names->items[i].name, name, length) != 0)
            break;
        if (tail_family_has(names->items[i].name, name))
            result = add_member(ret, label, (size_t)(name - 1 - label), names->items[i].name);
    }
    return result < 0 ? result : 0;
}

bool tail_family_equal(const struct tail_family *a, const struct tail_family *b) {
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++)
        equal = strcmp(a->items[i].path, b->items[i].path) == 0 &&
                a->items[i].status.st_dev == b->items[i].status.st_dev &&
                a->items[i].status.st_ino == b->items[i].status.st_ino;
    return equal;
}

void tail_family_finish(struct tail_family *family) {
    for (size_t i = 0; i < family->count; i++)
        free(family->items[i].path);
    free(family->items);
    *family = (struct tail_family) { 0 };
}

/* --- order --- */

static int compare_suffixes(const void *left, const void *right) {
    return strverscmp(((const struct tail_member *)left)->path, ((const struct tail_member *)right)->path);
}

static int compare_times(const void *left, const void *right) {
    uint64_t a = tail_mtime_ns(&((const struct tail_member *)left)->status),
             b = tail_mtime_ns(&((const struct tail_member *)right)->status);
    return a != b ? (a < b ? -1 : 1) : compare_suffixes(right, left);
}

/* What stands behind the label: '.' or '-', and whether it is a number. */
static int kind_of(const struct tail_member *member, size_t label_length) {
    const char *suffix = member->path + label_length;
    return suffix[0] * 2 + (strspn(suffix + 1, "0123456789") <= NUMBER_DIGITS);
}

static void reverse(struct tail_family *family) {
    for (size_t i = 0, j = family->count; i + 1 < j; i++) {
        struct tail_member member = family->items[i];
        family->items[i] = family->items[--j];
        family->items[j] = member;
    }
}

/* The suffixes say it, since times come in ticks, and a late line or a clock that was set changes them. But numbers count
 * up or down: that the times say, all together; of names in two manners, they say everything. */
void tail_family_sort(struct tail_family *family, const char *label) {
    size_t length = strlen(label), rising = 0, falling = 0;
    if (family->count < 2)
        return;
    qsort(family->items, family->count, sizeof(*family->items), compare_suffixes);
    for (size_t i = 1; i < family->count; i++) {
        const struct tail_member *before = &family->items[i - 1], *member = &family->items[i];
        uint64_t before_ns = tail_mtime_ns(&before->status), member_ns = tail_mtime_ns(&member->status);
        if (kind_of(before, length) != kind_of(member, length)) {
            qsort(family->items, family->count, sizeof(*family->items), compare_times);
            return;
        }
        rising += member_ns > before_ns;
        falling += member_ns < before_ns;
    }
    bool is_number = kind_of(&family->items[0], length) % 2 != 0;
    if (falling > rising || (falling == rising && is_number))
        reverse(family);
}
