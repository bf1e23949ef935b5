/* samples.h - metric history: the values of all series at each tick, in partitions of their own below DATA_DIR/metrics.
 *
 * A tick is a multiple of the interval in Unix time. A partition (an LMDB file; partition.h owns LMDB) has the ticks of one UTC day, of one
 * interval, or fewer where it reached its size: metrics-<first tick, ns, 16 hex digits>-<created, 20261123T181504Z>.mdb. Inside:
 *
 *   state     "samples"                             -> version, interval, ticks a chunk (sealed, as all state is)
 *   series    number u32                            -> what the series is (samples_series.c), checksum
 *   families  family, 0, number u32                 -> nothing
 *   rows      tick u64, group u32                   -> the values of up to 256 series at one tick (samples_row.c), checksum
 *   columns   group u32, last tick u64              -> those values of up to 512 ticks, a column for each series (samples_chunk.c), checksum each
 *
 *    tick:   1 2 3 ........ 128 129 ........ 256 257 258 259
 *           +------------------+----------------+ | | |           Each tick is a row for each group of 256 series, committed at once. Once a group
 *    series | columns of       | columns of     | r r r           has so many rows, the same transaction that adds one more rewrites them into
 *    0..255 | chunk (0, 128)   | chunk (0, 256) | o o o           columns and deletes them. So what is committed is there at any instant, once;
 *           +------------------+----------------+ w w w           and what is read often and kept long is columns. Keys are big-endian. Rows are
 *           +--------+----------------+---------+ | | |           appended by time; chunks are keyed by group first, since their values have pages of
 *    256..  | chunk  | chunk (1, 201) | r r r r r r r r           their own, so that a reader of few series meets no others.
 *
 * The number of a series is its partition's: dense, from 0. A series that has no value at a tick is not in the row: a hole, which is another thing
 * than NaN. Ticks that are missing cost nothing. Within a partition ticks only grow, and no two partitions have the same tick: a clock that goes back
 * writes nothing until it has passed what is there. Whatever is read is checked against its checksum; damage costs the column or row it is in.
 */
#ifndef TASKFORGE_COMMON_STORE_SAMPLES_H
#define TASKFORGE_COMMON_STORE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/model/histogram.h"
#include "common/model/metric.h"
#include "common/store/partition.h"

enum { SAMPLES_VERSION = 1, SAMPLES_SERIES_MAX = 1 << 24 /* of a partition */ };
#define SAMPLES_DAY_NS UINT64_C(86400000000000)
#define SAMPLES_PARTITION_BYTES (UINT64_C(2) << 30) /* a partition that has so many is followed by the next one */

/* --- what is not there --- */

/* A hole among values: this NaN, which Prometheus has for the same purpose. It cannot be stored as a value: whoever sets it sets nothing. */
#define SAMPLES_HOLE_BITS UINT64_C(0x7ff0000000000002)
static inline double samples_hole(void) {
    const uint64_t bits = SAMPLES_HOLE_BITS;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}
static inline bool samples_is_hole(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits == SAMPLES_HOLE_BITS;
}

/* --- what a series is --- */

/* Kind, family and labels say which one it is, in whatever partition; the rest is as it was when the partition first met it. */
struct samples_definition {
    struct metric_definition metric; /* the application's name, labels, unit, help, bounds: as in the segment */
    struct text family;              /* as on /metrics, without _total */
    uint64_t created_ns;
};

/* --- writing; one thread, and one writer for a folder --- */

struct samples_writer;

struct samples_options {
    uint64_t interval_ns;           /* 1 s to 1 day, a divisor of the day: so that ticks are the same each day */
    uint64_t partition_bytes;       /* 0: SAMPLES_PARTITION_BYTES */
    struct partition_growth growth; /* as partition_set_growth; zero: none */
};

/* Makes DATA_DIR/metrics where it is missing; DATA_DIR exists. Opens the partition that is written, if there is one. -EINVAL: the interval. */
int samples_writer_open(const char *data_dir, const struct samples_options *options, struct samples_writer **ret,
                        struct error *error);
/* What was begun and not committed is gone. NULL is fine. */
void samples_writer_close(struct samples_writer *writer);

/* Begin the tick at that time (Unix ns, a multiple of the interval, or -EINVAL):
 *   0        the numbers of series are as before
 *   1        every number is void: another partition is written, or the same one again after a failure. Add each series anew.
 *   -EEXIST  the tick is behind the last one, or was written before: nothing was begun
 *   or the failure of the store (-ENOSPC, -EIO, -EBADMSG, ...): nothing was begun; trying again at the next tick opens it anew. */
int samples_writer_begin(struct samples_writer *writer, uint64_t time_ns, struct error *error);

/* Between begin and end: the number of a series, which is added where the partition has none of that kind, family and labels.
 * The definition is valid (metric.h). After a failure of this and of samples_writer_set_histogram the tick can only be aborted. -ENFILE: SAMPLES_SERIES_MAX. */
int samples_writer_series(struct samples_writer *writer, const struct samples_definition *definition, uint32_t *ret,
                          struct error *error);
/* Its value at this tick. Series that are not set have a hole. A number that samples_writer_series gave. */
void samples_writer_set(struct samples_writer *writer, uint32_t number, double value);
/* For histograms and timers. -ENOMEM. */
int samples_writer_set_histogram(struct samples_writer *writer, uint32_t number, const struct histogram *histogram);

/* The tick is whole. commit: it and all since the last commit is on the disk when this returns 0. Without, more ticks may follow in the same
 * transaction: for who brings in many at once. After a failure all since the last commit is gone, and numbers are void. */
int samples_writer_end(struct samples_writer *writer, bool commit, struct error *error);
/* Give up the tick that was begun and all since the last commit; fine where there is none. Numbers are void if it says so with 1. */
int samples_writer_abort(struct samples_writer *writer);

/* Rewrite what is left in rows into columns and close the partition, so that nothing adds to it: 0 also when there is none. A day that is over is closed by
 * the next begin; this is for who wants it now. */
int samples_writer_finish(struct samples_writer *writer, struct error *error);

uint64_t
samples_writer_last(const struct samples_writer *writer); /* time of the last tick that is there, 0: none known */
uint64_t samples_writer_size(const struct samples_writer *writer); /* bytes of the partition's file */
uint32_t samples_writer_series_count(const struct samples_writer *writer);

/* --- the folder --- */

/* The partitions, ascending by first tick (first_sequence has it, in ns); data_dir as for samples_reader_open. free(*ret). */
int samples_list(const char *data_dir, struct partition_name **ret, size_t *ret_count, struct error *error);
/* Whether a path is called as the partitions are. */
bool samples_is_name(const char *path);
/* Unlink the partitions of days that were over at before_ns: how many. One that is being written is of today and is never among them, unless
 * before_ns is in the future. */
int samples_expire(const char *data_dir, uint64_t before_ns, uint64_t *ret_bytes, struct error *error);
/* Unlink the oldest but the newest one: 1, 0 when there is no other. For when there is no room. */
int samples_drop_oldest(const char *data_dir, uint64_t *ret_bytes, struct error *error);

/* --- reading; a thread for each reader, and one reader in a process for a folder (LMDB's rule) --- */

struct samples_reader;

/* data_dir: a data folder, a folder of copied partitions, or one partition file. Needs no running process. A missing folder holds nothing. Each damaged
 * partition is told of once through `damaged` (may be NULL), with the first fault. -EACCES: "join the group taskforge". */
int samples_reader_open(const char *data_dir, void (*damaged)(void *argument, const char *path, const char *why),
                        void *argument, struct samples_reader **ret, struct error *error);
void samples_reader_close(struct samples_reader *reader); /* NULL is fine; selections end before */
/* Look again which partitions there are; selections made before stay as they are, without what is new. */
int samples_reader_refresh(struct samples_reader *reader, struct error *error);

struct samples_want {
    struct text family;        /* as on /metrics, without _total; empty: all */
    bool prefix;               /* those that begin so */
    uint64_t start_ns, end_ns; /* only partitions that may have ticks in [start, end] are looked into */
    size_t most;               /* series; 0: SAMPLES_SERIES_MAX */
    bool (*match)(void *argument,
                  const struct samples_definition *definition); /* NULL: all; borrowed during the call */
    void *argument;
};

struct samples_selection;
/* The series that match, in the order of family and labels, each once in however many partitions it is. -E2BIG: more than `most`. -ENOMEM. */
int samples_select(struct samples_reader *reader, const struct samples_want *want, struct samples_selection **ret,
                   struct error *error);
void samples_selection_free(struct samples_selection *selection); /* NULL is fine */
size_t samples_selection_count(const struct samples_selection *selection);
/* As the newest partition has it; lives as long as the selection. */
const struct samples_definition *samples_selection_at(const struct samples_selection *selection, size_t index);

/* One bucket of a histogram through some ticks. */
struct samples_bucket {
    uint8_t octave, bucket;
    const uint64_t *counts; /* at each tick, of all observations since the beginning; at a hole anything */
};

struct samples_histograms {
    const double *sums; /* a hole is samples_is_hole(sums[i]) */
    const uint64_t *zeros;
    const struct samples_bucket *buckets; /* those in use, ascending */
    size_t bucket_count;
};

/* Ticks in a row of one series: tick i is at start_ns + i * interval_ns. Borrowed during the visit. */
struct samples_block {
    size_t series; /* of the selection */
    uint64_t start_ns, interval_ns;
    size_t count;         /* at least 1, at most SAMPLES_BLOCK_TICKS */
    const double *values; /* counters and gauges: samples_is_hole where there is none; histograms: the sums */
    const struct samples_histograms *histograms; /* NULL for counters and gauges */
};
enum { SAMPLES_BLOCK_TICKS = 512 };

/* Visit the samples in [start, end] of all chosen series: those of one series in the order of time, one series after the other within a
 * partition or some at once. Ticks that no block has were not written, or are damaged (told through `damaged`, passed over).
 * visit returns 0 to go on; the first other value is returned. Every transaction is short, and none is open during a visit. */
int samples_read(struct samples_selection *selection, uint64_t start_ns, uint64_t end_ns,
                 int (*visit)(void *argument, const struct samples_block *block), void *argument, struct error *error);

/* The histogram at a tick of the block: 0 and *ret to be finished; -ENODATA: a hole; -ENOMEM. */
int samples_histogram_at(const struct samples_block *block, size_t index, struct histogram *ret);
uint64_t samples_histogram_count(const struct samples_block *block, size_t index); /* observations; 0 at a hole */

#endif
