/* verify_private.h - between the files of the verification: what runs in the child. */
#ifndef TASKFORGE_COMMON_STORE_VERIFY_PRIVATE_H
#define TASKFORGE_COMMON_STORE_VERIFY_PRIVATE_H

#include <stdio.h>

#include "common/store/filter_index.h"
#include "common/store/verify.h"

enum { VERIFY_FAULTS_MAX = 1000 }; /* told of one partition; a file full of noise has no end of them */

struct verify_run {
    FILE *out; /* a line "fault ..." for each */
    struct partition *partition;
    struct partition_txn *txn;
    bool rewritten;             /* entries were taken out of it: blocks may be missing */
    struct index_before before; /* the block that comes next, by the blocks themselves */
    bool unchecked; /* something kept it from looking: what it found is no verdict */
    struct verify_result result;
};

void verify_fault(struct verify_run *run, const char *text);
/* A call gave `result`, which is negative. Want of memory and the like says nothing about the file; everything else is a fault of it. */
void verify_failed(struct verify_run *run, int result, const char *text);

/* verify_partition.c: read all of it, as a hostile reader's child would. */
void verify_walk(struct verify_run *run, const char *path);
/* samples_verify.c: likewise of a partition of samples. */
void verify_samples(struct verify_run *run, const char *path);

#endif
