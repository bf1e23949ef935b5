/* samples_verify.c - reading all of a partition of samples, in verify_child.c's process: every checksum, and that everything is in its place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/samples_private.h"
#include "common/store/verify_private.h"

enum { AT_A_TIME = 256 /* values of a transaction: a long one would keep the writer from using its pages again */ };

struct checking {
    struct verify_run *run;
    uint32_t series;
    struct samples_chunk chunk;
    struct samples_column column;
    struct buffer bytes;
    unsigned taken; /* in this transaction */
};

static void fault_at(struct checking *checking, const char *what, uint32_t group, uint64_t tick) {
    char line[160];
    snprintf(line, sizeof(line), "group %u, tick %llu: %s", group, (unsigned long long)tick, what);
    verify_fault(checking->run, line);
}

/* Copy a value, with slack behind it. */
static bool take(struct checking *checking, struct partition_piece piece, struct error *error) {
    struct buffer *bytes = &checking->bytes;
    buffer_clear(bytes);
    if (!buffer_reserve(bytes, piece.size + SAMPLES_SLACK) ||
        partition_piece_take(checking->run->txn, piece, 0, piece.size, bytes->data, error) < 0)
        return false;
    bytes->length = piece.size;
    memset(bytes->data + bytes->length, 0, SAMPLES_SLACK);
    return true;
}

static int renew(struct checking *checking, struct error *error) {
    struct verify_run *run = checking->run;
    if (++checking->taken % AT_A_TIME != 0)
        return 0;
    partition_abort(run->txn);
    run->txn = NULL;
    return partition_begin(run->partition, false, &run->txn, error);
}

/* --- series --- */

static void check_one_series(struct checking *checking, uint32_t number, struct partition_piece piece) {
    struct error error = { "" };
    struct samples_definition definition;
    struct text family;
    char line[64];
    uint32_t found;
    const char *what = NULL;
    if (!take(checking, piece, &error) ||
        samples_definition_decode(buffer_text(&checking->bytes), number, &definition) < 0)
        what = "it is damaged";
    else if (partition_family_seek(checking->run->txn, definition.family, number, &family, &found, &error) != 1 ||
             found != number || !text_equal(family, definition.family))
        what = "it is not found by its family";
    snprintf(line, sizeof(line), "series %u: %s", number, what ? what : "");
    if (what)
        verify_fault(checking->run, line);
}

static void check_series(struct checking *checking) {
    struct error error = { "" };
    struct partition_samples_counts counts = { 0 };
    struct partition_piece piece;
    uint32_t number = 0;
    int result;
    while ((result = partition_series_seek(checking->run->txn, checking->series, false, &number, &piece, &error)) ==
               1 &&
           number == checking->series && number < SAMPLES_SERIES_MAX) {
        check_one_series(checking, number, piece);
        partition_forget(checking->run->txn);
        checking->series++;
    }
    if (result == 1)
        verify_fault(checking->run, "a series is missing");
    else if (result == 0)
        result = partition_samples_count(checking->run->txn, &counts, &error);
    if (result < 0)
        verify_fault(checking->run, error.text);
    else if (result == 0 && (counts.series != checking->series || counts.families != checking->series))
        verify_fault(checking->run, "there are more ways to series than series");
    checking->run->result.series = checking->series;
}

/* --- columns --- */

static void count_samples(struct checking *checking, const double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        checking->run->result.samples += !samples_is_hole(values[i]);
}

static void check_columns_of(struct checking *checking, uint32_t group, uint64_t last, uint64_t before) {
    const struct buffer *bytes = &checking->bytes;
    const unsigned char *fixed = (const unsigned char *)bytes->data;
    struct samples_chunk *chunk = &checking->chunk;
    size_t head = bytes->length >= SAMPLES_CHUNK_FIXED ? samples_chunk_head_length(fixed, bytes->length) : 0;
    if (head == 0 || samples_chunk_open((struct text) { bytes->data, head }, bytes->length, group, last, chunk) < 0) {
        fault_at(checking, "columns are damaged", group, last);
        return;
    }
    if (chunk->runs[0].first <= before)
        fault_at(checking, "columns overlap those before them", group, last);
    for (unsigned index = 0; index < SAMPLES_GROUP; index++) {
        if (chunk->lengths[index] == 0)
            continue;
        struct text column = { bytes->data + chunk->offsets[index], chunk->lengths[index] };
        if (group * SAMPLES_GROUP + index >= checking->series)
            fault_at(checking, "a column is of no series", group, last);
        else if (samples_column_decode(column, samples_seed(group, last) + index, chunk->ticks, &checking->column) < 0)
            fault_at(checking, "a column is damaged", group, last);
        else
            count_samples(checking, checking->column.values, chunk->ticks);
    }
}

static void check_columns(struct checking *checking) {
    struct error error = { "" };
    uint32_t at_group = 0, group = 0;
    uint64_t at = 0, last = 0;
    int result = 1;
    while (result == 1) {
        struct partition_piece piece;
        result = partition_columns_seek(checking->run->txn, at_group, at, false, &group, &last, &piece, &error);
        if (result != 1)
            break;
        bool same = group == at_group;
        if (group < at_group || (same && last < at) || group > SAMPLES_SERIES_MAX / SAMPLES_GROUP ||
            last == UINT64_MAX) {
            verify_fault(checking->run, "the columns are out of order");
            break;
        }
        if (!take(checking, piece, &error))
            break;
        check_columns_of(checking, group, last, same && at > 0 ? at - 1 : 0);
        at_group = group;
        at = last + 1;
        result = renew(checking, &error) < 0 ? -1 : 1;
    }
    if (error.text[0])
        verify_fault(checking->run, error.text);
}

/* --- rows --- */

static void check_row(struct checking *checking, uint32_t group, uint64_t tick) {
    struct samples_row row;
    struct samples_entry entry;
    struct error error = { "" };
    struct partition_piece piece;
    uint32_t of;
    uint64_t last;
    if (samples_row_open(buffer_text(&checking->bytes), samples_seed(group, tick), &row) < 0) {
        fault_at(checking, "a row is damaged", group, tick);
        return;
    }
    for (unsigned index = 0; index < SAMPLES_GROUP; index++) {
        if (!samples_bit(row.bitmap, index))
            continue;
        if (samples_row_next(&row, &entry) < 0 || group * SAMPLES_GROUP + index >= checking->series) {
            fault_at(checking, "a row is damaged", group, tick);
            return;
        }
        checking->run->result.samples++;
    }
    if (partition_columns_seek(checking->run->txn, group, tick, false, &of, &last, &piece, &error) == 1 && of == group)
        fault_at(checking, "a row stands before columns", group, tick);
}

static void check_rows(struct checking *checking) {
    struct error error = { "" };
    uint64_t at = 0, tick = 0;
    uint32_t at_group = 0, group = 0;
    int result = 1;
    while (result == 1) {
        struct partition_piece piece;
        result = partition_row_seek(checking->run->txn, at, at_group, false, &tick, &group, &piece, &error);
        if (result != 1)
            break;
        if (tick < at || (tick == at && group < at_group) || group > SAMPLES_SERIES_MAX / SAMPLES_GROUP) {
            verify_fault(checking->run, "the rows are out of order");
            break;
        }
        if (!take(checking, piece, &error))
            break;
        check_row(checking, group, tick);
        at = tick;
        at_group = group + 1;
        result = renew(checking, &error) < 0 ? -1 : 1;
    }
    if (error.text[0])
        verify_fault(checking->run, error.text);
}

/* --- all of it --- */

void verify_samples(struct verify_run *run, const char *path) {
    struct error error = { "" };
    struct partition_meta meta;
    struct samples_head head;
    struct checking checking = { .run = run };
    run->result.verdict = PARTITION_SOUND;
    if (partition_samples_open(path, PARTITION_READ, 0, &run->partition, &error) < 0 ||
        partition_begin(run->partition, false, &run->txn, &error) < 0 ||
        partition_meta_get(run->txn, &meta, &error) < 0 ||
        (meta.ready && samples_head_get(run->txn, &head, &error) < 0)) {
        verify_fault(run, error.text);
        run->result.verdict = PARTITION_UNREADABLE;
        return;
    }
    if (samples_column_init(&checking.column) < 0) {
        verify_fault(run, "out of memory");
        return;
    }
    check_series(&checking);
    check_columns(&checking);
    if (run->txn)
        check_rows(&checking);
    samples_column_finish(&checking.column);
    buffer_finish(&checking.bytes);
}
