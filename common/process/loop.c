#include "common/process/loop.h"

#include "common/base/check.h"
#include "common/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 64, SIGNALS_MAX = 65 };

struct loop_fd {
    struct loop *loop;
    int fd;
    loop_fd_function *function;
    void *context;
    bool removed; /* no more callbacks; freed when the round in hand is over */
    struct loop_fd *next;
};

struct loop_timer {
    struct loop *loop;
    uint64_t deadline_ns; /* monotonic; UINT64_MAX: at rest */
    loop_timer_function *function;
    void *context;
    bool removed;
    struct loop_timer *next;
};

struct loop {
    int epoll;
    struct loop_fd *fds;
    struct loop_timer *timers; /* a handful: a list is searched faster than a heap is kept */
    bool dispatching;
    bool swept; /* something was removed while dispatching */
    bool stopped;
    int code;
    bool no_pwait2; /* an old kernel: milliseconds must do */
    int signal_fd;
    sigset_t signals;
    struct {
        loop_signal_function *function;
        void *context;
    } handlers[SIGNALS_MAX];
};

int loop_create(struct loop **ret, struct error *error) {
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return error_set(error, -ENOMEM, "out of memory");
    loop->signal_fd = -1;
    sigemptyset(&loop->signals);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        int code = -errno;

        free(loop);
        return error_set(error, code, "cannot create an epoll instance: %s", strerror(-code));
    }
    *ret = loop;
    return 0;
}

/* Free what was removed (all: everything). */
static void sweep(struct loop *loop, bool all) {
    for (struct loop_fd **link = &loop->fds; *link;) {
        struct loop_fd *source = *link;

        if (!all && !source->removed) {
            link = &source->next;
            continue;
        }
        *link = source->next;
        free(source);
    }
    for (struct loop_timer **link = &loop->timers; *link;) {
        struct loop_timer *timer = *link;

        if (!all && !timer->removed) {
            link = &timer->next;
            continue;
        }
        *link = timer->next;
        free(timer);
    }
    loop->swept = false;
}

void loop_destroy(struct loop *loop) {
    if (!loop)
        return;
    check(!loop->dispatching);
    sweep(loop, true);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    close(loop->epoll);
    free(loop);
}

static void removed(struct loop *loop) {
    if (loop->dispatching)
        loop->swept = true;
    else
        sweep(loop, false);
}

/* --- descriptors --- */

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_function *function, void *context,
                struct loop_fd **ret) {
    struct loop_fd *source = calloc(1, sizeof(*source));
    struct epoll_event event = { .events = events, .data.ptr = source };

    if (!source)
        return -ENOMEM;
    *source = (struct loop_fd) { .loop = loop, .fd = fd, .function = function, .context = context };
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        int code = -errno;

        free(source);
        return code;
    }
    source->next = loop->fds;
    loop->fds = source;
    if (ret)
        *ret = source;
    return 0;
}

int loop_change_fd(struct loop_fd *source, uint32_t events) {
    struct epoll_event event = { .events = events, .data.ptr = source };

    check(!source->removed);
    return epoll_ctl(source->loop->epoll, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_remove_fd(struct loop_fd *source) {
    if (!source)
        return;
    check(!source->removed);
    epoll_ctl(source->loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    source->removed = true;
    removed(source->loop);
}

/* --- timers --- */

int loop_add_timer(struct loop *loop, loop_timer_function *function, void *context, struct loop_timer **ret) {
    struct loop_timer *timer = calloc(1, sizeof(*timer));

    if (!timer)
        return -ENOMEM;
    *timer = (struct loop_timer) {
        .loop = loop, .deadline_ns = UINT64_MAX, .function = function, .context = context, .next = loop->timers
    };
    loop->timers = timer;
    *ret = timer;
    return 0;
}

void loop_set_timer(struct loop_timer *timer, uint64_t after_ns) {
    check(!timer->removed);
    if (__builtin_add_overflow(clock_monotonic_ns(), after_ns, &timer->deadline_ns))
        timer->deadline_ns = UINT64_MAX - 1;
}

void loop_rest_timer(struct loop_timer *timer) {
    timer->deadline_ns = UINT64_MAX;
}

void loop_remove_timer(struct loop_timer *timer) {
    if (!timer)
        return;
    check(!timer->removed);
    timer->removed = true;
    timer->deadline_ns = UINT64_MAX;
    removed(timer->loop);
}

static uint64_t next_deadline(const struct loop *loop) {
    uint64_t next = UINT64_MAX;

    for (const struct loop_timer *timer = loop->timers; timer; timer = timer->next)
        if (timer->deadline_ns < next)
            next = timer->deadline_ns;
    return next;
}

/* Only what was due when the round began: a timer that sets itself to now does not hold the loop. */
static int run_timers(struct loop *loop, uint64_t now_ns) {
    int ran = 0;

    for (struct loop_timer *timer = loop->timers; timer; timer = timer->next) {
        if (timer->deadline_ns > now_ns)
            continue;
        timer->deadline_ns = UINT64_MAX;
        timer->function(timer, timer->context);
        ran++;
    }
    return ran;
}

/* --- signals --- */

static void take_signals(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct loop *loop = context;
    struct signalfd_siginfo info;

    (void)source, (void)events;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo < SIGNALS_MAX && loop->handlers[info.ssi_signo].function)
            loop->handlers[info.ssi_signo].function(loop, (int)info.ssi_signo, loop->handlers[info.ssi_signo].context);
}

int loop_add_signal(struct loop *loop, int number, loop_signal_function *function, void *context) {
    int fd, r;

    if (number < 1 || number >= SIGNALS_MAX)
        return -EINVAL;
    if (loop->handlers[number].function)
        return -EEXIST;
    sigaddset(&loop->signals, number);
    fd = signalfd(loop->signal_fd, &loop->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (loop->signal_fd < 0) {
        r = loop_add_fd(loop, fd, EPOLLIN, take_signals, loop, NULL);
        if (r < 0) {
            close(fd);
            return r;
        }
        loop->signal_fd = fd;
    }
    r = pthread_sigmask(SIG_BLOCK, &loop->signals, NULL);
    if (r != 0)
        return -r;
    loop->handlers[number].function = function;
    loop->handlers[number].context = context;
    return 0;
}

/* --- running --- */

/* Wait with nanoseconds where the kernel can, else with milliseconds rounded up. */
static int wait_for_events(struct loop *loop, struct epoll_event *events, uint64_t timeout_ns) {
    uint64_t ms = timeout_ns / CLOCK_MILLISECOND + (timeout_ns % CLOCK_MILLISECOND != 0);
    int n;

    if (!loop->no_pwait2) {
        struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / CLOCK_SECOND),
                                    .tv_nsec = (long)(timeout_ns % CLOCK_SECOND) };

        n = epoll_pwait2(loop->epoll, events, EVENTS_MAX, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n < 0 ? -errno : n;
        loop->no_pwait2 = true;
    }
    n = epoll_wait(loop->epoll, events, EVENTS_MAX, timeout_ns == UINT64_MAX ? -1 : ms > INT_MAX ? INT_MAX : (int)ms);
    return n < 0 ? -errno : n;
}

int loop_run_once(struct loop *loop, uint64_t timeout_ns) {
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = clock_monotonic_ns(), deadline = next_deadline(loop);
    int n, ran = 0;

    check(!loop->dispatching);
    if (deadline != UINT64_MAX) {
        uint64_t left = deadline > now ? deadline - now : 0;

        timeout_ns = left < timeout_ns ? left : timeout_ns;
    }
    n = wait_for_events(loop, events, timeout_ns);
    if (n == -EINTR)
        n = 0;
    if (n < 0)
        return n;
    loop->dispatching = true;
    for (int i = 0; i < n; i++) {
        struct loop_fd *source = events[i].data.ptr;

        if (source->removed)
            continue;
        source->function(source, source->fd, events[i].events, source->context);
        ran++;
    }
    ran += run_timers(loop, clock_monotonic_ns());
    loop->dispatching = false;
    if (loop->swept)
        sweep(loop, false);
    return ran;
}

int loop_run(struct loop *loop) {
    loop->stopped = false;
    while (!loop->stopped) {
        int r = loop_run_once(loop, UINT64_MAX);

        if (r < 0)
            return r;
    }
    return loop->code;
}

void loop_stop(struct loop *loop, int code) {
    check(code >= 0);
    loop->stopped = true;
    loop->code = code;
}
