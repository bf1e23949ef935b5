#include "collector/series_state.h"

#include <errno.h>
#include <stdlib.h>

#include "common/store/state_keys.h"

enum {
    DEFINITION_VERSION = 1,
    DEFINITION_HEAD = 16,
    VALUE_HEAD = 16,
    PAGE_VERSION = 1,
    PAGE_ITEM_HEAD = 3,
    AS_BEFORE = 0xffff,
    CHANGE_SIZE = 4 + VALUE_HEAD,
    AHEAD = 12, /* what a walk fetches before it comes there */
};

/* --- numbers --- */

static void u32_put(char out[4], uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (char)(value >> (8 * i) & 0xff);
}

static uint32_t u32_get(const char *in) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(uint8_t)in[i] << (8 * i);
    return value;
}

static uint64_t big_endian_get(const char *in, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (uint8_t)in[i];
    return value;
}

static void key_begin(struct state_key *key, const char *prefix) {
    key->length = strlen(prefix);
    memcpy(key->bytes, prefix, key->length);
}

static void key_big_endian(struct state_key *key, uint64_t value, int size) {
    while (size-- > 0)
        key->bytes[key->length++] = (char)(value >> (8 * size) & 0xff);
}

void series_key(struct state_key *key, const char *prefix, uint32_t id) {
    key_begin(key, prefix);
    u32_put(key->bytes + key->length, id);
    key->length += 4;
}

void series_page_key(struct state_key *key, const char *prefix, uint32_t page) {
    key_begin(key, prefix);
    key_big_endian(key, page, 4);
}

void series_changes_key(struct state_key *key, uint64_t number) {
    key_begin(key, STATE_CHANGES);
    key_big_endian(key, number, 8);
}

/* --- encoding --- */

static void put_u16(struct buffer *out, size_t value) {
    char bytes[2] = { (char)(value & 0xff), (char)(value >> 8) };
    buffer_append(out, bytes, sizeof(bytes));
}

void series_encode_definition(const struct series *series, const struct series *previous, struct buffer *out) {
    struct metric_definition definition = series->definition, before = { 0 };
    char head[DEFINITION_HEAD] = { DEFINITION_VERSION, (char)definition.kind, (char)definition.naming,
                                   (char)definition.combine };
    struct text *texts[SERIES_TEXTS], *texts_before[SERIES_TEXTS];
    u32_put(head + 4, series->user);
    state_u64_put(head + 8, series->created_ns);
    buffer_append(out, head, sizeof(head));
    if (previous)
        before = previous->definition;
    series_definition_texts(&definition, texts);
    series_definition_texts(&before, texts_before);
    for (size_t i = 0; i < SERIES_TEXTS; i++) {
        if (previous && texts[i]->length > 0 && text_equal(*texts[i], *texts_before[i])) {
            put_u16(out, AS_BEFORE);
            continue;
        }
        put_u16(out, texts[i]->length);
        buffer_append_text(out, *texts[i]);
    }
}

static void put_value(const struct series_value *value, struct buffer *out) {
    char head[VALUE_HEAD];
    memcpy(head, &value->value, sizeof(double));
    state_u64_put(head + 8, value->updated_ns);
    buffer_append(out, head, sizeof(head));
}

void series_encode_value(const struct series_value *value, enum metric_kind kind, struct buffer *out) {
    put_value(value, out);
    if (metric_kind_is_histogram(kind))
        histogram_encode(value->histogram, out);
}

static struct series *at_id(const struct series_table *table, uint64_t id) {
    return id < table->by_id_capacity ? table->by_id[id] : NULL;
}

void series_encode_definitions(const struct series_table *table, uint32_t page, struct buffer *out) {
    const struct series *previous = NULL;
    for (uint32_t i = 0; i < SERIES_OF_DEFINITION_PAGE; i++) {
        const struct series *series = at_id(table, (uint64_t)page * SERIES_OF_DEFINITION_PAGE + i);
        if (!series || (!series->defined && !series->defining))
            continue;
        if (!previous)
            buffer_append_char(out, PAGE_VERSION);
        buffer_append_char(out, (char)i);
        size_t length_at = out->length;
        put_u16(out, 0);
        series_encode_definition(series, previous, out);
        if (out->failed)
            return;
        size_t length = out->length - length_at - 2;
        out->data[length_at] = (char)(length & 0xff);
        out->data[length_at + 1] = (char)(length >> 8);
        previous = series;
    }
}

void series_encode_values(const struct series_table *table, uint32_t page, uint64_t number, struct buffer *out) {
    static const struct series_value none = { 0 };
    char word[8];
    state_u64_put(word, number);
    buffer_append(out, word, sizeof(word));
    for (uint32_t i = 0; i < SERIES_OF_VALUE_PAGE; i++) {
        const struct series *series = at_id(table, (uint64_t)page * SERIES_OF_VALUE_PAGE + i);
        __builtin_prefetch(at_id(table, (uint64_t)page * SERIES_OF_VALUE_PAGE + i + AHEAD));
        bool number_kind = series && !series->safe.histogram;
        put_value(!number_kind ? &none : series->touched ? &series->coming : &series->safe, out);
    }
}

void series_encode_change(const struct series *series, struct buffer *out) {
    char id[4];
    u32_put(id, series->id);
    buffer_append(out, id, sizeof(id));
    put_value(&series->coming, out);
}

/* --- decoding --- */

static bool decode_definition(struct text bytes, const struct series *previous, struct metric_definition *ret,
                              uid_t *ret_user, uint64_t *ret_created) {
    struct metric_definition before = { 0 };
    struct text *texts[SERIES_TEXTS], *texts_before[SERIES_TEXTS];
    if (bytes.length < DEFINITION_HEAD || bytes.data[0] != DEFINITION_VERSION)
        return false;
    *ret = (struct metric_definition) { .kind = (enum metric_kind)(uint8_t)bytes.data[1],
                                        .naming = (enum metric_naming)(uint8_t)bytes.data[2],
                                        .combine = (uint8_t)bytes.data[3] };
    *ret_user = u32_get(bytes.data + 4);
    *ret_created = state_u64_get(bytes.data + 8);
    const char *at = bytes.data + DEFINITION_HEAD, *end = bytes.data + bytes.length;
    if (previous)
        before = previous->definition;
    series_definition_texts(ret, texts);
    series_definition_texts(&before, texts_before);
    for (size_t i = 0; i < SERIES_TEXTS; i++) {
        if (end - at < 2)
            return false;
        size_t length = (uint8_t)at[0] | (size_t)(uint8_t)at[1] << 8;
        at += 2;
        if (length == AS_BEFORE && previous) {
            *texts[i] = *texts_before[i];
            continue;
        }
        if ((size_t)(end - at) < length)
            return false;
        *texts[i] = (struct text) { at, length };
        at += length;
    }
    return at == end && metric_definition_check(ret, NULL) == 0;
}

static void take_number(const char *bytes, struct series_value *ret) {
    memcpy(&ret->value, bytes, sizeof(double));
    ret->updated_ns = state_u64_get(bytes + 8);
}

static int decode_value(struct text bytes, enum metric_kind kind, struct series_value *ret) {
    if (bytes.length < VALUE_HEAD)
        return -EBADMSG;
    take_number(bytes.data, ret);
    struct text rest = { bytes.data + VALUE_HEAD, bytes.length - VALUE_HEAD };
    if (metric_kind_is_histogram(kind))
        return histogram_decode(rest, ret->histogram);
    return rest.length == 0 ? 0 : -EBADMSG;
}

/* --- loading --- */

struct change {
    uint64_t number;
    struct text value;
};

struct loading {
    struct series_table *table;
    const struct state_map *state;
    struct series_loaded *loaded;
    uint64_t *page_numbers; /* by page of values */
    size_t page_count;
    struct change *changes;
    size_t change_count, change_capacity;
};

/* 0, also for what makes no sense. */
static int load_definition(struct loading *loading, struct text bytes, uint32_t id, struct series **previous) {
    struct metric_definition definition;
    uint64_t created;
    uid_t user;
    if (!decode_definition(bytes, *previous, &definition, &user, &created) || id == 0 || id > SERIES_ID_MAX ||
        at_id(loading->table, id) || series_find(loading->table, &definition)) {
        loading->loaded->bad++;
        return 0;
    }
    struct series *series = series_add(loading->table, &definition, id, created);
    if (!series)
        return -ENOMEM;
    series->user = user;
    series->defined = true;
    *previous = series;
    return 0;
}

static int load_old(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    struct series *none = NULL;
    loading->loaded->old = true;
    if (key.length == sizeof(STATE_METRIC) - 1 + 4)
        return load_definition(loading, value, u32_get(key.data + key.length - 4), &none);
    loading->loaded->bad++;
    return 0;
}

static int load_definitions(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    struct series *previous = NULL;
    const char *at = value.data + 1, *end = value.data + value.length;
    if (key.length != sizeof(STATE_METRICS) - 1 + 4 || value.length < 1 || value.data[0] != PAGE_VERSION) {
        loading->loaded->bad++;
        return 0;
    }
    uint64_t first = big_endian_get(key.data + key.length - 4, 4) * SERIES_OF_DEFINITION_PAGE;
    while (at < end) {
        size_t length = end - at < PAGE_ITEM_HEAD ? SIZE_MAX : (uint8_t)at[1] | (size_t)(uint8_t)at[2] << 8;
        if (length > (size_t)(end - at) - PAGE_ITEM_HEAD || (uint8_t)at[0] >= SERIES_OF_DEFINITION_PAGE ||
            first > SERIES_ID_MAX) {
            loading->loaded->bad++;
            return 0;
        }
        struct text bytes = { at + PAGE_ITEM_HEAD, length };
        struct series *before = previous;
        int result = load_definition(loading, bytes, (uint32_t)first + (uint8_t)at[0], &previous);
        if (result < 0)
            return result;
        if (previous == before && before) /* left out: what follows may say "as before", and not mean this one */
            return 0;
        at += PAGE_ITEM_HEAD + length;
    }
    return 0;
}

static void load_own_value(struct loading *loading, struct series *series) {
    struct state_key key;
    struct text stored;
    series_key(&key, STATE_VALUE, series->id);
    bool there = state_map_get(loading->state, state_key_text(&key), &stored);
    if (!there && !loading->loaded->old && !metric_kind_is_histogram(series->definition.kind))
        return;
    if (!there || decode_value(stored, series->definition.kind, &series->safe) < 0)
        loading->loaded->bad++;
}

static void take(const struct series_table *table, uint64_t id, const char *bytes) {
    struct series *series = at_id(table, id);
    if (series && !metric_kind_is_histogram(series->definition.kind))
        take_number(bytes, &series->safe);
}

static int load_values(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    uint64_t page =
        key.length == sizeof(STATE_VALUES) - 1 + 4 ? big_endian_get(key.data + key.length - 4, 4) : UINT64_MAX;
    if (value.length != 8 + SERIES_OF_VALUE_PAGE * VALUE_HEAD || page > SERIES_ID_MAX / SERIES_OF_VALUE_PAGE) {
        loading->loaded->bad++;
        return 0;
    }
    uint64_t number = state_u64_get(value.data);
    if (page < loading->page_count)
        loading->page_numbers[page] = number;
    if (number > loading->loaded->number)
        loading->loaded->number = number;
    for (uint32_t i = 0; i < SERIES_OF_VALUE_PAGE; i++)
        take(loading->table, page * SERIES_OF_VALUE_PAGE + i, value.data + 8 + (size_t)i * VALUE_HEAD);
    return 0;
}

static int collect_changes(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    if (key.length != sizeof(STATE_CHANGES) - 1 + 8 || value.length % CHANGE_SIZE != 0) {
        loading->loaded->bad++;
        return 0;
    }
    if (loading->change_count == loading->change_capacity) {
        size_t capacity = loading->change_capacity ? loading->change_capacity * 2 : 64;
        struct change *grown = reallocarray(loading->changes, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        loading->changes = grown;
        loading->change_capacity = capacity;
    }
    loading->changes[loading->change_count++] = (struct change) { big_endian_get(key.data + key.length - 8, 8), value };
    return 0;
}

static int ascending(const void *left, const void *right) {
    const struct change *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static int load_change(struct loading *loading, const struct change *change) {
    struct series_loaded *loaded = loading->loaded;
    int result = loaded->change ? loaded->change(loaded->context, change->number, change->value.length) : 0;
    if (change->number > loaded->number)
        loaded->number = change->number;
    for (size_t at = 0; at < change->value.length && result == 0; at += CHANGE_SIZE) {
        uint32_t id = u32_get(change->value.data + at), page = id / SERIES_OF_VALUE_PAGE;
        if (page >= loading->page_count || change->number <= loading->page_numbers[page])
            continue;
        take(loading->table, id, change->value.data + at + 4);
        if (loaded->changed)
            result = loaded->changed(loaded->context, page, change->number);
    }
    return result;
}

static int load_changes(struct loading *loading) {
    int result = state_map_walk(loading->state, TEXT_LITERAL(STATE_CHANGES), collect_changes, loading);
    if (loading->change_count > 1)
        qsort(loading->changes, loading->change_count, sizeof(*loading->changes), ascending);
    for (size_t i = 0; i < loading->change_count && result == 0; i++)
        result = load_change(loading, &loading->changes[i]);
    return result;
}

static int load_numbers(struct loading *loading) {
    struct series_table *table = loading->table;
    loading->page_count = table->next_id / SERIES_OF_VALUE_PAGE + 1;
    loading->page_numbers = calloc(loading->page_count, sizeof(*loading->page_numbers));
    if (!loading->page_numbers)
        return -ENOMEM;
    SERIES_FOR_EACH(table, series)
    load_own_value(loading, series);
    int result = state_map_walk(loading->state, TEXT_LITERAL(STATE_VALUES), load_values, loading);
    return result == 0 ? load_changes(loading) : result;
}

int series_load(struct series_table *table, const struct state_map *state, struct series_loaded *ret) {
    struct loading loading = { .table = table, .state = state, .loaded = ret };
    int result = state_map_walk(state, TEXT_LITERAL(STATE_METRIC), load_old, &loading);
    if (result == 0)
        result = state_map_walk(state, TEXT_LITERAL(STATE_METRICS), load_definitions, &loading);
    if (result == 0)
        result = load_numbers(&loading);
    free(loading.page_numbers);
    free(loading.changes);
    for (uint32_t id = table->next_id; id > 0 && result == 0; id--)
        if (!table->by_id[id])
            series_free_id(table, id);
    return result;
}
