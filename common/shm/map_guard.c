/* map_guard.c - the SIGBUS guard of map.h; a file of its own so that the client library does not carry it. */
#include "common/shm/map.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

/* Where this thread goes on when a mapping breaks; initial-exec, so that the handler's look at it never allocates. */
static _Thread_local __attribute__((tls_model("initial-exec"))) sigjmp_buf *volatile guard;

static void on_sigbus(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    /* Only a fault of our own (si_code > 0): a SIGBUS that somebody sent is none of the guarded function's. */
    if (guard && info->si_code > 0)
        siglongjmp(*guard, 1);
    signal(signal_number, SIG_DFL);
    raise(signal_number); /* not blocked here (SA_NODEFER): ends the process, core dump and all */
}

int map_guard_install(struct error *error) {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_sigbus;
    /* SA_NODEFER: leaving by siglongjmp then needs no mask restored, so that a guard costs no system call. */
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) < 0)
        return error_set(error, -errno, "cannot install the handler for SIGBUS: %s", strerror(errno));
    return 0;
}

int map_guarded(int (*function)(void *argument), void *argument) {
    sigjmp_buf here;
    sigjmp_buf *volatile outer = guard;
    if (sigsetjmp(here, 0) != 0) {
        guard = outer;
        return -EFAULT;
    }
    guard = &here;
    int result = function(argument);
    guard = outer;
    return result;
}
