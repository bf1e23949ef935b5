#include "collector/kinds.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"

enum { FIRST = 256 };

struct kind_of_name {
    uint64_t hash; /* of naming and name: 64 bits, which no two of some thousand names share; 0: free */
    enum metric_kind kind;
    enum metric_combine combine;
};

static struct kind_of_name *place(struct kind_of_name *items, size_t capacity, uint64_t hash) {
    size_t at = hash & (capacity - 1);
    while (items[at].hash != 0 && items[at].hash != hash)
        at = (at + 1) & (capacity - 1);
    return &items[at];
}

static uint64_t hash_of(const struct metric_definition *definition) {
    uint64_t hash = hash_bytes_seeded(definition->name.data, definition->name.length, (uint64_t)definition->naming);
    return hash ? hash : 1;
}

static bool grow(struct kinds *kinds) {
    if (kinds->count < kinds->capacity / 2)
        return true;
    size_t capacity = kinds->capacity ? kinds->capacity * 2 : FIRST;
    struct kind_of_name *items = calloc(capacity, sizeof(*items));
    if (!items)
        return false;
    for (size_t i = 0; i < kinds->capacity; i++)
        if (kinds->items[i].hash != 0)
            *place(items, capacity, kinds->items[i].hash) = kinds->items[i];
    free(kinds->items);
    kinds->items = items;
    kinds->capacity = capacity;
    return true;
}

int kinds_check(const struct kinds *kinds, const struct metric_definition *definition, struct error *error) {
    if (kinds->capacity == 0)
        return 0;
    const struct kind_of_name *known = place(kinds->items, kinds->capacity, hash_of(definition));
    if (known->hash == 0)
        return 0;
    return metric_kinds_agree(definition->name, known->kind, known->combine, definition->kind,
                              (enum metric_combine)definition->combine, error);
}

int kinds_add(struct kinds *kinds, const struct metric_definition *definition, struct error *error) {
    int result = kinds_check(kinds, definition, error);
    if (result < 0)
        return result;
    if (!grow(kinds))
        return error_set(error, -ENOMEM, "out of memory");
    struct kind_of_name *at = place(kinds->items, kinds->capacity, hash_of(definition));
    kinds->count += at->hash == 0;
    *at = (struct kind_of_name) { hash_of(definition), definition->kind, (enum metric_combine)definition->combine };
    return 0;
}

void kinds_finish(struct kinds *kinds) {
    free(kinds->items);
    *kinds = KINDS_EMPTY;
}
