/* samples_rewrite.c - rows become columns. */
#include <errno.h>
#include <stdlib.h>

#include "common/store/samples_writer_private.h"

enum {
    GROUPS_OF_A_COMMIT = 64,
    NEIGHBOURS = 16, /* groups that are rewritten together: their rows share pages, which then go as a whole */
};

static int reserve_groups(struct samples_writer *writer, size_t groups, struct error *error) {
    if (groups <= writer->pending_capacity)
        return 0;
    size_t capacity = writer->pending_capacity ? writer->pending_capacity * 2 : 64;
    while (capacity < groups)
        capacity *= 2;
    struct samples_pending *pending = reallocarray(writer->pending, capacity, sizeof(*pending));
    if (!pending)
        return error_set(error, -ENOMEM, "out of memory for the groups of series");
    memset(pending + writer->pending_capacity, 0, (capacity - writer->pending_capacity) * sizeof(*pending));
    writer->pending = pending;
    writer->pending_capacity = capacity;
    return 0;
}

int samples_pending_add(struct samples_writer *writer, uint32_t group, uint64_t tick, struct error *error) {
    int result = reserve_groups(writer, (size_t)group + 1, error);
    if (result < 0)
        return result;
    struct samples_pending *pending = &writer->pending[group];
    if (pending->rows++ == 0)
        pending->first = tick;
    if (group >= writer->groups)
        writer->groups = (size_t)group + 1;
    return 0;
}

int samples_pending_load(struct samples_writer *writer, struct partition_txn *txn, struct error *error) {
    uint64_t tick = 0;
    uint32_t group = 0;
    if (writer->groups > 0)
        memset(writer->pending, 0, writer->groups * sizeof(writer->pending[0]));
    writer->groups = 0;
    for (;;) {
        uint64_t found;
        uint32_t of;
        struct partition_piece piece;
        int result = partition_row_seek(txn, tick, group, false, &found, &of, &piece, error);
        if (result <= 0)
            return result;
        if (found < tick || (found == tick && of < group) || of > SAMPLES_SERIES_MAX / SAMPLES_GROUP)
            return error_set(error, -EBADMSG, "%s: its rows are out of order", partition_path(partition_of(txn)));
        result = samples_pending_add(writer, of, found, error);
        if (result < 0)
            return result;
        tick = found;
        group = of + 1;
    }
}

/* The group's rows, in the transaction that is open. Damaged ones go with the others: they tell nothing. */
static int rewrite(struct samples_writer *writer, uint32_t group, struct error *error) {
    struct samples_pending *pending = &writer->pending[group];
    struct samples_rows *rows = writer->rows;
    size_t columns = 0;
    int result = samples_rows_load(rows, writer->txn, group, pending->first, error);
    if (result < 0)
        return result;
    samples_rows_open(rows, group);
    if (rows->count > 0 &&
        samples_chunk_encode(rows, group, &writer->column, &writer->columns, &writer->chunk, &columns) < 0)
        return error_set(error, -ENOMEM, "out of memory for columns of samples");
    if (columns > 0)
        result =
            partition_columns_put(writer->txn, group, rows->ticks[rows->count - 1], buffer_text(&writer->chunk), error);
    for (size_t i = 0; i < rows->loaded && result == 0; i++)
        result = partition_row_delete(writer->txn, rows->loaded_ticks[i], group, error);
    bool more = rows->loaded == SAMPLES_ROWS_MAX && pending->rows > SAMPLES_ROWS_MAX;
    pending->rows = more ? pending->rows - SAMPLES_ROWS_MAX : 0;
    pending->first = more ? rows->loaded_ticks[SAMPLES_ROWS_MAX - 1] + 1 : 0;
    return result;
}

/* Those of some neighbours that have enough rows; more than half of enough, once one has enough, so that they stay together. */
static int rewrite_neighbours(struct samples_writer *writer, size_t first, size_t end, struct error *error) {
    int result = 0;
    for (size_t group = first; group < end && result == 0; group++)
        if (writer->pending[group].rows > writer->head.chunk_ticks / 2)
            result = rewrite(writer, (uint32_t)group, error);
    return result;
}

static uint32_t most_rows(const struct samples_writer *writer, size_t first, size_t end) {
    uint32_t most = 0;
    for (size_t group = first; group < end; group++)
        most = writer->pending[group].rows > most ? writer->pending[group].rows : most;
    return most;
}

/* Groups that begin together become due together: a share of them goes at each tick, and from then on they are spread. */
int samples_rewrite_due(struct samples_writer *writer, struct error *error) {
    size_t batches = (writer->groups + NEIGHBOURS - 1) / NEIGHBOURS;
    size_t most = batches / writer->head.chunk_ticks + 1, done = 0;
    for (size_t i = 0; i < batches; i++) {
        size_t batch = writer->next_batch < batches ? writer->next_batch : 0, first = batch * NEIGHBOURS;
        size_t end = first + NEIGHBOURS < writer->groups ? first + NEIGHBOURS : writer->groups;
        uint32_t rows = most_rows(writer, first, end);
        writer->next_batch = batch + 1;
        if (rows < writer->head.chunk_ticks || (done >= most && rows < SAMPLES_ROWS_MAX))
            continue;
        int result = rewrite_neighbours(writer, first, end, error);
        if (result < 0)
            return result;
        done++;
    }
    return 0;
}

int samples_rewrite_all(struct samples_writer *writer, struct error *error) {
    size_t group = 0;
    int result = 0;
    while (result == 0 && group < writer->groups) {
        result = partition_begin(writer->partition, true, &writer->txn, error);
        for (size_t i = 0; result == 0 && i < GROUPS_OF_A_COMMIT && group < writer->groups; i++) {
            if (writer->pending[group].rows == 0)
                group++;
            else
                result = rewrite(writer, (uint32_t)group, error);
        }
        struct partition_txn *txn = writer->txn;
        writer->txn = NULL;
        if (result == 0)
            result = partition_commit(txn, error);
        else
            partition_abort(txn);
    }
    return result;
}
