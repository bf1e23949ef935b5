/* samples_rows.c - see samples_private.h: rows become columns. A column has one value of each row, which lie a row apart: so all rows are decoded first,
 * and then some series at a time are turned, those whose values share a line of the cache. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/samples_private.h"

enum { NOT_TURNED = SAMPLES_GROUP, LENGTH_BITS = 32 };

struct samples_rows *samples_rows_create(void) {
    struct samples_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        return NULL;
    rows->values = malloc(SAMPLES_ROWS_MAX * sizeof(rows->values[0]));
    if (rows->values)
        return rows;
    free(rows);
    return NULL;
}

void samples_rows_destroy(struct samples_rows *rows) {
    if (!rows)
        return;
    buffer_finish(&rows->bytes);
    free(rows->values);
    free(rows);
}

/* --- loading --- */

static int keep_row(struct samples_rows *rows, struct partition_txn *txn, uint64_t tick, struct partition_piece piece,
                    struct error *error) {
    struct buffer *bytes = &rows->bytes;
    if (!buffer_reserve(bytes, piece.size + SAMPLES_SLACK))
        return error_set(error, -ENOMEM, "out of memory");
    int result = partition_piece_take(txn, piece, 0, piece.size, bytes->data + bytes->length, error);
    if (result < 0)
        return result;
    rows->loaded_ticks[rows->loaded] = tick;
    rows->offsets[rows->loaded] = bytes->length;
    rows->lengths[rows->loaded++] = piece.size;
    bytes->length += piece.size;
    return 0;
}

int samples_rows_load(struct samples_rows *rows, struct partition_txn *txn, uint32_t group, uint64_t from,
                      struct error *error) {
    uint64_t tick = from;
    rows->count = rows->loaded = 0;
    buffer_clear(&rows->bytes);
    while (rows->loaded < SAMPLES_ROWS_MAX) {
        uint64_t found;
        uint32_t of;
        struct partition_piece piece;
        int result = partition_row_seek(txn, tick, group, false, &found, &of, &piece, error);
        if (result <= 0)
            return result;
        if (found < tick || (found == tick && of < group)) /* of a damaged tree: it ends all the same */
            return error_set(error, -EBADMSG, "%s: its rows are out of order", partition_path(partition_of(txn)));
        if (of == group)
            result = keep_row(rows, txn, found, piece, error);
        if (result < 0)
            return result;
        if (of >= group && found == UINT64_MAX)
            return 0;
        tick = of >= group ? found + 1 : found;
    }
    return 0;
}

/* --- decoding --- */

static bool decode_row(struct samples_rows *rows, size_t loaded, uint64_t seed, size_t at) {
    struct text bytes = { rows->bytes.data + rows->offsets[loaded], rows->lengths[loaded] };
    struct samples_row row;
    struct samples_entry entry;
    if (samples_row_open(bytes, seed, &row) < 0)
        return false;
    memcpy(rows->present[at], row.bitmap, SAMPLES_BITMAP);
    memset(rows->kinds[at], 0, SAMPLES_BITMAP);
    for (unsigned byte = 0; byte < SAMPLES_BITMAP; byte++)
        for (unsigned bits = row.bitmap[byte]; bits; bits &= bits - 1) {
            unsigned index = byte * 8 + (unsigned)__builtin_ctz(bits);
            if (samples_row_next(&row, &entry) < 0)
                return false;
            if (entry.histogram) {
                rows->kinds[at][byte] |= (unsigned char)(1 << index % 8);
                rows->values[at][index] =
                    (uint64_t)(entry.encoded.data - rows->bytes.data) << LENGTH_BITS | entry.encoded.length;
            } else {
                rows->values[at][index] = samples_bits_of(entry.value);
            }
        }
    return row.cursor.at == row.cursor.end;
}

void samples_rows_open(struct samples_rows *rows, uint32_t group) {
    rows->count = 0;
    rows->turned = NOT_TURNED;
    if (rows->loaded > 0)
        memset(rows->bytes.data + rows->bytes.length, 0, SAMPLES_SLACK);
    for (size_t i = 0; i < rows->loaded; i++) {
        uint64_t tick = rows->loaded_ticks[i];
        if (rows->bytes.length <= UINT32_MAX && decode_row(rows, i, samples_seed(group, tick), rows->count))
            rows->ticks[rows->count++] = tick;
        else
            rows->damaged_tick = tick;
    }
}

/* --- turning --- */

static void turn(struct samples_rows *rows, unsigned batch) {
    rows->turned = batch;
    rows->any = rows->any_histogram = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const uint64_t *from = &rows->values[i][batch * SAMPLES_LANES];
        unsigned present = rows->present[i][batch];
        rows->any |= (unsigned char)present;
        rows->any_histogram |= rows->kinds[i][batch];
        for (unsigned lane = 0; lane < SAMPLES_LANES; lane++)
            rows->lanes[lane][i] = present >> lane & 1 ? from[lane] : SAMPLES_HOLE_BITS;
    }
}

static int add_histogram(struct samples_column *column, size_t at, struct text encoded) {
    struct histogram histogram = HISTOGRAM_EMPTY;
    int result = histogram_decode(encoded, &histogram);
    if (result < 0)
        return result;
    column->values[at] = histogram.sum;
    column->zeros[at] = histogram.zero;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES && result == 0; octave++) {
        for (unsigned bucket = 0; histogram.octaves[octave] && bucket < HISTOGRAM_BUCKETS; bucket++) {
            if (histogram.octaves[octave][bucket] == 0)
                continue;
            uint64_t *counts = samples_column_bucket(column, octave, bucket);
            if (!counts) {
                result = -ENOMEM;
                break;
            }
            counts[at] = histogram.octaves[octave][bucket];
        }
    }
    histogram_finish(&histogram);
    return result;
}

/* Of a series that has histograms, numbers are holes (none of ours has both), and so is what is no histogram. */
static int histogram_column(struct samples_rows *rows, unsigned lane, struct samples_column *column) {
    bool any = false;
    column->histogram = true;
    for (size_t i = 0; i < rows->count; i++) {
        uint64_t place = rows->lanes[lane][i];
        column->values[i] = samples_hole();
        column->zeros[i] = 0;
        if (!(rows->kinds[i][rows->turned] & rows->present[i][rows->turned] & 1u << lane))
            continue;
        struct text encoded = { rows->bytes.data + (place >> LENGTH_BITS), (uint32_t)place };
        if (add_histogram(column, i, encoded) == -ENOMEM)
            return -ENOMEM;
        any |= !samples_is_hole(column->values[i]);
    }
    return any;
}

int samples_rows_column(struct samples_rows *rows, unsigned index, struct samples_column *column) {
    unsigned lane = index % SAMPLES_LANES;
    check(index < SAMPLES_GROUP);
    if (rows->turned != index / SAMPLES_LANES)
        turn(rows, index / SAMPLES_LANES);
    if (!(rows->any >> lane & 1))
        return 0;
    samples_column_clear(column);
    column->count = rows->count;
    if (rows->any_histogram >> lane & 1)
        return histogram_column(rows, lane, column);
    bool any = false;
    memcpy(column->values, rows->lanes[lane], rows->count * sizeof(double));
    for (size_t i = 0; i < rows->count && !any; i++)
        any = !samples_is_hole(column->values[i]);
    return any;
}
