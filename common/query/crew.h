/* crew.h - some threads that work on jobs ahead of the one who takes the results, in the order in which they were given.
 *
 * One thread gives and takes; the others call `work` with one job each, several at a time. A job is the caller's: the crew knows its
 * address only. At most `room` jobs are under way: given and not yet taken. Threads block every signal but faults, so that a
 * program's own signals come to the threads it knows of.
 */
#ifndef TASKFORGE_COMMON_QUERY_CREW_H
#define TASKFORGE_COMMON_QUERY_CREW_H

#include <stdbool.h>
#include <stddef.h>

enum { CREW_THREADS_MAX = 4, CREW_ROOM_MAX = 16 };

struct crew;

/* work's `thread` is 0 .. threads - 1. -ENOMEM, -EAGAIN: not one thread could be started. Fewer than asked for is fine. */
int crew_create(unsigned threads, void (*work)(void *argument, unsigned thread, void *job), void *argument,
                struct crew **ret);
/* Waits for the jobs that are being worked on; those not begun are left. NULL is fine. */
void crew_destroy(struct crew *crew);

size_t crew_room(const struct crew *crew);    /* how many may be under way */
size_t crew_waiting(const struct crew *crew); /* how many are */
void crew_give(struct crew *crew, void *job); /* there is room */
/* The one given first: waits until it is done, and for nothing else. There is one. */
void *crew_take(struct crew *crew);

/* The processors that this process may use, at most CREW_THREADS_MAX. */
unsigned crew_processors(void);

#endif
