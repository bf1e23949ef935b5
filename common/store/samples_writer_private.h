/* samples_writer_private.h - what the files of the writer of samples share. */
#ifndef TASKFORGE_COMMON_STORE_SAMPLES_WRITER_PRIVATE_H
#define TASKFORGE_COMMON_STORE_SAMPLES_WRITER_PRIVATE_H

#include "common/store/samples_private.h"

/* Which series the partition has: found by hash, told apart by what is stored. */
struct samples_numbers {
    struct samples_number {
        uint64_t hash;
        uint32_t number_and_1; /* 0: nothing here */
    } * table;                 /* open addressing, a power of two */
    size_t capacity;
    uint32_t count;
};

struct samples_pending { /* of a group */
    uint64_t first;      /* tick of its first row */
    uint32_t rows;
};

/* What was set for the tick that was begun; by number. */
struct samples_stage {
    uint64_t *values;              /* bits; of a histogram, where it is in `histograms` */
    uint8_t *hints;                /* samples_row_add's */
    unsigned char *present, *kind; /* bits; kind: 1 a histogram */
    size_t capacity;               /* series: a multiple of SAMPLES_GROUP */
    struct buffer histograms;      /* each: length u32, bytes */
};

struct samples_writer {
    char data_dir[PARTITION_PATH_MAX];
    struct samples_options options;
    struct partition *partition; /* NULL: none is known, or it failed */
    struct partition_txn *txn;
    struct samples_head head; /* of the partition */
    uint64_t day, last_tick;  /* of the partition; 0: none yet */
    uint64_t last_ns;
    bool begun, void_numbers, full;
    uint64_t tick;
    uint64_t floor_day, floor_ns;      /* what other partitions have of a day: their last tick */
    char given_up[PARTITION_PATH_MAX]; /* a damaged one: not to be written again */
    struct samples_numbers numbers;
    struct samples_stage stage;
    struct samples_pending *pending; /* by group */
    size_t groups, pending_capacity;
    size_t next_batch; /* where the search for rows to be rewritten goes on */
    struct samples_rows *rows;
    struct samples_column column;
    struct buffer row, columns, chunk;
};

/* --- samples_numbers.c --- */

void samples_numbers_finish(struct samples_numbers *numbers);
/* Those of the partition. */
int samples_numbers_load(struct samples_numbers *numbers, struct partition_txn *txn, struct error *error);
/* Find or add. */
int samples_numbers_take(struct samples_numbers *numbers, struct partition_txn *txn,
                         const struct samples_definition *definition, uint32_t *ret, struct error *error);

/* --- samples_rewrite.c --- */

/* How many rows each group has, of the partition as it is. */
int samples_pending_load(struct samples_writer *writer, struct partition_txn *txn, struct error *error);
/* One more row of a group. */
int samples_pending_add(struct samples_writer *writer, uint32_t group, uint64_t tick, struct error *error);
/* Rewrite the rows of groups that have enough, a share of the groups at a time. */
int samples_rewrite_due(struct samples_writer *writer, struct error *error);
/* All that are left, in transactions of their own. */
int samples_rewrite_all(struct samples_writer *writer, struct error *error);

/* --- samples_roll.c: which partition is written --- */

/* Have the partition for a tick at time_ns: 0 the same as before, 1 another one (or the same, opened anew); as samples_writer_begin. */
int samples_roll(struct samples_writer *writer, uint64_t time_ns, struct error *error);
/* Close the partition for good. */
int samples_close_partition(struct samples_writer *writer, struct error *error);
/* After a failure `result`: the partition is closed, and opened anew (or, when it is damaged, given up) by the next roll. */
void samples_fail(struct samples_writer *writer, int result);

/* --- samples_writer.c --- */

int samples_stage_reserve(struct samples_stage *stage, size_t series);

#endif
