/* map_guard.c - the guard of map.h; a file of its own so that the client library does not carry it. */
#include "common/base/guard.h"
#include "common/shm/map.h"

int map_guard_install(struct error *error) {
    return guard_install(error);
}

int map_guarded(int (*function)(void *argument), void *argument) {
    return guard_run(GUARD_BUS, function, argument);
}
