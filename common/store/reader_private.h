/* reader_private.h - what the files of the reader share. */
#ifndef TASKFORGE_COMMON_STORE_READER_PRIVATE_H
#define TASKFORGE_COMMON_STORE_READER_PRIVATE_H

#include <sys/types.h>
#include <time.h>

#include "common/store/partition_sum.h"
#include "common/store/reader.h"

struct member {                  /* one partition file */
    struct partition *partition; /* NULL: damaged, or not ready yet */
    char path[PARTITION_PATH_MAX];
    dev_t device; /* which file stood at the path: another one takes its place by rename */
    ino_t inode;
    off_t size;                   /* of one that is not written any more */
    struct timespec changed, sum; /* likewise; and when its sum was written */
    struct partition_meta meta;
    enum partition_verdict verdict; /* of its file as it is */
    bool damaged;                   /* passed over until the file changes */
    bool seen;                      /* while refreshing */
    char why[ERROR_TEXT_SIZE];      /* of the damage in it, told once; "" */
};

struct reader_batch;

struct store_reader {
    char data_dir[PARTITION_PATH_MAX];
    void (*damaged)(void *argument, const char *path, const char *why);
    void *argument;
    struct member **members; /* ascending by (first sequence, created) */
    size_t count, capacity;
    struct buffer value;        /* a private copy of what LMDB gave */
    struct reader_batch *batch; /* a walk takes it and puts it back; NULL: a walk is under way, or none was yet */
};

/* --- reader_members.c --- */

/* Whether the member can be read: a closed one is checked in a child before its first use, where nobody has noted that it is sound. */
bool reader_use(struct store_reader *reader, struct member *member);
/* Something in the member is damaged; or so much that it is closed and passed over. Each member is told of once. */
void reader_tell_once(struct store_reader *reader, struct member *member, const char *why);
void reader_tell_damaged(struct store_reader *reader, struct member *member, const char *why);
/* A failure that says nothing about the file: no memory, no descriptors, no reader's slot. */
bool reader_is_passing(int result);

/* --- reader_index.c --- */

/* The block next to `sequence`: 1 and its index value, to be finished, made anew from the block where the index has none or a damaged one; 0 when
 * there is none; -EILSEQ: the partition may be sound, but neither index value nor block at *ret_key is. */
int reader_next_block(struct store_reader *reader, struct member *member, uint64_t sequence, bool descending,
                      uint64_t *ret_key, struct index_entry *index, struct error *error);
/* Decode what stands at `key` into an entry that is zeroed or was decoded before, and check that it belongs there: 0; -EILSEQ: the partition may be sound, but this value is not. */
int reader_decode_index(const struct index_parts *parts, uint64_t key, struct index_entry *index, struct error *error);
/* Between `sequence`, where a block was looked for, and the one found there may stand one that the index does not know. */
bool reader_leaves_gap(const struct index_entry *index, uint64_t sequence, bool descending);
/* A private copy in reader->value of what LMDB gave: the file may be cut at any moment. */
int reader_take_copy(struct store_reader *reader, struct text text, struct error *error);

/* --- reader.c --- */

struct reader_batch {
    struct partition_batch values;
    struct index_entry index; /* the one that is visited; its arrays are used again and again */
};
void reader_free_batch(struct reader_batch *batch); /* NULL is fine */

#endif
