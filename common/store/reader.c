/* The reader's questions: where the store ends, the blocks in their order, one block, the state. */
#include "common/store/partition_origin.h"
#include "common/store/reader_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WALK_FIRST = 4, /* index values in the first batch of a walk */
    WALK_ENDS = 1,
    WALK_LOOK = 2, /* something is missing or damaged here: not by the batch */
};

/* The newest ready partition. */
static struct member *authority(struct store_reader *reader) {
    for (size_t i = reader->count; i-- > 0;) {
        if (reader_use(reader, reader->members[i]))
            return reader->members[i];
    }
    return NULL;
}

/* Where one partition's entries end: 1, 0 when it has none. */
static int member_end(struct store_reader *reader, struct member *member, uint64_t *ret_sequence, struct error *error) {
    struct index_entry index;
    struct error why = { "" };
    uint64_t key;
    int result =
        reader_use(reader, member) ? reader_next_block(reader, member, UINT64_MAX, true, &key, &index, &why) : 0;
    if (reader_is_passing(result))
        return error_set(error, result, "%s", why.text);
    if (result == -EILSEQ) { /* one entry at least stood there */
        reader_tell_once(reader, member, why.text);
        *ret_sequence = key + 1;
        return 1;
    }
    if (result < 0)
        reader_tell_damaged(reader, member, why.text);
    if (result != 1)
        return 0;
    *ret_sequence = index.first_sequence + index.count;
    index_entry_finish(&index);
    return 1;
}

int store_reader_end(struct store_reader *reader, uint64_t *ret_sequence, struct error *error) {
    *ret_sequence = 0;
    for (size_t i = reader->count; i-- > 0;) {
        int result = member_end(reader, reader->members[i], ret_sequence, error);
        if (result != 0)
            return result < 0 ? result : 0;
    }
    struct member *member = authority(reader); /* empty, yet what came before it may have been retired */
    if (member && member->meta.first_sequence > 1)
        *ret_sequence = member->meta.first_sequence;
    return 0;
}

struct walk {
    uint64_t from, to;
    bool descending;
    const struct index_want *want;
    int (*visit)(void *argument, const struct index_entry *index);
    void *argument;
    int verdict;   /* what the visitor said last */
    uint64_t seek; /* in the member being walked: where the next block is looked for */
};

/* Where to seek first, ascending: the block that holds `from` may begin before it. */
static int first_of(struct store_reader *reader, struct member *member, const struct walk *walk, uint64_t *ret_seek,
                    struct error *error) {
    struct index_entry index;
    uint64_t key;
    *ret_seek = walk->from;
    int result = reader_next_block(reader, member, walk->from, true, &key, &index, error);
    if (result == -EILSEQ)
        reader_tell_once(reader, member, error->text);
    if (result != 1)
        return result == -EILSEQ ? 0 : result;
    if (index.first_sequence + index.count > walk->from)
        *ret_seek = index.first_sequence;
    index_entry_finish(&index);
    return 0;
}

/* A block's turn, and walk->seek moves behind it: 0 to go on, WALK_ENDS. */
static int visit_block(struct walk *walk, const struct index_entry *index) {
    uint64_t first = index->first_sequence, end = first + index->count;
    bool inside = first < walk->to && end > walk->from;
    if (inside)
        walk->verdict = walk->visit(walk->argument, index);
    if (!inside || walk->verdict != 0 || (walk->descending ? first == 0 : end == UINT64_MAX))
        return WALK_ENDS;
    walk->seek = walk->descending ? first - 1 : end;
    return 0;
}

/* One value of a batch: 0 to go on with the next, WALK_ENDS, WALK_LOOK, negative. */
static int walk_value(struct walk *walk, struct reader_batch *batch, size_t number, struct error *error) {
    uint64_t key = batch->values.values[number].key;
    if (walk->descending ? key > walk->seek : key < walk->seek) /* inside the block visited last */
        return 0;
    int result = reader_decode_index(&batch->values.values[number].parts, key, &batch->index, error);
    if (result < 0)
        return result == -EILSEQ ? WALK_LOOK : result;
    return reader_leaves_gap(&batch->index, walk->seek, walk->descending) ? WALK_LOOK
                                                                          : visit_block(walk, &batch->index);
}

/* The next block by itself, with all care. */
static int walk_step(struct store_reader *reader, struct member *member, struct walk *walk, struct error *error) {
    struct index_entry index;
    uint64_t key;
    int result = reader_next_block(reader, member, walk->seek, walk->descending, &key, &index, error);
    if (result == 1) {
        result = visit_block(walk, &index);
        index_entry_finish(&index);
        return result;
    }
    if (result != -EILSEQ)
        return result < 0 ? result : WALK_ENDS;
    reader_tell_once(reader, member, error->text); /* only this block is lost */
    if (key == (walk->descending ? 0 : UINT64_MAX))
        return WALK_ENDS;
    walk->seek = walk->descending ? key - 1 : key + 1;
    return 0;
}

/* In one short transaction. */
static int take_batch(struct member *member, const struct walk *walk, size_t most, struct partition_batch *batch,
                      struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_index_batch(txn, walk->seek, walk->descending, most, walk->want, batch, error);
    partition_abort(txn);
    return result;
}

/* Visit one partition's blocks. Negative: the partition is damaged, or out of what a reader needs. */
static int walk_member(struct store_reader *reader, struct member *member, struct walk *walk,
                       struct reader_batch *batch, struct error *error) {
    size_t most = WALK_FIRST; /* who wants one block only does not pay for a hundred */
    int result = 0;
    walk->seek = walk->to - 1;
    if (!walk->descending)
        result = first_of(reader, member, walk, &walk->seek, error);
    while (result == 0 && member->partition) { /* the visitor may find it damaged, which closes it */
        int count = take_batch(member, walk, most, &batch->values, error);
        if (count < 0)
            return count;
        for (int i = 0; i < count && result == 0; i++)
            result = walk_value(walk, batch, (size_t)i, error);
        if ((count == 0 || result == WALK_LOOK) && member->partition)
            result = walk_step(reader, member, walk, error);
        most = most * 4 < PARTITION_BATCH_MAX ? most * 4 : PARTITION_BATCH_MAX;
    }
    return result < 0 ? result : 0;
}

/* The visitor may walk, too: it gets a batch of its own. */
static struct reader_batch *borrow_batch(struct store_reader *reader) {
    struct reader_batch *batch = reader->batch;
    reader->batch = NULL;
    return batch ? batch : calloc(1, sizeof(*batch));
}

void reader_free_batch(struct reader_batch *batch) {
    if (batch) {
        buffer_finish(&batch->values.bytes);
        index_entry_finish(&batch->index);
    }
    free(batch);
}

static void return_batch(struct store_reader *reader, struct reader_batch *batch) {
    reader_free_batch(reader->batch);
    reader->batch = batch;
}

/* A partition's sequences lie between its first and the next one's: another is not even looked into. */
static bool may_hold(const struct store_reader *reader, size_t at, const struct walk *walk) {
    if (!reader->members[at]->partition || reader->members[at]->meta.first_sequence >= walk->to)
        return false;
    for (size_t i = at + 1; i < reader->count; i++) {
        if (reader->members[i]->partition)
            return reader->members[i]->meta.first_sequence > walk->from;
    }
    return true;
}

int store_reader_walk(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                      int (*visit)(void *argument, const struct index_entry *index), void *argument,
                      struct error *error) {
    return store_reader_walk_parts(reader, from, to, descending, NULL, visit, argument, error);
}

int store_reader_walk_parts(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                            const struct index_want *want,
                            int (*visit)(void *argument, const struct index_entry *index), void *argument,
                            struct error *error) {
    struct walk walk = {
        .from = from, .to = to, .descending = descending, .want = want, .visit = visit, .argument = argument
    };
    if (from >= to)
        return 0;
    struct reader_batch *batch = borrow_batch(reader);
    if (!batch)
        return error_set(error, -ENOMEM, "out of memory");
    int result = 0;
    for (size_t i = 0; i < reader->count && walk.verdict == 0 && result == 0; i++) {
        size_t at = descending ? reader->count - 1 - i : i;
        struct member *member = reader->members[at];
        struct error why = { "" };
        int walked = may_hold(reader, at, &walk) && reader_use(reader, member)
                         ? walk_member(reader, member, &walk, batch, &why)
                         : 0;
        if (reader_is_passing(walked))
            result = error_set(error, walked, "%s", why.text);
        else if (walked < 0)
            reader_tell_damaged(reader, member, why.text);
    }
    return_batch(reader, batch);
    return result < 0 ? result : walk.verdict;
}

struct asking {
    uint64_t sequence;
    struct index_before before;
    uint64_t earliest_ns;
};

/* Each partition in a transaction (NULL: it cannot be read). 0, or a failure that is not the partition's. */
static int ask_members(struct store_reader *reader, struct asking *asking,
                       void (*ask)(struct asking *asking, struct partition_txn *txn), struct error *error) {
    for (size_t i = 0; i < reader->count; i++) {
        struct member *member = reader->members[i];
        struct partition_txn *txn = NULL;
        struct error why = { "" };
        if (!member->partition || !reader_use(reader, member))
            continue;
        int result = partition_begin(member->partition, false, &txn, &why);
        if (reader_is_passing(result))
            return error_set(error, result, "%s", why.text);
        ask(asking, result < 0 ? NULL : txn);
        if (result == 0)
            partition_abort(txn);
    }
    return 0;
}

static void ask_before(struct asking *asking, struct partition_txn *txn) {
    struct index_before before = txn ? index_before(txn, asking->sequence) : INDEX_BEFORE_UNKNOWN;
    asking->before = index_before_next(asking->before, before.min_ns, before.max_ns);
}

static void ask_earliest(struct asking *asking, struct partition_txn *txn) {
    uint64_t earliest_ns = txn ? index_earliest(txn, asking->sequence) : 0;
    asking->earliest_ns = earliest_ns < asking->earliest_ns ? earliest_ns : asking->earliest_ns;
}

int store_reader_before(struct store_reader *reader, uint64_t sequence, struct index_before *ret, struct error *error) {
    struct asking asking = { .sequence = sequence, .before = INDEX_BEFORE_NOTHING };
    int result = ask_members(reader, &asking, ask_before, error);
    *ret = asking.before;
    return result;
}

int store_reader_earliest(struct store_reader *reader, uint64_t sequence, uint64_t *ret_ns, struct error *error) {
    struct asking asking = { .sequence = sequence, .earliest_ns = UINT64_MAX };
    int result = ask_members(reader, &asking, ask_earliest, error);
    *ret_ns = asking.earliest_ns;
    return result;
}

/* There is no such block: merged or retired (-ENOENT), or the index still tells of it (-EILSEQ): then it is lost. */
static int judge_missing(struct partition_txn *txn, uint64_t first_sequence, struct error *error) {
    uint64_t key;
    struct text value;
    int result = partition_index_seek(txn, first_sequence, false, &key, &value, error);
    if (result == 1 && key == first_sequence)
        return error_set(error, -EILSEQ, "block %llu is missing, though the index knows it",
                         (unsigned long long)first_sequence);
    return result < 0 ? result : -ENOENT;
}

/* The encoded block, copied once: 0, -ENOENT, -EILSEQ, or the partition's own fault. */
static int take_block(struct member *member, uint64_t first_sequence, char **ret, size_t *ret_size,
                      struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_block_take(txn, first_sequence, ret, ret_size, error);
    if (result == -ENOENT)
        result = judge_missing(txn, first_sequence, error);
    partition_abort(txn);
    return result;
}

int store_reader_block(struct store_reader *reader, uint64_t first_sequence, struct block **ret, struct error *error) {
    for (size_t i = reader->count;
         i-- > 0;) { /* the newest that may hold it first: an empty one may begin at the same place */
        struct member *member = reader->members[i];
        struct error why = { "" };
        if (!member->partition || member->meta.first_sequence > first_sequence || !reader_use(reader, member))
            continue;
        char *encoded = NULL;
        size_t size = 0;
        int result = take_block(member, first_sequence, &encoded, &size, &why);
        if (result == -ENOENT)
            continue;
        if (result == 0)
            result = partition_block_open_taking(member->partition, encoded, size, first_sequence, ret, &why);
        else if (result != -EILSEQ && !reader_is_passing(result))
            reader_tell_damaged(reader, member, why.text);
        bool lost =
            result == -EBADMSG || result == -EILSEQ || result == -EPROTO; /* a flipped bit makes a version, too */
        if (lost)
            reader_tell_once(reader, member, why.text);
        return result == 0 ? 0 : error_set(error, lost ? -EBADMSG : result, "%s", why.text);
    }
    return error_set(error, -ENOENT, "block %llu is not in the store any more", (unsigned long long)first_sequence);
}

int store_reader_state(struct store_reader *reader, struct text key, struct buffer *out, struct error *error) {
    struct member *member = authority(reader);
    struct partition_txn *txn;
    struct text value;
    if (!member)
        return 0;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_state_get(txn, key, &value, error);
    if (result == 1) {
        int copied = reader_take_copy(reader, value, error);
        if (copied == 0)
            buffer_append_text(out, buffer_text(&reader->value));
        result = copied < 0 ? copied : out->failed ? error_set(error, -ENOMEM, "out of memory") : 1;
    }
    partition_abort(txn);
    return result;
}

int store_reader_state_walk(struct store_reader *reader, struct text prefix,
                            int (*visit)(void *argument, struct text key, struct text value), void *argument,
                            struct error *error) {
    struct member *member = authority(reader);
    struct partition_txn *txn;
    if (!member)
        return 0;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_state_walk(txn, prefix, visit, argument, error);
    partition_abort(txn);
    return result;
}
