/* The environment itself: open, create, close. Transactions are in partition_txn.c, what stands inside in partition_data.c, the folder in
 * partition_folder.c. */
#include "common/store/partition.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/store/partition_private.h"

const char *const partition_database_names[PARTITION_DATABASE_COUNT] = {
    [PARTITION_BLOCKS] = "blocks",         [PARTITION_INDEX] = "index",
    [PARTITION_STATE] = "state",           [PARTITION_META] = "meta",
    [PARTITION_SPANS] = "spans",           [PARTITION_SPAN_TRACES] = "span_traces",
    [PARTITION_SPAN_TIMES] = "span_times", [PARTITION_SERIES] = "series",
    [PARTITION_FAMILIES] = "families",     [PARTITION_ROWS] = "rows",
    [PARTITION_COLUMNS] = "columns",
};

enum {
    BUILD_MAP_SIZE = 1 << 20,
    READERS_MAX = 1000, /* transactions at once: 64 bytes each in the lock file */
    READER_ROOM = 1 << 30, /* address space a reader keeps for growth of a partition that is being written */

    DISK_FULL_BELOW = 1 << 20, /* free bytes below which an EIO is taken for a full disk */
    FILE_MODE = 0640,
    LOCK_MODE = 0660,
};

static bool disk_is_full(const char *path) {
    struct statvfs status;
    return statvfs(path, &status) == 0 && (uint64_t)status.f_bavail * status.f_frsize < DISK_FULL_BELOW;
}

int partition_error(struct error *error, const struct partition *partition, const char *what, int code) {
    const char *path = partition->path;
    if (code == EIO && disk_is_full(path))
        code = ENOSPC; /* LMDB calls a write cut short EIO */
    switch (code) {
    case MDB_MAP_FULL:
        return error_set(error, -EFBIG, "%s: cannot %s: the partition has reached its largest size; a new one is needed",
                         path, what);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return error_set(error, -ENOSPC, "%s: cannot %s: the disk is full; free some space", path, what);
    case EIO: /* what LMDB also says of a write cut short, which is how most disks become full */
        return error_set(error, -EIO, "%s: cannot %s: the disk is full or failing; free some space", path, what);
    case EACCES:
    case EPERM:
        return error_set(error, -EACCES, "%s: cannot %s: permission denied; who may query joins the group taskforge",
                         path, what);
    case MDB_VERSION_MISMATCH:
        return error_set(error, -EPROTO, "%s: cannot %s: written by a newer LMDB", path, what);
    case MDB_READERS_FULL:
        return error_set(error, -EAGAIN, "%s: cannot %s: %d others are reading it at this moment; try again", path, what,
                         READERS_MAX);
    case MDB_PANIC: /* the file is as it was: open it again */
        return error_set(error, -EIO, "%s: cannot %s: an earlier write of its meta page failed", path, what);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
    case -EFAULT:
        return error_set(error, -EBADMSG, "%s: cannot %s: the file is damaged (%s)", path, what,
                         code == -EFAULT ? "cut, or pages out of place" : mdb_strerror(code));
    default:
        return error_set(error, code > 0 ? -code : -EIO, "%s: cannot %s: %s", path, what, mdb_strerror(code));
    }
}

/* LMDB asserts what only a damaged file breaks. All its calls run under the guard, to which this is one more fault. */
static void on_lmdb_assertion(MDB_env *environment, const char *message) {
    static const volatile uintptr_t nowhere = 16;
    (void)environment;
    (void)message;
    (void)*(const volatile char *)nowhere;
}

struct open_call {
    struct partition *partition;
    unsigned flags;
    mode_t mode;
    bool anew; /* an empty file */
};

static int open_environment(void *argument) {
    struct open_call *call = argument;
    return mdb_env_open(call->partition->environment, call->partition->path, call->flags, call->mode);
}

static bool has_database(enum partition_kind kind, unsigned database) {
    if (database == PARTITION_STATE || database == PARTITION_META)
        return true;
    return (kind == PARTITION_OF_SAMPLES) == (database >= PARTITION_SPANS_END);
}

static int open_each(struct partition *partition, bool create) {
    MDB_txn *txn;
    int code = mdb_txn_begin(partition->environment, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (code != 0)
        return code;
    partition->has_spans = partition->kind == PARTITION_OF_LOGS;
    for (unsigned i = 0; i < PARTITION_DATABASE_COUNT && code == 0; i++) {
        unsigned flags = 0;
        if (!has_database(partition->kind, i))
            continue;
        code = mdb_dbi_open(txn, partition_database_names[i], create ? MDB_CREATE : 0, &partition->databases[i]);
        if (code == MDB_NOTFOUND && partition->has_spans && i >= PARTITION_SPANS) { /* older than spans */
            partition->has_spans = false;
            code = 0;
            break;
        }
        if (code == 0)
            code = mdb_dbi_flags(txn, partition->databases[i], &flags);
        if (code == 0 && flags != 0)
            code = MDB_INCOMPATIBLE; /* DUPSORT and the like: not of our making */
    }
    if (code == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

/* A name that is not found may be a damaged one: none is put beside it before the pages are looked at that this changes. */
static int add_spans(struct partition *partition) {
    struct partition_txn probe = { .partition = partition };
    int code = partition_pages_begin(&probe);
    free(probe.pages);
    return code == 0 ? open_each(partition, true) : code;
}

static int open_databases(void *argument) {
    struct open_call *call = argument;
    struct partition *partition = call->partition;
    int code = open_each(partition, call->anew);
    bool lacks_spans = partition->kind == PARTITION_OF_LOGS && !partition->has_spans;
    return code == 0 && partition->writable && lacks_spans ? add_spans(partition) : code;
}

/* Whoever comes first makes the lock, with any umask, root for another's store too: readers of the group must be able to write it. */
static void mend_lock(const struct partition *partition) {
    char lock[PARTITION_PATH_MAX + 8];
    struct stat data, status;
    snprintf(lock, sizeof(lock), "%s-lock", partition->path);
    if (stat(partition->path, &data) < 0 || lstat(lock, &status) < 0 || !S_ISREG(status.st_mode))
        return;
    if (geteuid() == 0 && (status.st_uid != data.st_uid || status.st_gid != data.st_gid))
        (void)!lchown(lock, data.st_uid, data.st_gid);
    if ((status.st_mode & 0777) != LOCK_MODE)
        (void)chmod(lock, LOCK_MODE); /* fails for a reader who is not the owner: then the owner did it */
}

static bool lock_exists(const char *path) {
    char lock[PARTITION_PATH_MAX + 8];
    struct stat status;
    snprintf(lock, sizeof(lock), "%s-lock", path);
    return lstat(lock, &status) == 0;
}

/* The environment of partition->path. LMDB gives the lock file the data file's mode: it is widened afterwards. */
static int open_at(struct partition *partition, unsigned flags, uint64_t map_size, bool anew, struct error *error) {
    int code = mdb_env_create(&partition->environment);
    if (code == 0)
        code = mdb_env_set_assert(partition->environment, on_lmdb_assertion);
    if (code == 0)
        code = mdb_env_set_maxdbs(partition->environment, PARTITION_DATABASE_COUNT);
    if (code == 0)
        code = mdb_env_set_maxreaders(partition->environment, READERS_MAX);
    if (code == 0)
        code = mdb_env_set_mapsize(partition->environment, map_size);
    struct open_call call = {
        .partition = partition, .flags = flags | MDB_NOSUBDIR | MDB_NOTLS, .mode = FILE_MODE, .anew = anew
    };
    /* LMDB maps a new lock file without allocating it: on a full disk that would be a fault, which is no damage. */
    if (code == 0 && !(flags & (MDB_RDONLY | MDB_NOLOCK)) && !lock_exists(partition->path) &&
        disk_is_full(partition->path))
        code = ENOSPC;
    if (code == 0)
        code = guard_run(GUARD_ALL, open_environment, &call);
    if (code == 0 && !(flags & MDB_NOLOCK))
        mend_lock(partition);
    if (code == 0)
        code = guard_run(GUARD_ALL, open_databases, &call);
    if (code == MDB_NOTFOUND)
        return error_set(error, -EBADMSG, "%s: not a partition (a database is missing)", partition->path);
    if (code == -EFAULT)
        partition->faulted = true;
    return code == 0 ? 0 : partition_error(error, partition, "open it", code);
}

static struct partition *new_partition(const char *path, enum partition_kind kind) {
    struct partition *partition = calloc(1, sizeof(*partition));
    if (!partition)
        return NULL;
    partition->kind = kind;
    snprintf(partition->path, sizeof(partition->path), "%s", path);
    return partition;
}

/* Meta record and version of a just opened one; and what is read without its lock, though it has one, must be closed. */
static int check_version(struct partition *partition, bool must_be_closed, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    if (result == 0)
        result = partition_origin_load(txn, error);
    if (result == 0)
        partition->version = meta.version;
    partition_abort(txn);
    if (result == 0 && must_be_closed && meta.closed_ns == 0)
        return error_set(
            error, -EACCES,
            "%s: it is being written, and its lock cannot be used; who may query joins the group taskforge",
            partition->path);
    return result;
}

static uint64_t reader_map_size(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size + READER_ROOM : READER_ROOM;
}

int partition_open_kind(const char *path, enum partition_kind kind, enum partition_mode mode, uint64_t map_size,
                        struct partition **ret, struct error *error) {
    if (strlen(path) >= PARTITION_PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    int result = guard_install(error);
    if (result < 0)
        return result;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == EACCES
                   ? error_set(error, -EACCES, "%s: permission denied; who may query joins the group taskforge", path)
                   : error_set(error, -errno, "%s: cannot open it: %s", path, strerror(errno));
    result = partition_check_pages(fd, path, error);
    close(fd);
    if (result < 0)
        return result;
    struct partition *partition = new_partition(path, kind);
    if (!partition)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    bool must_be_closed = false;
    if (mode == PARTITION_WRITE) {
        partition->writable = true;
        result = open_at(partition, 0, map_size, false, error);
    } else {
        result = open_at(partition, MDB_RDONLY, reader_map_size(path), false, error);
        if (result == -EACCES || result == -EROFS) { /* nobody writes a copy, nor a closed one: they need no lock */
            must_be_closed = lock_exists(path);
            mdb_env_close(partition->environment);
            partition->environment = NULL; /* should there be no memory for another */
            result = open_at(partition, MDB_RDONLY | MDB_NOLOCK, reader_map_size(path), false, error);
        }
    }
    if (result == 0)
        result = check_version(partition, must_be_closed, error);
    if (result < 0) {
        partition_close(partition);
        return result;
    }
    *ret = partition;
    return 0;
}

int partition_open(const char *path, enum partition_mode mode, uint64_t map_size, struct partition **ret,
                   struct error *error) {
    return partition_open_kind(path, PARTITION_OF_LOGS, mode, map_size, ret, error);
}

/* The file with its meta record, built under another name: what stands at a partition's name is always whole. */
static int build(const char *path, enum partition_kind kind, const struct partition_meta *meta,
                 const struct partition_origin *origin, struct error *error) {
    struct partition_txn *txn = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot create it: %s", path, strerror(errno));
    (void)fchmod(fd, FILE_MODE); /* whatever the umask is */
    close(fd);
    struct partition *partition = new_partition(path, kind);
    if (!partition)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    partition->writable = true;
    int result = open_at(partition, 0, BUILD_MAP_SIZE, true, error);
    if (result == 0)
        result = partition_begin(partition, true, &txn, error);
    if (result == 0) {
        result = partition_meta_put(txn, meta, error);
        if (result == 0)
            result = partition_origin_put(txn, origin, error);
        if (result == 0)
            result = partition_commit(txn, error);
        else
            partition_abort(txn);
    }
    partition_close(partition);
    return result;
}

/* The new name must outlast a power cut: what is committed under it counts from then on. */
static int sync_folder_of(const char *path, struct error *error) {
    char folder[PARTITION_PATH_MAX];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, sizeof(folder), ".");
    else
        slash[slash == folder] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = fd < 0 || (fsync(fd) < 0 && errno != EINVAL) ? errno : 0; /* EINVAL: a file system that needs none */
    if (fd >= 0)
        close(fd);
    return code == 0 ? 0 : error_set(error, -code, "%s: cannot write the folder to disk: %s", folder, strerror(code));
}

int partition_create_kind(const char *path, enum partition_kind kind, const struct partition_meta *meta,
                          const struct partition_origin *origin, uint64_t map_size, struct partition **ret,
                          struct error *error) {
    char building[PARTITION_PATH_MAX];
    if (snprintf(building, sizeof(building), "%s.new", path) >= (int)sizeof(building))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    int result = guard_install(error);
    if (result < 0)
        return result;
    partition_unlink(building); /* left by a kill */
    result = build(building, kind, meta, origin, error);
    if (result == 0 && link(building, path) < 0)
        result = error_set(error, -errno, "%s: cannot create it: %s", path, strerror(errno));
    bool linked = result == 0;
    if (linked)
        result = sync_folder_of(path, error);
    partition_unlink(building);
    if (result == 0)
        result = partition_open_kind(path, kind, PARTITION_WRITE, map_size, ret, error);
    if (result < 0 && linked)
        partition_unlink(path);
    return result;
}

int partition_create_of(const char *path, const struct partition_meta *meta, const struct partition_origin *origin,
                        uint64_t map_size, struct partition **ret, struct error *error) {
    return partition_create_kind(path, PARTITION_OF_LOGS, meta, origin, map_size, ret, error);
}

int partition_create(const char *path, const struct partition_meta *meta, uint64_t map_size, struct partition **ret,
                     struct error *error) {
    return partition_create_of(path, meta, &PARTITION_ORIGIN_EMPTY, map_size, ret, error);
}

/* What was set aside for commits to come. No reader's snapshot reaches behind the newest last page. */
static void give_back_reserve(struct partition *partition) {
    struct stat status;
    int fd;
    uint64_t used = partition_used_size(partition);
    if (used > 0 && mdb_env_get_fd(partition->environment, &fd) == 0 && fstat(fd, &status) == 0 &&
        (uint64_t)status.st_size > used)
        (void)!ftruncate(fd, (off_t)used);
}

void partition_close(struct partition *partition) {
    if (!partition)
        return;
    if (partition->environment && partition->writable && !partition->faulted)
        give_back_reserve(partition);
    if (partition->pages)
        munmap((void *)(uintptr_t)partition->pages, partition->pages_size);
    /* After a fault inside LMDB its memory is in no known state: it is left as it is, on purpose. */
    if (partition->environment && !partition->faulted)
        mdb_env_close(partition->environment);
    free(partition->origin_bytes);
    free(partition);
}

const char *partition_path(const struct partition *partition) {
    return partition->path;
}

bool partition_is_faulted(const struct partition *partition) {
    return partition->faulted;
}

uint64_t partition_file_size(const struct partition *partition) {
    struct stat status;
    return stat(partition->path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

struct info_call {
    struct partition *partition;
    MDB_envinfo info;
    MDB_stat statistics;
};

static int info_guarded(void *argument) {
    struct info_call *call = argument;
    int code = mdb_env_info(call->partition->environment, &call->info);
    return code == 0 ? mdb_env_stat(call->partition->environment, &call->statistics) : code;
}

static uint64_t used_size(const struct partition *partition, uint64_t *ret_map_size) {
    struct info_call call = { .partition = (struct partition *)(uintptr_t)partition };
    if (partition->faulted || guard_run(GUARD_ALL, info_guarded, &call) != 0)
        return 0;
    *ret_map_size = call.info.me_mapsize;
    return ((uint64_t)call.info.me_last_pgno + 1) * call.statistics.ms_psize;
}

uint64_t partition_used_size(const struct partition *partition) {
    uint64_t map_size;
    return used_size(partition, &map_size);
}

double partition_used_share(const struct partition *partition) {
    uint64_t map_size = 0, used = used_size(partition, &map_size);
    return map_size > 0 ? (double)used / (double)map_size : 0;
}

int partition_reader_check(struct partition *partition) {
    int dead = 0;
    if (partition->faulted)
        return -EBADMSG;
    int code = mdb_reader_check(partition->environment, &dead);
    return code == 0 ? dead : code > 0 ? -code : -EIO;
}
