/* metric_family.c - see metric.h: names on /metrics, and which of them are taken. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/model/metric.h"

enum { SUFFIXES_MAX = 8 };

/* However often it stands there: a name that has lost it once loses no more when it is asked for again. */
static struct text without(struct text name, const char *suffix) {
    struct text end = text_of(suffix);
    while (name.length > end.length && memcmp(name.data + name.length - end.length, end.data, end.length) == 0)
        name.length -= end.length;
    return name;
}

static const char *suffix_of(const struct metric_scheme *scheme, enum metric_kind kind, enum metric_naming naming) {
    if (kind == METRIC_TIMER)
        return "_seconds";
    return kind == METRIC_GAUGE && naming == METRIC_NAMING_APP ? scheme->gauge_suffix : "";
}

struct text metric_name_bare(enum metric_kind kind, struct text name) {
    if (kind == METRIC_COUNTER)
        return without(name, "_total");
    return kind == METRIC_TIMER ? without(name, "_seconds") : name;
}

size_t metric_family(const struct metric_scheme *scheme, enum metric_kind kind, enum metric_naming naming,
                     struct text name, char out[METRIC_FAMILY_BYTES]) {
    name = metric_name_bare(kind, name);
    bool prefixed = naming != METRIC_NAMING_VERBATIM;
    int length = snprintf(out, METRIC_FAMILY_BYTES, "%s%s%.*s%s", prefixed ? scheme->namespace_ : "",
                          prefixed ? "_" : "", TEXT_FORMAT(name), suffix_of(scheme, kind, naming));
    check(length > 0 && length < METRIC_FAMILY_BYTES); /* the limits of name, namespace and suffix see to it */
    return (size_t)length;
}

const char *const *metric_suffixes(enum metric_kind kind) {
    static const char *const counter[] = { "", "_total", "_created", NULL };
    static const char *const histogram[] = { "", "_bucket", "_sum", "_count", "_created", NULL };
    static const char *const plain[] = { "", NULL };
    if (kind == METRIC_COUNTER)
        return counter;
    return metric_kind_is_histogram(kind) ? histogram : plain;
}

int metric_kinds_agree(struct text name, enum metric_kind kind, enum metric_combine combine, enum metric_kind other,
                       enum metric_combine other_combine, struct error *error) {
    static const char *const rules[] = {
        [METRIC_COMBINE_LAST] = "last",
        [METRIC_COMBINE_SUM] = "sum",
        [METRIC_COMBINE_MIN] = "min",
        [METRIC_COMBINE_MAX] = "max",
    };
    if (kind != other)
        return error_set(error, -EEXIST, "%.*s is a %s already and cannot be a %s too", TEXT_FORMAT(name),
                         metric_kind_name(kind), metric_kind_name(other));
    if (combine != other_combine)
        return error_set(error, -EEXIST,
                         "the gauge %.*s has the rule \"%s\" already and cannot have \"%s\" (by name it is \"last\")",
                         TEXT_FORMAT(name), rules[combine], rules[other_combine]);
    return 0;
}

/* --- who has which name --- */

struct metric_claim { /* one name, and the family that has it */
    uint64_t hash;
    enum metric_kind kind;
    size_t family_length, length; /* the family's name is the beginning of the claimed one */
    char name[];
};

static struct metric_claim **claim_place(struct metric_claim **claims, size_t capacity, struct text name,
                                         uint64_t hash) {
    size_t at = hash & (capacity - 1);
    while (claims[at] && (claims[at]->hash != hash || claims[at]->length != name.length ||
                          memcmp(claims[at]->name, name.data, name.length) != 0))
        at = (at + 1) & (capacity - 1);
    return &claims[at];
}

static int families_grow(struct metric_families *families) {
    enum { FIRST = 64 };
    if (families->count + SUFFIXES_MAX <= families->capacity / 2)
        return 0;
    size_t capacity = families->capacity ? families->capacity * 2 : FIRST;
    struct metric_claim **claims = calloc(capacity, sizeof(struct metric_claim *));
    if (!claims)
        return -ENOMEM;
    for (size_t i = 0; i < families->capacity; i++)
        if (families->claims[i]) {
            struct text name = { families->claims[i]->name, families->claims[i]->length };
            *claim_place(claims, capacity, name, families->claims[i]->hash) = families->claims[i];
        }
    free(families->claims);
    families->claims = claims;
    families->capacity = capacity;
    return 0;
}

static struct text claimed_name(struct text family, const char *suffix, char out[METRIC_FAMILY_BYTES + 16]) {
    int length = snprintf(out, METRIC_FAMILY_BYTES + 16, "%.*s%s", TEXT_FORMAT(family), suffix);
    check(length > 0 && length < METRIC_FAMILY_BYTES + 16);
    return (struct text) { out, (size_t)length };
}

static int collision(enum metric_kind kind, struct text family, const struct metric_claim *claim, struct error *error) {
    struct text other = { claim->name, claim->family_length };
    if (text_equal(other, family))
        return error_set(error, -EEXIST, "%.*s is a %s already and cannot be a %s too", TEXT_FORMAT(family),
                         metric_kind_name(claim->kind), metric_kind_name(kind));
    return error_set(error, -EEXIST, "the %s %.*s would collide with %.*s of the %s %.*s", metric_kind_name(kind),
                     TEXT_FORMAT(family), (int)claim->length, claim->name, metric_kind_name(claim->kind),
                     TEXT_FORMAT(other));
}

/* All of a family's names, or none. */
static int claim_all(struct metric_families *families, enum metric_kind kind, struct text family,
                     const char *const *suffixes, struct error *error) {
    char room[METRIC_FAMILY_BYTES + 16];
    struct metric_claim *made[SUFFIXES_MAX];
    size_t count = 0;
    for (; suffixes[count]; count++) {
        struct text name = claimed_name(family, suffixes[count], room);
        made[count] = malloc(sizeof(*made[count]) + name.length);
        if (!made[count]) {
            while (count > 0)
                free(made[--count]);
            return error_set(error, -ENOMEM, "out of memory");
        }
        *made[count] = (struct metric_claim) { .hash = hash_bytes(name.data, name.length),
                                               .kind = kind,
                                               .family_length = family.length,
                                               .length = name.length };
        memcpy(made[count]->name, name.data, name.length);
    }
    for (size_t i = 0; i < count; i++) {
        struct text name = { made[i]->name, made[i]->length };
        *claim_place(families->claims, families->capacity, name, made[i]->hash) = made[i];
    }
    families->count += count;
    return 0;
}

int metric_families_check(const struct metric_families *families, enum metric_kind kind, struct text family,
                          struct error *error) {
    char room[METRIC_FAMILY_BYTES + 16];
    const char *const *suffixes = metric_suffixes(kind);
    if (family.length < 1 || family.length >= METRIC_FAMILY_BYTES)
        return error_set(error, -EINVAL, "a metric's name on /metrics must be shorter than %d bytes",
                         METRIC_FAMILY_BYTES);
    for (size_t i = 0; suffixes[i] && families->capacity > 0; i++) {
        struct text name = claimed_name(family, suffixes[i], room);
        const struct metric_claim *claim =
            *claim_place(families->claims, families->capacity, name, hash_bytes(name.data, name.length));
        if (!claim)
            continue;
        if (claim->family_length == family.length && claim->kind == kind)
            return 1; /* a family has all its names or none */
        return collision(kind, family, claim, error);
    }
    return 0;
}

int metric_families_add(struct metric_families *families, enum metric_kind kind, struct text family,
                        struct error *error) {
    int result = metric_families_check(families, kind, family, error);
    if (result != 0)
        return result < 0 ? result : 0;
    if (families_grow(families) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    return claim_all(families, kind, family, metric_suffixes(kind), error);
}

void metric_families_finish(struct metric_families *families) {
    for (size_t i = 0; i < families->capacity; i++)
        free(families->claims[i]);
    free(families->claims);
    *families = METRIC_FAMILIES_EMPTY;
}
