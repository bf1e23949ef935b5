/* checker.h - whether the partitions that are not written any more are still what they were: each is checked in a child process (verify.h), one at a time
 * and gently, when it was closed, when its file has changed, and once a day; what was found is noted beside it (partition_sum.h), where every reader
 * looks before it trusts a partition. One thread (the loop's); nothing of it waits. */
#ifndef TASKFORGE_COLLECTOR_CHECKER_H
#define TASKFORGE_COLLECTOR_CHECKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/process/loop.h"
#include "common/store/verify.h"

struct checker {
    struct loop *loop;    /* borrowed */
    const char *data_dir; /* borrowed */
    struct verify_child *child;
    struct loop_fd *source;
    char path[PARTITION_PATH_MAX]; /* what it checks */
    struct stat checked;           /* the file as it was then */
    unsigned failures;             /* checks whose note could not be written, one after the other */
    uint64_t look_ns;              /* monotonic: when to look again */
    uint64_t checked_as[PARTITION_VERDICTS]; /* how many were found so */
    size_t damaged;                /* partitions that are damaged or were set aside, at the last look */
};

void checker_init(struct checker *checker, struct loop *loop, const char *data_dir);
/* Often: look whether one is to be checked. `authority` is the path of the one that is written. */
void checker_look(struct checker *checker, const char *authority, uint64_t now_ns);
void checker_finish(struct checker *checker); /* an unfinished check is ended */

#endif
