/* samples_roll.c - which partition is written: one at a time, of one day and one interval. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/store/samples_writer_private.h"

#define MAP_MORE (UINT64_C(256) << 20) /* beyond the size at which the next partition begins: for one more tick */

static uint64_t partition_bytes(const struct samples_writer *writer) {
    return writer->options.partition_bytes ? writer->options.partition_bytes : SAMPLES_PARTITION_BYTES;
}

static uint64_t map_size(const struct samples_writer *writer) {
    return partition_bytes(writer) * 2 + MAP_MORE;
}

/* --- closing --- */

void samples_fail(struct samples_writer *writer, int result) {
    partition_abort(writer->txn);
    writer->txn = NULL;
    writer->begun = false;
    writer->void_numbers = true;
    writer->full |= result == -EFBIG;
    if (!writer->partition)
        return;
    char path[PARTITION_PATH_MAX];
    uint64_t committed = partition_committed(writer->partition);
    bool damaged = partition_is_faulted(writer->partition) || result == -EBADMSG || result == -EPROTO;
    snprintf(path, sizeof(path), "%s", partition_path(writer->partition));
    partition_close(writer->partition);
    writer->partition = NULL;
    if (damaged)
        snprintf(writer->given_up, sizeof(writer->given_up), "%s", path);
    else
        (void)partition_settle(path, committed, NULL);
}

static int mark_closed(struct samples_writer *writer, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(writer->partition, true, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    meta.closed_ns = clock_real_ns();
    if (result == 0)
        result = partition_meta_put(txn, &meta, error);
    if (result == 0)
        return partition_commit(txn, error);
    partition_abort(txn);
    return result;
}

int samples_close_partition(struct samples_writer *writer, struct error *error) {
    check(!writer->txn);
    int result = samples_rewrite_all(writer, error);
    if (result == 0 || result == -EFBIG) /* where it has no room for columns, rows stay: they are read as well */
        result = mark_closed(writer, error);
    if (result < 0) {
        samples_fail(writer, result);
        return result;
    }
    partition_close(writer->partition);
    writer->partition = NULL;
    writer->void_numbers = true;
    writer->full = false;
    return 0;
}

/* --- opening --- */

static int last_chunk(struct partition_txn *txn, uint64_t *ret, struct error *error) {
    uint32_t group = UINT32_MAX, of;
    uint64_t last = UINT64_MAX, found;
    struct partition_piece piece;
    for (;;) {
        int result = partition_columns_seek(txn, group, last, true, &of, &found, &piece, error);
        if (result <= 0)
            return result;
        if (of > group)
            return error_set(error, -EBADMSG, "%s: its columns are out of order", partition_path(partition_of(txn)));
        *ret = found > *ret ? found : *ret;
        group = of;
        last = 0; /* no chunk ends with tick 0: the next one back is another group's */
        if (of == 0)
            return 0;
    }
}

int samples_last_tick(struct partition_txn *txn, uint64_t *ret, struct error *error) {
    struct partition_piece piece;
    uint32_t group;
    uint64_t row = 0;
    *ret = 0;
    int result = partition_row_seek(txn, UINT64_MAX, UINT32_MAX, true, &row, &group, &piece, error);
    if (result >= 0)
        result = last_chunk(txn, ret, error);
    *ret = row > *ret ? row : *ret;
    return result < 0 ? result : *ret > 0;
}

/* Take over what a just opened one holds; it may be one that was never begun. */
static int take_over(struct samples_writer *writer, struct partition *partition, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = samples_head_get(txn, &writer->head, error);
    if (result == 0)
        result = samples_last_tick(txn, &writer->last_tick, error);
    if (result >= 0)
        result = samples_numbers_load(&writer->numbers, txn, error);
    if (result == 0)
        result = samples_pending_load(writer, txn, error);
    if (result == 0)
        result = samples_stage_reserve(&writer->stage, writer->numbers.count);
    partition_abort(txn);
    writer->next_batch = 0;
    writer->void_numbers = true;
    return result;
}

static int read_meta(struct partition *partition, struct partition_meta *ret, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(partition, false, &txn, error);
    if (result == 0) {
        result = partition_meta_get(txn, ret, error);
        partition_abort(txn);
    }
    return result;
}

/* 1: this one goes on; 0: it is closed, of no use, or gone. What was killed while it was made goes. */
static int try_one(struct samples_writer *writer, const struct partition_name *name, struct error *error) {
    struct partition *partition;
    struct partition_meta meta;
    if (strcmp(name->path, writer->given_up) == 0)
        return 0;
    int result = partition_samples_open(name->path, PARTITION_READ, 0, &partition, error);
    if (result == 0) {
        result = read_meta(partition, &meta, error);
        partition_close(partition);
    }
    if (result < 0 || meta.closed_ns != 0)
        return result;
    if (!meta.ready) {
        partition_unlink(name->path);
        return 0;
    }
    result = partition_samples_open(name->path, PARTITION_WRITE, map_size(writer), &partition, error);
    if (result < 0)
        return result;
    result = take_over(writer, partition, error);
    if (result < 0) {
        partition_close(partition);
        return result;
    }
    partition_set_growth(partition, writer->options.growth);
    writer->partition = partition;
    writer->day = samples_day_of(name->first_sequence);
    writer->last_ns = writer->last_tick * writer->head.interval_ns;
    return 1;
}

/* The one that was written last, if it is not closed. A damaged one is left as it is, for readers and verify, and another is begun. */
static int find_open(struct samples_writer *writer, struct error *error) {
    struct partition_name *names = NULL;
    size_t count = 0;
    int result = samples_list(writer->data_dir, &names, &count, error);
    for (size_t i = count; i-- > 0 && result == 0;) {
        result = try_one(writer, &names[i], error);
        if (result == -EBADMSG || result == -EPROTO || result == -ENOENT) {
            if (result == -EBADMSG) /* LMDB may be in no state to open it again */
                snprintf(writer->given_up, sizeof(writer->given_up), "%s", names[i].path);
            result = 0;
        }
    }
    free(names);
    return result;
}

/* --- what other partitions have of the day: a tick is written once --- */

static uint64_t end_of(const struct partition_name *name) {
    struct partition *partition;
    struct partition_txn *txn;
    struct samples_head head;
    uint64_t last = 0;
    if (partition_samples_open(name->path, PARTITION_READ, 0, &partition, NULL) < 0)
        return name->first_sequence;
    if (partition_begin(partition, false, &txn, NULL) == 0) {
        if (samples_head_get(txn, &head, NULL) == 0 && samples_last_tick(txn, &last, NULL) == 1)
            last *= head.interval_ns;
        partition_abort(txn);
    }
    partition_close(partition);
    return last > name->first_sequence ? last : name->first_sequence;
}

static int find_floor(struct samples_writer *writer, uint64_t day, struct error *error) {
    struct partition_name *names = NULL;
    size_t count = 0;
    if (writer->floor_day == day && writer->floor_ns > 0)
        return 0;
    int result = samples_list(writer->data_dir, &names, &count, error);
    writer->floor_day = day;
    writer->floor_ns = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (samples_day_of(names[i].first_sequence) != day ||
            (writer->partition && strcmp(names[i].path, partition_path(writer->partition)) == 0))
            continue;
        uint64_t end = strcmp(names[i].path, writer->given_up) == 0 ? writer->last_ns : end_of(&names[i]);
        writer->floor_ns = end > writer->floor_ns ? end : writer->floor_ns;
    }
    free(names);
    return result;
}

/* --- the next one --- */

static int begin_next(struct samples_writer *writer, uint64_t time_ns, struct error *error) {
    struct partition_meta meta = { .version = PARTITION_VERSION,
                                   .created_ns = clock_real_ns(),
                                   .first_sequence = time_ns };
    char path[PARTITION_PATH_MAX];
    struct partition_txn *txn;
    if (random_bytes(&meta.id, sizeof(meta.id)) < 0)
        return error_set(error, -EIO, "metric history: the kernel gives no random bytes");
    if (samples_make_path(writer->data_dir, time_ns, meta.created_ns, path) < 0)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", writer->data_dir);
    int result = partition_samples_create(path, &meta, map_size(writer), &writer->partition, error);
    if (result < 0)
        return result;
    partition_set_growth(writer->partition, writer->options.growth);
    writer->head = (struct samples_head) { .version = SAMPLES_VERSION,
                                           .chunk_ticks = SAMPLES_CHUNK_TICKS,
                                           .interval_ns = writer->options.interval_ns };
    writer->day = samples_day_of(time_ns);
    writer->last_tick = 0;
    writer->next_batch = 0;
    writer->groups = 0;
    if (writer->pending)
        memset(writer->pending, 0, writer->pending_capacity * sizeof(writer->pending[0]));
    samples_numbers_finish(&writer->numbers);
    result = partition_begin(writer->partition, true, &txn, error);
    if (result == 0) {
        meta.ready = 1;
        result = samples_head_put(txn, &writer->head, error);
        if (result == 0)
            result = partition_meta_put(txn, &meta, error);
        if (result == 0)
            result = partition_commit(txn, error);
        else
            partition_abort(txn);
    }
    if (result < 0) {
        samples_fail(writer, result);
        partition_unlink(path);
    }
    return result;
}

static bool goes_on(const struct samples_writer *writer, uint64_t time_ns) {
    return writer->partition && !writer->full && writer->day == samples_day_of(time_ns) &&
           writer->head.interval_ns == writer->options.interval_ns;
}

static int refuse(uint64_t time_ns, uint64_t last_ns, struct error *error) {
    char time[CLOCK_RFC3339_SIZE], last[CLOCK_RFC3339_SIZE];
    clock_format(time_ns, time);
    clock_format(last_ns, last);
    return error_set(error, -EEXIST, "metric history: there are samples up to %s; none is written for %s", last, time);
}

int samples_roll(struct samples_writer *writer, uint64_t time_ns, struct error *error) {
    int result = 0;
    if (!writer->partition) {
        result = find_open(writer, error);
        if (result < 0)
            return result;
    }
    if (goes_on(writer, time_ns) && !writer->txn && partition_used_size(writer->partition) >= partition_bytes(writer))
        writer->full = true;
    if (writer->partition && writer->day == samples_day_of(time_ns) && time_ns <= writer->last_ns)
        return refuse(time_ns, writer->last_ns, error);
    if (goes_on(writer, time_ns))
        return 0;
    result = find_floor(writer, samples_day_of(time_ns), error);
    if (result == 0 && time_ns <= writer->floor_ns)
        return refuse(time_ns, writer->floor_ns, error);
    if (result == 0 && writer->txn) { /* ticks that wait for the next commit */
        struct partition_txn *txn = writer->txn;
        writer->txn = NULL;
        result = partition_commit(txn, error);
        if (result < 0)
            samples_fail(writer, result);
    }
    if (result == 0 && writer->partition)
        result = samples_close_partition(writer, error);
    if (result == 0) {
        writer->floor_ns = 0; /* what was written until now counts, too */
        result = begin_next(writer, time_ns, error);
    }
    return result;
}
