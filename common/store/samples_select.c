/* samples_select.c - the series that match, out of all partitions that may have samples of the time. */
#include <errno.h>
#include <stdlib.h>

#include "common/store/samples_reader_private.h"

enum { TABLE_LEAST = 256, SERIES_AT_A_TIME = 1024 /* of a transaction */ };

/* --- the selection as it grows --- */

static int grow_table(struct samples_selection *selection) {
    size_t size = selection->table_size ? selection->table_size * 2 : TABLE_LEAST;
    uint32_t *table = calloc(size, sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < selection->count; i++) {
        size_t at = selection->series[i].hash & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(selection->table);
    selection->table = table;
    selection->table_size = size;
    return 0;
}

static int grow_series(struct samples_selection *selection) {
    size_t capacity = selection->capacity ? selection->capacity * 2 : 64;
    struct samples_selected *series = reallocarray(selection->series, capacity, sizeof(*series));
    if (!series)
        return -ENOMEM;
    selection->series = series;
    selection->capacity = capacity;
    return 0;
}

/* Where it is, or the empty place where it would be. */
static uint32_t *place_of(struct samples_selection *selection, const struct samples_definition *definition,
                          uint64_t hash) {
    size_t at = hash & (selection->table_size - 1);
    for (; selection->table[at]; at = (at + 1) & (selection->table_size - 1)) {
        const struct samples_selected *other = &selection->series[selection->table[at] - 1];
        if (other->hash == hash && samples_definition_same(&other->definition, definition))
            break;
    }
    return &selection->table[at];
}

/* Find or add; a later partition's definition takes the place of an earlier one's. */
static int keep_series(struct samples_selection *selection, size_t most, struct text encoded, uint32_t number,
                       size_t *ret, struct error *error) {
    struct samples_definition definition;
    if ((selection->count + 1) * 2 > selection->table_size && grow_table(selection) < 0)
        return error_set(error, -ENOMEM, "metric history: out of memory");
    if (selection->count == selection->capacity && grow_series(selection) < 0)
        return error_set(error, -ENOMEM, "metric history: out of memory");
    char *bytes = malloc(encoded.length);
    if (!bytes)
        return error_set(error, -ENOMEM, "metric history: out of memory");
    memcpy(bytes, encoded.data, encoded.length);
    (void)samples_definition_decode((struct text) { bytes, encoded.length }, number, &definition);
    uint64_t hash = samples_definition_hash(&definition);
    uint32_t *place = place_of(selection, &definition, hash);
    if (*place == 0 && selection->count >= most) {
        free(bytes);
        return error_set(error, -E2BIG, "more than %zu series match; ask for fewer", most);
    }
    if (*place == 0) {
        selection->series[selection->count++].bytes = NULL;
        *place = (uint32_t)selection->count;
    }
    struct samples_selected *series = &selection->series[*place - 1];
    free(series->bytes);
    *series = (struct samples_selected) { .definition = definition, .bytes = bytes, .hash = hash };
    *ret = *place - 1;
    return 0;
}

static int keep_number(struct samples_chosen_of *of, uint32_t number, size_t series) {
    if (of->count == of->capacity) {
        size_t capacity = of->capacity ? of->capacity * 2 : 64;
        struct samples_chosen *chosen = reallocarray(of->chosen, capacity, sizeof(*chosen));
        if (!chosen)
            return -ENOMEM;
        of->chosen = chosen;
        of->capacity = capacity;
    }
    of->chosen[of->count++] = (struct samples_chosen) { number, series };
    return 0;
}

/* --- a partition's series --- */

struct choosing {
    struct samples_selection *selection;
    const struct samples_want *want;
    struct samples_chosen_of *of;
    struct buffer bytes;
    size_t most;
    struct error why;
    struct error *error;
};

/* Look at one series. A damaged one is told of and passed over. Positive: not to be counted as the store's failure. */
static int judge(struct choosing *choosing, uint32_t number, struct partition_txn *txn, struct partition_piece piece) {
    struct samples_definition definition;
    struct buffer *bytes = &choosing->bytes;
    size_t series = 0;
    buffer_clear(bytes);
    if (piece.size > METRIC_LABELS_BYTES * 4 || !buffer_reserve(bytes, piece.size + 1)) {
        samples_member_tell(choosing->selection->reader, choosing->of->member, "a series is damaged");
        return 0;
    }
    int result = partition_piece_take(txn, piece, 0, piece.size, bytes->data, &choosing->why);
    if (result < 0)
        return result;
    bytes->length = piece.size;
    if (samples_definition_decode(buffer_text(bytes), number, &definition) < 0) {
        samples_member_tell(choosing->selection->reader, choosing->of->member, "a series is damaged");
        return 0;
    }
    const struct samples_want *want = choosing->want;
    struct text head = definition.family;
    if (want->family.length > 0) {
        head.length = want->prefix && head.length > want->family.length ? want->family.length : head.length;
        if (!text_equal(head, want->family))
            return 0;
    }
    if (want->match && !want->match(want->argument, &definition))
        return 0;
    result = keep_series(choosing->selection, choosing->most, buffer_text(bytes), number, &series, &choosing->why);
    if (result == 0 && keep_number(choosing->of, number, series) < 0)
        result = error_set(&choosing->why, -ENOMEM, "metric history: out of memory");
    return result;
}

/* Some series from *number on, of all: 1 there may be more. */
static int walk_numbers(struct choosing *choosing, struct partition_txn *txn, uint32_t *number) {
    for (unsigned i = 0; i < SERIES_AT_A_TIME; i++) {
        uint32_t found;
        struct partition_piece piece;
        int result = partition_series_seek(txn, *number, false, &found, &piece, &choosing->why);
        if (result <= 0)
            return result;
        if (found < *number || found >= SAMPLES_SERIES_MAX)
            return error_set(&choosing->why, -EBADMSG, "its series are out of order");
        result = judge(choosing, found, txn, piece);
        if (result < 0)
            return result;
        *number = found + 1;
    }
    return 1;
}

/* Likewise of those of a family, or of some that begin so; family and number say where to go on. */
static int walk_families(struct choosing *choosing, struct partition_txn *txn, struct buffer *family,
                         uint32_t *number) {
    const struct samples_want *want = choosing->want;
    for (unsigned i = 0; i < SERIES_AT_A_TIME; i++) {
        uint32_t found, of;
        struct text name;
        struct partition_piece piece;
        int result = partition_family_seek(txn, buffer_text(family), *number, &name, &of, &choosing->why);
        if (result <= 0)
            return result;
        int order = text_compare(name, buffer_text(family));
        if (order < 0 || (order == 0 && of < *number) || of >= SAMPLES_SERIES_MAX)
            return error_set(&choosing->why, -EBADMSG, "its families are out of order");
        if (want->prefix ? !text_starts_with(name, want->family) : order != 0)
            return 0;
        buffer_clear(family);
        buffer_append_text(family, name);
        *number = of + 1;
        partition_forget(txn);
        result = partition_series_seek(txn, of, false, &found, &piece, &choosing->why);
        if (result == 1 && found == of)
            result = judge(choosing, of, txn, piece);
        if (result < 0)
            return result;
    }
    return 1;
}

static int choose_in(struct choosing *choosing) {
    _cleanup_buffer_ struct buffer family = BUFFER_EMPTY;
    uint32_t number = 0;
    int result = 1;
    buffer_append_text(&family, choosing->want->family);
    while (result == 1) {
        struct partition_txn *txn;
        result = partition_begin(choosing->of->member->partition, false, &txn, &choosing->why);
        if (result < 0)
            break;
        result =
            family.length == 0 ? walk_numbers(choosing, txn, &number) : walk_families(choosing, txn, &family, &number);
        partition_abort(txn);
    }
    return result == -E2BIG ? error_set(choosing->error, result, "%s", choosing->why.text)
                            : samples_member_result(choosing->selection->reader, choosing->of->member, result,
                                                    &choosing->why, choosing->error);
}

/* --- the order --- */

static int compare_series(const void *left, const void *right, void *argument) {
    const struct samples_selection *selection = argument;
    return samples_definition_compare(&selection->series[*(const uint32_t *)left].definition,
                                      &selection->series[*(const uint32_t *)right].definition);
}

static int compare_chosen(const void *left, const void *right) {
    const struct samples_chosen *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static int put_in_order(struct samples_selection *selection) {
    size_t count = selection->count;
    uint32_t *order = calloc(count + 1, sizeof(*order)), *place = calloc(count + 1, sizeof(*place));
    struct samples_selected *sorted = calloc(count + 1, sizeof(*sorted));
    int result = order && place && sorted ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && result == 0; i++)
        order[i] = (uint32_t)i;
    if (result == 0) {
        qsort_r(order, count, sizeof(order[0]), compare_series, selection);
        for (size_t i = 0; i < count; i++) {
            sorted[i] = selection->series[order[i]];
            place[order[i]] = (uint32_t)i;
        }
        for (size_t i = 0; i < selection->of_count; i++) {
            struct samples_chosen_of *of = &selection->of[i];
            for (size_t j = 0; j < of->count; j++)
                of->chosen[j].series = place[of->chosen[j].series];
            if (of->count > 1)
                qsort(of->chosen, of->count, sizeof(of->chosen[0]), compare_chosen);
        }
        free(selection->series);
        selection->series = sorted;
        sorted = NULL;
    }
    free(order);
    free(place);
    free(sorted);
    free(selection->table);
    selection->table = NULL;
    return result;
}

int samples_select(struct samples_reader *reader, const struct samples_want *want, struct samples_selection **ret,
                   struct error *error) {
    struct samples_selection *selection = calloc(1, sizeof(*selection));
    if (selection)
        selection->of = calloc(reader->count + 1, sizeof(selection->of[0]));
    if (!selection || !selection->of) {
        samples_selection_free(selection);
        return error_set(error, -ENOMEM, "metric history: out of memory");
    }
    selection->reader = reader;
    struct choosing choosing = {
        .selection = selection, .want = want, .most = want->most ? want->most : SAMPLES_SERIES_MAX, .error = error
    };
    int result = want->family.length < METRIC_FAMILY_BYTES ? 0 : 1; /* so long is none: nothing matches */
    for (size_t i = 0; i < reader->count && result == 0; i++) {
        struct samples_member *member = reader->members[i];
        if (!samples_member_may_have(member, want->start_ns, want->end_ns))
            continue;
        result = samples_member_use(reader, member, error);
        if (result <= 0)
            continue;
        choosing.of = &selection->of[selection->of_count++];
        choosing.of->member = member;
        result = choose_in(&choosing);
    }
    buffer_finish(&choosing.bytes);
    if (result >= 0 && put_in_order(selection) < 0)
        result = error_set(error, -ENOMEM, "metric history: out of memory");
    if (result < 0) {
        samples_selection_free(selection);
        return result;
    }
    *ret = selection;
    return 0;
}

void samples_selection_free(struct samples_selection *selection) {
    if (!selection)
        return;
    for (size_t i = 0; i < selection->count && selection->series; i++)
        free(selection->series[i].bytes);
    for (size_t i = 0; i < selection->of_count; i++)
        free(selection->of[i].chosen);
    free(selection->series);
    free(selection->table);
    free(selection->of);
    free(selection);
}

size_t samples_selection_count(const struct samples_selection *selection) {
    return selection->count;
}

const struct samples_definition *samples_selection_at(const struct samples_selection *selection, size_t index) {
    return &selection->series[index].definition;
}
