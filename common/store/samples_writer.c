/* samples_writer.c - see samples.h: a tick is staged, becomes a row for each group, and is committed. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/store/samples_writer_private.h"

enum { FOLDER_MODE = 0750 };

/* --- the stage --- */

static void stage_finish(struct samples_stage *stage) {
    free(stage->values);
    free(stage->hints);
    free(stage->present);
    free(stage->kind);
    buffer_finish(&stage->histograms);
}

static bool grow(void *array, size_t from, size_t to) {
    void *old;
    memcpy(&old, array, sizeof(old));
    char *grown = realloc(old, to);
    if (!grown)
        return false;
    memset(grown + from, 0, to - from);
    memcpy(array, &grown, sizeof(grown));
    return true;
}

int samples_stage_reserve(struct samples_stage *stage, size_t series) {
    if (series <= stage->capacity)
        return 0;
    size_t from = stage->capacity, to = from ? from : SAMPLES_GROUP;
    while (to < series)
        to *= 2;
    if (!grow(&stage->values, from * sizeof(uint64_t), to * sizeof(uint64_t)) || !grow(&stage->hints, from, to) ||
        !grow(&stage->present, from / 8, to / 8) || !grow(&stage->kind, from / 8, to / 8))
        return -ENOMEM;
    stage->capacity = to;
    return 0;
}

static void stage_clear(struct samples_stage *stage) {
    if (stage->capacity > 0)
        memset(stage->present, 0, stage->capacity / 8);
    buffer_clear(&stage->histograms);
}

/* --- open and close --- */

static int make_folder(const char *data_dir, struct error *error) {
    char folder[PARTITION_PATH_MAX];
    if (snprintf(folder, sizeof(folder), "%s/metrics", data_dir) >= (int)sizeof(folder))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    if (mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST)
        return error_set(error, -errno, "%s: cannot make the folder: %s", folder, strerror(errno));
    samples_clear_folder(folder);
    int parent = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* its name must outlast a power cut */
    int code = parent < 0 || (fsync(parent) < 0 && errno != EINVAL) ? errno : 0;
    if (parent >= 0)
        close(parent);
    return code == 0 ? 0 : error_set(error, -code, "%s: cannot write the folder to disk: %s", data_dir, strerror(code));
}

int samples_writer_open(const char *data_dir, const struct samples_options *options, struct samples_writer **ret,
                        struct error *error) {
    if (options->interval_ns < UINT64_C(1000000000) || options->interval_ns > SAMPLES_DAY_NS ||
        SAMPLES_DAY_NS % options->interval_ns != 0)
        return error_set(error, -EINVAL,
                         "metric history: an interval of %llu ns is no part of a day, or below a second",
                         (unsigned long long)options->interval_ns);
    int result = make_folder(data_dir, error);
    if (result < 0)
        return result;
    struct samples_writer *writer = calloc(1, sizeof(*writer));
    if (writer)
        writer->rows = samples_rows_create();
    if (!writer || !writer->rows || samples_column_init(&writer->column) < 0) {
        if (writer)
            samples_rows_destroy(writer->rows);
        free(writer);
        return error_set(error, -ENOMEM, "metric history: out of memory");
    }
    snprintf(writer->data_dir, sizeof(writer->data_dir), "%s", data_dir);
    writer->options = *options;
    writer->void_numbers = true;
    *ret = writer;
    return 0;
}

void samples_writer_close(struct samples_writer *writer) {
    if (!writer)
        return;
    partition_abort(writer->txn);
    partition_close(writer->partition);
    samples_numbers_finish(&writer->numbers);
    stage_finish(&writer->stage);
    samples_rows_destroy(writer->rows);
    samples_column_finish(&writer->column);
    buffer_finish(&writer->row);
    buffer_finish(&writer->columns);
    buffer_finish(&writer->chunk);
    free(writer->pending);
    free(writer);
}

/* --- a tick --- */

int samples_writer_begin(struct samples_writer *writer, uint64_t time_ns, struct error *error) {
    check(!writer->begun);
    if (time_ns == 0 || time_ns % writer->options.interval_ns != 0)
        return error_set(error, -EINVAL, "metric history: %llu ns is no tick of an interval of %llu ns",
                         (unsigned long long)time_ns, (unsigned long long)writer->options.interval_ns);
    int result = samples_roll(writer, time_ns, error);
    if (result < 0)
        return result;
    if (!writer->txn)
        result = partition_begin(writer->partition, true, &writer->txn, error);
    if (result < 0) {
        samples_fail(writer, result);
        return result;
    }
    stage_clear(&writer->stage);
    writer->begun = true;
    writer->tick = time_ns / writer->options.interval_ns;
    result = writer->void_numbers;
    writer->void_numbers = false;
    return result;
}

int samples_writer_series(struct samples_writer *writer, const struct samples_definition *definition, uint32_t *ret,
                          struct error *error) {
    check(writer->begun && metric_kind_is_valid(definition->metric.kind));
    int result = samples_numbers_take(&writer->numbers, writer->txn, definition, ret, error);
    if (result == 0 && samples_stage_reserve(&writer->stage, writer->numbers.count) < 0)
        result = error_set(error, -ENOMEM, "metric history: out of memory");
    return result;
}

static void stage(struct samples_stage *stage, uint32_t number, uint64_t value, bool histogram) {
    unsigned char bit = (unsigned char)(1 << number % 8);
    stage->values[number] = value;
    stage->present[number / 8] |= bit;
    stage->kind[number / 8] =
        (unsigned char)(histogram ? stage->kind[number / 8] | bit : stage->kind[number / 8] & ~bit);
}

void samples_writer_set(struct samples_writer *writer, uint32_t number, double value) {
    check(writer->begun && number < writer->numbers.count);
    if (!samples_is_hole(value))
        stage(&writer->stage, number, samples_bits_of(value), false);
}

int samples_writer_set_histogram(struct samples_writer *writer, uint32_t number, const struct histogram *histogram) {
    struct buffer *out = &writer->stage.histograms;
    size_t begin = out->length;
    struct histogram plain = *histogram;
    check(writer->begun && number < writer->numbers.count);
    if (samples_is_hole(plain.sum))
        plain.sum = NAN;
    samples_put_u32(out, 0);
    histogram_encode(&plain, out);
    if (out->failed)
        return -ENOMEM;
    uint32_t length = (uint32_t)(out->length - begin - sizeof(length));
    memcpy(out->data + begin, &length, sizeof(length));
    stage(&writer->stage, number, begin, true);
    return 0;
}

static void add_series(struct samples_writer *writer, struct samples_row_writer *row, uint32_t number) {
    struct samples_stage *stage = &writer->stage;
    if (!samples_bit(stage->kind + number / 8, number % 8)) {
        samples_row_add(row, samples_of_bits(stage->values[number]), &stage->hints[number]);
        return;
    }
    uint32_t length;
    const char *at = stage->histograms.data + stage->values[number];
    memcpy(&length, at, sizeof(length));
    samples_row_add_histogram(row, (struct text) { at + sizeof(length), length });
}

static int put_row(struct samples_writer *writer, uint32_t group, struct error *error) {
    const unsigned char *bitmap = writer->stage.present + (size_t)group * SAMPLES_BITMAP;
    static const unsigned char none[SAMPLES_BITMAP];
    struct samples_row_writer row;
    if (memcmp(bitmap, none, SAMPLES_BITMAP) == 0)
        return 0;
    buffer_clear(&writer->row);
    samples_row_begin(&row, bitmap, &writer->row);
    for (unsigned at = 0; at < SAMPLES_BITMAP; at++)
        for (unsigned bits = bitmap[at]; bits; bits &= bits - 1)
            add_series(writer, &row, group * SAMPLES_GROUP + at * 8 + (unsigned)__builtin_ctz(bits));
    samples_row_end(&row, samples_seed(group, writer->tick));
    if (writer->row.failed)
        return error_set(error, -ENOMEM, "metric history: out of memory");
    int result = partition_row_put(writer->txn, writer->tick, group, buffer_text(&writer->row), error);
    return result < 0 ? result : samples_pending_add(writer, group, writer->tick, error);
}

static int put_tick(struct samples_writer *writer, struct error *error) {
    uint32_t groups = (writer->numbers.count + SAMPLES_GROUP - 1) / SAMPLES_GROUP;
    int result = 0;
    for (uint32_t group = 0; group < groups && result == 0; group++)
        result = put_row(writer, group, error);
    return result < 0 ? result : samples_rewrite_due(writer, error);
}

int samples_writer_end(struct samples_writer *writer, bool commit, struct error *error) {
    check(writer->begun);
    int result = put_tick(writer, error);
    if (result == 0 && commit) {
        struct partition_txn *txn = writer->txn;
        writer->txn = NULL;
        result = partition_commit(txn, error);
    }
    if (result < 0) {
        samples_fail(writer, result);
        return result;
    }
    writer->begun = false;
    writer->last_tick = writer->tick;
    writer->last_ns = writer->tick * writer->head.interval_ns;
    return 0;
}

int samples_writer_abort(struct samples_writer *writer) {
    if (!writer->txn)
        return 0;
    samples_fail(writer, -ECANCELED);
    return 1;
}

int samples_writer_finish(struct samples_writer *writer, struct error *error) {
    check(!writer->begun);
    int result = 0;
    if (writer->txn) {
        struct partition_txn *txn = writer->txn;
        writer->txn = NULL;
        result = partition_commit(txn, error);
        if (result < 0)
            samples_fail(writer, result);
    }
    return result == 0 && writer->partition ? samples_close_partition(writer, error) : result;
}

uint64_t samples_writer_last(const struct samples_writer *writer) {
    return writer->last_ns;
}

uint64_t samples_writer_size(const struct samples_writer *writer) {
    return writer->partition ? partition_file_size(writer->partition) : 0;
}

uint32_t samples_writer_series_count(const struct samples_writer *writer) {
    return writer->numbers.count;
}
