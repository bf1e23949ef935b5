#include "common/store/reader_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/guard.h"

enum { WALK_FIRST = 4 }; /* index values in the first batch of a walk */

void reader_tell_once(struct store_reader *reader, struct member *member, const char *why) {
    if (!member->told && reader->damaged)
        reader->damaged(reader->argument, member->path, why);
    member->told = true;
}

void reader_tell_damaged(struct store_reader *reader, struct member *member, const char *why) {
    partition_close(member->partition);
    member->partition = NULL;
    member->damaged = true;
    reader_tell_once(reader, member, why);
}

/* --- members come and go --- */

static int load_meta(struct member *member, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result == 0) {
        result = partition_meta_get(txn, &member->meta, error);
        partition_abort(txn);
    }
    return result;
}

/* Open the member's file. 0 also when it is damaged (told), not ready yet or gone again; negative when nobody may read. */
static int open_member(struct store_reader *reader, struct member *member, struct error *error) {
    struct error why = { "" };
    int result = partition_open(member->path, PARTITION_READ, 0, &member->partition, &why);
    if (result == 0) {
        (void)partition_reader_check(
            member->partition); /* a dead reader's slot holds pages: worth a look, not worth an error */
        result = load_meta(member, &why);
    }
    if (result == 0 && member->meta.ready)
        return 0;
    if (result == -EACCES || result == -ENOMEM || result == -EMFILE || result == -ENFILE)
        return error_set(error, result, "%s", why.text);
    if (result < 0 && result != -ENOENT)
        reader_tell_damaged(reader, member, why.text);
    partition_close(member->partition);
    member->partition = NULL;
    return 0;
}

static struct member *find_member(struct store_reader *reader, const char *path) {
    for (size_t i = 0; i < reader->count; i++) {
        if (strcmp(reader->members[i]->path, path) == 0)
            return reader->members[i];
    }
    return NULL;
}

static struct member *add_member(struct store_reader *reader, const char *path) {
    if (reader->count == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 16;
        struct member **members = reallocarray(reader->members, capacity, sizeof(*members));
        if (!members)
            return NULL;
        reader->members = members;
        reader->capacity = capacity;
    }
    struct member *member = calloc(1, sizeof(*member));
    if (!member)
        return NULL;
    snprintf(member->path, sizeof(member->path), "%s", path);
    return reader->members[reader->count++] = member;
}

static void drop_member(struct store_reader *reader, size_t index) {
    partition_close(reader->members[index]->partition);
    free(reader->members[index]);
    reader->count--;
    memmove(reader->members + index, reader->members + index + 1, (reader->count - index) * sizeof(reader->members[0]));
}

static int refresh_one(struct store_reader *reader, const struct partition_name *name, struct error *error) {
    struct stat status;
    struct member *member = find_member(reader, name->path);
    if (stat(name->path, &status) < 0)
        return 0; /* gone meanwhile: dropped as not seen */
    if (member && (member->device != status.st_dev || member->inode != status.st_ino)) {
        partition_close(member->partition);
        member->partition = NULL;
        member->damaged = member->told = false;
    }
    if (!member)
        member = add_member(reader, name->path);
    if (!member)
        return error_set(error, -ENOMEM, "%s: out of memory", name->path);
    member->device = status.st_dev;
    member->inode = status.st_ino;
    member->seen = true;
    return member->partition || member->damaged ? 0 : open_member(reader, member, error);
}

static int compare_members(const void *left, const void *right) {
    const struct partition_meta *a = &(*(struct member *const *)left)->meta,
                                *b = &(*(struct member *const *)right)->meta;
    if (a->first_sequence != b->first_sequence)
        return a->first_sequence < b->first_sequence ? -1 : 1;
    return (a->created_ns > b->created_ns) - (a->created_ns < b->created_ns);
}

int store_reader_refresh(struct store_reader *reader, struct error *error) {
    struct partition_name *names;
    size_t count;
    int result = partition_list(reader->data_dir, &names, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < reader->count; i++)
        reader->members[i]->seen = false;
    for (size_t i = 0; i < count && result == 0; i++)
        result = refresh_one(reader, &names[i], error);
    free(names);
    if (result < 0)
        return result;
    for (size_t i = reader->count; i-- > 0;) {
        if (!reader->members[i]->seen)
            drop_member(reader, i);
    }
    if (reader->count > 1)
        qsort(reader->members, reader->count, sizeof(reader->members[0]), compare_members);
    return 0;
}

int store_reader_open(const char *data_dir, void (*damaged)(void *argument, const char *path, const char *why),
                      void *argument, struct store_reader **ret, struct error *error) {
    struct store_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return error_set(error, -ENOMEM, "out of memory");
    reader->damaged = damaged;
    reader->argument = argument;
    int result = snprintf(reader->data_dir, sizeof(reader->data_dir), "%s", data_dir) < (int)sizeof(reader->data_dir)
                     ? store_reader_refresh(reader, error)
                     : error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    if (result < 0) {
        store_reader_close(reader);
        return result;
    }
    *ret = reader;
    return 0;
}

static void free_batch(struct partition_batch *batch) {
    if (batch)
        buffer_finish(&batch->bytes);
    free(batch);
}

void store_reader_close(struct store_reader *reader) {
    if (!reader)
        return;
    while (reader->count > 0)
        drop_member(reader, reader->count - 1);
    free(reader->members);
    buffer_finish(&reader->value);
    free_batch(reader->batch);
    free(reader);
}

/* --- looking inside --- */

struct copy {
    char *to;
    struct text from;
};

static int copy_guarded(void *argument) {
    struct copy *copy = argument;
    memcpy(copy->to, copy->from.data, copy->from.length);
    return 0;
}

/* A private copy in reader->value of what LMDB gave: the file may be cut at any moment. */
static int take_copy(struct store_reader *reader, struct text text, struct error *error) {
    buffer_clear(&reader->value);
    if (!buffer_reserve(&reader->value, text.length + 1))
        return error_set(error, -ENOMEM, "out of memory");
    struct copy copy = { reader->value.data, text };
    if (text.length > 0 && guard_run(GUARD_ALL, copy_guarded, &copy) < 0)
        return error_set(error, -EBADMSG, "the file was cut while it was read");
    reader->value.length = text.length;
    return 0;
}

/* Copy the index value next to `sequence` in one short transaction: 1, 0 when there is none. */
static int next_index(struct store_reader *reader, struct member *member, uint64_t sequence, bool descending,
                      uint64_t *ret_key, struct error *error) {
    struct partition_txn *txn;
    struct text value;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_index_seek(txn, sequence, descending, ret_key, &value, error);
    if (result == 1) {
        int copied = take_copy(reader, value, error);
        result = copied < 0 ? copied : 1;
    }
    partition_abort(txn);
    return result;
}

/* Decode what stands at `key` and check that it belongs there: 0; -EILSEQ: the partition may be sound, but this value is not. */
static int decode_index(struct text value, uint64_t key, struct index_entry *index, struct error *error) {
    int result = index_decode(value, index);
    if (result < 0)
        return error_set(error, result == -EBADMSG ? -EILSEQ : result, "the index value of block %llu is damaged",
                         (unsigned long long)key);
    if (index->first_sequence != key || index->count == 0 || index->count > UINT64_MAX - key) {
        index_entry_finish(index);
        return error_set(error, -EILSEQ, "the index value of block %llu is another block's", (unsigned long long)key);
    }
    return 0;
}

/* The value next to `sequence`, decoded and checked against its key. index is to be finished when 1 is returned; -EILSEQ: as above, of
 * the value at *ret_key. */
static int next_entry(struct store_reader *reader, struct member *member, uint64_t sequence, bool descending,
                      uint64_t *ret_key, struct index_entry *index, struct error *error) {
    uint64_t key = 0;
    int result = next_index(reader, member, sequence, descending, &key, error);
    *ret_key = key;
    if (result != 1)
        return result;
    if (descending ? key > sequence : key < sequence) /* so that a walk over a damaged tree always ends */
        return error_set(error, -EBADMSG, "the index is out of order");
    result = decode_index(buffer_text(&reader->value), key, index, error);
    return result < 0 ? result : 1;
}

/* The newest ready partition. */
static struct member *authority(struct store_reader *reader) {
    for (size_t i = reader->count; i-- > 0;) {
        if (reader->members[i]->partition)
            return reader->members[i];
    }
    return NULL;
}

/* Where one partition's entries end: 1, 0 when it has none. */
static int member_end(struct store_reader *reader, struct member *member, uint64_t *ret_sequence, struct error *error) {
    struct index_entry index;
    struct error why = { "" };
    uint64_t key;
    int result = member->partition ? next_entry(reader, member, UINT64_MAX, true, &key, &index, &why) : 0;
    if (result == -ENOMEM)
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
    int (*visit)(void *argument, const struct index_entry *index);
    void *argument;
    int verdict;   /* what the visitor said last */
    uint64_t seek; /* in the member being walked: where the next value is looked for */
};

/* Where to seek first, ascending: the block that holds `from` may begin before it. */
static int first_of(struct store_reader *reader, struct member *member, const struct walk *walk, uint64_t *ret_seek,
                    struct error *error) {
    struct index_entry index;
    uint64_t key;
    *ret_seek = walk->from;
    int result = next_entry(reader, member, walk->from, true, &key, &index, error);
    if (result == -EILSEQ)
        reader_tell_once(reader, member, error->text);
    if (result != 1)
        return result == -EILSEQ ? 0 : result;
    if (index.first_sequence + index.count > walk->from)
        *ret_seek = index.first_sequence;
    index_entry_finish(&index);
    return 0;
}

/* One value of a batch: 0 to go on, 1 to end the walk (*ret_verdict: what the visitor said), negative. walk->seek moves behind it. */
static int walk_value(struct store_reader *reader, struct member *member, struct walk *walk, uint64_t key,
                      struct text value, struct error *error) {
    struct index_entry index;
    if (walk->descending ? key > walk->seek : key < walk->seek) /* inside the block visited last */
        return 0;
    int result = decode_index(value, key, &index, error);
    if (result < 0 && result != -EILSEQ)
        return result;
    bool damaged = result == -EILSEQ; /* only this block is lost */
    uint64_t end = damaged ? key + (key < UINT64_MAX) : key + index.count;
    bool inside = key < walk->to && (damaged || end > walk->from);
    if (damaged)
        reader_tell_once(reader, member, error->text);
    else if (inside)
        walk->verdict = walk->visit(walk->argument, &index);
    if (!damaged)
        index_entry_finish(&index);
    if (!inside || walk->verdict != 0 || (walk->descending ? key == 0 : end == UINT64_MAX))
        return 1;
    walk->seek = walk->descending ? key - 1 : end;
    return 0;
}

/* In one short transaction. The number of values; none may follow where it is 0. */
static int take_batch(struct member *member, const struct walk *walk, size_t most, struct partition_batch *batch,
                      struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_index_batch(txn, walk->seek, walk->descending, most, batch, error);
    partition_abort(txn);
    return result;
}

/* Visit one partition's blocks. Negative: the partition is damaged, or -ENOMEM. */
static int walk_member(struct store_reader *reader, struct member *member, struct walk *walk,
                       struct partition_batch *batch, struct error *error) {
    size_t most = WALK_FIRST; /* who wants one block only does not pay for a hundred */
    int result = 0;
    walk->seek = walk->to - 1;
    if (!walk->descending)
        result = first_of(reader, member, walk, &walk->seek, error);
    while (result == 0 && member->partition) { /* the visitor may find it damaged, which closes it */
        int count = take_batch(member, walk, most, batch, error);
        if (count <= 0)
            return count;
        uint64_t key = batch->values[0].key;
        if (walk->descending ? key > walk->seek : key < walk->seek) /* so that a walk over a damaged tree always ends */
            return error_set(error, -EBADMSG, "the index is out of order");
        for (int i = 0; i < count && result == 0; i++)
            result = walk_value(reader, member, walk, batch->values[i].key, partition_batch_value(batch, (size_t)i),
                                error);
        most = most * 4 < PARTITION_BATCH_MAX ? most * 4 : PARTITION_BATCH_MAX;
    }
    return result < 0 ? result : 0;
}

/* The visitor may walk, too: it gets a batch of its own. */
static struct partition_batch *borrow_batch(struct store_reader *reader) {
    struct partition_batch *batch = reader->batch;
    reader->batch = NULL;
    return batch ? batch : calloc(1, sizeof(*batch));
}

static void return_batch(struct store_reader *reader, struct partition_batch *batch) {
    free_batch(reader->batch);
    reader->batch = batch;
}

int store_reader_walk(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                      int (*visit)(void *argument, const struct index_entry *index), void *argument,
                      struct error *error) {
    struct walk walk = { .from = from, .to = to, .descending = descending, .visit = visit, .argument = argument };
    if (from >= to)
        return 0;
    struct partition_batch *batch = borrow_batch(reader);
    if (!batch)
        return error_set(error, -ENOMEM, "out of memory");
    int result = 0;
    for (size_t i = 0; i < reader->count && walk.verdict == 0 && result == 0; i++) {
        struct member *member = reader->members[descending ? reader->count - 1 - i : i];
        struct error why = { "" };
        int walked = member->partition ? walk_member(reader, member, &walk, batch, &why) : 0;
        if (walked == -ENOMEM)
            result = error_set(error, walked, "%s", why.text);
        else if (walked < 0)
            reader_tell_damaged(reader, member, why.text);
    }
    return_batch(reader, batch);
    return result < 0 ? result : walk.verdict;
}

/* The encoded block, copied: 0, -ENOENT, or the partition's own fault. */
static int copy_block(struct store_reader *reader, struct member *member, uint64_t first_sequence,
                      struct error *error) {
    struct partition_txn *txn;
    struct text encoded;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_block_get(txn, first_sequence, &encoded, error);
    if (result == 0)
        result = take_copy(reader, encoded, error);
    partition_abort(txn);
    return result;
}

int store_reader_block(struct store_reader *reader, uint64_t first_sequence, struct block **ret, struct error *error) {
    for (size_t i = reader->count;
         i-- > 0;) { /* the newest that may hold it first: an empty one may begin at the same place */
        struct member *member = reader->members[i];
        struct error why = { "" };
        if (!member->partition || member->meta.first_sequence > first_sequence)
            continue;
        int result = copy_block(reader, member, first_sequence, &why);
        if (result == -ENOENT)
            continue;
        if (result == 0)
            return block_open(buffer_text(&reader->value), first_sequence, ret, error);
        if (result != -ENOMEM)
            reader_tell_damaged(reader, member, why.text);
        return error_set(error, result, "%s", why.text);
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
        int copied = take_copy(reader, value, error);
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
