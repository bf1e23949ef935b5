/* ring_file.h - opening and making the file of one user's ring. */
#ifndef TASKFORGE_COMMON_SHM_RING_FILE_H
#define TASKFORGE_COMMON_SHM_RING_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

/* Open the folder `rings` of a runtime directory, making both where they are missing and the parent allows it (rings
 * with mode 03773: who may enter can make a file there, but sees none and removes only his own). The descriptor,
 * O_PATH, or -errno. */
int ring_folder_open(const char *runtime_dir, struct error *error);

/* Open the file named `uid` in the folder: never through a symbolic link, a regular file, owned by that uid (else
 * -EPERM). The descriptor (3 at least), -ENOENT, or -errno. */
int ring_file_open(int rings_fd, uid_t uid, bool writable, struct error *error);

/* Make the caller's ring: whole under a temporary name, then linked into place. The descriptor of the new ring, -EEXIST
 * when somebody was faster, or -errno. A name that is left over after a kill begins with a dot and is in nobody's way.
 */
int ring_file_create(int rings_fd, uid_t uid, uint64_t size, struct error *error);

#endif
