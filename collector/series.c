#include "collector/series.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/state_keys.h"

enum { DEFINITION_VERSION = 1, DEFINITION_HEAD = 16, VALUE_HEAD = 16, TEXTS = 5, BUCKETS_FIRST = 256 };

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

/* --- new ones, and those that go --- */

static void definition_texts(struct metric_definition *definition, struct text *ret[TEXTS]) {
    ret[0] = &definition->name;
    ret[1] = &definition->labels;
    ret[2] = &definition->unit;
    ret[3] = &definition->help;
    ret[4] = &definition->bounds;
}

struct series *series_add(struct series_table *table, const struct metric_definition *definition, uint32_t id,
                          uint64_t created_ns) {
    struct metric_definition copy = *definition;
    struct text *texts[TEXTS];
    size_t length = 0;
    definition_texts(&copy, texts);
    for (size_t i = 0; i < TEXTS; i++)
        length += texts[i]->length;
    struct series *series = table_room(table) ? malloc(sizeof(*series) + length) : NULL;
    if (!series)
        return NULL;
    *series =
        (struct series) { .hash = definition_hash(table, definition), .definition = copy, .created_ns = created_ns };
    definition_texts(&series->definition, texts);
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
    series->id = id ? id : table->next_id + 1;
    if (series->id > table->next_id)
        table->next_id = series->id;
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
    series_destroy(series);
}

void series_table_finish(struct series_table *table) {
    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct series *series = table->buckets[i], *next; series; series = next) {
            next = series->next;
            series_destroy(series);
        }
    free(table->buckets);
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

/* --- in the state --- */

void series_key(struct state_key *key, const char *prefix, uint32_t id) {
    key->length = strlen(prefix);
    memcpy(key->bytes, prefix, key->length);
    for (int i = 0; i < 4; i++)
        key->bytes[key->length++] = (char)(id >> (8 * i) & 0xff);
}

void series_encode_definition(const struct series *series, struct buffer *out) {
    struct metric_definition definition = series->definition;
    char head[DEFINITION_HEAD] = { DEFINITION_VERSION, (char)definition.kind, (char)definition.naming,
                                   (char)definition.combine };
    struct text *texts[TEXTS];
    for (int i = 0; i < 4; i++)
        head[4 + i] = (char)(series->user >> (8 * i) & 0xff);
    state_u64_put(head + 8, series->created_ns);
    buffer_append(out, head, sizeof(head));
    definition_texts(&definition, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        char length[2] = { (char)(texts[i]->length & 0xff), (char)(texts[i]->length >> 8) };
        buffer_append(out, length, sizeof(length));
        buffer_append_text(out, *texts[i]);
    }
}

void series_encode_value(const struct series_value *value, enum metric_kind kind, struct buffer *out) {
    char head[VALUE_HEAD];
    memcpy(head, &value->value, sizeof(double));
    state_u64_put(head + 8, value->updated_ns);
    buffer_append(out, head, sizeof(head));
    if (metric_kind_is_histogram(kind))
        histogram_encode(value->histogram, out);
}

static uint32_t u32_get(const char *in) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(uint8_t)in[i] << (8 * i);
    return value;
}

static bool decode_definition(struct text bytes, struct metric_definition *ret, uid_t *ret_user,
                              uint64_t *ret_created) {
    struct text *texts[TEXTS];
    if (bytes.length < DEFINITION_HEAD || bytes.data[0] != DEFINITION_VERSION)
        return false;
    *ret = (struct metric_definition) { .kind = (enum metric_kind)(uint8_t)bytes.data[1],
                                        .naming = (enum metric_naming)(uint8_t)bytes.data[2],
                                        .combine = (uint8_t)bytes.data[3] };
    *ret_user = u32_get(bytes.data + 4);
    *ret_created = state_u64_get(bytes.data + 8);
    const char *at = bytes.data + DEFINITION_HEAD, *end = bytes.data + bytes.length;
    definition_texts(ret, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        if (end - at < 2)
            return false;
        size_t length = (uint8_t)at[0] | (size_t)(uint8_t)at[1] << 8;
        at += 2;
        if ((size_t)(end - at) < length)
            return false;
        *texts[i] = (struct text) { at, length };
        at += length;
    }
    return at == end && metric_definition_check(ret, NULL) == 0;
}

static int decode_value(struct text bytes, enum metric_kind kind, struct series_value *ret) {
    if (bytes.length < VALUE_HEAD)
        return -EBADMSG;
    memcpy(&ret->value, bytes.data, sizeof(double));
    ret->updated_ns = state_u64_get(bytes.data + 8);
    struct text rest = { bytes.data + VALUE_HEAD, bytes.length - VALUE_HEAD };
    if (metric_kind_is_histogram(kind))
        return histogram_decode(rest, ret->histogram);
    return rest.length == 0 ? 0 : -EBADMSG;
}

struct loading {
    struct series_table *table;
    const struct state_map *state;
    size_t bad;
};

static int load_one(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    struct metric_definition definition;
    uint64_t created;
    uid_t user;
    struct text stored;
    struct state_key value_key;
    if (key.length != sizeof(STATE_METRIC) - 1 + 4 || !decode_definition(value, &definition, &user, &created)) {
        loading->bad++;
        return 0;
    }
    uint32_t id = u32_get(key.data + key.length - 4);
    if (id == 0 || series_find(loading->table, &definition)) {
        loading->bad++;
        return 0;
    }
    struct series *series = series_add(loading->table, &definition, id, created);
    if (!series)
        return -ENOMEM;
    series->user = user;
    series->defined = true;
    series_key(&value_key, STATE_VALUE, id);
    if (!state_map_get(loading->state, state_key_text(&value_key), &stored) ||
        decode_value(stored, definition.kind, &series->safe) < 0)
        loading->bad++;
    return 0;
}

int series_load(struct series_table *table, const struct state_map *state, size_t *ret_bad) {
    struct loading loading = { table, state, 0 };
    int result = state_map_walk(state, TEXT_LITERAL(STATE_METRIC), load_one, &loading);
    *ret_bad = loading.bad;
    return result;
}
