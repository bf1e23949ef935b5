/* loop.h - one thread's event loop: file descriptors, timers and signals over epoll.
 *
 * Callbacks run one at a time on the thread that runs the loop; any of them may add, change and remove sources, their own
 * included (a removed source's callback does not run again, even when its event is already at hand). No callback may block
 * or sleep. Not thread-safe. Timers use clock_monotonic_ns and may fire late, never early.
 */
#ifndef TASKFORGE_COMMON_PROCESS_LOOP_H
#define TASKFORGE_COMMON_PROCESS_LOOP_H

#include "common/base/error.h"

#include <stdint.h>
#include <sys/epoll.h> /* EPOLLIN and the others */

struct loop;
struct loop_fd;
struct loop_timer;

int loop_create(struct loop **ret, struct error *error);
void loop_destroy(
    struct loop *loop); /* NULL is fine; also frees the sources still there; closes none of the descriptors */

/* Watch fd (borrowed, level-triggered) for `events` (EPOLLIN, EPOLLOUT; EPOLLERR and EPOLLHUP come always; 0 is allowed).
 * -EPERM for regular files, which are always ready: read those from a timer. */
typedef void loop_fd_function(struct loop_fd *source, int fd, uint32_t events, void *context);
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_function *function, void *context,
                struct loop_fd **ret);
int loop_change_fd(struct loop_fd *source, uint32_t events);
void loop_remove_fd(struct loop_fd *source); /* NULL is fine; before the descriptor is closed */

/* A timer, at rest until it is set. It fires once; set it again, in its callback too, to go on. */
typedef void loop_timer_function(struct loop_timer *timer, void *context);
int loop_add_timer(struct loop *loop, loop_timer_function *function, void *context, struct loop_timer **ret);
void loop_set_timer(struct loop_timer *timer, uint64_t after_ns); /* replaces what was set; 0: in the next round */
void loop_rest_timer(struct loop_timer *timer);
void loop_remove_timer(struct loop_timer *timer); /* NULL is fine */

/* Take a signal (blocked in this thread from now on; call before other threads start) through the loop. At most one
 * function for each signal: -EEXIST. */
typedef void loop_signal_function(struct loop *loop, int signal, void *context);
int loop_add_signal(struct loop *loop, int signal, loop_signal_function *function, void *context);

/* Run until loop_stop; returns its code, or a negative errno when epoll fails. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int code); /* code >= 0; the round in hand is finished first */

/* One round: wait at most timeout_ns for something to happen, run what is due. Returns how many callbacks ran. */
int loop_run_once(struct loop *loop, uint64_t timeout_ns);

#endif
