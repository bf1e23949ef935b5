/* arena.h - memory that lives exactly as long as one batch: many small pieces, freed all at once. One thread. */
#ifndef TASKFORGE_COLLECTOR_ARENA_H
#define TASKFORGE_COLLECTOR_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/text.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* the newest first */
    struct arena_chunk *spare;  /* of earlier batches, for the next; all of one size */
    size_t spare_count;
    size_t used; /* of the newest */
    bool failed; /* sticky until arena_reset: out of memory at some call */
};
#define ARENA_EMPTY ((struct arena) { 0 })

void *arena_allocate(struct arena *arena, size_t size); /* aligned to 8; NULL and failed when out of memory */
struct text arena_copy(struct arena *arena, struct text text);
struct text arena_hex(struct arena *arena, struct text bytes); /* as hex digits */
void arena_reset(struct arena *arena);                         /* keeps some chunks for what comes */
void arena_trim(struct arena *arena);                          /* gives back all that is not in use */
void arena_finish(struct arena *arena);

#endif
