#include "collector/kinds.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"

enum { FIRST = 256 };

struct kind_of_name {
    uint64_t hash; /* of naming and name: 64 bits, which no two of some thousand names share; 0: free */
    enum metric_kind kind;
};

static struct kind_of_name *place(struct kind_of_name *items, size_t capacity, uint64_t hash) {
    size_t at = hash & (capacity - 1);
    while (items[at].hash != 0 && items[at].hash != hash)
        at = (at + 1) & (capacity - 1);
    return &items[at];
}

static uint64_t hash_of(enum metric_naming naming, struct text name) {
    uint64_t hash = hash_bytes_seeded(name.data, name.length, (uint64_t)naming);
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

int kinds_check(const struct kinds *kinds, enum metric_kind kind, enum metric_naming naming, struct text name,
                struct error *error) {
    if (kinds->capacity == 0)
        return 0;
    const struct kind_of_name *known = place(kinds->items, kinds->capacity, hash_of(naming, name));
    if (known->hash == 0 || known->kind == kind)
        return 0;
    return error_set(error, -EEXIST, "%.*s is a %s already and cannot be a %s too", TEXT_FORMAT(name),
                     metric_kind_name(known->kind), metric_kind_name(kind));
}

int kinds_add(struct kinds *kinds, enum metric_kind kind, enum metric_naming naming, struct text name,
              struct error *error) {
    int result = kinds_check(kinds, kind, naming, name, error);
    if (result < 0)
        return result;
    if (!grow(kinds))
        return error_set(error, -ENOMEM, "out of memory");
    struct kind_of_name *at = place(kinds->items, kinds->capacity, hash_of(naming, name));
    kinds->count += at->hash == 0;
    *at = (struct kind_of_name) { hash_of(naming, name), kind };
    return 0;
}

void kinds_finish(struct kinds *kinds) {
    free(kinds->items);
    *kinds = KINDS_EMPTY;
}
