/* Distinct texts by a hash table of their numbers; and runs of values. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/store/block_private.h"

enum { TABLE_FIRST = 64 };

static void enter(struct dictionary *dictionary, uint32_t index) {
    uint32_t at = (uint32_t)dictionary->hashes[index] & (dictionary->table_size - 1);
    while (dictionary->table[at])
        at = (at + 1) & (dictionary->table_size - 1);
    dictionary->table[at] = index + 1;
}

static int dictionary_grow(struct dictionary *dictionary) {
    uint32_t size = dictionary->table_size ? dictionary->table_size * 2 : TABLE_FIRST;
    uint32_t *ends = reallocarray(dictionary->ends, size / 2, sizeof(*ends));
    dictionary->ends = ends ? ends : dictionary->ends;
    uint64_t *hashes = reallocarray(dictionary->hashes, size / 2, sizeof(*hashes));
    dictionary->hashes = hashes ? hashes : dictionary->hashes;
    uint32_t *table = calloc(size, sizeof(*table));
    if (!ends || !hashes || !table) {
        free(table);
        return -ENOMEM;
    }
    free(dictionary->table);
    dictionary->table = table;
    dictionary->table_size = size;
    dictionary->capacity = size / 2;
    for (uint32_t i = 0; i < dictionary->size; i++)
        enter(dictionary, i);
    return 0;
}

int dictionary_find(const struct dictionary *dictionary, struct text text, uint64_t hash) {
    if (dictionary->size == 0)
        return -ENOENT;
    uint32_t mask = dictionary->table_size - 1, at = (uint32_t)hash & mask;
    for (; dictionary->table[at]; at = (at + 1) & mask) {
        uint32_t index = dictionary->table[at] - 1;
        if (dictionary->hashes[index] == hash && text_equal(dictionary_get(dictionary, index), text))
            return (int)index;
    }
    return -ENOENT;
}

int dictionary_add_hashed(struct dictionary *dictionary, struct text text, uint64_t hash) {
    int found = dictionary_find(dictionary, text, hash);
    if (found >= 0)
        return found;
    if (dictionary->size >= dictionary->capacity && dictionary_grow(dictionary) < 0)
        return -ENOMEM;
    buffer_append_text(&dictionary->bytes, text);
    if (dictionary->bytes.failed)
        return -ENOMEM;
    dictionary->ends[dictionary->size] = (uint32_t)dictionary->bytes.length;
    dictionary->hashes[dictionary->size] = hash;
    enter(dictionary, dictionary->size);
    return (int)dictionary->size++;
}

int dictionary_add(struct dictionary *dictionary, struct text text) {
    return dictionary_add_hashed(dictionary, text, hash_bytes(text.data, text.length));
}

void dictionary_clear(struct dictionary *dictionary) {
    buffer_clear(&dictionary->bytes);
    dictionary->size = 0;
    if (dictionary->table)
        memset(dictionary->table, 0, dictionary->table_size * sizeof(dictionary->table[0]));
}

void dictionary_finish(struct dictionary *dictionary) {
    buffer_finish(&dictionary->bytes);
    free(dictionary->ends);
    free(dictionary->hashes);
    free(dictionary->table);
    *dictionary = (struct dictionary) { .size = 0 };
}

int value_run_reserve(struct value_run *run, uint32_t more) {
    if (run->capacity - run->count >= more)
        return 0;
    uint32_t capacity = run->capacity ? run->capacity : 1024;
    while (capacity - run->count < more)
        capacity *= 2;
    uint32_t *grown = reallocarray(run->ends, capacity, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    run->ends = grown;
    run->capacity = capacity;
    return 0;
}

int value_run_add(struct value_run *run, struct text value) {
    if (value_run_reserve(run, 1) < 0)
        return -ENOMEM;
    buffer_append_text(&run->bytes, value);
    if (run->bytes.failed)
        return -ENOMEM;
    run->ends[run->count++] = (uint32_t)run->bytes.length;
    return 0;
}
