/* crew.c - see crew.h. Jobs stand in a ring: taken <= claimed <= given; those in [taken, claimed) are being worked on or are done. */
#include "common/query/crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"

struct crew_thread {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

struct crew {
    void (*work)(void *argument, unsigned thread, void *job);
    void *argument;
    pthread_mutex_t mutex;
    pthread_cond_t given_one, done_one;
    struct {
        void *job;
        bool done;
    } ring[CREW_ROOM_MAX];
    size_t room;
    uint64_t given, claimed, taken;
    bool stop;
    struct crew_thread threads[CREW_THREADS_MAX];
    unsigned thread_count;
};

static void *run(void *argument) {
    struct crew_thread *thread = argument;
    struct crew *crew = thread->crew;
    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        while (!crew->stop && crew->claimed == crew->given)
            pthread_cond_wait(&crew->given_one, &crew->mutex);
        if (crew->stop)
            break;
        size_t at = crew->claimed++ % CREW_ROOM_MAX;
        void *job = crew->ring[at].job;
        pthread_mutex_unlock(&crew->mutex);
        crew->work(crew->argument, thread->number, job);
        pthread_mutex_lock(&crew->mutex);
        crew->ring[at].done = true;
        pthread_cond_signal(&crew->done_one);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

static int start(struct crew *crew, unsigned threads) {
    sigset_t blocked, before;
    int code = 0;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    for (unsigned i = 0; i < threads && code == 0; i++) {
        crew->threads[i] = (struct crew_thread) { .crew = crew, .number = i };
        code = pthread_create(&crew->threads[i].thread, NULL, run, &crew->threads[i]);
        crew->thread_count += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return crew->thread_count > 0 ? 0 : -code;
}

int crew_create(unsigned threads, void (*work)(void *argument, unsigned thread, void *job), void *argument,
                struct crew **ret) {
    struct crew *crew = calloc(1, sizeof(*crew));
    if (!crew)
        return -ENOMEM;
    check(threads > 0 && threads <= CREW_THREADS_MAX);
    crew->work = work;
    crew->argument = argument;
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->given_one, NULL);
    pthread_cond_init(&crew->done_one, NULL);
    int result = start(crew, threads);
    if (result < 0) {
        crew_destroy(crew);
        return result;
    }
    crew->room = 2 * (size_t)crew->thread_count + 1;
    *ret = crew;
    return 0;
}

void crew_destroy(struct crew *crew) {
    if (!crew)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->stop = true;
    pthread_cond_broadcast(&crew->given_one);
    pthread_mutex_unlock(&crew->mutex);
    for (unsigned i = 0; i < crew->thread_count; i++)
        pthread_join(crew->threads[i].thread, NULL);
    pthread_cond_destroy(&crew->done_one);
    pthread_cond_destroy(&crew->given_one);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

size_t crew_room(const struct crew *crew) {
    return crew->room;
}

size_t crew_waiting(const struct crew *crew) { /* both are the caller's own words */
    return (size_t)(crew->given - crew->taken);
}

void crew_give(struct crew *crew, void *job) {
    pthread_mutex_lock(&crew->mutex);
    check(crew->given - crew->taken < crew->room);
    size_t at = crew->given++ % CREW_ROOM_MAX;
    crew->ring[at].job = job;
    crew->ring[at].done = false;
    pthread_cond_signal(&crew->given_one);
    pthread_mutex_unlock(&crew->mutex);
}

void *crew_take(struct crew *crew) {
    pthread_mutex_lock(&crew->mutex);
    check(crew->taken < crew->given);
    size_t at = crew->taken % CREW_ROOM_MAX;
    while (!crew->ring[at].done)
        pthread_cond_wait(&crew->done_one, &crew->mutex);
    crew->taken++;
    void *job = crew->ring[at].job;
    pthread_mutex_unlock(&crew->mutex);
    return job;
}

unsigned crew_processors(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > CREW_THREADS_MAX ? CREW_THREADS_MAX : (unsigned)count;
}
