#include "collector/fold_memo.h"

#include <stdlib.h>
#include <string.h>

#include "collector/series.h"
#include "common/base/hash.h"

enum { FIRST = 1024, LARGEST = 1 << 22, WAYS = 2 };
enum { FIXTEXT = 0xa0, FIXTEXT_MAX = 31, TEXT8 = 0xd9, NIL = 0xc0 }; /* as msgpack has them */

static struct fold_memo_entry *place(const struct fold_memo *memo, uint64_t hash) {
    return &memo->entries[hash & (memo->size - WAYS)];
}

/* The text at the beginning of `rest`, which goes on behind it. */
static bool take_text(struct text *rest, struct text *ret) {
    const uint8_t *at = (const uint8_t *)rest->data;
    size_t head = 1, length;
    if (rest->length >= 1 && at[0] >= FIXTEXT && at[0] <= FIXTEXT + FIXTEXT_MAX)
        length = at[0] - FIXTEXT;
    else if (rest->length >= 2 && at[0] == TEXT8)
        length = at[head++];
    else
        return false;
    if (rest->length - head < length)
        return false;
    *ret = (struct text) { rest->data + head, length };
    *rest = (struct text) { rest->data + head + length, rest->length - head - length };
    return true;
}

static bool is_named(const struct metric_definition *definition, struct text name) {
    return text_equal(definition->name, name) || text_equal(definition->name, metric_name_bare(definition->kind, name));
}

static bool is_of(const struct series *series, const struct record_update_glance *glance) {
    const struct metric_definition *definition = &series->definition;
    struct text rest = glance->rest, name;
    if (series->stale || glance->kind != definition->kind || glance->naming != definition->naming ||
        !take_text(&rest, &name) || !is_named(definition, name))
        return false;
    if (definition->labels.length == 0)
        return rest.length >= 1 && (uint8_t)rest.data[0] == NIL;
    return text_starts_with(rest, definition->labels);
}

struct series *fold_memo_find(const struct fold_memo *memo, const struct record_update_glance *glance,
                              uint64_t *ret_hash) {
    uint64_t seed = memo->seed ^ ((uint64_t)glance->kind << 8 | glance->naming);
    uint64_t hash = *ret_hash = hash_bytes_seeded(glance->rest.data, glance->rest.length, seed) | 1;
    if (memo->size == 0)
        return NULL;
    const struct fold_memo_entry *entry = place(memo, hash);
    for (int i = 0; i < WAYS; i++)
        if (entry[i].series && entry[i].hash == hash && is_of(entry[i].series, glance))
            return entry[i].series;
    return NULL;
}

static void grow(struct fold_memo *memo, size_t series_count) {
    size_t size = memo->size ? memo->size : FIRST;
    while (size < series_count + series_count / 2 && size < LARGEST)
        size *= 2;
    if (size == memo->size)
        return;
    struct fold_memo old = *memo;
    struct fold_memo_entry *entries = calloc(size, sizeof(*entries));
    if (!entries)
        return;
    memo->entries = entries;
    memo->size = size;
    for (size_t i = 0; i < old.size; i++)
        if (old.entries[i].series)
            fold_memo_keep(memo, old.entries[i].hash, old.entries[i].series, 0);
    free(old.entries);
}

void fold_memo_keep(struct fold_memo *memo, uint64_t hash, struct series *series, size_t series_count) {
    grow(memo, series_count);
    if (memo->size == 0)
        return;
    struct fold_memo_entry *entry = place(memo, hash);
    if (entry[0].series && entry[0].hash != hash)
        entry[1] = entry[0]; /* the older one goes */
    entry[0] = (struct fold_memo_entry) { hash, series };
}

void fold_memo_clear(struct fold_memo *memo) {
    if (memo->size > 0)
        memset(memo->entries, 0, memo->size * sizeof(*memo->entries));
}

void fold_memo_finish(struct fold_memo *memo) {
    free(memo->entries);
    *memo = (struct fold_memo) { 0 };
}
