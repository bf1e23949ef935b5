#include "collector/series.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"

enum { TEXTS = SERIES_TEXTS, BUCKETS_FIRST = 256 };

/* --- the table --- */

static uint64_t definition_hash(const struct series_table *table, const struct metric_definition *definition) {
    uint64_t seed = table->seed ^ ((uint64_t)definition->kind << 8 | (uint64_t)definition->naming);
    uint64_t hash = hash_bytes_seeded(definition->name.data, definition->name.length, seed);
    return definition->labels.length ? hash_bytes_seeded(definition->labels.data, definition->labels.length, hash)
                                     : hash;
}

struct series *series_find(const struct series_table *table, const struct metric_definition *definition) {
    uint64_t hash = definition_hash(table, definition);
    struct series *series = table->bucket_count ? table->buckets[hash & (table->bucket_count - 1)] : NULL;
    while (series &&
           (series->hash != hash || series->definition.kind != definition->kind ||
            series->definition.naming != definition->naming || !text_equal(series->definition.name, definition->name) ||
            !text_equal(series->definition.labels, definition->labels)))
        series = series->next;
    return series;
}

static bool table_room(struct series_table *table) {
    if (table->count < table->bucket_count)
        return true;
    size_t wanted = table->bucket_count ? table->bucket_count * 2 : BUCKETS_FIRST;
    struct series **buckets = calloc(wanted, sizeof(struct series *));
    if (!buckets)
        return false;
    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct series *series = table->buckets[i], *next; series; series = next) {
            next = series->next;
            series->next = buckets[series->hash & (wanted - 1)];
            buckets[series->hash & (wanted - 1)] = series;
        }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = wanted;
    return true;
}

/* --- histograms --- */

/* Octaves that `from` has and `other` has not. */
static void free_octaves(struct histogram *from, const struct histogram *other) {
    for (unsigned i = 0; from && i < HISTOGRAM_OCTAVES; i++)
        if (from->octaves[i] != other->octaves[i])
            free(from->octaves[i]);
}

static bool make_histograms(struct series *series) {
    if (!metric_kind_is_histogram(series->definition.kind))
        return true;
    series->safe.histogram = calloc(1, sizeof(*series->safe.histogram));
    series->coming.histogram = calloc(1, sizeof(*series->coming.histogram));
    return series->safe.histogram && series->coming.histogram;
}

static void series_destroy(struct series *series) {
    if (series->touched)
        free_octaves(series->coming.histogram, series->safe.histogram);
    if (series->safe.histogram)
        histogram_finish(series->safe.histogram);
    free(series->safe.histogram);
    free(series->coming.histogram);
    free(series->exemplars);
    free(series);
}

void series_definition_texts(struct metric_definition *definition, struct text *ret[SERIES_TEXTS]) {
    ret[0] = &definition->name;
    ret[1] = &definition->labels;
    ret[2] = &definition->unit;
    ret[3] = &definition->help;
    ret[4] = &definition->bounds;
}

/* --- numbers --- */

static bool make_id_room(struct series_table *table, uint32_t id) {
    if (id < table->by_id_capacity)
        return true;
    size_t capacity = table->by_id_capacity ? table->by_id_capacity : BUCKETS_FIRST;
    while (capacity <= id)
        capacity *= 2;
    struct series **grown = reallocarray(table->by_id, capacity, sizeof(struct series *));
    if (!grown)
        return false;
    memset(grown + table->by_id_capacity, 0, (capacity - table->by_id_capacity) * sizeof(struct series *));
    table->by_id = grown;
    table->by_id_capacity = capacity;
    return true;
}

/* The number asked for, else one that is free. */
static bool take_id(struct series_table *table, struct series *series, uint32_t id) {
    bool again = id == 0 && table->free_count > 0;
    if (id == 0)
        id = again ? table->free_ids[table->free_count - 1] : table->next_id + 1;
    if (id > SERIES_ID_MAX || !make_id_room(table, id) || table->by_id[id])
        return false;
    table->free_count -= again;
    if (id > table->next_id)
        table->next_id = id;
    series->id = id;
    table->by_id[id] = series;
    return true;
}

void series_free_id(struct series_table *table, uint32_t id) {
    if (table->free_count == table->free_capacity) {
        size_t capacity = table->free_capacity ? table->free_capacity * 2 : 64;
        uint32_t *grown = reallocarray(table->free_ids, capacity, sizeof(*grown));
        if (!grown)
            return; /* until the next start */
        table->free_ids = grown;
        table->free_capacity = capacity;
    }
    table->free_ids[table->free_count++] = id;
}

/* --- new ones, and those that go --- */

struct series *series_add(struct series_table *table, const struct metric_definition *definition, uint32_t id,
                          uint64_t created_ns) {
    struct metric_definition copy = *definition;
    struct text *texts[TEXTS];
    size_t length = 0;
    series_definition_texts(&copy, texts);
    for (size_t i = 0; i < TEXTS; i++)
        length += texts[i]->length;
    struct series *series = NULL;
    if (!table_room(table) || posix_memalign((void **)&series, SERIES_ALIGN, sizeof(*series) + length) != 0)
        return NULL;
    *series =
        (struct series) { .hash = definition_hash(table, definition), .definition = copy, .created_ns = created_ns };
    series_definition_texts(&series->definition, texts);
    char *at = series->bytes;
    for (size_t i = 0; i < TEXTS; i++) {
        if (texts[i]->length)
            memcpy(at, texts[i]->data, texts[i]->length);
        texts[i]->data = at;
        at += texts[i]->length;
    }
    if (!make_histograms(series)) {
        series_destroy(series);
        return NULL;
    }
    if (!take_id(table, series, id)) {
        series_destroy(series);
        return NULL;
    }
    struct series **bucket = &table->buckets[series->hash & (table->bucket_count - 1)];
    series->next = *bucket;
    *bucket = series;
    table->count++;
    return series;
}

void series_remove(struct series_table *table, struct series *series) {
    check(!series->touched);
    struct series **at = &table->buckets[series->hash & (table->bucket_count - 1)];
    while (*at != series)
        at = &(*at)->next;
    *at = series->next;
    table->count--;
    table->by_id[series->id] = NULL;
    series_destroy(series);
}

void series_table_finish(struct series_table *table) {
    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct series *series = table->buckets[i], *next; series; series = next) {
            next = series->next;
            series_destroy(series);
        }
    free(table->buckets);
    free(table->by_id);
    free(table->free_ids);
    *table = SERIES_TABLE_EMPTY;
}

/* --- values --- */

uint64_t series_bytes(const struct metric_definition *definition) {
    enum { HEADS = 512 }; /* ours, the state's and the segment's, and what stands before and behind the name there */
    return HEADS + 2 * definition->name.length + definition->labels.length + definition->unit.length +
           definition->help.length + definition->bounds.length;
}

uint64_t series_value_bytes(const struct series_value *value) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        bytes += value->histogram && value->histogram->octaves[i] ? SERIES_OCTAVE_BYTES : 0;
    return bytes;
}

void series_begin(struct series *series) {
    check(!series->touched);
    series->coming.value = series->safe.value;
    series->coming.updated_ns = series->safe.updated_ns;
    if (series->safe.histogram)
        *series->coming.histogram = *series->safe.histogram;
    series->touched = true;
}

int series_own_octave(struct series *series, unsigned octave) {
    uint64_t **counts = &series->coming.histogram->octaves[octave];
    const uint64_t *safe = series->safe.histogram->octaves[octave];
    check(series->touched);
    if (*counts && *counts != safe)
        return 0;
    uint64_t *own = calloc(HISTOGRAM_BUCKETS, sizeof(*own));
    if (!own)
        return -ENOMEM;
    if (safe)
        memcpy(own, safe, HISTOGRAM_BUCKETS * sizeof(*own));
    *counts = own;
    return 0;
}

void series_drop(struct series *series) {
    free_octaves(series->coming.histogram, series->safe.histogram);
    series->coming_bytes = 0;
    series->touched = series->defining = false;
}

void series_settle(struct series *series) {
    free_octaves(series->safe.histogram, series->coming.histogram);
    series->safe.value = series->coming.value;
    series->safe.updated_ns = series->coming.updated_ns;
    if (series->safe.histogram)
        *series->safe.histogram = *series->coming.histogram;
    series->coming_bytes = 0;
    series->defined |= series->defining;
    series->touched = series->defining = false;
}
