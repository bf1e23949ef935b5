/* DATA_DIR/logs: which partitions there are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/partition.h"

enum { PARTITIONS_MAX = 100000, HEX_DIGITS = 16, STAMP_LENGTH = 16 };
static const char suffix[] = ".mdb";

int partition_make_path(const char *data_dir, uint64_t first_sequence, uint64_t created_ns,
                        char out[PARTITION_PATH_MAX]) {
    char stamp[CLOCK_RFC3339_SIZE]; /* 2026-11-23T18:15:04.123456789Z to 20261123T181504Z */
    clock_format(created_ns, stamp);
    int length = snprintf(out, PARTITION_PATH_MAX, "%s/logs/%016llx-%.4s%.2s%.2sT%.2s%.2s%.2sZ%s", data_dir,
                          (unsigned long long)first_sequence, stamp, stamp + 5, stamp + 8, stamp + 11, stamp + 14,
                          stamp + 17, suffix);
    return length > 0 && length < PARTITION_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The name of a partition file: its first sequence and when it was made; false for any other name. */
static bool parse_name(const char *name, uint64_t *ret_first, uint64_t *ret_created) {
    size_t length = strlen(name);
    if (length != HEX_DIGITS + 1 + STAMP_LENGTH + sizeof(suffix) - 1 || name[HEX_DIGITS] != '-' ||
        strcmp(name + length - (sizeof(suffix) - 1), suffix) != 0 || strspn(name, "0123456789abcdef") != HEX_DIGITS)
        return false;
    const char *stamp = name + HEX_DIGITS + 1;
    char text[32];
    snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", stamp, stamp + 4, stamp + 6, stamp + 9, stamp + 11,
             stamp + 13);
    *ret_first = strtoull(name, NULL, 16);
    return clock_parse(text, strlen(text), ret_created) == 0;
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

static int list_add(struct list *list, const char *path, uint64_t first, uint64_t created, uint64_t size) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct partition_name *names = realloc(list->names, capacity * sizeof(*names));
        if (!names)
            return -ENOMEM;
        list->names = names;
        list->capacity = capacity;
    }
    struct partition_name *name = &list->names[list->count++];
    *name = (struct partition_name) { .first_sequence = first, .created_ns = created, .size = size };
    snprintf(name->path, sizeof(name->path), "%s", path);
    return 0;
}

static int cannot_read(const char *folder, int code, struct error *error) {
    if (code == EACCES)
        return error_set(error, -EACCES, "%s: permission denied; who may query joins the group taskforge", folder);
    return error_set(error, -code, "%s: cannot read the folder: %s", folder, strerror(code));
}

/* NULL with 0 in errno at the end. */
static struct dirent *next_of(DIR *directory) {
    errno = 0;
    return readdir(directory);
}

/* Every partition file of one folder. -ENOENT when there is no such folder. One that cannot be looked at is no missing one: another would be
 * taken for the newest. */
static int list_folder(const char *folder, struct list *list, struct error *error) {
    DIR *directory = opendir(folder);
    if (!directory)
        return cannot_read(folder, errno, error);
    struct dirent *entry;
    int result = 0;
    while (result == 0 && (entry = next_of(directory)) != NULL) {
        uint64_t first, created;
        char path[PARTITION_PATH_MAX];
        struct stat status;
        if (!parse_name(entry->d_name, &first, &created) ||
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
            continue;
        if (fstatat(dirfd(directory), entry->d_name, &status, 0) < 0) {
            if (errno != ENOENT && errno != ELOOP) /* gone meanwhile, or a link to nowhere */
                result = cannot_read(folder, errno, error);
            continue;
        }
        if (!S_ISREG(status.st_mode))
            continue;
        if (list->count >= PARTITIONS_MAX)
            result = error_set(error, -E2BIG, "%s: more than %d partitions", folder, PARTITIONS_MAX);
        else if (list_add(list, path, first, created, (uint64_t)status.st_blocks * 512) < 0)
            result = error_set(error, -ENOMEM, "%s: out of memory", folder);
    }
    if (result == 0 && errno != 0)
        result = cannot_read(folder, errno, error);
    closedir(directory);
    return result;
}

int partition_list(const char *data_dir, struct partition_name **ret, size_t *ret_count, struct error *error) {
    struct list list = { 0 };
    struct stat status;
    int result;
    char logs[PARTITION_PATH_MAX];
    if (stat(data_dir, &status) == 0 && S_ISREG(status.st_mode)) { /* one partition, whatever its name */
        const char *base = strrchr(data_dir, '/');
        uint64_t first = 0, created = 0;
        (void)parse_name(base ? base + 1 : data_dir, &first, &created);
        result = list_add(&list, data_dir, first, created, (uint64_t)status.st_blocks * 512);
        if (result < 0)
            error_set(error, result, "%s: out of memory", data_dir);
    } else if (snprintf(logs, sizeof(logs), "%s/logs", data_dir) >= (int)sizeof(logs)) {
        result = error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    } else {
        result = list_folder(logs, &list, error);
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

int partition_unlink(const char *path) {
    static const char *const beside[] = { "-lock", ".sum", ".sum.new" };
    int result = unlink(path) < 0 ? -errno : 0;
    for (size_t i = 0; i < COUNT_OF(beside); i++) {
        char name[PARTITION_PATH_MAX + 16];
        snprintf(name, sizeof(name), "%s%s", path, beside[i]);
        (void)unlink(name);
    }
    return result;
}

size_t partition_count_aside(const char *data_dir, char ret_name[PARTITION_PATH_MAX]) {
    static const char ending[] = ".mdb" PARTITION_ASIDE;
    char logs[PARTITION_PATH_MAX];
    size_t count = 0;
    ret_name[0] = '\0';
    DIR *directory = snprintf(logs, sizeof(logs), "%s/logs", data_dir) < (int)sizeof(logs) ? opendir(logs) : NULL;
    if (!directory)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length <= sizeof(ending) - 1 || strcmp(entry->d_name + length - (sizeof(ending) - 1), ending) != 0)
            continue;
        if (count++ == 0)
            snprintf(ret_name, PARTITION_PATH_MAX, "%s", entry->d_name);
    }
    closedir(directory);
    return count;
}
