/* uuid_map.c - see uuid_map.h. Linear probing; removing moves the cells behind up, so that no search ends too early. */
#include "exporter/tfctl/uuid_map.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"

enum { CAPACITY_FIRST = 64 };

void uuid_map_finish(struct uuid_map *map) {
    free(map->cells);
    *map = UUID_MAP_EMPTY;
}

static size_t home_of(const struct uuid_map *map, const struct uuid *id) {
    return hash_bytes(id->bytes, UUID_SIZE) & (map->capacity - 1);
}

/* Where the id stands, or the empty cell where it would. */
static size_t place_of(const struct uuid_map *map, const struct uuid *id) {
    size_t at = home_of(map, id);
    while (!uuid_is_zero(&map->cells[at].id) && !uuid_equal(&map->cells[at].id, id))
        at = (at + 1) & (map->capacity - 1);
    return at;
}

static int grow(struct uuid_map *map) {
    struct uuid_map grown = { .count = map->count, .capacity = map->capacity ? map->capacity * 2 : CAPACITY_FIRST };
    grown.cells = calloc(grown.capacity, sizeof(*grown.cells));
    if (!grown.cells)
        return -ENOMEM;
    for (size_t i = 0; i < map->capacity; i++)
        if (!uuid_is_zero(&map->cells[i].id))
            grown.cells[place_of(&grown, &map->cells[i].id)] = map->cells[i];
    free(map->cells);
    *map = grown;
    return 0;
}

int uuid_map_put(struct uuid_map *map, const struct uuid *id, uint32_t value) {
    check(!uuid_is_zero(id));
    if (map->count * 2 >= map->capacity) {
        int status = grow(map);
        if (status < 0)
            return status;
    }
    size_t at = place_of(map, id);
    map->count += uuid_is_zero(&map->cells[at].id);
    map->cells[at] = (struct uuid_cell) { *id, value };
    return 0;
}

uint32_t *uuid_map_find(const struct uuid_map *map, const struct uuid *id) {
    if (map->capacity == 0 || uuid_is_zero(id))
        return NULL;
    size_t at = place_of(map, id);
    return uuid_is_zero(&map->cells[at].id) ? NULL : &map->cells[at].value;
}

void uuid_map_remove(struct uuid_map *map, const struct uuid *id) {
    if (!uuid_map_find(map, id))
        return;
    size_t mask = map->capacity - 1, hole = place_of(map, id);
    for (size_t at = (hole + 1) & mask; !uuid_is_zero(&map->cells[at].id); at = (at + 1) & mask) {
        /* It may move into the hole when its home does not lie behind the hole, on the way to where it stands. */
        if (((at - home_of(map, &map->cells[at].id)) & mask) >= ((at - hole) & mask)) {
            map->cells[hole] = map->cells[at];
            hole = at;
        }
    }
    map->cells[hole] = (struct uuid_cell) { 0 };
    map->count--;
}
