/* samples_folder.c - DATA_DIR/metrics: which partitions there are, and which go. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/samples_private.h"

enum { PARTITIONS_MAX = 100000, HEX_DIGITS = 16, STAMP_LENGTH = 16 };
static const char prefix[] = "metrics-", suffix[] = ".mdb";

int samples_make_path(const char *data_dir, uint64_t first_ns, uint64_t created_ns, char out[PARTITION_PATH_MAX]) {
    char stamp[CLOCK_RFC3339_SIZE]; /* 2026-11-23T18:15:04.123456789Z to 20261123T181504Z */
    clock_format(created_ns, stamp);
    int length =
        snprintf(out, PARTITION_PATH_MAX, "%s/metrics/%s%016llx-%.4s%.2s%.2sT%.2s%.2s%.2sZ%s", data_dir, prefix,
                 (unsigned long long)first_ns, stamp, stamp + 5, stamp + 8, stamp + 11, stamp + 14, stamp + 17, suffix);
    return length > 0 && length < PARTITION_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static bool parse_name(const char *name, uint64_t *ret_first, uint64_t *ret_created) {
    static const size_t ahead = sizeof(prefix) - 1, behind = sizeof(suffix) - 1;
    size_t length = strlen(name);
    char text[32];
    if (length != ahead + HEX_DIGITS + 1 + STAMP_LENGTH + behind || strncmp(name, prefix, ahead) != 0 ||
        strspn(name + ahead, "0123456789abcdef") != HEX_DIGITS || name[ahead + HEX_DIGITS] != '-' ||
        strcmp(name + length - behind, suffix) != 0)
        return false;
    const char *stamp = name + ahead + HEX_DIGITS + 1;
    snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", stamp, stamp + 4, stamp + 6, stamp + 9, stamp + 11,
             stamp + 13);
    *ret_first = strtoull(name + ahead, NULL, 16);
    return clock_parse(text, strlen(text), ret_created) == 0;
}

bool samples_is_name(const char *path) {
    const char *base = strrchr(path, '/');
    uint64_t first, created;
    return parse_name(base ? base + 1 : path, &first, &created);
}

void samples_clear_folder(const char *folder) {
    static const char *const endings[] = { ".mdb.new", ".mdb.new-lock" };
    DIR *directory = opendir(folder);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        for (size_t i = 0; i < COUNT_OF(endings); i++) {
            size_t behind = strlen(endings[i]);
            if (strncmp(entry->d_name, prefix, sizeof(prefix) - 1) == 0 && length > behind &&
                strcmp(entry->d_name + length - behind, endings[i]) == 0)
                (void)unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    closedir(directory);
}

static int compare(const void *left, const void *right) {
    const struct partition_name *a = left, *b = right;
    if (a->first_sequence != b->first_sequence)
        return a->first_sequence < b->first_sequence ? -1 : 1;
    return (a->created_ns > b->created_ns) - (a->created_ns < b->created_ns);
}

struct list {
    struct partition_name *names;
    size_t count, capacity;
};

static int list_add(struct list *list, const struct partition_name *name) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct partition_name *names = reallocarray(list->names, capacity, sizeof(*names));
        if (!names)
            return -ENOMEM;
        list->names = names;
        list->capacity = capacity;
    }
    list->names[list->count++] = *name;
    return 0;
}

static int list_folder(const char *folder, struct list *list, struct error *error) {
    DIR *directory = opendir(folder);
    if (!directory) {
        int code = errno;
        return code == EACCES
                   ? error_set(error, -EACCES, "%s: permission denied; who may query joins the group taskforge", folder)
                   : error_set(error, -code, "%s: cannot read the folder: %s", folder, strerror(code));
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(directory)) != NULL;) {
        struct partition_name name;
        struct stat status;
        if (!parse_name(entry->d_name, &name.first_sequence, &name.created_ns) ||
            snprintf(name.path, sizeof(name.path), "%s/%s", folder, entry->d_name) >= (int)sizeof(name.path) ||
            fstatat(dirfd(directory), entry->d_name, &status, 0) < 0 || !S_ISREG(status.st_mode))
            continue;
        name.size = (uint64_t)status.st_blocks * 512;
        if (list->count >= PARTITIONS_MAX)
            result = error_set(error, -E2BIG, "%s: more than %d partitions", folder, PARTITIONS_MAX);
        else if (list_add(list, &name) < 0)
            result = error_set(error, -ENOMEM, "%s: out of memory", folder);
    }
    closedir(directory);
    return result;
}

/* One partition, whatever its name. */
static int list_file(const char *path, const struct stat *status, struct list *list, struct error *error) {
    const char *base = strrchr(path, '/');
    struct partition_name name = { .size = (uint64_t)status->st_blocks * 512 };
    (void)parse_name(base ? base + 1 : path, &name.first_sequence, &name.created_ns);
    if (snprintf(name.path, sizeof(name.path), "%s", path) >= (int)sizeof(name.path))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    return list_add(list, &name) < 0 ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int samples_list(const char *data_dir, struct partition_name **ret, size_t *ret_count, struct error *error) {
    struct list list = { 0 };
    struct stat status;
    char folder[PARTITION_PATH_MAX];
    int result;
    if (stat(data_dir, &status) == 0 && S_ISREG(status.st_mode)) {
        result = list_file(data_dir, &status, &list, error);
    } else if (snprintf(folder, sizeof(folder), "%s/metrics", data_dir) >= (int)sizeof(folder)) {
        result = error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    } else {
        result = list_folder(folder, &list, error);
        if (result == -ENOENT)
            result = list_folder(data_dir, &list, error);
        if (result == -ENOENT)
            result = 0;
    }
    if (result < 0) {
        free(list.names);
        return result;
    }
    if (list.count > 1)
        qsort(list.names, list.count, sizeof(list.names[0]), compare);
    *ret = list.names;
    *ret_count = list.count;
    return 0;
}

/* --- what goes --- */

static bool remove_one(const struct partition_name *name, uint64_t *bytes) {
    if (partition_unlink(name->path) < 0)
        return false;
    *bytes += name->size;
    return true;
}

int samples_expire(const char *data_dir, uint64_t before_ns, uint64_t *ret_bytes, struct error *error) {
    struct partition_name *names = NULL;
    size_t count = 0;
    int removed = 0;
    *ret_bytes = 0;
    int result = samples_list(data_dir, &names, &count, error);
    for (size_t i = 0; i < count && result == 0; i++)
        if (samples_day_of(names[i].first_sequence) < samples_day_of(before_ns))
            removed += remove_one(&names[i], ret_bytes);
    free(names);
    return result < 0 ? result : removed;
}

int samples_drop_oldest(const char *data_dir, uint64_t *ret_bytes, struct error *error) {
    struct partition_name *names = NULL;
    size_t count = 0;
    *ret_bytes = 0;
    int result = samples_list(data_dir, &names, &count, error);
    if (result == 0 && count > 1)
        result = remove_one(&names[0], ret_bytes);
    free(names);
    return result;
}
