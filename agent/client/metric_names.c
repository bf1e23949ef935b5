/* metric_names.c - see metrics.h: the names this process has used, found without a lock once they are known. */
#include "agent/client/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"

enum { NAMES_SLOTS = 8192 /* a power of two */, NAMES_MAX = 4096 };

struct known_name { /* never changed once it is in the table, never freed */
    uint64_t hash;
    uint8_t kind, naming, combine;
    uint16_t length;
    char bytes[];
};

static _Atomic(struct known_name *) names[NAMES_SLOTS];
/* under the registry's lock */
static _Atomic unsigned name_count;
static struct metric_families families;

static const struct metric_scheme nominal = { .namespace_ = "taskforge", .gauge_suffix = "_gauge" };

static uint64_t hash_of(struct text name, enum metric_naming naming) {
    return hash_bytes_seeded(name.data, name.length, (uint64_t)naming);
}

static bool name_is(const struct known_name *known, struct text name, enum metric_naming naming, uint64_t hash) {
    return known->hash == hash && known->naming == (uint8_t)naming && known->length == name.length &&
           memcmp(known->bytes, name.data, name.length) == 0;
}

/* Where the name stands, or would. */
static _Atomic(struct known_name *) *name_place(struct text name, enum metric_naming naming, uint64_t hash) {
    size_t at = hash & (NAMES_SLOTS - 1);
    struct known_name *known;
    while ((known = atomic_load_explicit(&names[at], memory_order_acquire)) && !name_is(known, name, naming, hash))
        at = (at + 1) & (NAMES_SLOTS - 1);
    return &names[at];
}

static int agrees(const struct known_name *known, const struct metric_definition *definition, struct error *error) {
    return metric_kinds_agree((struct text) { known->bytes, known->length }, (enum metric_kind)known->kind,
                              (enum metric_combine)known->combine, definition->kind,
                              (enum metric_combine)definition->combine, error);
}

/* Under the lock: a name that is not in the table. */
static int claim_new(const struct metric_definition *definition, struct text name, uint64_t hash, struct error *error) {
    enum metric_naming naming = definition->naming;
    char family[METRIC_FAMILY_BYTES];
    size_t length = metric_family(&nominal, definition->kind, naming, definition->name, family);
    int r = metric_families_add(&families, definition->kind, (struct text) { family, length }, error);
    if (r < 0)
        return r;
    struct known_name *known = malloc(sizeof(*known) + name.length);
    if (!known)
        return error_set(error, -ENOMEM, "no memory for a metric's name");
    *known = (struct known_name) { .hash = hash,
                                   .kind = (uint8_t)definition->kind,
                                   .naming = (uint8_t)naming,
                                   .combine = definition->combine,
                                   .length = (uint16_t)name.length };
    memcpy(known->bytes, name.data, name.length);
    /* release: whoever finds it sees it whole. */
    atomic_store_explicit(name_place(name, naming, hash), known, memory_order_release);
    atomic_fetch_add(&name_count, 1);
    return 0;
}

int metric_name_claim(const struct metric_definition *definition, bool nested, struct error *error) {
    enum metric_naming naming = definition->naming;
    struct text name = metric_name_bare(definition->kind, definition->name); /* under both spellings it is one name */
    uint64_t hash = hash_of(name, naming);
    struct known_name *known = atomic_load_explicit(name_place(name, naming, hash), memory_order_acquire);
    int r = 0;
    if (likely(known))
        return agrees(known, definition, error);
    if (nested || atomic_load(&name_count) >= NAMES_MAX)
        return 0;
    registry_lock();
    known = atomic_load(name_place(name, naming, hash));
    if (known)
        r = agrees(known, definition, error);
    else
        r = claim_new(definition, name, hash, error);
    registry_unlock();
    return r;
}
