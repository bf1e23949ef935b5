/* room.h - the store never takes more of the disk than retention.max_size, at any moment.
 *
 * Counted is what every file in DATA_DIR/logs and the reserve take: partitions, their locks, what is being built, what was set aside. Each growth
 * of a file that is written goes through here, under one lock: where it would pass the limit, the oldest closed partition goes first (what
 * was set aside before that), then the file grows. The curator removes before it comes to that, so commits need not wait. The newest partition
 * always stays. Any thread. */
#ifndef TASKFORGE_COLLECTOR_ROOM_H
#define TASKFORGE_COLLECTOR_ROOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/paths.h"
#include "common/store/partition.h"

struct room {
    pthread_mutex_t mutex; /* held while a file grows, is removed, or takes another's place */
    char data_dir[PATHS_MAX];
    uint64_t promised;         /* mutex: bytes by which what is built beside is about to grow */
    _Atomic uint64_t growths;  /* of the partition that is written */
    _Atomic uint64_t max_size; /* 0: no limit yet */
    _Atomic uint64_t headroom; /* below that much of it the curator is woken */
    _Atomic bool pressed;      /* room was scarce: what is being written anew is given up */
    void (*wake)(void *argument);
    void *argument;
};

int room_init(struct room *room, const char *data_dir, void (*wake)(void *argument), void *argument);
void room_finish(struct room *room);
void room_set(struct room *room, uint64_t max_size, uint64_t headroom);

/* Bytes that the store has on the disk; *ret_partitions (unless NULL): those of its partitions among them. */
uint64_t room_used(const struct room *room, uint64_t *ret_partitions);

/* For the partition that is written (as a partition_growth, whose argument is the room): the growth goes on in any case. fd -1: make room, nothing grows. */
int room_grow(void *room, int fd, uint64_t from, uint64_t to);

/* For what is built beside it: ENOSPC where it would take what is kept free for commits. */
int room_grow_beside(void *room, int fd, uint64_t from, uint64_t to);

/* `built` takes the place of `path` if that is still there, and where `fresh` if nothing is: 0, or a negative errno and `built` is removed. */
int room_replace(struct room *room, const char *built, const char *path, bool fresh);

#endif
