/* What tfctl import has built in DATA_DIR/import, taken into the store: copied under sequences that nothing else has, which the writer's thread gives by
 * beginning a new partition behind them. A partition keeps its id: one that is in the store already is not taken in twice, by a kill or by a
 * second import. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/fault.h"
#include "collector/curator_private.h"
#include "collector/limits.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/store/filter_index.h"
#include "common/store/import_folder.h"

/* --- what there is to be taken in --- */

struct import {
    char path[PARTITION_PATH_MAX];
    struct partition *partition;
    struct partition_meta meta;
    uint64_t range; /* sequences it needs */
};

static bool find_import(const struct curator *curator, char out[PARTITION_PATH_MAX]) {
    char folder[PARTITION_PATH_MAX];
    bool found = false;
    if (snprintf(folder, sizeof(folder), "%s/" IMPORT_FOLDER, curator->partitions->data_dir) >= (int)sizeof(folder))
        return false;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && !found && (entry = readdir(directory));) {
        size_t length = strlen(entry->d_name);
        struct stat status;
        found = length > 4 && strcmp(entry->d_name + length - 4, ".mdb") == 0 &&
                fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(status.st_mode) &&
                snprintf(out, PARTITION_PATH_MAX, "%s/%s", folder, entry->d_name) < PARTITION_PATH_MAX;
    }
    if (directory)
        closedir(directory);
    return found;
}

static int read_meta(struct partition *partition, struct partition_meta *ret, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, ret, error);
    partition_abort(txn);
    return result;
}

/* How many sequences lie between its first and its last entry. */
static int read_range(struct import *import, struct error *error) {
    struct partition_txn *txn;
    struct index_entry index;
    struct text value;
    uint64_t key;
    int result = partition_begin(import->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_index_seek(txn, UINT64_MAX, true, &key, &value, error);
    if (result == 1 && (result = index_decode(value, &index)) == 0) {
        if (key < import->meta.first_sequence || key - import->meta.first_sequence > IMPORT_RANGE_MAX)
            result = error_set(error, -EBADMSG, "%s: its sequences go too far", import->path);
        import->range = key - import->meta.first_sequence + index.count;
        index_entry_finish(&index);
    } else if (result < 0) {
        error_set(error, result, "%s: an index value is damaged", import->path);
    }
    partition_abort(txn);
    return result;
}

static int open_import(struct import *import, struct error *error) {
    int result = partition_open(import->path, PARTITION_READ, 0, &import->partition, error);
    if (result == 0)
        result = read_meta(import->partition, &import->meta, error);
    if (result == 0 && (!import->meta.ready || !import->meta.closed_ns))
        result = error_set(error, -EBADMSG, "%s: it was not built to its end", import->path);
    if (result == 0)
        result = read_range(import, error);
    return result;
}

/* --- whether it is in the store already --- */

static bool is_stored(struct curator *curator, const struct uuid *id) {
    struct partition_name *names;
    size_t count;
    bool stored = false;
    if (partition_list(curator->partitions->data_dir, &names, &count, NULL) < 0)
        return false;
    for (size_t i = 0; i < count && !stored; i++) {
        struct partition_ref *ref;
        struct partition_meta meta;
        if (partitions_acquire_named(curator->partitions, &names[i], &ref, NULL) < 0)
            continue;
        stored = read_meta(ref->partition, &meta, NULL) == 0 && uuid_equal(&meta.id, id);
        partitions_release(curator->partitions, ref);
    }
    free(names);
    return stored;
}

/* --- a place for it --- */

static uint64_t ask_for_place(struct curator *curator, uint64_t range) {
    uint64_t first = CURATOR_NO_PLACE;
    pthread_mutex_lock(&curator->mutex);
    curator->answered = false;
    curator->wanted = range;
    while (!curator->answered && !curator->stop)
        pthread_cond_wait(&curator->woken, &curator->mutex);
    if (curator->answered)
        first = curator->given;
    curator->wanted = 0;
    pthread_mutex_unlock(&curator->mutex);
    return first;
}

/* A name that is free: an empty partition may have begun at the same sequence in the same second. */
static int free_path(const struct curator *curator, uint64_t first, uint64_t *created, char out[PARTITION_PATH_MAX]) {
    int result = partition_make_path(curator->partitions->data_dir, first, *created, out);
    while (result == 0 && access(out, F_OK) == 0) {
        *created += CLOCK_SECOND;
        result = partition_make_path(curator->partitions->data_dir, first, *created, out);
    }
    return result;
}

static int copy_to(struct curator *curator, const struct import *import, uint64_t first, struct error *error) {
    char path[PARTITION_PATH_MAX], built[PARTITION_PATH_MAX + 8];
    struct partition_copied copied;
    uint64_t created = clock_real_ns();
    int result = free_path(curator, first, &created, path);
    if (result < 0)
        return error_set(error, result, "%s: the path is too long", curator->partitions->data_dir);
    snprintf(built, sizeof(built), "%s.new", path);
    const struct partition_copy_job job = {
        .from = import->partition,
        .path = built,
        .shift = first - import->meta.first_sequence,
        .flags = PARTITION_IMPORTED,
        .entries_only = true,
        .created_ns = created,
        .growth = { room_grow, &curator->room },
        .between = curator_between,
        .between_argument = curator,
    };
    curator->room.pressed = false;
    curator->step_ns = clock_monotonic_ns();
    result = partition_copy(&job, &copied, error);
    if (result < 0)
        return result;
    fault_hit("adopt_built");
    result = room_replace(&curator->room, built, path, true);
    fault_hit("adopt_placed");
    if (result < 0)
        return error_set(error, result, "%s: cannot put it among the partitions: %s", built, strerror(-result));
    diag_info("took in %s: %" PRIu64 " entries, as %s", import->path, copied.kept, path);
    return 0;
}

static int take_in(struct curator *curator, struct import *import, struct error *error) {
    int result = open_import(import, error);
    if (result < 0)
        return result;
    if (import->range == 0 || is_stored(curator, &import->meta.id))
        return 0;
    uint64_t first = ask_for_place(curator, import->range);
    if (first == CURATOR_NO_PLACE)
        return error_set(error, -EAGAIN, "%s: the store has no place for it at the moment", import->path);
    fault_hit("adopt_given");
    return copy_to(curator, import, first, error);
}

/* Damage does not mend itself: it is set aside. All else is tried again. */
static void refuse(struct curator *curator, const struct import *import, int result, const char *why) {
    char aside[PARTITION_PATH_MAX + 16];
    if (result == -EBADMSG || result == -EPROTO || result == -EFAULT) {
        snprintf(aside, sizeof(aside), "%s.refused", import->path);
        diag_error("an import cannot be taken in: %s; it is set aside as %s", why, aside);
        (void)rename(import->path, aside);
        partition_unlink(import->path); /* its lock */
        return;
    }
    /* Each try may begin a partition: seldom. */
    curator->adopt_ns = clock_monotonic_ns() + (result == -EAGAIN ? CURATOR_NS : ADOPT_RETRY_NS);
    if (strcmp(curator->refused, import->path) != 0) {
        diag_warn("an import cannot be taken in yet: %s", why);
        snprintf(curator->refused, sizeof(curator->refused), "%s", import->path);
    }
}

bool curator_adopt(struct curator *curator) {
    struct import import = { .partition = NULL };
    struct error error = { "" };
    if (!find_import(curator, import.path))
        return false;
    if (curator->adopt_ns > clock_monotonic_ns())
        return false;
    int result = take_in(curator, &import, &error);
    partition_close(import.partition);
    if (curator->stop && result < 0)
        return false;
    if (result < 0)
        refuse(curator, &import, result, error.text);
    else
        partition_unlink(import.path);
    return result == 0;
}
