#include "exporter/tfctl/import_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/store/import_folder.h"

enum { LEFT_OVER_S = 86400, FOLDER_MODE = 0750 };

/* What root makes is the store's owner's, who takes it in and removes it. */
static void give_to_owner(const struct import_place *place, const char *path) {
    struct stat status;
    if (geteuid() == 0 && stat(place->data_dir, &status) == 0)
        (void)!lchown(path, status.st_uid, status.st_gid);
}

/* Files of an import that was killed long ago. */
static void remove_left_over(const char *folder) {
    DIR *directory = opendir(folder);
    struct stat status;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (strstr(entry->d_name, ".mdb.new") &&
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime + LEFT_OVER_S < time(NULL))
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        closedir(directory);
}

int import_place_open(struct import_place *place, const char *data_dir, struct error *error) {
    char folder[PARTITION_PATH_MAX];
    if (snprintf(place->data_dir, sizeof(place->data_dir), "%s", data_dir) >= (int)sizeof(place->data_dir))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    snprintf(folder, sizeof(folder), "%s/" IMPORT_FOLDER, place->data_dir);
    if (mkdir(folder, FOLDER_MODE) == 0)
        give_to_owner(place, folder);
    else if (errno == ENOENT || errno == ENOTDIR)
        return error_set(error, -errno, "%s: there is no such data folder", data_dir);
    if (access(folder, W_OK) < 0)
        return error_set(error, -EACCES,
                         "cannot write into %s: %s; import as root or as the user that the collector runs as", folder,
                         strerror(errno));
    remove_left_over(folder);
    if (snprintf(place->building, sizeof(place->building), "%s/%d.mdb.new", folder, (int)getpid()) >=
        (int)sizeof(place->building))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    (void)partition_unlink(place->building);
    return 0;
}

static void path_of(const struct import_place *place, const struct uuid *id, char out[PARTITION_PATH_MAX]) {
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    snprintf(out, PARTITION_PATH_MAX, "%s/" IMPORT_FOLDER "/%s.mdb", place->data_dir, text);
}

static bool has_id(const char *path, const struct uuid *id) {
    struct partition *partition;
    struct partition_txn *txn;
    struct partition_meta meta;
    if (partition_open(path, PARTITION_READ, 0, &partition, NULL) < 0)
        return false;
    bool same = false;
    if (partition_begin(partition, false, &txn, NULL) == 0) {
        same = partition_meta_get(txn, &meta, NULL) == 0 && uuid_equal(&meta.id, id);
        partition_abort(txn);
    }
    partition_close(partition);
    return same;
}

int import_place_check(const struct import_place *place, const struct uuid *id, struct error *error) {
    char path[PARTITION_PATH_MAX];
    struct partition_name *names;
    size_t count;
    path_of(place, id, path);
    if (access(path, F_OK) == 0)
        return error_set(error, -EEXIST, "it was imported before, and waits in %s for the collector", path);
    int result = partition_list(place->data_dir, &names, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; result == 0 && i < count; i++)
        if (has_id(names[i].path, id))
            result = error_set(error, -EEXIST, "it was imported before: it is %s", names[i].path);
    free(names);
    return result;
}

int import_place_leave(const struct import_place *place, const struct uuid *id, char ret_path[PARTITION_PATH_MAX],
                       struct error *error) {
    char lock[PARTITION_PATH_MAX + 8];
    path_of(place, id, ret_path);
    give_to_owner(place, place->building);
    int result = rename(place->building, ret_path) < 0 ? -errno : 0;
    if (result < 0)
        error_set(error, result, "cannot put it in its place %s: %s", ret_path, strerror(-result));
    snprintf(lock, sizeof(lock), "%s-lock", place->building);
    (void)unlink(lock);
    return result;
}
