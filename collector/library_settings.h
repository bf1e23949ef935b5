/* library_settings.h - what the client library is told of the configuration, through RUNTIME_DIR/settings (layout.h). */
#ifndef TASKFORGE_COLLECTOR_LIBRARY_SETTINGS_H
#define TASKFORGE_COLLECTOR_LIBRARY_SETTINGS_H

#include "common/process/config.h"
#include "common/shm/ring.h"

/* The configuration's part; level and sequence are those of the defaults. */
void library_settings_make(const struct config *config, struct shared_settings *ret);

/* Write them. settings->sequence becomes that of the file where it says the same already, else the next one: whoever has
 * read the file before can tell by its low byte, which is never 0. Where they cannot be written it is that of the file, too. */
int library_settings_tell(const char *runtime_dir, struct shared_settings *settings, struct error *error);

#endif
