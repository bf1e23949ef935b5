/* The environment itself: open, create, transactions. What stands inside is in partition_data.c, the folder in
 * partition_folder.c. */
#include "common/store/partition.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/store/partition_private.h"

#define LMDB_MAGIC UINT32_C(0xBEEFC0DE)

static const char *const database_names[PARTITION_DATABASE_COUNT] = {
    [PARTITION_BLOCKS] = "blocks",
    [PARTITION_INDEX] = "index",
    [PARTITION_STATE] = "state",
    [PARTITION_META] = "meta",
};

enum {
    BUILD_MAP_SIZE = 1 << 20,
    READERS_MAX = 126,
    READER_ROOM = 1 << 30, /* address space a reader keeps for growth of a partition that is being written */

    LMDB_DATA_VERSION = 1,
    META_PAGES = 2,
    UNWRITTEN_PAGES = 256,
    FILE_MODE = 0640,
    LOCK_MODE = 0660,
};

/* LMDB 0.9's meta page as it stands on disk (lmdb.h hides it): a page header of 16 bytes, then this. 64-bit hosts. */
struct meta_page {
    uint64_t page_number;
    uint16_t pad, flags;
    uint32_t unused;
    uint32_t magic, version;
    uint64_t address;
    uint64_t map_size;
    struct {
        uint32_t pad;
        uint16_t flags, depth;
        uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
    } databases[2]; /* the first one's pad is the page size */
    uint64_t last_page;
    uint64_t transaction;
};
static_assert(sizeof(struct meta_page) == 152, "LMDB 0.9 on a 64-bit host");

int partition_error(struct error *error, const struct partition *partition, const char *what, int code) {
    const char *path = partition->path;
    switch (code) {
    case MDB_MAP_FULL:
        return error_set(error, -ENOSPC, "%s: cannot %s: the partition has reached its largest size", path, what);
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
        return error_set(error, -EAGAIN, "%s: cannot %s: all %d reader slots are taken; try again", path, what,
                         READERS_MAX);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case -EFAULT:
        return error_set(error, -EBADMSG, "%s: cannot %s: the file is damaged (%s)", path, what,
                         code == -EFAULT ? "cut, or pages out of place" : mdb_strerror(code));
    default:
        return error_set(error, code > 0 ? -code : -EIO, "%s: cannot %s: %s", path, what, mdb_strerror(code));
    }
}

/* Whether the two meta pages belong to the file as it is: LMDB itself would map and follow whatever they claim. */
static int check_meta_pages(int fd, const char *path, struct error *error) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "%s: cannot look at it: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EBADMSG, "%s: not a regular file", path);
    uint64_t size = (uint64_t)status.st_size;
    uint32_t page_size = 0;
    uint64_t newest = 0, last_page = 0;
    for (unsigned i = 0; i < META_PAGES; i++) {
        struct meta_page meta;
        if (pread(fd, &meta, sizeof(meta), (off_t)((uint64_t)i * page_size)) != (ssize_t)sizeof(meta))
            return error_set(error, -EBADMSG, "%s: too short for a partition", path);
        if (meta.magic != LMDB_MAGIC || meta.page_number != i)
            return error_set(error, -EBADMSG, "%s: not a partition (meta page %u is not LMDB's)", path, i);
        if (meta.version != LMDB_DATA_VERSION)
            return error_set(error, -EPROTO, "%s: LMDB data version %u; this program knows %d", path, meta.version,
                             LMDB_DATA_VERSION);
        if (i == 0)
            page_size = meta.databases[0].pad;
        if (page_size < 512 || page_size > 65536 || (page_size & (page_size - 1)) || meta.databases[0].pad != page_size)
            return error_set(error, -EBADMSG, "%s: meta page %u claims pages of %u bytes", path, i,
                             meta.databases[0].pad);
        if (i == 0 || meta.transaction > newest) {
            newest = meta.transaction;
            last_page = meta.last_page;
        }
    }
    /* A page that was taken and given back within one transaction may never have been written, at the file's end too; what is missing within
     * that allowance is left to the guard and the checksums. */
    if (last_page >= size / page_size + UNWRITTEN_PAGES)
        return error_set(error, -EBADMSG, "%s: cut: %llu bytes are there, %llu pages of %u are claimed", path,
                         (unsigned long long)size, (unsigned long long)last_page + 1, page_size);
    return 0;
}

struct open_call {
    struct partition *partition;
    unsigned flags;
    mode_t mode;
};

static int open_environment(void *argument) {
    struct open_call *call = argument;
    return mdb_env_open(call->partition->environment, call->partition->path, call->flags, call->mode);
}

static int open_databases(void *argument) {
    struct open_call *call = argument;
    struct partition *partition = call->partition;
    bool create = (call->flags & MDB_RDONLY) == 0;
    MDB_txn *txn;
    int code = mdb_txn_begin(partition->environment, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (code != 0)
        return code;
    for (unsigned i = 0; i < PARTITION_DATABASE_COUNT && code == 0; i++)
        code = mdb_dbi_open(txn, database_names[i], create ? MDB_CREATE : 0, &partition->databases[i]);
    if (code == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

/* The environment of partition->path. LMDB gives the lock file the data file's mode: it is widened afterwards. */
static int open_at(struct partition *partition, unsigned flags, uint64_t map_size, struct error *error) {
    int code = mdb_env_create(&partition->environment);
    if (code == 0)
        code = mdb_env_set_maxdbs(partition->environment, PARTITION_DATABASE_COUNT);
    if (code == 0)
        code = mdb_env_set_maxreaders(partition->environment, READERS_MAX);
    if (code == 0)
        code = mdb_env_set_mapsize(partition->environment, map_size);
    struct open_call call = { .partition = partition, .flags = flags | MDB_NOSUBDIR | MDB_NOTLS, .mode = FILE_MODE };
    if (code == 0)
        code = guard_run(GUARD_ALL, open_environment, &call);
    if (code == 0 && !(flags & MDB_NOLOCK)) {
        char lock[PARTITION_PATH_MAX + 8];
        snprintf(lock, sizeof(lock), "%s-lock", partition->path);
        (void)chmod(lock, LOCK_MODE); /* fails for a reader who is not the owner: then the owner did it */
    }
    if (code == 0)
        code = guard_run(GUARD_ALL, open_databases, &call);
    if (code == MDB_NOTFOUND)
        return error_set(error, -EBADMSG, "%s: not a partition (a database is missing)", partition->path);
    if (code == -EFAULT)
        partition->faulted = true;
    return code == 0 ? 0 : partition_error(error, partition, "open it", code);
}

static struct partition *new_partition(const char *path) {
    struct partition *partition = calloc(1, sizeof(*partition));
    if (!partition)
        return NULL;
    snprintf(partition->path, sizeof(partition->path), "%s", path);
    return partition;
}

/* Meta record and version of a just opened one. */
static int check_version(struct partition *partition, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    partition_abort(txn);
    return result;
}

static uint64_t reader_map_size(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size + READER_ROOM : READER_ROOM;
}

int partition_open(const char *path, enum partition_mode mode, uint64_t map_size, struct partition **ret,
                   struct error *error) {
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
    result = check_meta_pages(fd, path, error);
    close(fd);
    if (result < 0)
        return result;
    struct partition *partition = new_partition(path);
    if (!partition)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    if (mode == PARTITION_WRITE) {
        partition->writable = true;
        result = open_at(partition, 0, map_size, error);
    } else {
        result = open_at(partition, MDB_RDONLY, reader_map_size(path), error);
        if (result == -EACCES ||
            result == -EROFS) { /* a copy in a folder that we cannot write: nobody writes it either */
            mdb_env_close(partition->environment);
            result = open_at(partition, MDB_RDONLY | MDB_NOLOCK, reader_map_size(path), error);
        }
    }
    if (result == 0)
        result = check_version(partition, error);
    if (result < 0) {
        partition_close(partition);
        return result;
    }
    *ret = partition;
    return 0;
}

/* The file with its meta record, built under another name: what stands at a partition's name is always whole. */
static int build(const char *path, const struct partition_meta *meta, struct error *error) {
    struct partition_txn *txn = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot create it: %s", path, strerror(errno));
    (void)fchmod(fd, FILE_MODE); /* whatever the umask is */
    close(fd);
    struct partition *partition = new_partition(path);
    if (!partition)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    partition->writable = true;
    int result = open_at(partition, 0, BUILD_MAP_SIZE, error);
    if (result == 0)
        result = partition_begin(partition, true, &txn, error);
    if (result == 0) {
        result = partition_meta_put(txn, meta, error);
        if (result == 0)
            result = partition_commit(txn, error);
        else
            partition_abort(txn);
    }
    partition_close(partition);
    return result;
}

int partition_create(const char *path, const struct partition_meta *meta, uint64_t map_size, struct partition **ret,
                     struct error *error) {
    char building[PARTITION_PATH_MAX];
    if (snprintf(building, sizeof(building), "%s.new", path) >= (int)sizeof(building))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    int result = guard_install(error);
    if (result < 0)
        return result;
    partition_unlink(building); /* left by a kill */
    result = build(building, meta, error);
    if (result == 0 && link(building, path) < 0)
        result = error_set(error, -errno, "%s: cannot create it: %s", path, strerror(errno));
    partition_unlink(building);
    return result < 0 ? result : partition_open(path, PARTITION_WRITE, map_size, ret, error);
}

void partition_close(struct partition *partition) {
    if (!partition)
        return;
    /* After a fault inside LMDB its memory is in no known state: it is left as it is, on purpose. */
    if (partition->environment && !partition->faulted)
        mdb_env_close(partition->environment);
    free(partition);
}

const char *partition_path(const struct partition *partition) {
    return partition->path;
}

uint64_t partition_file_size(const struct partition *partition) {
    struct stat status;
    return stat(partition->path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

uint64_t partition_used_size(const struct partition *partition) {
    MDB_envinfo info;
    MDB_stat statistics;
    if (partition->faulted || mdb_env_info(partition->environment, &info) != 0 ||
        mdb_env_stat(partition->environment, &statistics) != 0)
        return 0;
    return ((uint64_t)info.me_last_pgno + 1) * statistics.ms_psize;
}

/* --- transactions --- */

struct begin_call {
    struct partition *partition;
    bool write;
    MDB_txn *txn;
};

static int begin_guarded(void *argument) {
    struct begin_call *call = argument;
    return mdb_txn_begin(call->partition->environment, NULL, call->write ? 0 : MDB_RDONLY, &call->txn);
}

int partition_begin(struct partition *partition, bool write, struct partition_txn **ret, struct error *error) {
    check(!write || partition->writable);
    if (partition->faulted)
        return partition_error(error, partition, "read it", -EFAULT);
    struct begin_call call = { .partition = partition, .write = write };
    int code = guard_run(GUARD_ALL, begin_guarded, &call);
    if (code == MDB_MAP_RESIZED) { /* the writer's process has been given more room: take its size over */
        code = mdb_env_set_mapsize(partition->environment, 0);
        if (code == 0)
            code = guard_run(GUARD_ALL, begin_guarded, &call);
    }
    if (code != 0) {
        partition->faulted |= code == -EFAULT;
        return partition_error(error, partition, write ? "begin to write it" : "read it", code);
    }
    struct partition_txn *txn = malloc(sizeof(*txn));
    if (!txn) {
        mdb_txn_abort(call.txn);
        return error_set(error, -ENOMEM, "%s: out of memory", partition->path);
    }
    *txn = (struct partition_txn) { .partition = partition, .txn = call.txn, .write = write };
    *ret = txn;
    return 0;
}

static int commit_guarded(void *argument) {
    return mdb_txn_commit(argument);
}

int partition_commit(struct partition_txn *txn, struct error *error) {
    struct partition *partition = txn->partition;
    check(!txn->failed);
    int code = guard_run(GUARD_ALL, commit_guarded, txn->txn);
    partition->faulted |= code == -EFAULT;
    free(txn);
    return code == 0 ? 0 : partition_error(error, partition, "commit to it", code);
}

void partition_abort(struct partition_txn *txn) {
    if (!txn)
        return;
    if (!txn->partition->faulted)
        mdb_txn_abort(txn->txn);
    free(txn);
}

int partition_reader_check(struct partition *partition) {
    int dead = 0;
    if (partition->faulted)
        return -EBADMSG;
    int code = mdb_reader_check(partition->environment, &dead);
    return code == 0 ? dead : code > 0 ? -code : -EIO;
}
