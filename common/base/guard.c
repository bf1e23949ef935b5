#include "common/base/guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

/* The thread sanitizer runs every handler with all signals blocked, whatever its mask says: then it has to be restored. */
#if defined(__SANITIZE_THREAD__)
#define RESTORE_MASK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RESTORE_MASK 1
#endif
#endif
#ifndef RESTORE_MASK
#define RESTORE_MASK 0
#endif

struct frame {
    sigjmp_buf here;
    enum guard_faults faults;
};

/* Where this thread goes on when a mapping breaks; initial-exec, so that the handler's look at it never allocates. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct frame *volatile current;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int install_result;

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    /* Only a fault of our own (si_code > 0): a signal that somebody sent is none of the guarded function's. */
    struct frame *frame = current;
    if (frame && info->si_code > 0 && (signal_number == SIGBUS || frame->faults == GUARD_ALL))
        siglongjmp(frame->here, 1);
    signal(signal_number, SIG_DFL);
    raise(signal_number); /* not blocked here (SA_NODEFER): ends the process, core dump and all */
}

static void install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_fault;
    /* SA_NODEFER: leaving by siglongjmp then needs no mask restored, so that a guard costs no system call. */
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) < 0 || sigaction(SIGSEGV, &action, NULL) < 0)
        install_result = -errno;
}

int guard_install(struct error *error) {
    install(); /* again, whoever took the signals meanwhile (a test's framework does) */
    if (install_result < 0)
        return error_set(error, install_result, "cannot install the handlers for SIGBUS and SIGSEGV: %s",
                         strerror(-install_result));
    return 0;
}

int guard_run(enum guard_faults faults, int (*function)(void *argument), void *argument) {
    pthread_once(&once, install);
    struct frame frame = { .faults = faults };
    struct frame *volatile outer = current;
    if (sigsetjmp(frame.here, RESTORE_MASK) != 0) {
        current = outer;
        return -EFAULT;
    }
    current = &frame;
    int result = function(argument);
    current = outer;
    return result;
}
