/* partition_copy.h - a closed partition copied without some of its entries, or under other sequences.
 *
 * What is copied keeps its place: blocks may become others, but each entry has the sequence it had, plus the shift (gone.h). Spans and state go along as they
 * are. The source is open for reading and read in short transactions. One thread. */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_COPY_H
#define TASKFORGE_COMMON_STORE_PARTITION_COPY_H

#include "common/store/partition_build.h"

struct partition_copy_job {
    struct partition *from; /* closed */
    const char *path;       /* of the copy */
    uint64_t shift;         /* added to each sequence of an entry */
    unsigned flags;         /* of the copy's origin, besides the source's */
    bool entries_only;      /* neither spans nor state */
    uint64_t created_ns;    /* of the copy; 0: as the source */
    uint64_t rewritten_ns;  /* likewise */
    /* Whether entries of that service and level stay; NULL: all. */
    bool (*keep)(void *argument, struct text service, enum level level);
    void *keep_argument;
    struct partition_growth growth; /* partition_build.h */
    int (*between)(void *argument);
    void *between_argument;
};

struct partition_copied {
    uint64_t kept, gone;
};

/* 0; -EBADMSG when something in the source is damaged; or what `between` and `growth` said. Nothing is left behind on failure. */
int partition_copy(const struct partition_copy_job *job, struct partition_copied *ret, struct error *error);

#endif
