#include "collector/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "collector/fault.h"
#include "collector/spans.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/store/filter_index.h"
#include "common/store/state_keys.h"

/* A failure that a fresh look at the file does not explain is believed when it comes again. */
enum { DAMAGE_BELIEVED = 2 };

/* --- set up --- */

static void read_boot_id(uint8_t out[16]) {
    char text[UUID_TEXT_SIZE] = "";
    struct uuid uuid = { 0 };
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof(text) - 1) == sizeof(text) - 1)
        uuid_parse(text_of(text), &uuid);
    if (fd >= 0)
        close(fd);
    memcpy(out, uuid.bytes, 16);
}

static int load_tail(struct writer *writer, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(writer->partitions->current->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = merge_tail_load(&writer->tail, txn, error);
    if (result == 0) {
        uint64_t sequence;
        struct text value;
        result = partition_span_seek(txn, 0, false, &sequence, &value, error);
        writer->has_spans = result == 1;
    }
    partition_abort(txn);
    return result < 0 ? result : 0;
}

/* Space that a full disk leaves for the last commits: a file that is given up when one fails for want of it. */
static void make_reserve(struct writer *writer) {
    struct statvfs disk;
    if (access(writer->reserve, F_OK) == 0 || statvfs(writer->partitions->data_dir, &disk) < 0 ||
        (uint64_t)disk.f_bavail * disk.f_frsize < 8 * writer->reserve_bytes)
        return;
    int fd = open(writer->reserve, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (posix_fallocate(fd, 0, (off_t)writer->reserve_bytes) != 0)
        unlink(writer->reserve);
    close(fd);
}

/* The writer's own keys are there from the start: that memory follows a commit then takes no allocation, which could fail. */
static int own_keys(struct writer *writer) {
    char words[STATE_SEQUENCE_SIZE] = { 0 };
    struct text value;
    int result = 0;
    if (!state_map_get(writer->state, TEXT_LITERAL(STATE_SPILL), &value))
        result = state_map_put(writer->state, TEXT_LITERAL(STATE_SPILL), (struct text) { words, 16 });
    state_u64_put(words, writer->next_span);
    if (result == 0)
        result = state_map_put(writer->state, TEXT_LITERAL(STATE_SPANS), (struct text) { words, 8 });
    state_u64_put(words, writer->output_stored);
    if (result == 0)
        result = state_map_put(writer->state, TEXT_LITERAL(STATE_OUTPUT), (struct text) { words, 8 });
    state_sequence_encode(&writer->sequence, words);
    return result == 0
               ? state_map_put(writer->state, TEXT_LITERAL(STATE_SEQUENCE), (struct text) { words, sizeof(words) })
               : result;
}

void writer_set_reserve(struct writer *writer, uint64_t bytes) {
    struct stat status;
    writer->reserve_bytes = bytes;
    if (stat(writer->reserve, &status) == 0 && (uint64_t)status.st_size != bytes)
        unlink(writer->reserve);
    make_reserve(writer);
}

int writer_init(struct writer *writer, struct partitions *partitions, struct state_map *state, struct error *error) {
    *writer = (struct writer) { .partitions = partitions, .state = state, .partition_bytes = PARTITION_BYTES_MAX,
                                .reserve_bytes = RESERVE_BYTES };
    snprintf(writer->reserve, sizeof(writer->reserve), "%s/reserve", partitions->data_dir);
    struct text value;
    writer->sequence.next = partitions->current->first_sequence;
    if (state_map_get(state, TEXT_LITERAL(STATE_SEQUENCE), &value))
        state_sequence_decode(value, &writer->sequence);
    read_boot_id(writer->sequence.boot_id);
    writer->next_span = partitions->current->first_sequence; /* past a damaged authority: a jump ahead, too */
    state_map_get_u64(state, TEXT_LITERAL(STATE_SPANS), &writer->next_span);
    uint64_t cursor = partitions->current->first_sequence;
    state_map_get_u64(state, TEXT_LITERAL(STATE_OUTPUT), &cursor);
    writer->output_stored = cursor;
    atomic_store(&writer->output_cursor, cursor);
    atomic_store(&writer->end, writer->sequence.next);
    int result = block_builder_create(&writer->builder);
    if (result == 0)
        result = own_keys(writer);
    if (result < 0)
        return error_set(error, result, "out of memory");
    return load_tail(writer, error);
}

void writer_finish(struct writer *writer) {
    block_builder_destroy(writer->builder);
    writer->builder = NULL;
}

/* --- rolling --- */

static bool is_empty(const struct writer *writer) {
    return writer->sequence.next == writer->partitions->current->first_sequence && !writer->has_spans;
}

static bool is_roll_due(const struct writer *writer, uint64_t now_ns) {
    const struct partition_ref *current = writer->partitions->current;
    if (writer->roll_due)
        return true;
    if (!partition_origin_same_place(partition_origin(current->partition), &writer->partitions->origin))
        return true; /* of another host, or under other labels */
    if (is_empty(writer))
        return false; /* nothing is in it */
    uint64_t period = writer->partition_ns;
    if (period && now_ns / period > current->created_ns / period)
        return true;
    return partition_used_size(current->partition) >= writer->partition_bytes;
}

static int roll(struct writer *writer, struct error *error) {
    writer->roll_due = true;
    int result = partitions_roll(writer->partitions, writer->state, writer->sequence.next, error);
    if (result < 0)
        return result;
    writer->roll_due = false;
    writer->tail.count = 0;
    writer->has_spans = false;
    return 0;
}

static int put_sequence(struct writer *writer, const struct state_sequence *sequence) {
    char words[STATE_SEQUENCE_SIZE];
    state_sequence_encode(sequence, words);
    return state_map_put(writer->state, TEXT_LITERAL(STATE_SEQUENCE), (struct text) { words, sizeof(words) });
}

int writer_leave_place(struct writer *writer, uint64_t count, uint64_t *ret_first, struct error *error) {
    struct state_sequence ahead = writer->sequence;
    ahead.next += count;
    if (writer->roll_due || put_sequence(writer, &ahead) < 0)
        return error_set(error, -EAGAIN, "the store cannot begin a partition at the moment");
    int result = partitions_roll_ahead(writer->partitions, writer->state, ahead.next, error);
    if (result < 0) {
        writer->roll_due = true; /* the authority may be closed */
        check(put_sequence(writer, &writer->sequence) == 0); /* of the same length as before */
        return result;
    }
    *ret_first = writer->sequence.next;
    writer->sequence = ahead;
    writer->tail.count = 0;
    writer->has_spans = false;
    return 0;
}

/* --- one commit --- */

/* The builder leaves out what the partition says once. */
static int take_host(struct writer *writer) {
    return block_builder_set_host(writer->builder,
                                  partition_origin(writer->partitions->current->partition)->host);
}

static int put_block(struct writer *writer, struct partition_txn *txn, uint64_t first, uint64_t flush_ns,
                     struct merge_tail *tail, struct error *error) {
    _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    const struct index_flush flush = { 0, flush_ns };
    struct index_before before = index_before(txn, first);
    int result = block_builder_encode(writer->builder, first, &block);
    if (result == 0)
        result = index_encode_behind(writer->builder, first, &before, &flush, 1, &index);
    if (result < 0)
        return error_set(error, result, "cannot encode a block: %s", strerror(-result));
    result = partition_block_put(txn, first, buffer_text(&block), buffer_text(&index), error);
    if (result < 0)
        return result;
    merge_tail_append(tail, (struct merge_block) { first, block_builder_count(writer->builder),
                                                   block_builder_raw_size(writer->builder) });
    block_builder_clear(writer->builder);
    return 0;
}

static int put_entries(struct writer *writer, struct partition_txn *txn, const struct batch *batch, uint64_t flush_ns,
                       struct merge_tail *tail, struct error *error) {
    uint64_t first = writer->sequence.next;
    int result = 0;
    block_builder_clear(writer->builder);
    for (size_t i = 0; i < batch->entry_count && result == 0; i++) {
        result = block_builder_add(writer->builder, &batch->entries[i]);
        if (result < 0)
            return error_set(error, result, "cannot add an entry to a block: %s", strerror(-result));
        uint32_t count = block_builder_count(writer->builder);
        if (count < BLOCK_ENTRIES_FULL && block_builder_raw_size(writer->builder) < BLOCK_RAW_FULL &&
            i + 1 < batch->entry_count)
            continue;
        result = put_block(writer, txn, first, flush_ns, tail, error);
        first += count;
    }
    return result;
}

static int merge_due(struct writer *writer, struct partition_txn *txn, struct merge_tail *tail, struct error *error) {
    size_t from, count = merge_choose(tail, &from);
    if (count == 0)
        return 0;
    struct merge_block merged;
    struct error why = { "" };
    int result = merge_run(txn, &tail->blocks[from], count, writer->builder, &merged, &why);
    if (result == 0) {
        merge_tail_replace(tail, from, count, merged);
    } else if (result == -EBADMSG && !partition_txn_failed(txn)) {
        diag_error("%zu blocks from sequence %" PRIu64 " on cannot be merged and are left as they are: %s", count,
                   tail->blocks[from].first_sequence, why.text);
        merge_tail_settle(tail, from, count);
        result = 0;
    } else {
        error_set(error, result, "%s", why.text[0] ? why.text : strerror(-result));
    }
    return result;
}

/* At the beginning of that file. */
static void spill_key_value(uint64_t id, char out[16]) {
    state_u64_put(out, id);
    state_u64_put(out + 8, 0);
}

static int put_state(struct writer *writer, struct partition_txn *txn, const struct batch *batch,
                     const struct state_sequence *sequence, uint64_t cursor, struct error *error) {
    char words[STATE_SEQUENCE_SIZE];
    int result = 0;
    if (writer->spill_over) {
        spill_key_value(writer->spill_over, words);
        result = partition_state_put(txn, TEXT_LITERAL(STATE_SPILL), (struct text) { words, 16 }, error);
    }
    for (size_t i = 0; i < batch->put_count && result == 0; i++) {
        const struct batch_put *put = &batch->puts[i];
        result = put->remove ? partition_state_delete(txn, put->key, error)
                             : partition_state_put(txn, put->key, put->value, error);
    }
    if (result == 0 && cursor != writer->output_stored) {
        state_u64_put(words, cursor);
        result = partition_state_put(txn, TEXT_LITERAL(STATE_OUTPUT), (struct text) { words, 8 }, error);
    }
    if (result == 0 && batch->span_count > 0) {
        state_u64_put(words, writer->next_span + batch->span_count);
        result = partition_state_put(txn, TEXT_LITERAL(STATE_SPANS), (struct text) { words, 8 }, error);
    }
    if (result < 0)
        return result;
    state_sequence_encode(sequence, words);
    return partition_state_put(txn, TEXT_LITERAL(STATE_SEQUENCE), (struct text) { words, sizeof(words) }, error);
}

/* Memory says now what the store says. */
static void note_commit(struct writer *writer, const struct batch *batch, bool apply,
                        const struct state_sequence *sequence, uint64_t cursor) {
    char words[STATE_SEQUENCE_SIZE];
    bool noted = true;
    if (apply)
        noted = batch_apply(batch, writer->state) == 0;
    for (size_t i = 0; i < batch->put_count && !apply; i++)
        if (text_is(batch->puts[i].key, STATE_SPILL))
            noted &= state_map_put(writer->state, batch->puts[i].key, batch->puts[i].value) == 0;
    if (writer->spill_over) {
        spill_key_value(writer->spill_over, words);
        noted &= state_map_put(writer->state, TEXT_LITERAL(STATE_SPILL), (struct text) { words, 16 }) == 0;
    }
    state_sequence_encode(sequence, words);
    noted &= state_map_put(writer->state, TEXT_LITERAL(STATE_SEQUENCE), (struct text) { words, sizeof(words) }) == 0;
    if (batch->span_count > 0) {
        writer->next_span += batch->span_count;
        writer->has_spans = true;
        state_u64_put(words, writer->next_span);
        noted &= state_map_put(writer->state, TEXT_LITERAL(STATE_SPANS), (struct text) { words, 8 }) == 0;
    }
    state_u64_put(words, cursor);
    noted &= state_map_put(writer->state, TEXT_LITERAL(STATE_OUTPUT), (struct text) { words, 8 }) == 0;
    check(noted); /* batch_prepare and own_keys saw to it */
    writer->sequence = *sequence;
    writer->output_stored = cursor;
    atomic_store_explicit(&writer->end, sequence->next, memory_order_release);
}

static int commit(struct writer *writer, const struct batch *batch, bool apply, uint64_t now_ns, struct error *error) {
    struct merge_tail tail = writer->tail;
    struct state_sequence sequence = writer->sequence;
    uint64_t cursor = atomic_load_explicit(&writer->output_cursor, memory_order_acquire);
    struct partition_txn *txn;
    sequence.next += batch->entry_count;
    sequence.flush_ns = now_ns > sequence.flush_ns ? now_ns : sequence.flush_ns + 1;
    sequence.commits++;
    int result = fault_hit("commit");
    if (result == 0)
        result = take_host(writer);
    if (result < 0)
        return error_set(error, result, "%s", strerror(-result));
    result = partition_begin(writer->partitions->current->partition, true, &txn, error);
    if (result < 0)
        return result;
    result = put_entries(writer, txn, batch, sequence.flush_ns, &tail, error);
    if (result == 0)
        result = spans_put(txn, batch, writer->next_span, error);
    if (result == 0)
        result = merge_due(writer, txn, &tail, error);
    if (result == 0)
        result = put_state(writer, txn, batch, &sequence, cursor, error);
    if (result < 0) {
        partition_abort(txn);
        return result;
    }
    fault_hit("before_commit");
    result = partition_commit(txn, error);
    if (result < 0)
        return result;
    fault_hit("after_commit");
    writer->tail = tail;
    note_commit(writer, batch, apply, &sequence, cursor);
    return 0;
}

/* After a failed commit the environment was opened anew. LMDB writes its meta page back when that write fails; should the commit stand all the
 * same, memory is behind the store, and going on would store the batch twice: begin again from what is on disk. */
static int confirm(struct writer *writer, struct error *error) {
    struct partition_txn *txn;
    struct text value;
    struct state_sequence stored;
    int result = partition_begin(writer->partitions->current->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_state_get(txn, TEXT_LITERAL(STATE_SEQUENCE), &value, error);
    if (result == 1 && state_sequence_decode(value, &stored))
        check(stored.commits == writer->sequence.commits);
    partition_abort(txn);
    return result < 0 ? result : 0;
}

static int reopen(struct writer *writer, bool damaged, struct error *error) {
    const struct partition_ref *before = writer->partitions->current;
    int result = partitions_reopen(writer->partitions, writer->state, writer->sequence.next, damaged, error);
    if (result == 0 && writer->partitions->current == before)
        result = confirm(writer, error);
    return result;
}

int writer_commit(struct writer *writer, const struct batch *batch, bool apply, uint64_t now_ns, struct error *error) {
    if (!writer->partitions->current->partition)
        return error_set(error, -EAGAIN, "the store's newest partition is not open");
    if (apply && batch_prepare(batch, writer->state) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    for (int attempt = 0;; attempt++) {
        int result = is_roll_due(writer, now_ns) ? roll(writer, error) : 0;
        if (result == 0)
            result = commit(writer, batch, apply, now_ns, error);
        if (result == -EFBIG && attempt == 0 && !is_empty(writer)) {
            writer->roll_due = true;
            continue;
        }
        writer->damage_seen = result == -EBADMSG || result == -EFAULT ? writer->damage_seen + 1 : 0;
        /* LMDB calls a write cut short by a full disk an I/O error, and takes no more of an environment after it. */
        if ((result != -ENOSPC && result != -EIO) || attempt > 0 || unlink(writer->reserve) < 0 ||
            reopen(writer, false, NULL) < 0)
            return result;
        diag_warn("the disk is full: the reserve is used for the last commits");
    }
}

int writer_recover(struct writer *writer, struct error *error) {
    const struct partition_ref *before = writer->partitions->current;
    make_reserve(writer);
    int result = reopen(writer, writer->damage_seen >= DAMAGE_BELIEVED, error);
    if (result == 0 && writer->partitions->current != before) {
        writer->damage_seen = 0;
        writer->tail.count = 0;
        writer->roll_due = false;
        writer->has_spans = false;
    }
    return result;
}
