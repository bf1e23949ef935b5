/* uuid_map.h - small numbers by UUID: open addressing, grows. One thread. */
#ifndef TASKFORGE_EXPORTER_TFCTL_UUID_MAP_H
#define TASKFORGE_EXPORTER_TFCTL_UUID_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"

struct uuid_cell {
    struct uuid id; /* zero: empty */
    uint32_t value;
};

struct uuid_map {
    struct uuid_cell *cells;
    size_t count, capacity; /* a power of two, or 0 */
};
#define UUID_MAP_EMPTY ((struct uuid_map) { 0 })

void uuid_map_finish(struct uuid_map *map);
int uuid_map_put(struct uuid_map *map, const struct uuid *id, uint32_t value); /* id is not zero; -ENOMEM */
uint32_t *uuid_map_find(const struct uuid_map *map, const struct uuid *id);    /* NULL: not there */
void uuid_map_remove(struct uuid_map *map, const struct uuid *id);             /* absent is fine */

#endif
