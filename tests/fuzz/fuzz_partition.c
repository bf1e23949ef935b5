/* A partition's file. First byte even: the rest is the file. Odd: changes to a sound one, four bytes each: where (u24, times the file's
 * size), what. Whatever it is, whoever reads it goes on. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/store/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An environment in which LMDB faulted is left as it is, on purpose (partition.c): memory and descriptors. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:liblmdb";
}

static char path[64];
static struct buffer sound, file;

static void remove_files(void) {
    partition_unlink(path);
}

static void put_span(struct partition_txn *txn, uint64_t sequence) {
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct span span = { .record = { .trace_id = { (uint8_t)(sequence % 5) },
                                     .start_ns = sequence,
                                     .operation = TEXT_LITERAL("an operation") } };
    struct partition_span_time time = { .start_ns = sequence, .sequence = sequence };
    memcpy(time.trace_id, span.record.trace_id, sizeof(time.trace_id));
    check(span_encode(&span, sequence, &value) == 0);
    check(partition_span_put(txn, &time, buffer_text(&value), NULL) == 0);
}

static void fill(struct partition *partition) {
    struct block_builder *builder;
    struct partition_txn *txn;
    struct index_flush flush = { 0, 1 };
    check(block_builder_create(&builder) == 0 && partition_begin(partition, true, &txn, NULL) == 0);
    for (uint64_t i = 0; i < 12; i++) {
        _cleanup_buffer_ struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
        struct entry entry = { .timestamp_ns = i + 1,
                               .service = TEXT_LITERAL("s"),
                               .message = TEXT_LITERAL("a message") };
        block_builder_clear(builder);
        for (uint64_t row = 0; row < 1 + i * i * 10; row++, entry.timestamp_ns += row * row * 12345)
            check(block_builder_add(builder, &entry) == 0);
        check(block_builder_encode(builder, i * 2000 + 1, &block) == 0);
        check(index_encode(builder, i * 2000 + 1, &flush, 1, &index) == 0);
        check(partition_block_put(txn, i * 2000 + 1, buffer_text(&block), buffer_text(&index), NULL) == 0);
        check(partition_state_put(txn, (struct text) { (const char *)&i, 8 }, TEXT_LITERAL("value"), NULL) == 0);
    }
    for (uint64_t i = 0; i < 60; i++)
        put_span(txn, i);
    check(partition_commit(txn, NULL) == 0);
    block_builder_destroy(builder);
}

static void prepare(void) {
    struct rlimit files;
    struct partition *partition;
    const struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .first_sequence = 1 };
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    snprintf(path, sizeof(path), "%s/taskforge-fuzz-%d.mdb", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    remove_files();
    atexit(remove_files);
    check(partition_create(path, &meta, 16 << 20, &partition, NULL) == 0);
    fill(partition);
    partition_close(partition);
    int fd = open(path, O_RDONLY);
    check(fd >= 0 && buffer_reserve(&sound, 1 << 20));
    ssize_t length = read(fd, sound.data, 1 << 20);
    check(length > 0);
    sound.length = (size_t)length;
    close(fd);
}

static int look(void *argument, const struct index_entry *index) {
    struct block *block;
    if (store_reader_block(argument, index->first_sequence, &block, NULL) == 0) {
        (void)block_load_all(block, NULL);
        block_destroy(block);
    }
    return 0;
}

static int ignore(void *argument, struct text key, struct text value) {
    (void)argument;
    (void)key;
    (void)value;
    return 0;
}

static int ignore_span(void *argument, const struct span *span) {
    (void)argument;
    (void)span;
    return 0;
}

static void look_at_spans(struct store_reader *reader) {
    struct span_walk *walk;
    struct partition_span_time time;
    if (span_walk_open(reader, UINT64_MAX, &walk, NULL) < 0)
        return;
    for (int i = 0; i < 200 && span_walk_next(walk, &time, NULL) == 1; i++)
        (void)store_reader_trace(reader, time.trace_id, ignore_span, NULL, NULL);
    span_walk_close(walk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct store_reader *reader;
    uint64_t end;
    if (size < 1)
        return 0;
    if (sound.length == 0)
        prepare();
    buffer_clear(&file);
    if (data[0] & 1) {
        buffer_append_text(&file, buffer_text(&sound));
        for (size_t i = 1; i + 4 <= size; i += 4) {
            uint64_t where = (uint64_t)(data[i] | data[i + 1] << 8 | data[i + 2] << 16);
            file.data[where * file.length >> 24] = (char)data[i + 3];
        }
    } else {
        buffer_append(&file, data + 1, size - 1);
    }
    remove_files();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    check(fd >= 0 && write(fd, file.data, file.length) == (ssize_t)file.length);
    close(fd);
    if (store_reader_open(path, NULL, NULL, &reader, NULL) < 0)
        return 0;
    (void)store_reader_end(reader, &end, NULL);
    (void)store_reader_walk(reader, 0, UINT64_MAX, false, look, reader, NULL);
    (void)store_reader_walk(reader, 0, UINT64_MAX, true, look, reader, NULL);
    (void)store_reader_state_walk(reader, TEXT_EMPTY, ignore, NULL, NULL);
    look_at_spans(reader);
    store_reader_close(reader);
    return 0;
}
