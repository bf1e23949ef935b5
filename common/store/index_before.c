/* index_before.c - what stands in a partition before a place: its last index value there knows. */
#include "common/store/filter_index.h"
#include "common/store/partition.h"

struct last {
    struct index_before before, next; /* what stands before it, and before what follows it */
    uint64_t end;                     /* the sequence behind it */
};

/* The last block before the sequence, by its index value. */
static struct last last_block(struct partition_txn *txn, uint64_t sequence) {
    const struct index_want want = { 0 };
    struct partition_batch batch;
    struct index_entry index = { 0 };
    struct last last = { INDEX_BEFORE_UNKNOWN, INDEX_BEFORE_UNKNOWN, UINT64_MAX };
    batch.bytes = BUFFER_EMPTY;
    int count = sequence == 0 ? 0 : partition_index_batch(txn, sequence - 1, true, 1, &want, &batch, NULL);
    if (count == 0)
        last = (struct last) { INDEX_BEFORE_NOTHING, INDEX_BEFORE_NOTHING, 0 };
    if (count == 1 && batch.values[0].key < sequence && index_decode_parts(&batch.values[0].parts, &index) == 0 &&
        index.first_sequence == batch.values[0].key && index.count < UINT64_MAX - index.first_sequence) {
        last.before = index.before;
        last.next = index_before_next(index.before, index.min_timestamp_ns, index.max_timestamp_ns);
        last.end = index.first_sequence + index.count;
    }
    index_entry_finish(&index);
    buffer_finish(&batch.bytes);
    return last;
}

struct index_before index_before(struct partition_txn *txn, uint64_t first_sequence) {
    return last_block(txn, first_sequence).next;
}

/* No block begins earlier than the latest before it, less what any block of the partition was late. The one that holds the sequence may have
 * begun before it: what stands before that one counts. */
uint64_t index_earliest(struct partition_txn *txn, uint64_t sequence) {
    struct last all = last_block(txn, UINT64_MAX), here = last_block(txn, sequence);
    uint64_t latest_ns = here.before.max_ns, late_ns = all.next.late_ns;
    if (all.end <= sequence)
        return UINT64_MAX; /* nothing does */
    uint64_t least_ns = latest_ns == UINT64_MAX || latest_ns < late_ns ? 0 : latest_ns - late_ns;
    return least_ns > all.next.min_ns ? least_ns : all.next.min_ns;
}
