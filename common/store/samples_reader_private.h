/* samples_reader_private.h - what the files of the reader of samples share. */
#ifndef TASKFORGE_COMMON_STORE_SAMPLES_READER_PRIVATE_H
#define TASKFORGE_COMMON_STORE_SAMPLES_READER_PRIVATE_H

#include <sys/types.h>

#include "common/store/samples_private.h"

struct samples_member {          /* one partition file; kept as long as the reader, since selections name it */
    struct partition *partition; /* NULL: not opened yet, damaged, or gone */
    char path[PARTITION_PATH_MAX];
    uint64_t first_ns; /* by its name; 0: it has none */
    dev_t device;
    ino_t inode;
    struct samples_head head;
    bool passed_over; /* damaged, not ready, or gone */
    bool told;        /* of damage in it */
    bool seen;        /* while refreshing */
};

struct samples_reader {
    char data_dir[PARTITION_PATH_MAX];
    void (*damaged)(void *argument, const char *path, const char *why);
    void *argument;
    struct samples_member **members; /* ascending by first_ns */
    size_t count, capacity;
};

/* Open it, if that was not done: 1; 0 when it is passed over; -EACCES, -ENOMEM and the like. */
int samples_member_use(struct samples_reader *reader, struct samples_member *member, struct error *error);
/* Something in it is damaged: told of once. */
void samples_member_tell(struct samples_reader *reader, struct samples_member *member, const char *why);
/* What a call on it has come to: 0 when it only says that the member is damaged, which is told; else the result. After a fault
 * inside LMDB it is passed over. */
int samples_member_result(struct samples_reader *reader, struct samples_member *member, int result,
                          const struct error *why, struct error *error);
/* Whether it may have ticks in [start, end], as far as its name tells. */
bool samples_member_may_have(const struct samples_member *member, uint64_t start_ns, uint64_t end_ns);

/* A selected series in a partition. */
struct samples_chosen {
    uint32_t number;
    size_t series; /* of the selection */
};
struct samples_chosen_of { /* one partition's */
    struct samples_member *member;
    struct samples_chosen *chosen; /* ascending by number */
    size_t count, capacity;
};

struct samples_selected {
    struct samples_definition definition; /* borrows bytes */
    char *bytes;
    uint64_t hash;
};

struct samples_selection {
    struct samples_reader *reader;
    struct samples_selected *series;
    size_t count, capacity;
    uint32_t *table; /* by hash: index + 1; open addressing, a power of two; while it is made */
    size_t table_size;
    struct samples_chosen_of *of;
    size_t of_count;
};

#endif
