/* power_image.h - a recorded log (io_fault.h) played up to some event, and the files that a power cut there could leave: what was
 * synced is there, of what came after any part: each write in sectors of 512 bytes, each change of a size and of a name by itself. */
#ifndef TASKFORGE_TESTS_TORTURE_POWER_IMAGE_H
#define TASKFORGE_TESTS_TORTURE_POWER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/torture/io_fault.h"

struct power_log;

/* The whole log; ends the program when it makes no sense. Paths in it begin with `root`. */
struct power_log *power_log_open(const char *path, const char *root);
void power_log_close(struct power_log *log);
size_t power_log_count(const struct power_log *log);            /* of events */
int power_log_syncs(const struct power_log *log, size_t event); /* whether a file is synced by it */
int64_t power_log_time(const struct power_log *log, size_t event);

/* Play on until `event` is just being done. */
void power_log_play(struct power_log *log, size_t event);

/* Write one image into the folder, which is made. Of 256 parts that are not safe about `share` are there; seed: which. */
void power_log_image(const struct power_log *log, const char *folder, unsigned share, uint64_t seed);

#endif
