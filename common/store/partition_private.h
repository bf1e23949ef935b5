/* partition_private.h - what the files of the partition share; nobody else includes it (or lmdb.h). */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_PRIVATE_H
#define TASKFORGE_COMMON_STORE_PARTITION_PRIVATE_H

#include <lmdb.h>
#include <stdbool.h>

#include "common/store/partition.h"
#include "common/store/partition_origin.h"

enum partition_database {
    PARTITION_BLOCKS,
    PARTITION_INDEX,
    PARTITION_STATE,
    PARTITION_META,
    PARTITION_SPANS, /* these three not in partitions of before there were spans */
    PARTITION_SPAN_TRACES,
    PARTITION_SPAN_TIMES,
    PARTITION_SPANS_END,
    PARTITION_SERIES =
        PARTITION_SPANS_END, /* these four and state and meta, instead of the others, in partitions of samples */
    PARTITION_FAMILIES,
    PARTITION_ROWS,
    PARTITION_COLUMNS,
    PARTITION_DATABASE_COUNT
};

enum partition_kind { PARTITION_OF_LOGS, PARTITION_OF_SAMPLES };

struct partition {
    MDB_env *environment;
    MDB_dbi databases[PARTITION_DATABASE_COUNT];
    enum partition_kind kind;
    bool writable;
    uint64_t committed; /* the last transaction known to stand */
    bool has_spans;     /* the databases of spans were there when it was opened */
    uint32_t version;   /* of its meta record, once that was read; 0 before */
    const char *pages;  /* partition_pages.c's mapping of the file; NULL: none yet */
    size_t pages_size;
    _Atomic bool faulted; /* a fault inside LMDB: its memory is in no known state, nothing may be called any more */
    char path[PARTITION_PATH_MAX];
    struct partition_growth growth;
    struct partition_origin origin; /* borrows from origin_bytes */
    char *origin_bytes;
};

enum { PARTITION_PAGES_CHECKED = 512 };

struct partition_tree { /* where a database begins in what is committed; depth 0: nowhere */
    uint64_t root;
    unsigned depth;
};

struct partition_pages { /* what partition_pages.c knows of what is committed */
    size_t size;         /* of a page */
    uint64_t last;
    struct partition_tree trees[PARTITION_DATABASE_COUNT];
    uint64_t checked[PARTITION_PAGES_CHECKED]; /* numbers of pages that were looked at, in no order */
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
    struct {
        uint64_t most;                /* what of bytes_put is this database's */
        uint64_t count;               /* puts and deletes */
        uint64_t large;               /* bytes of values that take pages of their own */
    } puts[PARTITION_DATABASE_COUNT]; /* since small values share pages */
    struct partition_pages *pages;    /* of a write transaction; owned */
    bool looked_for_spans, has_spans; /* of a partition that had none when it was opened */
    struct partition_copy *copies;
};

/* --- partition_data.c: LMDB's calls, guarded --- */

enum call_kind { CALL_GET, CALL_PUT, CALL_DELETE, CALL_SEEK, CALL_SEEK_BACK };

struct call {
    enum call_kind kind;
    struct partition_txn *txn;
    enum partition_database database;
    unsigned flags;
    MDB_val key;
    MDB_val value;
};

/* 0, MDB_NOTFOUND as it is, or our negative errno with its sentence. */
int partition_call(struct call *call, const char *what, struct error *error);
int partition_put(struct partition_txn *txn, enum partition_database database, MDB_val key, MDB_val value,
                  const char *what, struct error *error);
/* How many keys the database says it has. */
int partition_count(struct partition_txn *txn, enum partition_database database, uint64_t *ret, struct error *error);
/* Copy `length` bytes out of LMDB's map, which may be cut at any moment. */
int partition_copy_out(struct partition_txn *txn, const void *from, size_t length, void *to, struct error *error);
int partition_delete(struct partition_txn *txn, enum partition_database database, MDB_val key, const char *what,
                     struct error *error); /* absent is fine */
/* A copy of what LMDB answered, which lives as long as the transaction. */
int partition_answer(struct partition_txn *txn, const MDB_val *value, struct text *ret, struct error *error);

static inline MDB_val partition_value(struct text text) {
    return (MDB_val) { text.length, (void *)(uintptr_t)text.data };
}

/* partition.c: as partition_open and partition_create_of, of either kind. */
int partition_open_kind(const char *path, enum partition_kind kind, enum partition_mode mode, uint64_t map_size,
                        struct partition **ret, struct error *error);
int partition_create_kind(const char *path, enum partition_kind kind, const struct partition_meta *meta,
                          const struct partition_origin *origin, uint64_t map_size, struct partition **ret,
                          struct error *error);
/* The names of the databases. */
extern const char *const partition_database_names[PARTITION_DATABASE_COUNT];

/* partition_origin.c: the record in a transaction; read into the partition. */
int partition_origin_put(struct partition_txn *txn, const struct partition_origin *origin, struct error *error);
int partition_origin_load(struct partition_txn *txn, struct error *error);

/* partition_check.c: whether the meta pages of an open file are ours and belong to the file as it is. */
int partition_check_pages(int fd, const char *path, struct error *error);

/* What the newest meta page says, of partition->pages; under the guard. */
struct partition_roots {
    uint32_t page_size;
    unsigned free_depth, main_depth;
    uint64_t free_root, main_root, last_page;
};
bool partition_read_roots(const struct partition *partition, struct partition_roots *ret);

/* --- partition_pages.c; under the guard: 0, MDB_CORRUPTED, or another code of LMDB's --- */

int partition_pages_begin(struct partition_txn *txn);
/* Before a change at the key. */
int partition_pages_check(struct partition_txn *txn, enum partition_database database, const MDB_val *key,
                          bool deletes);

/* Put LMDB's (or errno's, or -EFAULT's) code into words; returns our negative errno. */
int partition_error(struct error *error, const struct partition *partition, const char *what, int code);

#endif
