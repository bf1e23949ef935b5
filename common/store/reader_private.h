/* reader_private.h - what the two files of the reader share. */
#ifndef TASKFORGE_COMMON_STORE_READER_PRIVATE_H
#define TASKFORGE_COMMON_STORE_READER_PRIVATE_H

#include <sys/types.h>

#include "common/store/reader.h"

struct member {                  /* one partition file */
    struct partition *partition; /* NULL: damaged, or not ready yet */
    char path[PARTITION_PATH_MAX];
    dev_t device; /* which file stood at the path: another one takes its place by rename */
    ino_t inode;
    struct partition_meta meta;
    bool damaged; /* passed over until the file changes */
    bool told;    /* of damage in it, once */
    bool seen;    /* while refreshing */
};

struct store_reader {
    char data_dir[PARTITION_PATH_MAX];
    void (*damaged)(void *argument, const char *path, const char *why);
    void *argument;
    struct member **members; /* ascending by (first sequence, created) */
    size_t count, capacity;
    struct buffer value; /* a private copy of what LMDB gave */
    struct partition_batch *batch; /* a walk takes it and puts it back; NULL: a walk is under way, or none was yet */
};

/* Something in the member is damaged; or so much that it is closed and passed over. Each member is told of once. */
void reader_tell_once(struct store_reader *reader, struct member *member, const char *why);
void reader_tell_damaged(struct store_reader *reader, struct member *member, const char *why);

#endif
