/* fail_at.h - one call fails, by its number: an allocation, or a call on files, of the code under test (not of its shared libraries).
 *
 * The linker leads the calls here (--wrap, in meson.build: fail_at), so that whole paths can be gone through with each of their calls failing once:
 *
 *   for (unsigned n = 1, failed = 1; failed; n++) {
 *       fail_at(FAIL_MEMORY, n, 0);
 *       ... what is tested: it says so, gives back what it had, and can be done again ...
 *       failed = fail_stop();
 *   }
 *
 * One thread. A child process goes on with its parent's count. */
#ifndef TASKFORGE_TESTS_LIB_FAIL_AT_H
#define TASKFORGE_TESTS_LIB_FAIL_AT_H

#include <stdbool.h>

enum {
    FAIL_MEMORY = 1, /* with ENOMEM */
    FAIL_CALL = 2,   /* with the code that is given */
    FAIL_SHORT = 4,  /* what is read or written is half of it */
};

/* The number-th of those kinds from now on, from 1, fails. */
void fail_at(unsigned kinds, unsigned number, int code);
/* None fails any more. Whether one did. */
bool fail_stop(void);

#endif
