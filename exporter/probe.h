/* probe.h - whether what the exporter serves from is there, seen from outside: nothing is opened for good. */
#ifndef TASKFORGE_EXPORTER_PROBE_H
#define TASKFORGE_EXPORTER_PROBE_H

#include <stdbool.h>

/* Whether a process listens at RUNTIME_DIR/NAME: one connect that never blocks, ended at once. (To try the instance lock would
 * hold it for that moment, and a process that is just starting would take us for a second instance.) */
bool probe_listens(const char *runtime_dir, const char *name);

/* Whether DATA_DIR/logs has a partition that this process may read. (The reader of the store opens well on an empty one.) */
bool probe_store(const char *data_dir);

#endif
