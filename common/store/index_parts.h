/* index_parts.h - which parts of an index value a reader wants, and those it got.
 *
 * A value is some kilobytes, most of it filters; a walk over thousands takes no more of each than it asks of it. */
#ifndef TASKFORGE_COMMON_STORE_INDEX_PARTS_H
#define TASKFORGE_COMMON_STORE_INDEX_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INDEX_PROBES_MAX = 8, INDEX_PLACES_MAX = INDEX_PROBES_MAX + 3 };

/* What will be asked of it. Sequences and times are always wanted. Zeroed: no more than that. */
struct index_want {
    bool counts, flushes, templates;
    bool filters; /* whole */
    uint32_t probe_count;
    struct index_probe { /* where one value is looked for in a filter */
        bool word;       /* in that of the words, not the one of ids */
        uint64_t hash;
    } probes[INDEX_PROBES_MAX];
};

struct index_place {
    size_t at, length; /* in the value */
    const char *bytes; /* a private copy */
};

/* A value, or places of it; the first begins at 0. */
struct index_parts {
    size_t length;  /* of the whole */
    bool no_counts; /* they need not be decoded */
    unsigned count;
    struct index_place places[INDEX_PLACES_MAX];
};

/* The places of a value of `length` bytes to be copied for `want` (NULL: all of it) into ret, but their bytes: by its first bytes, INDEX_PEEK of them or as many as
 * it has, which nobody has checked yet. No place goes beyond the value. Allocates nothing. */
enum { INDEX_PEEK = 92 };
void index_find_places(const char *peek, size_t length, const struct index_want *want, struct index_parts *ret);

#endif
