/* guard.h - going on after a fault in mapped memory that somebody else may cut or damage.
 *
 * A file that is mapped and then truncated answers a read with SIGBUS; a damaged LMDB file can lead LMDB out of its map, which
 * is SIGSEGV. guard_run runs one function so that such a fault ends the function and not the process. For programs only: the
 * client library never installs a handler. Any thread may run guards; each thread nests as deep as it likes.
 */
#ifndef TASKFORGE_COMMON_BASE_GUARD_H
#define TASKFORGE_COMMON_BASE_GUARD_H

#include "common/base/error.h"

enum guard_faults {
    GUARD_BUS = 1, /* SIGBUS: the file was cut under its mapping */
    GUARD_ALL = 3, /* SIGSEGV too: somebody else's code follows damaged offsets */
};

/* Install the handlers (idempotent, thread-safe; takes the two signals back from whoever took them since). guard_run does it by
 * itself when it was never done. */
int guard_install(struct error *error);

/* Run function(argument): what it returned, or -EFAULT when one of these faults ended it. What it owned then (memory, locks, transactions) is
 * lost: it must hold nothing that the caller cannot do without. A fault outside a guard ends the process as ever, and so does
 * one on a thread that has the signal blocked. */
int guard_run(enum guard_faults faults, int (*function)(void *argument), void *argument);

#endif
