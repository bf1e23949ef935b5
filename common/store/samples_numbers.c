/* samples_numbers.c - the numbers that series have in the partition that is written. */
#include <errno.h>
#include <stdlib.h>

#include "common/store/samples_writer_private.h"

enum { TABLE_LEAST = 1024 };

void samples_numbers_finish(struct samples_numbers *numbers) {
    free(numbers->table);
    *numbers = (struct samples_numbers) { 0 };
}

static void insert(struct samples_number *table, size_t capacity, struct samples_number number) {
    size_t at = number.hash & (capacity - 1);
    while (table[at].number_and_1)
        at = (at + 1) & (capacity - 1);
    table[at] = number;
}

/* Room for one more: at least half of it stays empty. */
static int reserve(struct samples_numbers *numbers) {
    if ((size_t)numbers->count + 1 <= numbers->capacity / 2)
        return 0;
    size_t capacity = numbers->capacity ? numbers->capacity * 2 : TABLE_LEAST;
    struct samples_number *table = calloc(capacity, sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < numbers->capacity; i++)
        if (numbers->table[i].number_and_1)
            insert(table, capacity, numbers->table[i]);
    free(numbers->table);
    numbers->table = table;
    numbers->capacity = capacity;
    return 0;
}

static int add(struct samples_numbers *numbers, uint64_t hash, uint32_t number, struct error *error) {
    if (reserve(numbers) < 0)
        return error_set(error, -ENOMEM, "out of memory for the numbers of series");
    insert(numbers->table, numbers->capacity, (struct samples_number) { hash, number + 1 });
    numbers->count++;
    return 0;
}

/* The definition that is stored under the number, in `bytes`: 0; -EBADMSG. */
static int stored(struct partition_txn *txn, uint32_t number, struct buffer *bytes, struct samples_definition *ret,
                  struct error *error) {
    uint32_t found;
    struct partition_piece piece;
    int result = partition_series_seek(txn, number, false, &found, &piece, error);
    if (result < 0)
        return result;
    buffer_clear(bytes);
    if (result == 1 && found == number) {
        if (!buffer_reserve(bytes, piece.size + 1))
            return error_set(error, -ENOMEM, "out of memory");
        result = partition_piece_take(txn, piece, 0, piece.size, bytes->data, error);
        bytes->length = piece.size;
        if (result < 0 || samples_definition_decode(buffer_text(bytes), number, ret) == 0)
            return result;
    }
    return error_set(error, -EBADMSG, "%s: series %u is damaged", partition_path(partition_of(txn)), number);
}

/* A series that is damaged keeps its number; whoever comes with it gets another one. */
int samples_numbers_load(struct samples_numbers *numbers, struct partition_txn *txn, struct error *error) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    struct samples_definition definition;
    struct partition_piece piece;
    uint32_t last, count = 0;
    samples_numbers_finish(numbers);
    int result = partition_series_seek(txn, UINT32_MAX, true, &last, &piece, error);
    if (result <= 0)
        return result;
    if (last >= SAMPLES_SERIES_MAX)
        return error_set(error, -EBADMSG, "%s: a series has the number %u", partition_path(partition_of(txn)), last);
    for (; count <= last; count++) {
        result = stored(txn, count, &bytes, &definition, NULL);
        if (partition_txn_failed(txn) || result == -ENOMEM)
            return error_set(error, result, "%s: cannot read its series", partition_path(partition_of(txn)));
        if (result == 0)
            result = add(numbers, samples_definition_hash(&definition), count, error);
        if (result == -ENOMEM)
            return result;
    }
    numbers->count = count;
    return 0;
}

static int find(const struct samples_numbers *numbers, struct partition_txn *txn,
                const struct samples_definition *definition, uint64_t hash, uint32_t *ret, struct error *error) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    struct samples_definition other;
    if (numbers->capacity == 0)
        return 0;
    for (size_t at = hash & (numbers->capacity - 1); numbers->table[at].number_and_1;
         at = (at + 1) & (numbers->capacity - 1)) {
        if (numbers->table[at].hash != hash)
            continue;
        uint32_t number = numbers->table[at].number_and_1 - 1;
        int result = stored(txn, number, &bytes, &other, error);
        if (result < 0)
            return result;
        if (!samples_definition_same(&other, definition))
            continue;
        *ret = number;
        return 1;
    }
    return 0;
}

int samples_numbers_take(struct samples_numbers *numbers, struct partition_txn *txn,
                         const struct samples_definition *definition, uint32_t *ret, struct error *error) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    uint64_t hash = samples_definition_hash(definition);
    int result = find(numbers, txn, definition, hash, ret, error);
    if (result != 0)
        return result < 0 ? result : 0;
    uint32_t number = numbers->count;
    if (number >= SAMPLES_SERIES_MAX)
        return error_set(error, -ENFILE, "%s: it has %d series, which is the most", partition_path(partition_of(txn)),
                         SAMPLES_SERIES_MAX);
    samples_definition_encode(definition, number, &bytes);
    if (bytes.failed)
        return error_set(error, -ENOMEM, "out of memory");
    result = partition_series_put(txn, number, definition->family, buffer_text(&bytes), error);
    if (result == 0)
        result = add(numbers, hash, number, error);
    *ret = number;
    return result;
}
