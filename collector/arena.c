#include "collector/arena.h"

#include <stdlib.h>

enum { ARENA_CHUNK = 256 * 1024, ARENA_SPARE_MAX = 32 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(8) char bytes[];
};

void *arena_allocate(struct arena *arena, size_t size) {
    size = (size + 7) & ~(size_t)7;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - arena->used < size) {
        size_t room = size > ARENA_CHUNK ? size : ARENA_CHUNK;
        if (room == ARENA_CHUNK && arena->spare) {
            chunk = arena->spare;
            arena->spare = chunk->next;
            arena->spare_count--;
        } else {
            chunk = malloc(sizeof(*chunk) + room);
        }
        if (!chunk) {
            arena->failed = true;
            return NULL;
        }
        chunk->size = room;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used = 0;
    }
    void *at = chunk->bytes + arena->used;
    arena->used += size;
    return at;
}

struct text arena_copy(struct arena *arena, struct text text) {
    if (text.length == 0)
        return TEXT_EMPTY;
    char *at = arena_allocate(arena, text.length);
    if (!at)
        return TEXT_EMPTY;
    memcpy(at, text.data, text.length);
    return (struct text) { at, text.length };
}

struct text arena_hex(struct arena *arena, struct text bytes) {
    char *at = bytes.length ? arena_allocate(arena, 2 * bytes.length) : NULL;
    if (!at)
        return TEXT_EMPTY;
    text_hex(bytes.data, bytes.length, at);
    return (struct text) { at, 2 * bytes.length };
}

void arena_reset(struct arena *arena) {
    for (struct arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        if (chunk->size == ARENA_CHUNK && arena->spare_count < ARENA_SPARE_MAX) {
            chunk->next = arena->spare;
            arena->spare = chunk;
            arena->spare_count++;
        } else {
            free(chunk);
        }
    }
    *arena = (struct arena) { .spare = arena->spare, .spare_count = arena->spare_count };
}

void arena_trim(struct arena *arena) {
    while (arena->spare) {
        struct arena_chunk *chunk = arena->spare;
        arena->spare = chunk->next;
        free(chunk);
    }
    arena->spare_count = 0;
}

void arena_finish(struct arena *arena) {
    arena_reset(arena);
    arena_trim(arena);
}
