/* A partition's spans: one database in the order of arrival, and two ways into it. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/guard.h"
#include "common/store/partition_private.h"

enum { SEQUENCE_KEY = 8, TRACE_KEY = 16 + 8, TIME_KEY = 8 + 8, TIME_VALUE = 16 + 8 };

static void put_big(unsigned char *at, uint64_t number) {
    number = htobe64(number);
    memcpy(at, &number, sizeof(number));
}

static uint64_t get_big(const char *at) {
    uint64_t number;
    memcpy(&number, at, sizeof(number));
    return be64toh(number);
}

static MDB_val key_of(unsigned char *room, size_t size) {
    return (MDB_val) { size, room };
}

/* --- whether there are any --- */

static int open_guarded(void *argument) {
    struct partition_txn *txn = argument;
    int code = 0;
    for (unsigned i = PARTITION_SPANS; i < PARTITION_SPANS_END && code == 0; i++)
        code = mdb_dbi_open(txn->txn, partition_database_names[i], 0, &txn->partition->databases[i]);
    return code;
}

/* A partition that had no spans when it was opened may have got some since, from a collector that is newer than its maker: a reader looks in
 * each transaction, with whose end these handles go. */
static bool has_spans(struct partition_txn *txn) {
    struct partition *partition = txn->partition;
    if (partition->has_spans || partition->faulted)
        return true;
    if (!txn->looked_for_spans) {
        int code = guard_run(GUARD_ALL, open_guarded, txn);
        partition->faulted |= code == -EFAULT;
        txn->has_spans = code == 0;
        txn->looked_for_spans = true;
    }
    return txn->has_spans;
}

/* Where they are not: 0 for a partition that may be older than spans. One of version 2 has been made with them: the names of its databases
 * are damaged. */
static int without_spans(const struct partition_txn *txn, struct error *error) {
    enum { WITH_SPANS = 2 };
    if (txn->partition->version < WITH_SPANS)
        return 0;
    return error_set(error, -EBADMSG, "%s: its spans cannot be found: a database's name is damaged",
                     txn->partition->path);
}

/* --- writing --- */

int partition_span_put(struct partition_txn *txn, const struct partition_span_time *span, struct text value,
                       struct error *error) {
    unsigned char key[TRACE_KEY], time[TIME_VALUE];
    uint64_t hash = htole64(span->service_hash);
    check(txn->partition->has_spans);
    put_big(key, span->sequence);
    int result =
        partition_put(txn, PARTITION_SPANS, key_of(key, SEQUENCE_KEY), partition_value(value), "write a span", error);
    if (result < 0)
        return result;
    memcpy(key, span->trace_id, sizeof(span->trace_id));
    put_big(key + sizeof(span->trace_id), span->sequence);
    result = partition_put(txn, PARTITION_SPAN_TRACES, key_of(key, TRACE_KEY), key_of(time, 0), "write a span", error);
    if (result < 0)
        return result;
    put_big(key, span->start_ns);
    put_big(key + sizeof(uint64_t), span->sequence);
    memcpy(time, span->trace_id, sizeof(span->trace_id));
    memcpy(time + sizeof(span->trace_id), &hash, sizeof(hash));
    return partition_put(txn, PARTITION_SPAN_TIMES, key_of(key, TIME_KEY), key_of(time, TIME_VALUE), "write a span",
                         error);
}

/* --- reading --- */

/* Seek in one of the databases: 1 with copies of key and value, 0 at its end. */
static int seek(struct partition_txn *txn, enum partition_database database, bool descending, MDB_val from,
                size_t key_size, struct text *ret_key, struct text *ret_value, struct error *error) {
    if (!has_spans(txn))
        return without_spans(txn, error);
    struct call call = {
        .kind = descending ? CALL_SEEK_BACK : CALL_SEEK, .txn = txn, .database = database, .key = from
    };
    int code = partition_call(&call, "read its spans", error);
    if (code == MDB_NOTFOUND)
        return 0;
    if (code == 0)
        code = partition_answer(txn, &call.key, ret_key, error);
    if (code == 0)
        code = partition_answer(txn, &call.value, ret_value, error);
    if (code < 0)
        return code;
    if (ret_key->length != key_size)
        return error_set(error, -EBADMSG, "%s: a key of its spans has %zu bytes", txn->partition->path,
                         ret_key->length);
    return 1;
}

int partition_span_seek(struct partition_txn *txn, uint64_t sequence, bool descending, uint64_t *ret_sequence,
                        struct text *ret_value, struct error *error) {
    unsigned char key[SEQUENCE_KEY];
    struct text found;
    put_big(key, sequence);
    int result =
        seek(txn, PARTITION_SPANS, descending, key_of(key, sizeof(key)), sizeof(key), &found, ret_value, error);
    if (result == 1)
        *ret_sequence = get_big(found.data);
    return result;
}

int partition_span_of_trace(struct partition_txn *txn, const uint8_t trace_id[16], uint64_t sequence,
                            uint64_t *ret_sequence, struct error *error) {
    unsigned char key[TRACE_KEY];
    struct text found, value;
    memcpy(key, trace_id, 16);
    put_big(key + 16, sequence);
    int result = seek(txn, PARTITION_SPAN_TRACES, false, key_of(key, sizeof(key)), sizeof(key), &found, &value, error);
    if (result != 1)
        return result;
    if (memcmp(found.data, trace_id, 16) != 0)
        return 0;
    *ret_sequence = get_big(found.data + 16);
    return 1;
}

int partition_span_before(struct partition_txn *txn, uint64_t start_ns, uint64_t sequence,
                          struct partition_span_time *ret, struct error *error) {
    unsigned char key[TIME_KEY];
    struct text found, value;
    if (sequence == 0 && start_ns == 0)
        return 0;
    put_big(key, sequence == 0 ? start_ns - 1 : start_ns); /* one less than (start, sequence), as one number */
    put_big(key + sizeof(uint64_t), sequence - 1);
    int result = seek(txn, PARTITION_SPAN_TIMES, true, key_of(key, sizeof(key)), sizeof(key), &found, &value, error);
    if (result != 1)
        return result;
    if (value.length != TIME_VALUE)
        return error_set(error, -EBADMSG, "%s: a time of its spans has %zu bytes", txn->partition->path, value.length);
    *ret = (struct partition_span_time) { .start_ns = get_big(found.data),
                                          .sequence = get_big(found.data + sizeof(uint64_t)) };
    memcpy(ret->trace_id, value.data, sizeof(ret->trace_id));
    memcpy(&ret->service_hash, value.data + sizeof(ret->trace_id), sizeof(ret->service_hash));
    ret->service_hash = le64toh(ret->service_hash);
    return 1;
}

int partition_span_count(struct partition_txn *txn, struct partition_span_counts *ret, struct error *error) {
    uint64_t *const counts[] = { &ret->spans, &ret->traces, &ret->times };
    int result = 0;
    *ret = (struct partition_span_counts) { 0 };
    if (!has_spans(txn))
        return without_spans(txn, error);
    for (unsigned i = 0; i < COUNT_OF(counts) && result == 0; i++)
        result = partition_count(txn, (enum partition_database)(PARTITION_SPANS + i), counts[i], error);
    return result;
}
