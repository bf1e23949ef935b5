/* partition.h - one partition: an LMDB environment in one file. The one owner of lmdb.h.
 *
 * DATA_DIR/logs/<first sequence, 16 hex digits>-<created, UTC, 20261123T181504Z>.mdb, and LMDB's lock beside it (.mdb-lock). File 0640, lock 0660. A partition can be
 * copied elsewhere (whole file) and read there. Databases inside:
 *
 *   blocks   first sequence, 8 bytes big-endian   -> an encoded block (block.h)
 *   index    the same key                         -> its index value (filter_index.h)
 *   state    any key up to 400 bytes              -> value and 8 bytes XXH3 of key and value: the commit protocol's (collector's: lane positions, folded
 *                                                    losses, input positions, spill offset, sequences); an authority has all of it
 *   meta     "partition"                          -> struct partition_meta, with checksum
 *            "origin"                             -> struct partition_origin (partition_origin.h), likewise; since format 2
 *   spans        sequence of spans, 8 bytes big-endian  -> a span (span_codec.h)
 *   span_traces  trace id[16], sequence                 -> nothing
 *   span_times   start of the span, sequence            -> trace id[16], hash of the service (little-endian)
 *
 * The last three are not in partitions of before there were spans: those have none.
 *
 * Default sync; never NOSYNC or WRITEMAP; no DUPSORT. Readers' transactions are short. All memory that LMDB gives is
 * read under map_guarded-like protection: partition.c guards against SIGBUS itself (a file cut under us) and checks
 * the file's size against its meta pages before mapping it. One process opens a file at most once (LMDB's rule): the caller sees to it. An environment is not used after fork.
 * A partition object is used by one thread at a time, except that transactions of several threads may live side by side.
 */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_H
#define TASKFORGE_COMMON_STORE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/text.h"
#include "common/store/index_parts.h"

enum { PARTITION_VERSION = 2, PARTITION_STATE_KEY_MAX = 400, PARTITION_PATH_MAX = 1024 };

struct partition_meta {
    uint32_t version;
    uint32_t ready; /* 1: all state was carried over; the newest ready partition is the authority */
    struct uuid id; /* random */
    uint64_t created_ns;
    uint64_t first_sequence; /* of the first entry it may hold */
    uint64_t closed_ns;      /* 0 while it is written */
};

struct partition;
struct partition_txn;

enum partition_mode { PARTITION_READ, PARTITION_WRITE };

/* Open one that exists. map_size: the largest the file may grow to (writers; 0 for readers). -ENOENT; -EPROTO newer version; -EBADMSG damaged;
 * -EACCES with "join the group taskforge". A reader that cannot write the lock file of a closed partition (a read-only copy) goes without. */
int partition_open(const char *path, enum partition_mode mode, uint64_t map_size, struct partition **ret,
                   struct error *error);
/* Make a new one (O_EXCL) with its meta written, ready = meta->ready. -EEXIST. */
int partition_create(const char *path, const struct partition_meta *meta, uint64_t map_size, struct partition **ret,
                     struct error *error);
void partition_close(struct partition *partition);

/* The transaction up to which this writer's commits stand for sure; 0 before its first. */
uint64_t partition_committed(const struct partition *partition);
/* After a failed commit, with the file closed and before it is opened again: what the failed one may have left of its meta page, in the file or
 * on the disk below the kernel's pages, is taken back, and what stands is on the disk: else the next commit would write over pages that a
 * power cut brings back into use. committed: as above. */
int partition_settle(const char *path, uint64_t committed, struct error *error);

const char *partition_path(const struct partition *partition);
/* A fault inside LMDB ended a call: nothing may be done with it any more but to close it. */
bool partition_is_faulted(const struct partition *partition);
/* Whether its file still stands at its path, as long as its pages claim: 0; -EBADMSG with what has become of it; another code says that
 * nobody could look, and nothing about the file. A write transaction looks by itself. */
int partition_check_place(const struct partition *partition, struct error *error);
/* Whether the file could be opened, as far as its meta pages tell. Touches no LMDB. */
bool partition_looks_sound(const char *path);
uint64_t partition_file_size(const struct partition *partition); /* used bytes on disk now */
uint64_t
partition_used_size(const struct partition *partition); /* last page in use, times page size: for rolling by size */

/* How much of what the file may grow to is in use, 0 to 1; 0 where that cannot be said. */
double partition_used_share(const struct partition *partition);

/* Write transactions: one at a time. begin -> puts -> commit or abort. -ENOSPC (disk full), -EFBIG (map full: roll), -EIO. After a failed put only abort
 * is allowed. */
int partition_begin(struct partition *partition, bool write, struct partition_txn **ret, struct error *error);
int partition_commit(struct partition_txn *txn, struct error *error); /* ends txn, also on failure */
struct partition *partition_of(const struct partition_txn *txn);
void partition_abort(struct partition_txn *txn);                      /* NULL is fine; ends read transactions too */
bool partition_txn_failed(const struct partition_txn *txn);           /* only abort is allowed */

/* Give back what was borrowed so far, so that a long walk keeps little. */
void partition_forget(struct partition_txn *txn);

int partition_meta_get(struct partition_txn *txn, struct partition_meta *ret, struct error *error);
int partition_meta_put(struct partition_txn *txn, const struct partition_meta *meta, struct error *error);

int partition_block_put(struct partition_txn *txn, uint64_t first_sequence, struct text block, struct text index,
                        struct error *error);
int partition_block_delete(struct partition_txn *txn, uint64_t first_sequence, struct error *error);
/* Borrowed until the transaction ends; copy before use (block_open does). -ENOENT. */
int partition_block_get(struct partition_txn *txn, uint64_t first_sequence, struct text *ret, struct error *error);
/* The same as the caller's own: free(*ret). */
int partition_block_take(struct partition_txn *txn, uint64_t first_sequence, char **ret, size_t *ret_size,
                         struct error *error);

/* The first sequence >= first_sequence (descending: the last <= it) at which a block stands, whether or not the index knows it: 1, 0 at the end. */
int partition_block_seek(struct partition_txn *txn, uint64_t first_sequence, bool descending, uint64_t *ret_first,
                         struct error *error);

/* The first index value whose key is >= first_sequence (1, key and value), 0 at the end; descending: the last whose key is <= it. Borrowed. */
int partition_index_seek(struct partition_txn *txn, uint64_t first_sequence, bool descending, uint64_t *ret_key,
                         struct text *ret_index, struct error *error);

/* Some index values in a row, or parts of them, copied: of a walk over many, the cheap way. Reused from batch to batch. */
enum { PARTITION_BATCH_MAX = 64 };
struct partition_batch {
    struct buffer bytes;
    size_t count;
    struct {
        uint64_t key;
        struct index_parts parts; /* borrowed from bytes */
    } values[PARTITION_BATCH_MAX];
};
/* As partition_index_seek, and those that follow in that direction: at most `most`, at least one where there is one. want: what of each
 * (NULL: all). The number, 0 at the end. */
int partition_index_batch(struct partition_txn *txn, uint64_t first_sequence, bool descending, size_t most,
                          const struct index_want *want, struct partition_batch *batch, struct error *error);

int partition_state_put(struct partition_txn *txn, struct text key, struct text value, struct error *error);
int partition_state_delete(struct partition_txn *txn, struct text key, struct error *error); /* absent is fine */
/* 1 and *ret (borrowed), 0 when absent, -EBADMSG when the checksum is wrong. */
int partition_state_get(struct partition_txn *txn, struct text key, struct text *ret, struct error *error);
/* Walk the keys that start with prefix; visit returns 0 to go on. Returns the first non-zero it gave. */
int partition_state_walk(struct partition_txn *txn, struct text prefix,
                         int (*visit)(void *argument, struct text key, struct text value), void *argument,
                         struct error *error);

/* --- spans (partition_spans.c): each stands in `spans`, and can be found by its trace and by its start --- */

/* What span_times says of one. */
struct partition_span_time {
    uint64_t start_ns, sequence;
    uint8_t trace_id[16];
    uint64_t service_hash;
};

int partition_span_put(struct partition_txn *txn, const struct partition_span_time *span, struct text value,
                       struct error *error);
/* The first span whose sequence is >= sequence, descending: the last whose is <=: 1, 0 at the end. The value is borrowed until the
 * transaction ends, and not checked. */
int partition_span_seek(struct partition_txn *txn, uint64_t sequence, bool descending, uint64_t *ret_sequence,
                        struct text *ret_value, struct error *error);
/* The first sequence >= sequence of that trace: 1, 0. */
int partition_span_of_trace(struct partition_txn *txn, const uint8_t trace_id[16], uint64_t sequence,
                            uint64_t *ret_sequence, struct error *error);
/* The last one that stands before (start, sequence) in time: 1, 0. */
int partition_span_before(struct partition_txn *txn, uint64_t start_ns, uint64_t sequence,
                          struct partition_span_time *ret, struct error *error);
/* How many spans there are, and how many each of the two ways to them has. */
struct partition_span_counts {
    uint64_t spans, traces, times;
};
int partition_span_count(struct partition_txn *txn, struct partition_span_counts *ret, struct error *error);

/* Who grows the file of a partition that is written: called inside a commit with the file's sizes before and after, it has
 * partition_grow_file do it, after making room where a limit asks for that. 0 or a positive errno, with which the commit fails. */
struct partition_growth {
    int (*grow)(void *argument, int fd, uint64_t from, uint64_t to);
    void *argument;
};
void partition_set_growth(struct partition *partition, struct partition_growth growth);
int partition_grow_file(int fd, uint64_t from, uint64_t to);

int partition_reader_check(struct partition *partition); /* clears slots of dead readers */

/* --- the folder --- */

struct partition_name {
    uint64_t first_sequence;
    uint64_t created_ns;
    char path[PARTITION_PATH_MAX];
    uint64_t size;
};

/* List DATA_DIR/logs, ascending by (first sequence, created); *ret is the caller's to free. A missing folder is an empty list. If DATA_DIR has no folder logs
 * but holds .mdb files itself (copied partitions), those. A path that is one .mdb file: that one. */
int partition_list(const char *data_dir, struct partition_name **ret, size_t *ret_count, struct error *error);
int partition_make_path(const char *data_dir, uint64_t first_sequence, uint64_t created_ns,
                        char out[PARTITION_PATH_MAX]);
int partition_unlink(const char *path); /* with its lock and its sum */

/* What is set aside stands beside the others as NAME.mdb.damaged, and is read by nobody. */
#define PARTITION_ASIDE ".damaged"
/* How many there are in DATA_DIR/logs; with the name of one in ret_name. */
size_t partition_count_aside(const char *data_dir, char ret_name[PARTITION_PATH_MAX]);

#endif
