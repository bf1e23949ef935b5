#include "collector/output.h"

#include <errno.h>
#include <string.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "collector/output_file.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/store/block.h"
#include "common/store/filter_index.h"
#include "common/store/gone.h"

enum {
    OUTPUT_BUFFER = 256 * 1024, /* lines put together for one write */
    OUTPUT_RETRY_MS = 1000,
};

struct output {
    struct writer *writer;
    struct output_file file;
    pthread_t thread;
    bool running;
    int wake_fd;
    _Atomic bool stop, reopen;
    _Atomic uint64_t deadline_ns; /* monotonic, once stop is set */
    _Atomic uint64_t target;      /* drain up to here */
    uint64_t cursor;              /* the next sequence to be printed */
    struct buffer lines;
    bool failing; /* one line for each stretch of failure */
};

/* --- waiting --- */

static bool is_over(const struct output *output) {
    if (!atomic_load(&output->stop))
        return false;
    return output->cursor >= atomic_load(&output->target) || clock_monotonic_ns() >= atomic_load(&output->deadline_ns);
}

/* Until woken; `writable`: or until the file takes bytes; or until the time is over. */
static void wait_for(struct output *output, bool writable, int timeout_ms) {
    struct pollfd fds[2] = { { .fd = output->wake_fd, .events = POLLIN },
                             { .fd = output->file.fd, .events = POLLOUT } };
    if (atomic_load(&output->stop)) {
        uint64_t now = clock_monotonic_ns(), deadline = atomic_load(&output->deadline_ns);
        int left = now < deadline ? (int)((deadline - now) / CLOCK_MILLISECOND) + 1 : 0;
        timeout_ms = timeout_ms < 0 || left < timeout_ms ? left : timeout_ms;
    }
    if (poll(fds, writable ? 2 : 1, timeout_ms) > 0 && (fds[0].revents & POLLIN)) {
        uint64_t count;
        if (read(output->wake_fd, &count, sizeof(count)) < 0)
            return; /* somebody else's wake-up was read before: fine */
    }
}

static void say_failure(struct output *output, const char *why) {
    if (!output->failing)
        diag_error("the output does not go on: %s; it is tried again each second", why);
    output->failing = true;
}

static void reopen_if_asked(struct output *output) {
    struct error error;
    if (!atomic_exchange(&output->reopen, false))
        return;
    if (output_file_reopen(&output->file, &error) < 0)
        diag_error("%s; the one that was open is written on", error.text);
}

/* --- writing --- */

/* All of `lines`, however long it takes; false when the end came first. */
static bool write_lines(struct output *output) {
    struct error error;
    size_t done = 0;
    if (output_file_rotate(&output->file, &error) < 0)
        say_failure(output, error.text);
    while (done < output->lines.length) {
        if (is_over(output))
            return false;
        /* Of a pipe that poll calls writable at least this much can be written without blocking. */
        size_t part = output->lines.length - done;
        if (!output->file.path && part > 4096)
            part = 4096;
        if (!output->file.path)
            wait_for(output, true, -1);
        int64_t put = output_file_write(&output->file, output->lines.data + done, part);
        if (put < 0) {
            say_failure(output, strerror((int)-put));
            wait_for(output, false, OUTPUT_RETRY_MS);
            reopen_if_asked(output);
        } else if (put == 0) {
            wait_for(output, true, OUTPUT_RETRY_MS);
        } else {
            done += (size_t)put;
            output->failing = false;
        }
    }
    buffer_clear(&output->lines);
    return true;
}

/* --- reading --- */

/* Where what stands behind a damaged block begins: as the index knows it, else at the next block, or at the end of what is stored. */
static uint64_t damaged_end(struct output *output, struct partition_txn *txn, uint64_t first) {
    struct index_entry index;
    struct text encoded;
    uint64_t key, end = 0;
    if (partition_index_seek(txn, first, false, &key, &encoded, NULL) == 1 && key == first &&
        index_decode(encoded, &index) == 0) {
        end = first + index.count;
        index_entry_finish(&index);
    }
    if (end <= first && partition_block_seek(txn, first + 1, false, &end, NULL) != 1)
        end = atomic_load_explicit(&output->writer->end, memory_order_acquire);
    return end;
}

/* The block at `first` and where it ends. Blocks are gone through by themselves, so that a damaged index costs nothing. */
static int open_block(struct output *output, struct partition_txn *txn, uint64_t first, struct block **ret,
                      uint64_t *ret_end, struct error *error) {
    struct text encoded;
    int result = partition_block_get(txn, first, &encoded, error);
    if (result == 0)
        result = partition_block_open(partition_of(txn), encoded, first, ret, error);
    if (result == -EPROTO) /* a flipped bit makes a version, too */
        result = -EBADMSG;
    if (result == 0)
        *ret_end = first + block_count(*ret);
    else if (result == -EBADMSG)
        *ret_end = damaged_end(output, txn, first);
    return result;
}

/* The block that holds the cursor, or the next there is: 1 and *ret, 0 when this partition has none, or a negative errno; for a
 * damaged block too, with *ret_end saying where what follows it begins. */
static int find_block(struct output *output, struct partition_txn *txn, struct block **ret, uint64_t *ret_first,
                      uint64_t *ret_end, struct error *error) {
    for (int pass = 0; pass < 2; pass++) { /* the one that begins at or before the cursor, then the one behind it */
        int result = partition_block_seek(txn, output->cursor, pass == 0, ret_first, error);
        if (result < 0)
            return result;
        if (result == 0)
            continue;
        result = open_block(output, txn, *ret_first, ret, ret_end, error);
        bool before = *ret_end <= output->cursor;
        if (result == 0 && before)
            block_destroy(*ret);
        else if (result == 0)
            return 1;
        else if (result != -EBADMSG || !before)
            return result;
    }
    return 0;
}

static int read_block(struct output *output, struct partition *partition, struct block **ret, uint64_t *ret_first,
                      uint64_t *ret_end, struct error *error) {
    struct partition_txn *txn;
    *ret_end = 0;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = find_block(output, txn, ret, ret_first, ret_end, error);
    partition_abort(txn);
    if (result != 1)
        return result;
    result = block_load_all(*ret, error);
    if (result < 0)
        block_destroy(*ret);
    return result < 0 ? result : 1;
}

/* Print the rows of a block from the cursor on; false when the end came first. */
static bool print_block(struct output *output, const struct block *block, uint64_t first) {
    uint32_t count = block_count(block);
    if (output->cursor < first)
        output->cursor = first;
    for (uint64_t row = output->cursor - first; row < count; row++) {
        struct entry entry;
        block_entry(block, (uint32_t)row, &entry);
        if (!entry_is_gone(&entry)) {
            entry_append_json(&output->lines, &entry);
            buffer_append_char(&output->lines, '\n');
        }
        if (output->lines.failed) {
            output->lines.failed = false;
            buffer_clear(&output->lines);
            say_failure(output, "out of memory");
            wait_for(output, false, OUTPUT_RETRY_MS);
            return true;
        }
        if (output->lines.length < OUTPUT_BUFFER && row + 1 < count)
            continue;
        if (!write_lines(output))
            return false;
        output->cursor = first + row + 1;
        atomic_store_explicit(&output->writer->output_cursor, output->cursor, memory_order_release);
    }
    return true;
}

/* Past what cannot be read: said once for each. */
static void skip_to(struct output *output, uint64_t sequence, const char *why) {
    if (sequence <= output->cursor)
        return;
    diag_error("the output passes over %" PRIu64 " entries from sequence %" PRIu64 " on: %s", sequence - output->cursor,
               output->cursor, why);
    output->cursor = sequence;
    atomic_store_explicit(&output->writer->output_cursor, sequence, memory_order_release);
}

/* One block further: true when there may be more at once. */
static bool step(struct output *output) {
    struct partitions *partitions = output->writer->partitions;
    struct partition_ref *ref;
    struct block *block;
    struct error error = { "" };
    uint64_t next, first = output->cursor, end = 0;
    int result = partitions_acquire(partitions, output->cursor, &ref, &next, &error);
    if (result == 0) {
        bool imported = partition_origin(ref->partition)->flags & PARTITION_IMPORTED; /* stored elsewhere before: no news */
        if (!imported)
            result = read_block(output, ref->partition, &block, &first, &end, &error);
        partitions_release(partitions, ref);
    }
    if (result == 1) {
        print_block(output, block, first);
        block_destroy(block);
        return true;
    }
    if (result == -EBADMSG && end > output->cursor) {
        skip_to(output, end, error.text);
        return true;
    }
    if (result < 0 && result != -EBADMSG && result != -ENOENT && result != -EFAULT) {
        say_failure(output, error.text[0] ? error.text : strerror(-result));
        wait_for(output, false, OUTPUT_RETRY_MS);
        return false;
    }
    if (next == 0 || next <= output->cursor)
        return false;
    if (result < 0)
        skip_to(output, next, error.text[0] ? error.text : strerror(-result));
    output->cursor = next; /* the end of a closed partition */
    return true;
}

static void *run(void *argument) {
    struct output *output = argument;
    while (!is_over(output)) {
        reopen_if_asked(output);
        uint64_t end = atomic_load_explicit(&output->writer->end, memory_order_acquire);
        if (output->cursor >= end || !step(output))
            wait_for(output, false, output->cursor >= end ? -1 : OUTPUT_RETRY_MS);
    }
    return NULL;
}

/* --- the other threads' side --- */

int output_create(struct writer *writer, enum config_output kind, const char *path, struct output **ret,
                  struct error *error) {
    struct output *output = calloc(1, sizeof(*output));
    if (!output)
        return error_set(error, -ENOMEM, "out of memory");
    output->writer = writer;
    output->cursor = atomic_load(&writer->output_cursor);
    output->wake_fd = -1;
    output->file.fd = -1;
    int result = 0;
    if (kind != CONFIG_OUTPUT_NONE) {
        result = output_file_open(&output->file, kind == CONFIG_OUTPUT_FILE ? path : NULL, OUTPUT_ROTATE_BYTES, error);
        if (result == 0 && (output->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
            result = error_set(error, -errno, "no event descriptor for the output: %s", strerror(errno));
        if (result == 0 && (result = -pthread_create(&output->thread, NULL, run, output)) < 0)
            error_set(error, result, "no thread for the output: %s", strerror(-result));
    }
    if (result < 0) {
        if (output->wake_fd >= 0)
            close(output->wake_fd);
        output_file_close(&output->file);
        free(output);
        return result;
    }
    output->running = kind != CONFIG_OUTPUT_NONE;
    *ret = output;
    return 0;
}

void output_wake(struct output *output) {
    uint64_t one = 1;
    if (!output)
        return;
    if (!output->running)
        atomic_store(&output->writer->output_cursor, atomic_load(&output->writer->end));
    else if (write(output->wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is awake */
}

void output_reopen(struct output *output) {
    atomic_store(&output->reopen, true);
    output_wake(output);
}

bool output_destroy(struct output *output) {
    if (!output)
        return true;
    if (output->running) {
        struct timespec until;
        atomic_store(&output->target, atomic_load(&output->writer->end));
        atomic_store(&output->deadline_ns, clock_monotonic_ns() + OUTPUT_DRAIN_NS);
        atomic_store(&output->stop, true);
        output_wake(output);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(OUTPUT_DRAIN_NS / CLOCK_SECOND) + 1;
        if (pthread_clockjoin_np(output->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
            return false;
        close(output->wake_fd);
    }
    output_file_close(&output->file);
    buffer_finish(&output->lines);
    free(output);
    return true;
}
