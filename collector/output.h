/* output.h - each stored entry as one JSON line: a cursor reader of the store on a thread of its own, so that a blocked
 * stdout delays nothing. At least once: the cursor goes back with later commits, a kill between repeats lines.
 *
 * A file is made 0640, rotated at OUTPUT_ROTATE_BYTES (PATH.1 .. PATH.10) and opened again on output_reopen. */
#ifndef TASKFORGE_COLLECTOR_OUTPUT_H
#define TASKFORGE_COLLECTOR_OUTPUT_H

#include "collector/writer.h"
#include "common/process/config.h"

struct output;

/* Starts the thread. CONFIG_OUTPUT_NONE: no thread, the cursor follows the store. `path` is copied. -errno where the file cannot be opened. */
int output_create(struct writer *writer, enum config_output kind, const char *path, struct output **ret,
                  struct error *error);
void output_wake(struct output *output);   /* something was committed, or the file is to be opened again */
void output_reopen(struct output *output); /* on SIGHUP */

/* Print what is stored for up to OUTPUT_DRAIN_NS, then end the thread. False when it hangs in a write: then it is left
 * behind, and nothing it uses may be freed. */
bool output_destroy(struct output *output);

#endif
