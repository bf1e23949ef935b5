/* import_place.h - DATA_DIR/import as tfctl import uses it: where to build, whether the store has it already, how it is handed over. */
#ifndef TASKFORGE_EXPORTER_TFCTL_IMPORT_PLACE_H
#define TASKFORGE_EXPORTER_TFCTL_IMPORT_PLACE_H

#include "common/store/partition.h"

struct import_place {
    char data_dir[PARTITION_PATH_MAX - 64];
    char building[PARTITION_PATH_MAX]; /* a name of this process's own; nothing stands there */
};

/* -EACCES with what to do about it. */
int import_place_open(struct import_place *place, const char *data_dir, struct error *error);

/* 0; or -EEXIST with a sentence when what has that id is in the store, or waits to be taken in. */
int import_place_check(const struct import_place *place, const struct uuid *id, struct error *error);

/* Hand over what was built: *ret_path is where it waits. */
int import_place_leave(const struct import_place *place, const struct uuid *id, char ret_path[PARTITION_PATH_MAX],
                       struct error *error);

#endif
