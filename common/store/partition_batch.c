/* partition_batch.c - many index values with one cursor and one guard: a walk over thousands must not pay for a search, an allocation
 * and a transaction each. What is copied lies in one buffer that is kept from batch to batch. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/store/partition_private.h"

enum {
    KEY_SIZE = 8,
    CACHE_LINE = 64,
    FETCHED = 512,
    BATCH_BYTES = 128 * 1024, /* where the values are larger than that all together, the batch is shorter */
};

struct filling {
    struct partition_txn *txn;
    struct partition_batch *batch;
    uint64_t sequence;
    bool descending;
    size_t most;
    const struct index_want *want;
    uint64_t longest; /* a value's length is the file's word */
    size_t need;      /* of the first value, where there is no room for it */
};

static int first_value(const struct filling *filling, MDB_cursor *cursor, MDB_val *key, MDB_val *value) {
    unsigned char room[KEY_SIZE];
    uint64_t big = htobe64(filling->sequence);
    memcpy(room, &big, KEY_SIZE);
    *key = (MDB_val) { KEY_SIZE, room };
    int code = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (!filling->descending || (code == 0 && key->mv_size == KEY_SIZE && memcmp(key->mv_data, &big, KEY_SIZE) == 0))
        return code;
    if (code != 0 && code != MDB_NOTFOUND)
        return code;
    return mdb_cursor_get(cursor, key, value, code == 0 ? MDB_PREV : MDB_LAST);
}

/* 1: there was no room for it. The file may change under us: what says which places are taken is a copy, too. */
static int take_value(struct filling *filling, const MDB_val *key, const MDB_val *value) {
    struct partition_batch *batch = filling->batch;
    struct buffer *bytes = &batch->bytes;
    struct index_parts *parts = &batch->values[batch->count].parts;
    uint64_t big;
    char peek[INDEX_PEEK] = { 0 };
    size_t need = 0;
    if (key->mv_size != KEY_SIZE || value->mv_size > filling->longest)
        return MDB_CORRUPTED;
    if (value->mv_size > 0)
        memcpy(peek, value->mv_data, value->mv_size < sizeof(peek) ? value->mv_size : sizeof(peek));
    index_find_places(peek, value->mv_size, filling->want, parts);
    for (unsigned i = 0; i < parts->count; i++)
        need += parts->places[i].length;
    if (need > bytes->capacity - bytes->length) {
        filling->need = batch->count == 0 ? need : 0;
        return 1;
    }
    memcpy(&big, key->mv_data, KEY_SIZE);
    batch->values[batch->count++].key = be64toh(big);
    for (unsigned i = 0; i < parts->count; i++) {
        struct index_place *place = &parts->places[i];
        place->bytes = bytes->data + bytes->length;
        if (place->length > 0)
            memcpy(bytes->data + bytes->length, (const char *)value->mv_data + place->at, place->length);
        bytes->length += place->length;
    }
    return 0;
}

/* Each value lies on pages of its own, which no cache has yet: its head comes while the one before is copied. */
static void fetch_ahead(const MDB_val *value) {
    for (size_t at = 0; at < FETCHED && at < value->mv_size; at += CACHE_LINE)
        __builtin_prefetch((const char *)value->mv_data + at);
}

/* Under the guard: copies into room that is there, and owns nothing but the cursor. */
static int fill_guarded(void *argument) {
    struct filling *filling = argument;
    struct partition *partition = filling->txn->partition;
    MDB_cursor *cursor;
    MDB_val key, value;
    int code = mdb_cursor_open(filling->txn->txn, partition->databases[PARTITION_INDEX], &cursor);
    if (code != 0)
        return code;
    code = first_value(filling, cursor, &key, &value);
    while (code == 0) {
        MDB_val this_key = key, this_value = value;
        bool last = filling->batch->count + 1 >= filling->most;
        int next =
            last ? MDB_NOTFOUND : mdb_cursor_get(cursor, &key, &value, filling->descending ? MDB_PREV : MDB_NEXT);
        if (next == 0)
            fetch_ahead(&value);
        code = take_value(filling, &this_key, &this_value);
        code = code == 0 ? next : code;
    }
    mdb_cursor_close(cursor);
    return code == 1 || code == MDB_NOTFOUND ? 0 : code;
}

static int fill(struct filling *filling, struct error *error) {
    struct partition *partition = filling->txn->partition;
    filling->batch->count = 0;
    buffer_clear(&filling->batch->bytes);
    if (partition->faulted)
        return partition_error(error, partition, "read the index", -EFAULT);
    int code = guard_run(GUARD_ALL, fill_guarded, filling);
    partition->faulted |= code == -EFAULT;
    return code == 0 ? 0 : partition_error(error, partition, "read the index", code);
}

int partition_index_batch(struct partition_txn *txn, uint64_t first_sequence, bool descending, size_t most,
                          const struct index_want *want, struct partition_batch *batch, struct error *error) {
    struct filling filling = { .txn = txn,
                               .batch = batch,
                               .sequence = first_sequence,
                               .descending = descending,
                               .most = most < PARTITION_BATCH_MAX ? most : PARTITION_BATCH_MAX,
                               .want = want,
                               .longest = txn->used_before + txn->bytes_put };
    check(most > 0 && !txn->failed);
    buffer_clear(&batch->bytes);
    if (!buffer_reserve(&batch->bytes, BATCH_BYTES))
        return error_set(error, -ENOMEM, "%s: out of memory", txn->partition->path);
    int result = fill(&filling, error);
    if (result == 0 && filling.need > 0) { /* one value larger than all the room */
        if (!buffer_reserve(&batch->bytes, filling.need))
            return error_set(error, -ENOMEM, "%s: out of memory", txn->partition->path);
        filling.need = 0;
        result = fill(&filling, error);
    }
    return result < 0 ? result : (int)batch->count;
}
