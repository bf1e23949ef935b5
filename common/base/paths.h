/* paths.h - where the runtime and data directories are when nobody says so.
 *
 * TASKFORGE_RUNTIME_DIR and TASKFORGE_DATA_DIR win over everything. Without them: /run/taskforge and
 * /var/lib/taskforge, but for an ordinary user whose own folders exist (deploy/up made them) those:
 * $XDG_RUNTIME_DIR/taskforge (without it /dev/shm/taskforge-UID, if it is the user's own) and
 * $XDG_DATA_HOME/taskforge (~/.local/share/taskforge). Used by the client library, the daemons and the tools, so that
 * all of them meet. Not async-signal-safe. */
#ifndef TASKFORGE_COMMON_BASE_PATHS_H
#define TASKFORGE_COMMON_BASE_PATHS_H

#include <stddef.h>

enum { PATHS_MAX = 512 };

/* `configured` is the configuration's value, or NULL where there is none: it stands between the environment variable
 * and the defaults. 0, or -ENAMETOOLONG. */
int paths_runtime_dir(const char *configured, char out[PATHS_MAX]);
int paths_data_dir(const char *configured, char out[PATHS_MAX]);

/* The folders an ordinary user's own instance uses, whether they exist or not; for uid 0 the system's. */
int paths_user_runtime_dir(char out[PATHS_MAX]);
int paths_user_data_dir(char out[PATHS_MAX]);

#endif
