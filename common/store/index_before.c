/* index_before.c - what stands in a partition before a place: its last index value there knows. */
#include "common/store/filter_index.h"
#include "common/store/partition.h"

struct index_before index_before(struct partition_txn *txn, uint64_t first_sequence) {
    const struct index_want want = { 0 };
    struct partition_batch batch;
    struct index_entry index = { 0 };
    struct index_before before = INDEX_BEFORE_UNKNOWN;
    batch.bytes = BUFFER_EMPTY;
    int count = first_sequence == 0 ? 0 : partition_index_batch(txn, first_sequence - 1, true, 1, &want, &batch, NULL);
    if (count == 0)
        before = INDEX_BEFORE_NOTHING;
    if (count == 1 && batch.values[0].key < first_sequence && index_decode_parts(&batch.values[0].parts, &index) == 0 &&
        index.first_sequence == batch.values[0].key)
        before = index_before_next(index.before, index.min_timestamp_ns, index.max_timestamp_ns);
    index_entry_finish(&index);
    buffer_finish(&batch.bytes);
    return before;
}
