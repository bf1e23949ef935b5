/* partition_samples.c - see partition_samples.h. */
#include "common/store/partition_samples.h"

#include <endian.h>
#include <errno.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/model/metric.h"
#include "common/store/partition_private.h"

enum { SERIES_KEY = 4, FAMILY_KEY_MAX = METRIC_FAMILY_BYTES + 1 + 4, ROW_KEY = 8 + 4, COLUMNS_KEY = 4 + 8 };

static unsigned char *put_u32(unsigned char *at, uint32_t number) {
    number = htobe32(number);
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

static unsigned char *put_u64(unsigned char *at, uint64_t number) {
    number = htobe64(number);
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

static uint32_t get_u32(const unsigned char *at) {
    uint32_t number;
    memcpy(&number, at, sizeof(number));
    return be32toh(number);
}

static uint64_t get_u64(const unsigned char *at) {
    uint64_t number;
    memcpy(&number, at, sizeof(number));
    return be64toh(number);
}

int partition_samples_open(const char *path, enum partition_mode mode, uint64_t map_size, struct partition **ret,
                           struct error *error) {
    return partition_open_kind(path, PARTITION_OF_SAMPLES, mode, map_size, ret, error);
}

int partition_samples_create(const char *path, const struct partition_meta *meta, uint64_t map_size,
                             struct partition **ret, struct error *error) {
    return partition_create_kind(path, PARTITION_OF_SAMPLES, meta, &PARTITION_ORIGIN_EMPTY, map_size, ret, error);
}

/* --- pieces --- */

struct taking {
    const char *data;
    const struct partition_part *parts;
    size_t count;
};

static int take_guarded(void *argument) {
    const struct taking *taking = argument;
    for (size_t i = 0; i < taking->count; i++)
        memcpy(taking->parts[i].to, taking->data + taking->parts[i].offset, taking->parts[i].length);
    return 0;
}

int partition_piece_take_parts(struct partition_txn *txn, struct partition_piece piece,
                               const struct partition_part *parts, size_t count, struct error *error) {
    struct taking taking = { .data = piece.data, .parts = parts, .count = count };
    for (size_t i = 0; i < count; i++)
        if (parts[i].offset > piece.size || parts[i].length > piece.size - parts[i].offset)
            return error_set(error, -EBADMSG, "%s: a value is shorter than it says", txn->partition->path);
    if (guard_run(GUARD_ALL, take_guarded, &taking) == 0)
        return 0;
    txn->partition->faulted = true;
    return partition_error(error, txn->partition, "read it", -EFAULT);
}

int partition_piece_take(struct partition_txn *txn, struct partition_piece piece, size_t offset, size_t length,
                         void *to, struct error *error) {
    struct partition_part part = { offset, length, to };
    return length == 0 ? 0 : partition_piece_take_parts(txn, piece, &part, 1, error);
}

/* --- seeking --- */

struct seeking {
    enum partition_database database;
    const char *what;
    bool descending;
    MDB_val from;
    size_t key_least, key_most;
};

/* 1 with a copy of the key, and the value where it is; 0 at the end. */
static int seek(struct partition_txn *txn, const struct seeking *seeking, unsigned char *ret_key, size_t *ret_length,
                struct partition_piece *ret, struct error *error) {
    struct call call = { .kind = seeking->descending ? CALL_SEEK_BACK : CALL_SEEK,
                         .txn = txn,
                         .database = seeking->database,
                         .key = seeking->from };
    int code = partition_call(&call, seeking->what, error);
    if (code == MDB_NOTFOUND)
        return 0;
    if (code < 0)
        return code;
    if (call.key.mv_size < seeking->key_least || call.key.mv_size > seeking->key_most ||
        call.value.mv_size > txn->used_before + txn->bytes_put)
        return error_set(error, -EBADMSG, "%s: cannot %s: a key or value of a length that cannot be",
                         txn->partition->path, seeking->what);
    *ret_length = call.key.mv_size;
    *ret = (struct partition_piece) { call.value.mv_data, call.value.mv_size };
    code = partition_copy_out(txn, call.key.mv_data, call.key.mv_size, ret_key, error);
    return code < 0 ? code : 1;
}

/* --- series and families --- */

/* The family, a zero, the number. */
static MDB_val family_key(struct text family, uint32_t number, unsigned char room[FAMILY_KEY_MAX]) {
    check(family.length < METRIC_FAMILY_BYTES);
    if (family.length > 0)
        memcpy(room, family.data, family.length);
    room[family.length] = 0;
    unsigned char *end = put_u32(room + family.length + 1, number);
    return (MDB_val) { (size_t)(end - room), room };
}

int partition_series_put(struct partition_txn *txn, uint32_t number, struct text family, struct text value,
                         struct error *error) {
    unsigned char room[FAMILY_KEY_MAX], key[SERIES_KEY];
    put_u32(key, number);
    int result = partition_put(txn, PARTITION_SERIES, (MDB_val) { SERIES_KEY, key }, partition_value(value),
                               "write a series", error);
    return result < 0 ? result
                      : partition_put(txn, PARTITION_FAMILIES, family_key(family, number, room), (MDB_val) { 0, room },
                                      "write a series", error);
}

int partition_series_seek(struct partition_txn *txn, uint32_t number, bool descending, uint32_t *ret_number,
                          struct partition_piece *ret, struct error *error) {
    unsigned char key[SERIES_KEY];
    size_t length;
    put_u32(key, number);
    const struct seeking seeking = { PARTITION_SERIES,    "read a series", descending,
                                     { SERIES_KEY, key }, SERIES_KEY,      SERIES_KEY };
    int result = seek(txn, &seeking, key, &length, ret, error);
    if (result == 1)
        *ret_number = get_u32(key);
    return result;
}

int partition_family_seek(struct partition_txn *txn, struct text family, uint32_t number, struct text *ret_family,
                          uint32_t *ret_number, struct error *error) {
    unsigned char key[FAMILY_KEY_MAX];
    struct partition_piece value;
    size_t length = 0;
    const struct seeking seeking = { PARTITION_FAMILIES, "read the families", false, family_key(family, number, key),
                                     1 + 1 + 4,          FAMILY_KEY_MAX };
    int result = seek(txn, &seeking, key, &length, &value, error);
    if (result != 1)
        return result;
    if (key[length - SERIES_KEY - 1] != 0)
        return error_set(error, -EBADMSG, "%s: a key of its families is damaged", txn->partition->path);
    *ret_number = get_u32(key + length - SERIES_KEY);
    result = partition_answer(txn, &(MDB_val) { length - SERIES_KEY - 1, key }, ret_family, error);
    return result < 0 ? result : 1;
}

/* --- rows --- */

static MDB_val row_key(uint64_t tick, uint32_t group, unsigned char room[ROW_KEY]) {
    put_u32(put_u64(room, tick), group);
    return (MDB_val) { ROW_KEY, room };
}

int partition_row_put(struct partition_txn *txn, uint64_t tick, uint32_t group, struct text value,
                      struct error *error) {
    unsigned char key[ROW_KEY];
    return partition_put(txn, PARTITION_ROWS, row_key(tick, group, key), partition_value(value), "write a row", error);
}

int partition_row_delete(struct partition_txn *txn, uint64_t tick, uint32_t group, struct error *error) {
    unsigned char key[ROW_KEY];
    return partition_delete(txn, PARTITION_ROWS, row_key(tick, group, key), "delete a row", error);
}

int partition_row_seek(struct partition_txn *txn, uint64_t tick, uint32_t group, bool descending, uint64_t *ret_tick,
                       uint32_t *ret_group, struct partition_piece *ret, struct error *error) {
    unsigned char key[ROW_KEY];
    size_t length;
    const struct seeking seeking = { PARTITION_ROWS, "read a row", descending, row_key(tick, group, key),
                                     ROW_KEY,        ROW_KEY };
    int result = seek(txn, &seeking, key, &length, ret, error);
    if (result == 1) {
        *ret_tick = get_u64(key);
        *ret_group = get_u32(key + 8);
    }
    return result;
}

/* --- columns --- */

static MDB_val columns_key(uint32_t group, uint64_t last, unsigned char room[COLUMNS_KEY]) {
    put_u64(put_u32(room, group), last);
    return (MDB_val) { COLUMNS_KEY, room };
}

int partition_columns_put(struct partition_txn *txn, uint32_t group, uint64_t last, struct text value,
                          struct error *error) {
    unsigned char key[COLUMNS_KEY];
    return partition_put(txn, PARTITION_COLUMNS, columns_key(group, last, key), partition_value(value), "write columns",
                         error);
}

int partition_columns_seek(struct partition_txn *txn, uint32_t group, uint64_t last, bool descending,
                           uint32_t *ret_group, uint64_t *ret_last, struct partition_piece *ret, struct error *error) {
    unsigned char key[COLUMNS_KEY];
    size_t length;
    const struct seeking seeking = { PARTITION_COLUMNS, "read columns", descending, columns_key(group, last, key),
                                     COLUMNS_KEY,       COLUMNS_KEY };
    int result = seek(txn, &seeking, key, &length, ret, error);
    if (result == 1) {
        *ret_group = get_u32(key);
        *ret_last = get_u64(key + 4);
    }
    return result;
}

int partition_samples_count(struct partition_txn *txn, struct partition_samples_counts *ret, struct error *error) {
    uint64_t *const counts[] = { &ret->series, &ret->families, &ret->rows, &ret->columns };
    int result = 0;
    for (unsigned i = 0; i < COUNT_OF(counts) && result == 0; i++)
        result = partition_count(txn, (enum partition_database)(PARTITION_SERIES + i), counts[i], error);
    return result;
}
