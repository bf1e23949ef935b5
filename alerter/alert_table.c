/* alert_table.c - see alert_table.h. */
#include "alerter/alert_table.h"

#include "alerter/state.h"
#include "common/base/check.h"
#include "common/base/hash.h"

#include <errno.h>
#include <stdlib.h>

enum { BUCKETS = 16384 }; /* about what it may hold */

int alert_table_init(struct alert_table *table) {
    *table = (struct alert_table) { .buckets = calloc(BUCKETS, sizeof(*table->buckets)) };
    return table->buckets ? 0 : -ENOMEM;
}

void alert_table_finish(struct alert_table *table) {
    for (size_t i = 0; i < table->capacity; i++) {
        alert_finish(&table->slots[i]->alert);
        free(table->slots[i]);
    }
    free(table->slots);
    free(table->buckets);
    *table = (struct alert_table) { 0 };
}

uint64_t alert_hash(const char *rule_id, const struct alert_pairs *labels) {
    uint64_t hash = hash_bytes(rule_id, strlen(rule_id));
    for (size_t i = 0; i < labels->count; i++) {
        hash = hash_bytes_seeded(labels->items[i].key, strlen(labels->items[i].key), hash);
        hash = hash_bytes_seeded(labels->items[i].value, strlen(labels->items[i].value), hash);
    }
    return hash;
}

struct alert_slot *alert_table_newest(const struct alert_table *table, const char *rule_id,
                                      const struct alert_pairs *labels) {
    uint64_t hash = alert_hash(rule_id, labels);
    struct alert_slot *slot = table->buckets[hash % BUCKETS];
    while (slot && (slot->hash != hash || strcmp(slot->alert.rule_id, rule_id) != 0 ||
                    !alert_pairs_equal(&slot->alert.labels, labels)))
        slot = slot->older;
    return slot;
}

struct alert_slot *alert_table_find(const struct alert_table *table, const struct uuid *id) {
    for (size_t i = 0; i < table->count; i++)
        if (uuid_equal(&table->slots[i]->alert.id, id))
            return table->slots[i];
    return NULL;
}

int alert_table_reserve(struct alert_table *table, size_t more) {
    size_t wanted = table->count + more;
    if (wanted <= table->capacity)
        return 0;
    wanted = wanted < 2 * table->capacity ? 2 * table->capacity : wanted;
    struct alert_slot **grown = realloc(table->slots, wanted * sizeof(struct alert_slot *));
    if (!grown)
        return -ENOMEM;
    table->slots = grown;
    for (size_t i = table->capacity; i < wanted; i++) {
        table->slots[i] = calloc(1, sizeof(struct alert_slot));
        if (!table->slots[i])
            return -ENOMEM;
        table->capacity = i + 1;
    }
    return 0;
}

struct alert_slot *alert_table_add(struct alert_table *table, struct alert *alert) {
    check(table->count < table->capacity);
    struct alert_slot *slot = table->slots[table->count++];
    uint64_t hash = alert_hash(alert->rule_id, &alert->labels);
    *slot = (struct alert_slot) { .alert = *alert, .hash = hash, .older = table->buckets[hash % BUCKETS] };
    table->buckets[hash % BUCKETS] = slot;
    table->open_count += alert_is_open(&slot->alert);
    *alert = (struct alert) { 0 };
    return slot;
}

void alert_table_replace(struct alert_table *table, struct alert_slot *slot, struct alert *alert) {
    table->open_count -= alert_is_open(&slot->alert);
    alert_finish(&slot->alert);
    slot->alert = *alert;
    table->open_count += alert_is_open(&slot->alert);
    *alert = (struct alert) { 0 };
}

void alert_table_remove(struct alert_table *table, struct alert_slot *slot) {
    struct alert_slot **link = &table->buckets[slot->hash % BUCKETS];
    size_t at = 0;
    while (*link != slot)
        link = &(*link)->older;
    *link = slot->older;
    while (table->slots[at] != slot)
        at++;
    table->open_count -= alert_is_open(&slot->alert);
    alert_finish(&slot->alert);
    table->count--;
    memmove(&table->slots[at], &table->slots[at + 1], (table->count - at) * sizeof(struct alert_slot *));
    table->slots[table->count] = slot; /* its room is for the next one */
}

struct loading {
    struct alert_table *table;
    size_t unread;
    int result;
};

static int load_one(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    struct alert alert;
    int result = alert_decode(value, &alert);
    if (result == -EINVAL) {
        loading->unread++;
        return 0;
    }
    if (result == 0 && !text_equal(key, alert_key(&alert))) {
        alert_finish(&alert);
        loading->unread++;
        return 0;
    }
    if (result == 0)
        result = alert_table_reserve(loading->table, 1);
    if (result == 0)
        alert_table_add(loading->table, &alert);
    loading->result = result;
    return result;
}

int alert_table_load(struct alert_table *table, struct alert_store *store, size_t *ret_unread, struct error *error) {
    struct loading loading = { .table = table };
    struct alert_store_txn *txn;
    int result = alert_store_begin(store, false, &txn, error);
    if (result < 0)
        return result;
    result = alert_store_walk(txn, ALERT_STORE_ALERTS, load_one, &loading, error);
    alert_store_abort(txn);
    if (loading.result == -EPROTO)
        return error_set(error, -EPROTO, "the stored alerts were written by a newer TaskForge");
    if (loading.result < 0)
        return error_set(error, loading.result, "out of memory");
    *ret_unread = loading.unread;
    return result;
}
