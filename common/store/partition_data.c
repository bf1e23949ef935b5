/* What stands inside a partition: blocks and their index, the state, the meta record. Every call into LMDB runs under the
 * guard, since a damaged page can lead it out of the map. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/base/hash.h"
#include "common/store/partition_private.h"

enum {
    KEY_SIZE = 8,
    CHECKSUM_SIZE = 8,
    META_SIZE = 56,
    PAGES_FOR_PUT = 16, /* at most, for the path of the tree that a change copies */
    PAGE_SIZE_TYPICAL = 4096,
};
static const struct text meta_key = { "partition", 9 };

/* --- LMDB's calls, guarded --- */

static int cursor_step(struct call *call, MDB_cursor *cursor) {
    MDB_val wanted = call->key;
    int code = mdb_cursor_get(cursor, &call->key, &call->value, MDB_SET_RANGE);
    if (call->kind == CALL_SEEK)
        return code;
    if (code == 0 && mdb_cmp(call->txn->txn, call->txn->partition->databases[call->database], &call->key, &wanted) == 0)
        return 0;
    if (code != 0 && code != MDB_NOTFOUND)
        return code;
    return mdb_cursor_get(cursor, &call->key, &call->value, code == 0 ? MDB_PREV : MDB_LAST);
}

static int run_call(void *argument) {
    struct call *call = argument;
    MDB_txn *txn = call->txn->txn;
    MDB_dbi database = call->txn->partition->databases[call->database];
    MDB_cursor *cursor;
    int code;
    switch (call->kind) {
    case CALL_GET:
        return mdb_get(txn, database, &call->key, &call->value);
    case CALL_PUT:
        code = partition_pages_check(call->txn, call->database, &call->key, false);
        return code != 0 ? code : mdb_put(txn, database, &call->key, &call->value, call->flags);
    case CALL_DELETE:
        code = partition_pages_check(call->txn, call->database, &call->key, true);
        return code != 0 ? code : mdb_del(txn, database, &call->key, NULL);
    case CALL_SEEK:
    case CALL_SEEK_BACK:
        code = mdb_cursor_open(txn, database, &cursor);
        if (code != 0)
            return code;
        code = cursor_step(call, cursor);
        mdb_cursor_close(cursor);
        return code;
    }
    return EINVAL;
}

int partition_call(struct call *call, const char *what, struct error *error) {
    struct partition *partition = call->txn->partition;
    check(!call->txn->failed);
    if (call->kind == CALL_PUT || call->kind == CALL_DELETE) {
        uint64_t most = PAGES_FOR_PUT * PAGE_SIZE_TYPICAL + (call->kind == CALL_PUT ? call->value.mv_size : 0);
        call->txn->bytes_put += most;
        call->txn->puts[call->database].most += most;
        call->txn->puts[call->database].count++;
        if (call->kind == CALL_PUT && call->value.mv_size > PAGE_SIZE_TYPICAL / 4)
            call->txn->puts[call->database].large += call->value.mv_size + 2 * PAGE_SIZE_TYPICAL;
    }
    if (partition->faulted)
        return partition_error(error, partition, what, -EFAULT);
    int code = guard_run(GUARD_ALL, run_call, call);
    if (code == 0 || code == MDB_NOTFOUND)
        return code;
    partition->faulted |= code == -EFAULT;
    call->txn->failed = call->txn->write;
    return partition_error(error, partition, what, code);
}

int partition_put(struct partition_txn *txn, enum partition_database database, MDB_val key, MDB_val value,
                  const char *what, struct error *error) {
    check(txn->write);
    struct call call = { .kind = CALL_PUT, .txn = txn, .database = database, .key = key, .value = value };
    return partition_call(&call, what, error);
}

int partition_delete(struct partition_txn *txn, enum partition_database database, MDB_val key, const char *what,
                     struct error *error) {
    check(txn->write);
    struct call call = { .kind = CALL_DELETE, .txn = txn, .database = database, .key = key };
    int code = partition_call(&call, what, error);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* LMDB's answers point into the map, which may be cut at any moment, and their lengths are the file's word. */
struct take {
    void *to;
    const void *from;
    size_t length;
};

static int take_guarded(void *argument) {
    const struct take *take = argument;
    memcpy(take->to, take->from, take->length);
    return 0;
}

int partition_copy_out(struct partition_txn *txn, const void *from, size_t length, void *to, struct error *error) {
    struct take take = { .to = to, .from = from, .length = length };
    if (length == 0 || guard_run(GUARD_ALL, take_guarded, &take) == 0)
        return 0;
    txn->partition->faulted = true;
    return partition_error(error, txn->partition, "read it", -EFAULT);
}

/* A copy behind `head` bytes of room; free it. */
static int take_value(struct partition_txn *txn, const MDB_val *value, size_t head, void *ret, struct error *error) {
    uint64_t longest = txn->used_before + txn->bytes_put;
    if (value->mv_size > longest)
        return partition_error(error, txn->partition, "read it", MDB_CORRUPTED);
    char *copy = malloc(head + value->mv_size + 1);
    if (!copy)
        return error_set(error, -ENOMEM, "%s: out of memory", txn->partition->path);
    int result = partition_copy_out(txn, value->mv_data, value->mv_size, copy + head, error);
    if (result < 0) {
        free(copy);
        return result;
    }
    memcpy(ret, &copy, sizeof(copy));
    return 0;
}

int partition_answer(struct partition_txn *txn, const MDB_val *value, struct text *ret, struct error *error) {
    struct partition_copy *copy = NULL;
    int result = take_value(txn, value, sizeof(*copy), &copy, error);
    if (result < 0)
        return result;
    copy->next = txn->copies;
    txn->copies = copy;
    *ret = (struct text) { copy->bytes, value->mv_size };
    return 0;
}

struct count_call {
    struct partition_txn *txn;
    enum partition_database database;
    MDB_stat tree;
};

static int count_guarded(void *argument) {
    struct count_call *call = argument;
    return mdb_stat(call->txn->txn, call->txn->partition->databases[call->database], &call->tree);
}

int partition_count(struct partition_txn *txn, enum partition_database database, uint64_t *ret, struct error *error) {
    struct count_call call = { .txn = txn, .database = database };
    int code = txn->partition->faulted ? -EFAULT : guard_run(GUARD_ALL, count_guarded, &call);
    txn->partition->faulted |= code == -EFAULT;
    if (code != 0)
        return partition_error(error, txn->partition, "count what it holds", code);
    *ret = call.tree.ms_entries;
    return 0;
}

static MDB_val sequence_key(uint64_t sequence, unsigned char room[KEY_SIZE]) {
    uint64_t big = htobe64(sequence);
    memcpy(room, &big, KEY_SIZE);
    return (MDB_val) { KEY_SIZE, room };
}

/* --- the meta record: version u32, ready u32, id[16], created u64, first u64, closed u64, checksum u64; little-endian --- */

static void put_u64(unsigned char *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, 8);
}

static uint64_t get_u64(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return le64toh(value);
}

int partition_meta_put(struct partition_txn *txn, const struct partition_meta *meta, struct error *error) {
    unsigned char bytes[META_SIZE];
    put_u64(bytes, (uint64_t)meta->version | (uint64_t)meta->ready << 32);
    memcpy(bytes + 8, meta->id.bytes, UUID_SIZE);
    put_u64(bytes + 24, meta->created_ns);
    put_u64(bytes + 32, meta->first_sequence);
    put_u64(bytes + 40, meta->closed_ns);
    put_u64(bytes + 48, hash_bytes(bytes, META_SIZE - CHECKSUM_SIZE));
    return partition_put(txn, PARTITION_META, partition_value(meta_key), (MDB_val) { META_SIZE, bytes },
                         "write its meta record", error);
}

int partition_meta_get(struct partition_txn *txn, struct partition_meta *ret, struct error *error) {
    struct call call = { .kind = CALL_GET, .txn = txn, .database = PARTITION_META, .key = partition_value(meta_key) };
    struct text found = TEXT_EMPTY;
    int code = partition_call(&call, "read its meta record", error);
    if (code == MDB_NOTFOUND)
        return error_set(error, -EBADMSG, "%s: not a partition (it has no meta record)", txn->partition->path);
    if (code == 0)
        code = partition_answer(txn, &call.value, &found, error);
    if (code < 0)
        return code;
    unsigned char bytes[META_SIZE];
    if (found.length < META_SIZE)
        return error_set(error, -EBADMSG, "%s: its meta record has %zu bytes", txn->partition->path, found.length);
    size_t sealed = found.length - CHECKSUM_SIZE; /* first, of whatever version: a flipped bit makes none newer */
    if (get_u64((const unsigned char *)found.data + sealed) != hash_bytes(found.data, sealed))
        return error_set(error, -EBADMSG, "%s: its meta record is damaged", txn->partition->path);
    memcpy(bytes, found.data, META_SIZE);
    uint32_t version = (uint32_t)get_u64(bytes);
    if (version > PARTITION_VERSION)
        return error_set(error, -EPROTO, "%s: written by a newer TaskForge (format %u; this program knows %d)",
                         txn->partition->path, version, PARTITION_VERSION);
    if (found.length != META_SIZE || version == 0)
        return error_set(error, -EBADMSG, "%s: its meta record is damaged", txn->partition->path);
    ret->version = version;
    ret->ready = (uint32_t)(get_u64(bytes) >> 32);
    memcpy(ret->id.bytes, bytes + 8, UUID_SIZE);
    ret->created_ns = get_u64(bytes + 24);
    ret->first_sequence = get_u64(bytes + 32);
    ret->closed_ns = get_u64(bytes + 40);
    return 0;
}

/* --- blocks and their index --- */

int partition_block_put(struct partition_txn *txn, uint64_t first_sequence, struct text block, struct text index,
                        struct error *error) {
    unsigned char room[KEY_SIZE];
    MDB_val key = sequence_key(first_sequence, room);
    int result = partition_put(txn, PARTITION_BLOCKS, key, partition_value(block), "write a block", error);
    return result < 0 ? result
                      : partition_put(txn, PARTITION_INDEX, key, partition_value(index), "write the index", error);
}

int partition_block_delete(struct partition_txn *txn, uint64_t first_sequence, struct error *error) {
    unsigned char room[KEY_SIZE];
    MDB_val key = sequence_key(first_sequence, room);
    int result = partition_delete(txn, PARTITION_BLOCKS, key, "delete a block", error);
    return result < 0 ? result : partition_delete(txn, PARTITION_INDEX, key, "delete from the index", error);
}

static int find_block(struct partition_txn *txn, uint64_t first_sequence, MDB_val *ret, struct error *error) {
    unsigned char room[KEY_SIZE];
    struct call call = {
        .kind = CALL_GET, .txn = txn, .database = PARTITION_BLOCKS, .key = sequence_key(first_sequence, room)
    };
    int code = partition_call(&call, "read a block", error);
    if (code == MDB_NOTFOUND)
        return error_set(error, -ENOENT, "%s: there is no block %llu", txn->partition->path,
                         (unsigned long long)first_sequence);
    *ret = call.value;
    return code;
}

int partition_block_get(struct partition_txn *txn, uint64_t first_sequence, struct text *ret, struct error *error) {
    MDB_val value = { 0, NULL };
    int result = find_block(txn, first_sequence, &value, error);
    return result < 0 ? result : partition_answer(txn, &value, ret, error);
}

int partition_block_take(struct partition_txn *txn, uint64_t first_sequence, char **ret, size_t *ret_size,
                         struct error *error) {
    MDB_val value = { 0, NULL };
    int result = find_block(txn, first_sequence, &value, error);
    if (result == 0)
        result = take_value(txn, &value, 0, ret, error);
    *ret_size = result == 0 ? value.mv_size : 0;
    return result;
}

static int take_key(struct partition_txn *txn, const MDB_val *value, const char *what, uint64_t *ret,
                    struct error *error) {
    struct text key;
    uint64_t big;
    int code = partition_answer(txn, value, &key, error);
    if (code < 0)
        return code;
    if (key.length != KEY_SIZE)
        return error_set(error, -EBADMSG, "%s: a key of the %s has %zu bytes", txn->partition->path, what, key.length);
    memcpy(&big, key.data, KEY_SIZE);
    *ret = be64toh(big);
    return 1;
}

int partition_block_seek(struct partition_txn *txn, uint64_t first_sequence, bool descending, uint64_t *ret_first,
                         struct error *error) {
    unsigned char room[KEY_SIZE];
    struct call call = { .kind = descending ? CALL_SEEK_BACK : CALL_SEEK,
                         .txn = txn,
                         .database = PARTITION_BLOCKS,
                         .key = sequence_key(first_sequence, room) };
    int code = partition_call(&call, "look for a block", error);
    if (code == MDB_NOTFOUND)
        return 0;
    return code < 0 ? code : take_key(txn, &call.key, "blocks", ret_first, error);
}

int partition_index_seek(struct partition_txn *txn, uint64_t first_sequence, bool descending, uint64_t *ret_key,
                         struct text *ret_index, struct error *error) {
    unsigned char room[KEY_SIZE];
    struct call call = { .kind = descending ? CALL_SEEK_BACK : CALL_SEEK,
                         .txn = txn,
                         .database = PARTITION_INDEX,
                         .key = sequence_key(first_sequence, room) };
    int code = partition_call(&call, "read the index", error);
    if (code == MDB_NOTFOUND)
        return 0;
    if (code == 0)
        code = partition_answer(txn, &call.value, ret_index, error);
    return code < 0 ? code : take_key(txn, &call.key, "index", ret_key, error);
}

/* --- state: value, then XXH3 of key and value --- */

static uint64_t state_checksum(struct text key, struct text value) {
    return hash_bytes_seeded(value.data, value.length, hash_bytes(key.data, key.length));
}

int partition_state_put(struct partition_txn *txn, struct text key, struct text value, struct error *error) {
    check(key.length > 0 && key.length <= PARTITION_STATE_KEY_MAX);
    _cleanup_buffer_ struct buffer sealed = BUFFER_EMPTY;
    unsigned char sum[CHECKSUM_SIZE];
    put_u64(sum, state_checksum(key, value));
    buffer_append_text(&sealed, value);
    buffer_append(&sealed, sum, sizeof(sum));
    if (sealed.failed)
        return error_set(error, -ENOMEM, "%s: out of memory", txn->partition->path);
    return partition_put(txn, PARTITION_STATE, partition_value(key), partition_value(buffer_text(&sealed)),
                         "write its state", error);
}

int partition_state_delete(struct partition_txn *txn, struct text key, struct error *error) {
    check(key.length > 0 && key.length <= PARTITION_STATE_KEY_MAX);
    return partition_delete(txn, PARTITION_STATE, partition_value(key), "delete from its state", error);
}

/* Take the checksum off a sealed value. */
static int unseal(struct partition_txn *txn, struct text key, struct text sealed, struct text *ret,
                  struct error *error) {
    if (sealed.length >= CHECKSUM_SIZE) {
        struct text value = { sealed.data, sealed.length - CHECKSUM_SIZE };
        if (get_u64((const unsigned char *)sealed.data + value.length) == state_checksum(key, value)) {
            *ret = value;
            return 0;
        }
    }
    return error_set(error, -EBADMSG, "%s: a value of its state is damaged", txn->partition->path);
}

int partition_state_get(struct partition_txn *txn, struct text key, struct text *ret, struct error *error) {
    struct call call = { .kind = CALL_GET, .txn = txn, .database = PARTITION_STATE, .key = partition_value(key) };
    struct text sealed;
    int code = partition_call(&call, "read its state", error);
    if (code == MDB_NOTFOUND)
        return 0;
    if (code == 0)
        code = partition_answer(txn, &call.value, &sealed, error);
    if (code == 0)
        code = unseal(txn, key, sealed, ret, error);
    return code < 0 ? code : 1;
}

/* A walk over all of it has met every key: a damaged page may hide some. */
static int check_walked(struct partition_txn *txn, struct text prefix, uint64_t walked, struct error *error) {
    uint64_t count;
    if (prefix.length > 0 || txn->write)
        return 0;
    int result = partition_count(txn, PARTITION_STATE, &count, error);
    if (result < 0 || count == walked)
        return result;
    return error_set(error, -EBADMSG, "%s: its state has %llu values and should have %llu", txn->partition->path,
                     (unsigned long long)walked, (unsigned long long)count);
}

int partition_state_walk(struct partition_txn *txn, struct text prefix,
                         int (*visit)(void *argument, struct text key, struct text value), void *argument,
                         struct error *error) {
    char at[PARTITION_STATE_KEY_MAX + 2];
    size_t length = prefix.length;
    check(length <= PARTITION_STATE_KEY_MAX);
    if (length > 0)
        memcpy(at, prefix.data, length);
    if (length == 0)
        at[length++] = 0; /* LMDB knows no empty key */
    for (uint64_t walked = 0;; walked++) {
        struct call call = { .kind = CALL_SEEK, .txn = txn, .database = PARTITION_STATE, .key = { length, at } };
        struct text key, sealed, value;
        int code = partition_call(&call, "read its state", error);
        if (code == MDB_NOTFOUND)
            return check_walked(txn, prefix, walked, error);
        if (code == 0)
            code = partition_answer(txn, &call.key, &key, error);
        if (code == 0)
            code = partition_answer(txn, &call.value, &sealed, error);
        if (code < 0)
            return code;
        if (text_compare(key, (struct text) { at, length }) < 0) /* so that a walk over a damaged tree always ends */
            return error_set(error, -EBADMSG, "%s: its state is out of order", txn->partition->path);
        if (!text_starts_with(key, prefix))
            return 0;
        if (key.length > PARTITION_STATE_KEY_MAX)
            return error_set(error, -EBADMSG, "%s: a key of its state has %zu bytes", txn->partition->path, key.length);
        code = unseal(txn, key, sealed, &value, error);
        if (code < 0)
            return code;
        memcpy(at, key.data, key.length);
        at[key.length] = 0; /* the next key is the one after this: key and a zero byte */
        length = key.length + 1;
        int verdict = visit(argument, key, value);
        if (verdict != 0)
            return verdict;
    }
}
