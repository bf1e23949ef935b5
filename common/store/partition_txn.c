/* A partition's transactions. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/store/partition_private.h"

enum {
    PAGES_FOR_COMMIT = 64, /* at most, for free list and roots */
    RESERVE_STEP = 1 << 20,
    MAP_KEPT = 1 << 20, /* of the map, for the record that closes a partition which is full */
};

struct begin_call {
    struct partition *partition;
    bool write;
    MDB_txn *txn;
};

static int begin_guarded(void *argument) {
    struct begin_call *call = argument;
    return mdb_txn_begin(call->partition->environment, NULL, call->write ? 0 : MDB_RDONLY, &call->txn);
}

static int abort_guarded(void *argument) {
    mdb_txn_abort(argument);
    return 0;
}

static int pages_guarded(void *argument) {
    return partition_pages_begin(argument);
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
    struct partition_txn *txn = calloc(1, sizeof(*txn));
    int result = txn ? 0 : error_set(error, -ENOMEM, "%s: out of memory", partition->path);
    if (result == 0 && write) /* what is written to a file that is gone, or has holes, is lost */
        result = partition_check_place(partition, error);
    if (result == 0) {
        *txn = (struct partition_txn) {
            .partition = partition, .txn = call.txn, .write = write, .used_before = partition_used_size(partition)
        };
        code = write ? guard_run(GUARD_ALL, pages_guarded, txn) : 0;
        partition->faulted |= code == -EFAULT;
        result = code == 0 ? 0 : partition_error(error, partition, "begin to write it", code);
    }
    if (result < 0) {
        (void)guard_run(GUARD_ALL, abort_guarded, call.txn);
        if (txn)
            free(txn->pages);
        free(txn);
        return result;
    }
    if (write)
        partition->committed = mdb_txn_id(call.txn) - 1;
    *ret = txn;
    return 0;
}

uint64_t partition_committed(const struct partition *partition) {
    return partition->committed;
}

int partition_grow_file(int fd, uint64_t from, uint64_t to) {
    int code;
    do
        code = fallocate(fd, 0, (off_t)from, (off_t)(to - from)) < 0 ? errno : 0;
    while (code == EINTR);
    if (code == EOPNOTSUPP)
        code = ftruncate(fd, (off_t)to) < 0 ? errno : 0;
    return code;
}

void partition_set_growth(struct partition *partition, struct partition_growth growth) {
    partition->growth = growth;
}

static int grow_file(const struct partition *partition, int fd, uint64_t from, uint64_t to) {
    return partition->growth.grow ? partition->growth.grow(partition->growth.argument, fd, from, to)
                                  : partition_grow_file(fd, from, to);
}

static uint64_t lesser(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Whether nothing in it is ever changed: then a put copies one leaf, and splits it at most; a deletion (of rows of samples) copies one, and
 * those beside it where it merges them. */
static bool only_grows(enum partition_database database) {
    return database >= PARTITION_SPANS;
}

/* Each page of a tree is copied once, however many of its values change: where thousands of small ones do (the state, the spans), it
 * takes no more than it is large, twice over for pages that were split or freed; and where it only grows, no more than
 * two leaves for each put, and its branches. */
static uint64_t most_added_to(const struct partition_txn *txn, enum partition_database database) {
    uint64_t most = txn->puts[database].most;
    MDB_stat tree;
    if (most == 0 || mdb_stat(txn->txn, txn->partition->databases[database], &tree) != 0)
        return most;
    uint64_t pages = tree.ms_branch_pages + tree.ms_leaf_pages + tree.ms_overflow_pages;
    most = lesser(most, (2 * pages + PAGES_FOR_COMMIT) * tree.ms_psize);
    if (!only_grows(database))
        return most;
    uint64_t leaves = 3 * txn->puts[database].count + 2 * tree.ms_branch_pages + PAGES_FOR_COMMIT;
    return lesser(most, leaves * tree.ms_psize + txn->puts[database].large);
}

/* At most what the transaction adds to the pages in use. */
static uint64_t most_added(const struct partition_txn *txn) {
    static const enum partition_database shared[] = { PARTITION_STATE,      PARTITION_SPANS,  PARTITION_SPAN_TRACES,
                                                      PARTITION_SPAN_TIMES, PARTITION_SERIES, PARTITION_FAMILIES,
                                                      PARTITION_ROWS,       PARTITION_COLUMNS };
    uint64_t most = txn->bytes_put;
    for (size_t i = 0; i < COUNT_OF(shared); i++)
        most -= txn->puts[shared[i]].most - most_added_to(txn, shared[i]);
    return most;
}

/* Have the disk's room before LMDB writes: a full disk is found while nothing has happened yet, and no file is ever shorter than
 * the page count of its next meta page (pages taken and given back within one transaction are counted, but never written). */
static int reserve_room(struct partition_txn *txn) {
    struct stat status;
    MDB_stat statistics;
    MDB_envinfo info;
    MDB_env *environment = txn->partition->environment;
    int fd;
    if (mdb_env_get_fd(environment, &fd) != 0 || mdb_env_stat(environment, &statistics) != 0 ||
        mdb_env_info(environment, &info) != 0 || fstat(fd, &status) < 0)
        return EIO;
    uint64_t size = (uint64_t)status.st_size;
    uint64_t need = txn->used_before + most_added(txn) + PAGES_FOR_COMMIT * (uint64_t)statistics.ms_psize;
    if (txn->bytes_put > txn->puts[PARTITION_META].most && need + MAP_KEPT > info.me_mapsize)
        return MDB_MAP_FULL;
    need = need > info.me_mapsize ? info.me_mapsize : need;
    if (size >= need)
        return 0;
    int code = grow_file(txn->partition, fd, size, (need + RESERVE_STEP - 1) / RESERVE_STEP * RESERVE_STEP);
    return code == 0 ? 0 : grow_file(txn->partition, fd, size, need);
}

static int commit_guarded(void *argument) {
    struct partition_txn *txn = argument;
    int code = txn->bytes_put > 0 ? reserve_room(txn) : 0;
    if (code != 0)
        mdb_txn_abort(txn->txn);
    return code != 0 ? code : mdb_txn_commit(txn->txn);
}

void partition_forget(struct partition_txn *txn) {
    while (txn->copies) {
        struct partition_copy *copy = txn->copies;
        txn->copies = copy->next;
        free(copy);
    }
}

struct partition *partition_of(const struct partition_txn *txn) {
    return txn->partition;
}

static void free_txn(struct partition_txn *txn) {
    partition_forget(txn);
    free(txn->pages);
    free(txn);
}

int partition_commit(struct partition_txn *txn, struct error *error) {
    struct partition *partition = txn->partition;
    check(!txn->failed);
    int code = partition->faulted ? -EFAULT : guard_run(GUARD_ALL, commit_guarded, txn);
    partition->faulted |= code == -EFAULT;
    if (code == 0 && txn->bytes_put > 0)
        partition->committed++;
    free_txn(txn);
    return code == 0 ? 0 : partition_error(error, partition, "commit to it", code);
}

bool partition_txn_failed(const struct partition_txn *txn) {
    return txn->failed || txn->partition->faulted;
}

void partition_abort(struct partition_txn *txn) {
    if (!txn)
        return;
    /* After a fault a writer's lists may be half done; a reader only gives its slot back, which else held pages for good. */
    if (!txn->partition->faulted || !txn->write)
        txn->partition->faulted |= guard_run(GUARD_ALL, abort_guarded, txn->txn) == -EFAULT;
    free_txn(txn);
}
