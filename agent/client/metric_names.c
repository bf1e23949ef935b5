/* metric_names.c - see metrics.h: the names this process has used, found without a lock once they are known. */
#include "agent/client/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"

enum { NAMES_SLOTS = 8192 /* a power of two */, NAMES_MAX = 4096 };

struct known_name { /* never changed once it is in the table, never freed */
    uint64_t hash;
    uint8_t kind, naming;
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

static int kind_differs(const struct known_name *known, enum metric_kind kind, struct error *error) {
    return error_set(error, -EEXIST, "%.*s is a %s already and cannot be a %s too", (int)known->length, known->bytes,
                     metric_kind_name((enum metric_kind)known->kind), metric_kind_name(kind));
}

/* Under the lock: a name that is not in the table. */
static int claim_new(enum metric_kind kind, enum metric_naming naming, struct text name, struct text as_given,
                     uint64_t hash, struct error *error) {
    char family[METRIC_FAMILY_BYTES];
    size_t length = metric_family(&nominal, kind, naming, as_given, family);
    int r = metric_families_add(&families, kind, (struct text) { family, length }, error);
    if (r < 0)
        return r;
    struct known_name *known = malloc(sizeof(*known) + name.length);
    if (!known)
        return error_set(error, -ENOMEM, "no memory for a metric's name");
    *known = (struct known_name) {
        .hash = hash, .kind = (uint8_t)kind, .naming = (uint8_t)naming, .length = (uint16_t)name.length
    };
    memcpy(known->bytes, name.data, name.length);
    /* release: whoever finds it sees it whole. */
    atomic_store_explicit(name_place(name, naming, hash), known, memory_order_release);
    atomic_fetch_add(&name_count, 1);
    return 0;
}

int metric_name_claim(enum metric_kind kind, enum metric_naming naming, struct text as_given, bool nested,
                      struct error *error) {
    struct text name = metric_name_bare(kind, as_given); /* under both spellings it is one name */
    uint64_t hash = hash_of(name, naming);
    struct known_name *known = atomic_load_explicit(name_place(name, naming, hash), memory_order_acquire);
    int r = 0;
    if (likely(known))
        return known->kind == (uint8_t)kind ? 0 : kind_differs(known, kind, error);
    if (nested || atomic_load(&name_count) >= NAMES_MAX)
        return 0;
    registry_lock();
    known = atomic_load(name_place(name, naming, hash));
    if (known)
        r = known->kind == (uint8_t)kind ? 0 : kind_differs(known, kind, error);
    else
        r = claim_new(kind, naming, name, as_given, hash, error);
    registry_unlock();
    return r;
}
