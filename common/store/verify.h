/* verify.h - checking partitions: every page that LMDB reaches, every checksum, sequences without gap or overlap, index against blocks,
 * spans and the ways to them, and the hashes that a closed one was noted with (partition_sum.h); of metric history (samples.h) every row and column.
 *
 * Each partition is checked in a child process of its own, so that a damaged file cannot take the caller down or hold it up: the child
 * ends when its parent does, and when it has used more processor time than its file's size explains.
 */
#ifndef TASKFORGE_COMMON_STORE_VERIFY_H
#define TASKFORGE_COMMON_STORE_VERIFY_H

#include "common/store/partition.h"
#include "common/store/partition_sum.h"

enum verify_flags {
    VERIFY_QUICK = 1, /* hashes that are as they were noted are enough */
    VERIFY_NOTE = 2, /* write what was found into its sum: for the store's owner, of one that is not written any more */
    VERIFY_GENTLE = 4, /* let everything else have the processors and the disk first */
};

struct verify_result {
    enum partition_verdict verdict;
    bool hashed; /* its hashes were enough: nothing was counted */
    unsigned faults;
    uint64_t blocks, entries, spans;
    uint64_t series, samples;    /* of a partition of samples */
    uint64_t first, next;        /* sequence of its first block, and behind its last one; 0: not known */
    char why[PARTITION_SUM_WHY]; /* the first fault */
};

typedef void verify_fault_function(void *argument, const char *line);

/* --- one partition, in a child (verify_child.c) --- */

struct verify_child;
int verify_child_start(const char *path, unsigned flags, struct verify_child **ret, struct error *error);
int verify_child_fd(const struct verify_child *child); /* can be read when the child has said something, or ended */
/* Take in what it has said, without waiting: 1 it goes on, 0 it has ended and *ret is filled. Each fault is told (`tell` may be NULL). */
int verify_child_read(struct verify_child *child, verify_fault_function *tell, void *argument,
                      struct verify_result *ret);
void verify_child_stop(struct verify_child *child); /* NULL is fine; ends it where it runs on */

/* The same, waited for. Negative only when no child could be started. PARTITION_UNCHECKED: it could not be looked at, for want of memory and the like;
 * `why` says what for, nothing is noted, and that is no fault of the file. */
int verify_partition(const char *path, unsigned flags, verify_fault_function *tell, void *argument,
                     struct verify_result *ret, struct error *error);

/* --- the store --- */

/* Told in the order of the partitions: `fault` and no result for each fault, no fault and the result when a partition is done. */
typedef void verify_report_function(void *argument, const char *path, const char *fault,
                                    const struct verify_result *result);

struct verify_totals {
    size_t partitions;
    uint64_t blocks, entries, spans, series, samples;
    unsigned faults;
};

/* Check every partition, two at a time, those of samples behind the others. data_dir as partition_list and samples_list take it. Returns the number
 * of faults (one that could not be checked is one), or -errno. */
int store_verify(const char *data_dir, verify_report_function *report, void *argument, struct verify_totals *ret,
                 struct error *error);

#endif
