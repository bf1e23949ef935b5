/* partition_private.h - what the files of the partition share; nobody else includes it (or lmdb.h). */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_PRIVATE_H
#define TASKFORGE_COMMON_STORE_PARTITION_PRIVATE_H

#include <lmdb.h>
#include <stdbool.h>

#include "common/store/partition.h"

enum partition_database {
    PARTITION_BLOCKS,
    PARTITION_INDEX,
    PARTITION_STATE,
    PARTITION_META,
    PARTITION_DATABASE_COUNT
};

struct partition {
    MDB_env *environment;
    MDB_dbi databases[PARTITION_DATABASE_COUNT];
    bool writable;
    _Atomic bool faulted; /* a fault inside LMDB: its memory is in no known state, nothing may be called any more */
    char path[PARTITION_PATH_MAX];
};

struct partition_copy { /* of a value that was asked for: nobody outside reads LMDB's map */
    struct partition_copy *next;
    char bytes[];
};

struct partition_txn {
    struct partition *partition;
    MDB_txn *txn;
    bool write;
    bool failed;          /* only abort is allowed */
    uint64_t used_before; /* bytes in pages in use when it began */
    uint64_t bytes_put;   /* at most what the puts and deletes will add to that */
    uint64_t state_put;   /* what of it is the state's, whose small values share pages */
    struct partition_copy *copies;
};

/* partition_check.c: whether the meta pages of an open file are ours and belong to the file as it is. */
int partition_check_pages(int fd, const char *path, struct error *error);

/* Put LMDB's (or errno's, or -EFAULT's) code into words; returns our negative errno. */
int partition_error(struct error *error, const struct partition *partition, const char *what, int code);

#endif
