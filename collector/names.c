#include "collector/names.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"

enum { FIRST = 64 };

static uint64_t hash_of(enum metric_naming naming, struct text name) {
    return hash_bytes_seeded(name.data, name.length, (uint64_t)naming);
}

static struct name **place(const struct names *names, uint64_t hash) {
    return &names->buckets[hash & (names->bucket_count - 1)];
}

struct name *names_find(const struct names *names, enum metric_naming naming, struct text name) {
    uint64_t hash = hash_of(naming, name);
    struct name *at = names->bucket_count ? *place(names, hash) : NULL;
    while (at && (at->hash != hash || at->naming != naming || !text_equal(name_text(at), name)))
        at = at->next;
    return at;
}

static bool make_room(struct names *names) {
    if (names->count < names->bucket_count)
        return true;
    struct names grown = *names;
    grown.bucket_count = names->bucket_count ? names->bucket_count * 2 : FIRST;
    grown.buckets = calloc(grown.bucket_count, sizeof(struct name *));
    if (!grown.buckets)
        return false;
    for (size_t i = 0; i < names->bucket_count; i++)
        for (struct name *name = names->buckets[i], *next; name; name = next) {
            next = name->next;
            name->next = *place(&grown, name->hash);
            *place(&grown, name->hash) = name;
        }
    free(names->buckets);
    *names = grown;
    return true;
}

struct name *names_get(struct names *names, enum metric_naming naming, struct text text) {
    struct name *name = names_find(names, naming, text);
    if (name)
        return name;
    name = make_room(names) ? malloc(sizeof(*name) + text.length) : NULL;
    if (!name)
        return NULL;
    *name = (struct name) { .hash = hash_of(naming, text), .naming = naming, .length = text.length };
    memcpy(name->bytes, text.data, text.length);
    name->next = *place(names, name->hash);
    *place(names, name->hash) = name;
    names->count++;
    return name;
}

bool names_drop_unused(struct names *names, struct name *name) {
    if (name->series > 0 || name->stale > 0 || name->overflowing)
        return false;
    struct name **at = place(names, name->hash);
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    free(name);
    names->count--;
    return true;
}

void names_finish(struct names *names) {
    for (size_t i = 0; i < names->bucket_count; i++)
        for (struct name *name = names->buckets[i], *next; name; name = next) {
            next = name->next;
            free(name);
        }
    free(names->buckets);
    *names = NAMES_EMPTY;
}

/* --- what overflowed --- */

void names_note_overflow(struct names *names, struct name *name) {
    name->overflowed++;
    if (name->overflowing)
        return;
    name->overflowing = true;
    name->next_overflowing = names->overflowing;
    names->overflowing = name;
}

static void names_end(struct names *names, bool safe) {
    struct name **at = &names->overflowing;
    while (*at) {
        struct name *name = *at;
        if (safe) {
            name->overflowed_safe = name->overflowed;
            name->told = name->telling;
        } else {
            name->overflowed = name->overflowed_safe;
        }
        name->telling = name->told;
        name->overflowing = name->overflowed != name->told;
        if (name->overflowing)
            at = &name->next_overflowing;
        else
            *at = name->next_overflowing;
    }
}

void names_settle(struct names *names) {
    names_end(names, true);
}

void names_discard(struct names *names) {
    names_end(names, false);
}
