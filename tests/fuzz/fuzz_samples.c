/* What stands in a partition of samples. First byte: 0 a column of as many ticks as the second byte says (and twice that and one: columns are up to 512
 * ticks long), 1 a row, 2 a chunk, 3 a definition; the rest with the right checksums put behind it (of a chunk: in its head, and behind each column). A
 * column that is decoded is the same when it was encoded again. */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/store/samples_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GROUP = 3, LAST = 1000, HEAD_SUM = 8 };

/* The bytes, and behind them what may be read, in memory of just that size. */
static char *copy_of(const void *bytes, size_t size) {
    char *copy = malloc(size + SAMPLES_SLACK);
    check(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    memset(copy + size, 0, SAMPLES_SLACK);
    return copy;
}

static void seal(char *bytes, size_t size, size_t sum_size, uint64_t seed) {
    uint64_t sum = htole64(hash_bytes_seeded(bytes, size - sum_size, seed));
    memcpy(bytes + size - sum_size, &sum, sum_size);
}

static void same(const struct samples_column *a, const struct samples_column *b) {
    check(a->count == b->count && a->histogram == b->histogram);
    check(memcmp(a->values, b->values, a->count * sizeof(double)) == 0);
    check(!a->histogram || memcmp(a->in_use, b->in_use, sizeof(a->in_use)) == 0);
}

static bool has_value(const struct samples_column *column) {
    for (size_t i = 0; i < column->count; i++)
        if (!samples_is_hole(column->values[i]))
            return true;
    return false;
}

static void look_at_column(char *bytes, size_t size, uint64_t seed, size_t ticks) {
    struct samples_column column, again;
    struct buffer encoded = BUFFER_EMPTY;
    double values[SAMPLES_TICKS_MAX];
    if (size < SAMPLES_COLUMN_SUM)
        return;
    seal(bytes, size, SAMPLES_COLUMN_SUM, seed);
    check(samples_column_init(&column) == 0 && samples_column_init(&again) == 0);
    int result = samples_column_decode((struct text) { bytes, size }, seed, ticks, &column);
    int doubles = samples_column_decode_doubles((struct text) { bytes, size }, seed, ticks, values);
    check(result != 0 || doubles == column.histogram);
    check(result != 0 || doubles != 0 || memcmp(values, column.values, ticks * sizeof(double)) == 0);
    if (result == 0 && has_value(&column)) {
        double before[SAMPLES_TICKS_MAX];
        memcpy(before, column.values, ticks * sizeof(double));
        samples_column_encode(&column, seed, &encoded);
        memcpy(column.values, before, ticks * sizeof(double)); /* holes were filled */
        check(buffer_reserve(&encoded, SAMPLES_SLACK));
        check(samples_column_decode(buffer_text(&encoded), seed, ticks, &again) == 0);
        same(&column, &again);
    }
    buffer_finish(&encoded);
    samples_column_finish(&column);
    samples_column_finish(&again);
}

static void look_at_row(char *bytes, size_t size) {
    struct samples_row row;
    struct samples_entry entry;
    struct histogram histogram;
    if (size < HEAD_SUM)
        return;
    seal(bytes, size, HEAD_SUM, samples_seed(GROUP, LAST));
    if (samples_row_open((struct text) { bytes, size }, samples_seed(GROUP, LAST), &row) < 0)
        return;
    for (unsigned index = 0; index < SAMPLES_GROUP; index++) {
        if (!samples_bit(row.bitmap, index))
            continue;
        if (samples_row_next(&row, &entry) < 0)
            break;
        if (entry.histogram && histogram_decode(entry.encoded, &histogram) == 0)
            histogram_finish(&histogram);
    }
}

static void look_at_chunk(char *bytes, size_t size) {
    static struct samples_chunk chunk;
    if (size < SAMPLES_CHUNK_FIXED)
        return;
    size_t head = samples_chunk_head_length((unsigned char *)bytes, size);
    if (head == 0)
        return;
    seal(bytes, head, HEAD_SUM, samples_seed(GROUP, LAST));
    if (samples_chunk_open((struct text) { bytes, head }, size, GROUP, LAST, &chunk) < 0)
        return;
    size_t ticks = 0;
    for (size_t i = 0; i < chunk.run_count; i++) {
        check(chunk.runs[i].at == ticks && chunk.runs[i].count > 0);
        check(chunk.runs[i].first + chunk.runs[i].count - 1 <= LAST);
        ticks += chunk.runs[i].count;
    }
    check(ticks == chunk.ticks && ticks <= SAMPLES_TICKS_MAX);
    for (unsigned index = 0; index < SAMPLES_GROUP; index++) {
        if (chunk.lengths[index] == 0)
            continue;
        char *column = copy_of(bytes + chunk.offsets[index], chunk.lengths[index]);
        look_at_column(column, chunk.lengths[index], samples_seed(GROUP, LAST) + index, ticks);
        free(column);
    }
}

static void look_at_definition(char *bytes, size_t size) {
    struct samples_definition definition;
    struct buffer again = BUFFER_EMPTY;
    if (size < HEAD_SUM)
        return;
    seal(bytes, size, HEAD_SUM, 7);
    if (samples_definition_decode((struct text) { bytes, size }, 7, &definition) == 0) {
        struct samples_definition other;
        samples_definition_encode(&definition, 7, &again);
        check(samples_definition_decode(buffer_text(&again), 7, &other) == 0);
        check(samples_definition_same(&definition, &other) && samples_definition_compare(&definition, &other) == 0);
    }
    buffer_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t skip = data[0] % 4 == 0 ? 2 : 1;
    char *bytes = copy_of(data + skip, size - skip);
    switch (data[0] % 4) {
    case 0:
        look_at_column(bytes, size - skip, 1, data[1] == 0 ? 1 : data[1]);
        look_at_column(bytes, size - skip, 1, data[1] * 2u + 1);
        break;
    case 1:
        look_at_row(bytes, size - skip);
        break;
    case 2:
        look_at_chunk(bytes, size - skip);
        break;
    default:
        look_at_definition(bytes, size - skip);
    }
    free(bytes);
    return 0;
}
