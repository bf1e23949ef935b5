/* space_job.c - the thread and what it shares with its owner. */
#include "agent/host/space_job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_SIZE = 256 * 1024 };

struct outcome {
    char *path; /* owned */
    bool answered;
    struct statvfs space;
};

struct space_job {
    pthread_mutex_t lock; /* guards what follows, but for outcomes at and beyond `reached`, which are the thread's */
    unsigned holders;     /* the owner, the thread: the last one frees */
    size_t reached;
    bool stopped, ended;
    int wake;
    space_job_stat *stat;
    size_t count;
    struct outcome outcomes[];
};

static void job_free(struct space_job *job) {
    for (size_t i = 0; i < job->count; i++)
        free(job->outcomes[i].path);
    if (job->wake >= 0)
        close(job->wake);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

static void let_go(struct space_job *job) {
    pthread_mutex_lock(&job->lock);
    bool last = --job->holders == 0;
    pthread_mutex_unlock(&job->lock);
    if (last)
        job_free(job);
}

static bool go_on(struct space_job *job, size_t reached) {
    pthread_mutex_lock(&job->lock);
    job->reached = reached;
    job->ended = job->stopped || reached == job->count;
    bool result = !job->ended;
    pthread_mutex_unlock(&job->lock);
    return result;
}

static void *run(void *argument) {
    const uint64_t one = 1;
    struct space_job *job = argument;
    for (size_t i = 0; go_on(job, i); i++) {
        struct outcome *outcome = &job->outcomes[i];
        outcome->answered = job->stat(outcome->path, &outcome->space) == 0;
    }
    while (write(job->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    let_go(job);
    return NULL;
}

/* All signals are the main thread's. */
static int start_thread(struct space_job *job) {
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&thread, &attributes, run, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -result;
}

int space_job_start(const char *const *paths, size_t count, space_job_stat *stat, struct space_job **ret) {
    struct space_job *job = calloc(1, sizeof(*job) + count * sizeof(job->outcomes[0]));
    if (!job)
        return -ENOMEM;
    pthread_mutex_init(&job->lock, NULL);
    job->holders = 2;
    job->stat = stat;
    job->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = job->wake < 0 ? -errno : 0;
    for (; job->count < count && result == 0; job->count++) {
        job->outcomes[job->count].path = strdup(paths[job->count]);
        if (!job->outcomes[job->count].path)
            result = -ENOMEM;
    }
    if (result == 0)
        result = start_thread(job);
    if (result != 0)
        job_free(job);
    else
        *ret = job;
    return result;
}

int space_job_fd(const struct space_job *job) {
    return job->wake;
}

size_t space_job_stop(struct space_job *job, bool *ret_hangs) {
    pthread_mutex_lock(&job->lock);
    job->stopped = true;
    *ret_hangs = !job->ended;
    size_t result = job->reached;
    pthread_mutex_unlock(&job->lock);
    return result;
}

bool space_job_result(struct space_job *job, size_t at, struct statvfs *ret) {
    pthread_mutex_lock(&job->lock);
    bool result = at < job->reached && job->outcomes[at].answered;
    if (result)
        *ret = job->outcomes[at].space;
    pthread_mutex_unlock(&job->lock);
    return result;
}

bool space_job_ended(struct space_job *job) {
    pthread_mutex_lock(&job->lock);
    bool result = job->ended;
    pthread_mutex_unlock(&job->lock);
    return result;
}

void space_job_release(struct space_job *job) {
    if (!job)
        return;
    bool hangs;
    space_job_stop(job, &hangs);
    let_go(job);
}
