/* map.h - mapping files that others may cut or scribble on, and the guard under which they are read. */
#ifndef TASKFORGE_COMMON_SHM_MAP_H
#define TASKFORGE_COMMON_SHM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct map {
    int fd;
    char *base;
    size_t size;
    uint64_t device,
        inode; /* of the file: is the descriptor still ours? (an application may close every number it finds) */
};
#define MAP_EMPTY ((struct map) { .fd = -1 })

/* Map an open regular file of exactly `size` bytes, shared, writable or not. Takes the descriptor over, also when it
 * fails. */
int map_file(int fd, size_t size, bool writable, struct map *ret, struct error *error);
/* Unmaps and closes (not a descriptor that meanwhile belongs to another file); fine on MAP_EMPTY. */
void map_finish(struct map *map);

/* Whether the descriptor is still open on the mapped file. */
bool map_owns_descriptor(const struct map *map);

/* Really allocate [at, at + size) of the file (fallocate), so that no later touch can fail: -ENOSPC and so on
 * (-EBADF when the descriptor is ours no more). Keeps the content. */
int map_allocate(const struct map *map, uint64_t at, uint64_t size);

/* Install the SIGBUS handler that map_guarded needs (once for a process; programs only, never the client library). */
int map_guard_install(struct error *error);

/* Run function(argument) so that a SIGBUS inside any mapping ends it: returns what function returned, or -EFAULT
 * when the file was shorter than its mapping. The function must hold no lock and own nothing while it touches mapped
 * memory. Nestable no further than one level on a thread. A SIGBUS outside a guard ends the process as ever. */
int map_guarded(int (*function)(void *argument), void *argument);

#endif
