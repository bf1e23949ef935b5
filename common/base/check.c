/* check.c - the end of a process whose own assumptions broke. */
#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *condition, const char *file, int line) {
    /* on the stack and with one write: stdio's locks may be what broke */
    char message[512];
    int length = snprintf(message, sizeof(message), "check failed: %s (%s:%d)\n", condition, file, line);
    if (length >= (int)sizeof(message))
        length = sizeof(message) - 1;
    if (length > 0 && write(STDERR_FILENO, message, (size_t)length) < 0)
        abort(); /* nowhere to say it */
    abort();
}
