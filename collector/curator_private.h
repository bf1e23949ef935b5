/* curator_private.h - what the files of the curator share. All of it is the curator's thread's, unless the mutex is named. */
#ifndef TASKFORGE_COLLECTOR_CURATOR_PRIVATE_H
#define TASKFORGE_COLLECTOR_CURATOR_PRIVATE_H

#include <sys/types.h>

#include "collector/curator.h"
#include "common/store/partition_copy.h"

struct kept { /* a partition, and what its index said */
    char path[PARTITION_PATH_MAX];
    dev_t device;
    ino_t inode;
    off_t size;
    bool read, failed, seen;
    struct retention_share share;
};

struct curator {
    struct partitions *partitions; /* borrowed */
    struct room room;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool running;
    bool wake; /* mutex */
    _Atomic bool stop;
    struct config_retention limits; /* mutex */
    unsigned version;               /* mutex: counts changes of the limits */
    struct config_retention own;    /* the thread's copy */
    unsigned own_version;
    struct kept *kept;
    size_t kept_count, kept_capacity;
    uint64_t last_look_ns;
    uint64_t adopt_ns; /* monotonic: before that nothing is taken in, after a failure */
    uint64_t step_ns;  /* monotonic: when the last step of a copy ended */
    _Atomic uint64_t removed, rewritten; /* partitions, since the start */
    _Atomic uint64_t wanted;
    uint64_t given;                   /* mutex */
    bool answered;                    /* mutex */
    char refused[PARTITION_PATH_MAX]; /* an import that cannot be taken in: said once */
};

/* Between two commits of a copy: rest as long as that took. -ECANCELED when it is to be given up. */
int curator_between(void *curator);
/* Until it is woken, or so long; false when it is to stop. */
bool curator_rest(struct curator *curator, uint64_t ns);

/* curator_rewrite.c: one partition at most is written anew. */
void curator_rewrite(struct curator *curator, uint64_t now_ns);
void curator_rewrite_finish(struct curator *curator);

/* curator_adopt.c: one partition at most is taken in; true when one was. */
bool curator_adopt(struct curator *curator);

#endif
