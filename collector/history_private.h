/* history_private.h - what the files of the history share. All of it is the thread's, unless the mutex is named. */
#ifndef TASKFORGE_COLLECTOR_HISTORY_PRIVATE_H
#define TASKFORGE_COLLECTOR_HISTORY_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>

#include "collector/history.h"
#include "common/base/paths.h"
#include "common/shm/segment.h"
#include "common/store/samples.h"

struct history_limits {
    struct config_history history;
    struct config_retention retention;
};

/* The series of the segment, in its order: the number that each has in the partition that is written. */
struct history_series {
    uint64_t position;
    uint32_t number;
    bool numbered;
};

struct history {
    char data_dir[PATHS_MAX], runtime_dir[PATHS_MAX];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool running;
    bool stop;                    /* mutex */
    struct history_limits limits; /* mutex */
    unsigned version;             /* mutex: counts changes of the limits */
    struct history_status status; /* mutex */
    uint64_t written_ns;          /* mutex: real, of the last tick that is there; before it: when history began */

    struct history_limits own; /* the thread's copy */
    unsigned own_version;
    struct samples_writer *writer; /* NULL: to be opened */
    struct segment *segment;       /* likewise */
    struct segment_sample sample;
    struct history_series *series;
    size_t series_count, series_capacity;
    uint64_t last_tick_ns;   /* real: looked at, written or not */
    uint64_t last_expire_ns; /* monotonic */
    bool failing, told_back;
    bool scarce; /* a growth was refused for keep_free: the sentence says so */
};

/* history_sample.c: one tick into the writer, the segment as it is now. *ret_samples: how many series had a value. 0; 1: the tick is there already, or
 * lies behind what is there (*ret_last); negative with the sentence, and nothing of the tick is kept. */
int history_sample(struct history *history, uint64_t tick_ns, uint64_t *ret_samples, struct error *error);
void history_forget(struct history *history); /* writer and segment are closed; the next tick opens them anew */

/* history_room.c */
uint64_t history_max_size(const struct history *history);
struct partition_growth history_growth(struct history *history);
/* Bytes that all samples take of the disk. */
uint64_t history_bytes(const struct history *history);
void history_yield(struct history *history); /* where the disk is too full */
void history_expire(struct history *history, uint64_t now_real_ns);

#endif
