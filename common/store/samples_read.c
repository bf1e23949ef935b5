/* samples_read.c - the samples of chosen series, chunk by chunk: each is copied out in a transaction of its own, then decoded and visited. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/samples_reader_private.h"

struct reading {
    const struct samples_selection *selection;
    uint64_t start_ns, end_ns;
    int (*visit)(void *argument, const struct samples_block *block);
    void *argument;
    struct error *error;
    struct samples_member *member;
    uint64_t start, end;                 /* ticks, of the member's interval */
    uint32_t group;                      /* which is read */
    const struct samples_chosen *chosen; /* of the group */
    size_t count;
    struct samples_chunk chunk;
    struct buffer bytes;
    size_t places[SAMPLES_GROUP]; /* where each chosen column stands in bytes */
    struct samples_column column;
    struct samples_rows *rows;
    struct samples_bucket buckets[HISTOGRAM_OCTAVES * HISTOGRAM_BUCKETS];
    size_t bucket_count;
    double values[SAMPLES_TICKS_MAX];
};

static void tell(struct reading *reading, const char *what, uint64_t tick) {
    char why[128];
    snprintf(why, sizeof(why), "%s (group %u, tick %llu)", what, reading->group, (unsigned long long)tick);
    samples_member_tell(reading->selection->reader, reading->member, why);
}

/* --- visiting --- */

static void list_buckets(struct reading *reading) {
    struct samples_column *column = &reading->column;
    reading->bucket_count = 0;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        for (uint64_t left = column->in_use[octave]; left; left &= left - 1) {
            unsigned bucket = (unsigned)__builtin_ctzll(left);
            reading->buckets[reading->bucket_count++] =
                (struct samples_bucket) { (uint8_t)octave, (uint8_t)bucket,
                                          column->octaves[octave] + (size_t)bucket * SAMPLES_TICKS_MAX };
        }
}

static bool is_all_holes(const double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!samples_is_hole(values[i]))
            return false;
    return true;
}

/* A run of ticks that follow each other, as far as it was asked for. histogram: the column has been listed. */
static int visit_run(struct reading *reading, size_t series, struct samples_run run, const double *values,
                     bool histogram) {
    uint64_t first = run.first > reading->start ? run.first : reading->start;
    uint64_t last = run.first + run.count - 1 < reading->end ? run.first + run.count - 1 : reading->end;
    if (first > last)
        return 0;
    size_t at = run.at + (size_t)(first - run.first);
    struct samples_block block = { .series = series,
                                   .start_ns = first * reading->member->head.interval_ns,
                                   .interval_ns = reading->member->head.interval_ns,
                                   .count = (size_t)(last - first) + 1,
                                   .values = values + at };
    if (is_all_holes(block.values, block.count))
        return 0;
    if (!histogram)
        return reading->visit(reading->argument, &block);
    struct samples_histograms histograms = { .sums = block.values,
                                             .zeros = reading->column.zeros + at,
                                             .buckets = reading->buckets,
                                             .bucket_count = reading->bucket_count };
    for (size_t i = 0; i < reading->bucket_count; i++)
        reading->buckets[i].counts += at;
    block.histograms = &histograms;
    int verdict = reading->visit(reading->argument, &block);
    for (size_t i = 0; i < reading->bucket_count; i++)
        reading->buckets[i].counts -= at;
    return verdict;
}

static bool is_histogram(const struct reading *reading, const struct samples_chosen *chosen) {
    return metric_kind_is_histogram(reading->selection->series[chosen->series].definition.metric.kind);
}

/* --- a chunk --- */

/* Copy the head, and of the columns those that were chosen: columns side by side are one part. */
static int take_columns(struct reading *reading, struct partition_txn *txn, struct partition_piece piece,
                        struct error *error) {
    struct partition_part parts[SAMPLES_GROUP];
    size_t part_count = 0, bytes = 0;
    for (size_t i = 0; i < reading->count; i++) {
        unsigned index = reading->chosen[i].number % SAMPLES_GROUP;
        size_t offset = reading->chunk.offsets[index], length = reading->chunk.lengths[index];
        reading->places[i] = bytes;
        if (length == 0)
            continue;
        struct partition_part *part = &parts[part_count > 0 ? part_count - 1 : 0];
        if (part_count > 0 && part->offset + part->length == offset)
            part->length += length;
        else
            parts[part_count++] = (struct partition_part) { .offset = offset, .length = length };
        bytes += length;
    }
    buffer_clear(&reading->bytes);
    if (!buffer_reserve(&reading->bytes, bytes + SAMPLES_SLACK))
        return error_set(error, -ENOMEM, "metric history: out of memory");
    char *to = reading->bytes.data;
    for (size_t i = 0; i < part_count; to += parts[i++].length)
        parts[i].to = to;
    memset(to, 0, SAMPLES_SLACK);
    reading->bytes.length = bytes;
    return part_count == 0 ? 0 : partition_piece_take_parts(txn, piece, parts, part_count, error);
}

/* 1 it is there; 0 it is damaged, which was told. */
static int take_chunk(struct reading *reading, struct partition_txn *txn, uint64_t last, struct partition_piece piece,
                      struct error *error) {
    unsigned char fixed[SAMPLES_CHUNK_FIXED];
    int result =
        piece.size < sizeof(fixed) ? -EILSEQ : partition_piece_take(txn, piece, 0, sizeof(fixed), fixed, error);
    size_t length = result == 0 ? samples_chunk_head_length(fixed, piece.size) : 0;
    if (result == 0 && length == 0)
        result = -EILSEQ;
    buffer_clear(&reading->bytes);
    if (result == 0 && !buffer_reserve(&reading->bytes, length))
        result = error_set(error, -ENOMEM, "metric history: out of memory");
    if (result == 0)
        result = partition_piece_take(txn, piece, 0, length, reading->bytes.data, error);
    if (result == 0) {
        struct text head = { reading->bytes.data, length };
        result = samples_chunk_open(head, piece.size, reading->group, last, &reading->chunk) < 0 ? -EILSEQ : 0;
    }
    if (result == -EILSEQ) {
        tell(reading, "columns are damaged", last);
        return 0;
    }
    if (result == 0)
        result = take_columns(reading, txn, piece, error);
    return result < 0 ? result : 1;
}

/* Decode a column: its values, or NULL where it is damaged or of the wrong kind (told); histograms are in reading->column and listed. */
static const double *decode(struct reading *reading, size_t chosen, uint64_t last, bool histogram, int *result) {
    unsigned index = reading->chosen[chosen].number % SAMPLES_GROUP;
    struct text bytes = { reading->bytes.data + reading->places[chosen], reading->chunk.lengths[index] };
    uint64_t seed = samples_seed(reading->group, last) + index;
    size_t ticks = reading->chunk.ticks;
    *result = histogram ? samples_column_decode(bytes, seed, ticks, &reading->column)
                        : samples_column_decode_doubles(bytes, seed, ticks, reading->values);
    if (*result == -ENOMEM) {
        error_set(reading->error, -ENOMEM, "metric history: out of memory");
        return NULL;
    }
    if (*result == 0 && !histogram)
        return reading->values;
    if (*result == 0 && reading->column.histogram) {
        list_buckets(reading);
        return reading->column.values;
    }
    tell(reading, "a column is damaged", last);
    *result = 0;
    return NULL;
}

static int visit_chunk(struct reading *reading, uint64_t last) {
    int result = 0;
    for (size_t i = 0; i < reading->count && result == 0; i++) {
        const struct samples_chosen *chosen = &reading->chosen[i];
        if (reading->chunk.lengths[chosen->number % SAMPLES_GROUP] == 0)
            continue;
        bool histogram = is_histogram(reading, chosen);
        const double *values = decode(reading, i, last, histogram, &result);
        for (size_t run = 0; values && run < reading->chunk.run_count && result == 0; run++)
            result = visit_run(reading, chosen->series, reading->chunk.runs[run], values, histogram);
    }
    return result;
}

/* --- rows --- */

static int visit_row_runs(struct reading *reading, size_t series, bool histogram) {
    const struct samples_rows *rows = reading->rows;
    int result = 0;
    for (size_t at = 0, next; at < rows->count && result == 0; at = next) {
        for (next = at + 1; next < rows->count && rows->ticks[next] == rows->ticks[next - 1] + 1;)
            next++;
        struct samples_run run = { rows->ticks[at], at, next - at };
        result = visit_run(reading, series, run, reading->column.values, histogram);
    }
    return result;
}

static int visit_rows(struct reading *reading) {
    int result = 0;
    samples_rows_open(reading->rows, reading->group);
    if (reading->rows->count < reading->rows->loaded)
        tell(reading, "a row is damaged", reading->rows->damaged_tick);
    for (size_t i = 0; i < reading->count && result == 0; i++) {
        const struct samples_chosen *chosen = &reading->chosen[i];
        bool histogram = is_histogram(reading, chosen);
        int any = samples_rows_column(reading->rows, chosen->number % SAMPLES_GROUP, &reading->column);
        if (any < 0)
            return error_set(reading->error, any, "metric history: out of memory");
        if (any == 0)
            continue;
        if (reading->column.histogram != histogram) {
            tell(reading, "a row is damaged", reading->rows->ticks[0]);
            continue;
        }
        if (histogram)
            list_buckets(reading);
        result = visit_row_runs(reading, chosen->series, histogram);
    }
    return result;
}

/* --- a group --- */

enum found { FOUND_NOTHING, FOUND_CHUNK, FOUND_ROWS, FOUND_DAMAGE };

/* What has the tick, or the next one behind it: copied out. *ret_last: the last tick of that. */
static int fetch(struct reading *reading, uint64_t tick, uint64_t *ret_last, struct error *error) {
    struct partition_txn *txn;
    struct partition_piece piece;
    uint32_t group;
    int result = partition_begin(reading->member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_columns_seek(txn, reading->group, tick, false, &group, ret_last, &piece, error);
    if (result == 1 && (group < reading->group || (group == reading->group && *ret_last < tick)))
        result = error_set(error, -EBADMSG, "its columns are out of order");
    if (result == 1 && group == reading->group) {
        result = take_chunk(reading, txn, *ret_last, piece, error);
        result = result < 0 ? result : result == 0 ? FOUND_DAMAGE : FOUND_CHUNK;
    } else if (result >= 0) {
        result = samples_rows_load(reading->rows, txn, reading->group, tick, error);
        if (result == 0 && reading->rows->loaded > 0) {
            *ret_last = reading->rows->loaded_ticks[reading->rows->loaded - 1];
            result = FOUND_ROWS;
        }
    }
    partition_abort(txn);
    return result;
}

static int read_group(struct reading *reading) {
    struct error why = { "" };
    uint64_t tick = reading->start, last = 0;
    int result = 0;
    while (tick <= reading->end && result == 0) {
        int found = fetch(reading, tick, &last, &why);
        if (found < 0)
            return samples_member_result(reading->selection->reader, reading->member, found, &why, reading->error);
        if (found == FOUND_NOTHING)
            break;
        if (found == FOUND_CHUNK)
            result = visit_chunk(reading, last);
        else if (found == FOUND_ROWS)
            result = visit_rows(reading);
        if (last == UINT64_MAX)
            break;
        tick = last + 1;
    }
    return result;
}

/* --- all of it --- */

static int read_member(struct reading *reading, const struct samples_chosen_of *of) {
    uint64_t interval = of->member->head.interval_ns;
    int result = 0;
    reading->member = of->member;
    reading->start = reading->start_ns / interval + (reading->start_ns % interval != 0);
    reading->end = reading->end_ns / interval;
    for (size_t i = 0; i < of->count && result == 0 && of->member->partition;) {
        reading->group = of->chosen[i].number / SAMPLES_GROUP;
        reading->chosen = of->chosen + i;
        for (reading->count = 0; i < of->count && of->chosen[i].number / SAMPLES_GROUP == reading->group; i++)
            reading->count++;
        result = read_group(reading);
    }
    return result;
}

static void finish(struct reading *reading) {
    buffer_finish(&reading->bytes);
    samples_column_finish(&reading->column);
    samples_rows_destroy(reading->rows);
    free(reading);
}

int samples_read(struct samples_selection *selection, uint64_t start_ns, uint64_t end_ns,
                 int (*visit)(void *argument, const struct samples_block *block), void *argument, struct error *error) {
    struct reading *reading = calloc(1, sizeof(*reading));
    if (!reading)
        return error_set(error, -ENOMEM, "metric history: out of memory");
    reading->rows = samples_rows_create();
    if (!reading->rows || samples_column_init(&reading->column) < 0) {
        samples_rows_destroy(reading->rows);
        free(reading);
        return error_set(error, -ENOMEM, "metric history: out of memory");
    }
    reading->selection = selection;
    reading->start_ns = start_ns;
    reading->end_ns = end_ns;
    reading->visit = visit;
    reading->argument = argument;
    reading->error = error;
    int result = 0;
    for (size_t i = 0; i < selection->of_count && result == 0; i++)
        if (samples_member_may_have(selection->of[i].member, start_ns, end_ns))
            result = read_member(reading, &selection->of[i]);
    finish(reading);
    return result;
}

/* --- histograms --- */

uint64_t samples_histogram_count(const struct samples_block *block, size_t index) {
    const struct samples_histograms *histograms = block->histograms;
    check(histograms && index < block->count);
    if (samples_is_hole(histograms->sums[index]))
        return 0;
    uint64_t count = histograms->zeros[index];
    for (size_t i = 0; i < histograms->bucket_count; i++)
        count += histograms->buckets[i].counts[index];
    return count;
}

int samples_histogram_at(const struct samples_block *block, size_t index, struct histogram *ret) {
    const struct samples_histograms *histograms = block->histograms;
    check(histograms && index < block->count);
    if (samples_is_hole(histograms->sums[index]))
        return -ENODATA;
    struct histogram histogram = { .sum = histograms->sums[index], .zero = histograms->zeros[index] };
    for (size_t i = 0; i < histograms->bucket_count; i++) {
        const struct samples_bucket *bucket = &histograms->buckets[i];
        if (bucket->counts[index] == 0)
            continue;
        uint64_t **octave = &histogram.octaves[bucket->octave];
        if (!*octave)
            *octave = calloc(HISTOGRAM_BUCKETS, sizeof(uint64_t));
        if (!*octave) {
            histogram_finish(&histogram);
            return -ENOMEM;
        }
        (*octave)[bucket->bucket] = bucket->counts[index];
    }
    *ret = histogram;
    return 0;
}
