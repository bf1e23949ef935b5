/* partition_samples.h - a partition of samples (samples.h has the drawing): its databases, by their keys. What the values are is not known here.
 *
 * Opened and closed as any partition (partition.h), whose meta record, state, transactions, growth and checks it has. A piece points into the
 * file: it holds until the transaction ends or writes, is copied out under the guard, and what it says is hostile.
 */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_SAMPLES_H
#define TASKFORGE_COMMON_STORE_PARTITION_SAMPLES_H

#include "common/store/partition.h"

/* As partition_open and partition_create. */
int partition_samples_open(const char *path, enum partition_mode mode, uint64_t map_size, struct partition **ret,
                           struct error *error);
int partition_samples_create(const char *path, const struct partition_meta *meta, uint64_t map_size,
                             struct partition **ret, struct error *error);

struct partition_piece {
    const void *data;
    size_t size; /* at most as much as the file has */
};
/* Copy [offset, offset + length) out of it. -EBADMSG: it has no such bytes, or the file is cut. */
int partition_piece_take(struct partition_txn *txn, struct partition_piece piece, size_t offset, size_t length,
                         void *to, struct error *error);
/* Likewise several at once, with one guard. */
struct partition_part {
    size_t offset, length;
    void *to;
};
int partition_piece_take_parts(struct partition_txn *txn, struct partition_piece piece,
                               const struct partition_part *parts, size_t count, struct error *error);

/* --- series: number -> value; families: (family, number) -> nothing --- */

int partition_series_put(struct partition_txn *txn, uint32_t number, struct text family, struct text value,
                         struct error *error);
/* The first at number or behind it, descending: the last at it or before: 1, 0. */
int partition_series_seek(struct partition_txn *txn, uint32_t number, bool descending, uint32_t *ret_number,
                          struct partition_piece *ret, struct error *error);
/* The first series at (family, number) or behind: 1, 0. *ret_family is borrowed until the transaction ends. */
int partition_family_seek(struct partition_txn *txn, struct text family, uint32_t number, struct text *ret_family,
                          uint32_t *ret_number, struct error *error);

/* --- rows: (tick, group) -> value --- */

int partition_row_put(struct partition_txn *txn, uint64_t tick, uint32_t group, struct text value, struct error *error);
int partition_row_delete(struct partition_txn *txn, uint64_t tick, uint32_t group, struct error *error);
int partition_row_seek(struct partition_txn *txn, uint64_t tick, uint32_t group, bool descending, uint64_t *ret_tick,
                       uint32_t *ret_group, struct partition_piece *ret, struct error *error);

/* --- columns: (group, last tick) -> value --- */

int partition_columns_put(struct partition_txn *txn, uint32_t group, uint64_t last, struct text value,
                          struct error *error);
int partition_columns_seek(struct partition_txn *txn, uint32_t group, uint64_t last, bool descending,
                           uint32_t *ret_group, uint64_t *ret_last, struct partition_piece *ret, struct error *error);

/* How many values each has, as the file says. */
struct partition_samples_counts {
    uint64_t series, families, rows, columns;
};
int partition_samples_count(struct partition_txn *txn, struct partition_samples_counts *ret, struct error *error);

#endif
