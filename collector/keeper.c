#include "collector/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "collector/keeper_private.h"
#include "collector/limits.h"
#include "common/base/clock.h"
#include "common/base/diag.h"

/* --- waiting --- */

void keeper_wake(struct keeper *keeper) {
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->mutex);
    keeper->wake = true;
    pthread_cond_signal(&keeper->woken);
    pthread_mutex_unlock(&keeper->mutex);
}

static void wake(void *argument) {
    keeper_wake(argument);
}

static struct timespec in(uint64_t ns) {
    uint64_t until = clock_monotonic_ns() + ns;
    return (struct timespec) { (time_t)(until / CLOCK_SECOND), (long)(until % CLOCK_SECOND) };
}

bool keeper_rest(struct keeper *keeper, uint64_t ns) {
    struct timespec until = in(ns);
    pthread_mutex_lock(&keeper->mutex);
    while (!keeper->wake && !keeper->stop &&
           pthread_cond_timedwait(&keeper->woken, &keeper->mutex, &until) != ETIMEDOUT)
        ;
    keeper->wake = false;
    if (keeper->own_version != keeper->version) {
        keeper->own = keeper->limits;
        keeper->own_version = keeper->version;
        keeper->last_look_ns = 0;
        keeper_rewrite_finish(keeper); /* what was counted is of other services */
    }
    pthread_mutex_unlock(&keeper->mutex);
    return !keeper->stop;
}

int keeper_between(void *argument) {
    struct keeper *keeper = argument;
    uint64_t now = clock_monotonic_ns(), took = now - keeper->step_ns;
    struct timespec until = in(took < CLOCK_SECOND ? took : CLOCK_SECOND);
    while (!keeper->stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    keeper->step_ns = clock_monotonic_ns();
    return keeper->stop || keeper->room.pressed ? -ECANCELED : 0;
}

/* --- removing --- */

static void remove_due(struct keeper *keeper, uint64_t now_ns) {
    struct partition_name *names;
    struct retention_disk disk;
    struct error error;
    size_t count;
    const char *why, *data_dir = keeper->partitions->data_dir;
    int result = retention_disk_of(data_dir, &disk);
    if (result < 0) {
        diag_warn("retention cannot see the disk of %s: %s", data_dir, strerror(-result));
        return;
    }
    uint64_t partitions = 0, used = room_used(&keeper->room, &partitions);
    disk.other = used - partitions;
    room_set(&keeper->room, retention_max_size(&keeper->own, &disk), retention_headroom(&keeper->own, &disk));
    if (partition_list(data_dir, &names, &count, &error) < 0) {
        diag_warn("retention: %s", error.text);
        return;
    }
    size_t gone = retention_choose(names, count, &keeper->own, &disk, now_ns, &why);
    for (size_t i = 0; i < gone; i++) {
        result = partition_unlink(names[i].path);
        if (result < 0 && result != -ENOENT)
            diag_warn("retention cannot remove %s: %s", names[i].path, strerror(-result));
        else if (result == 0)
            diag_info("retention removed %s (%" PRIu64 " bytes): %s", names[i].path, names[i].size, why);
    }
    free(names);
}

/* --- the thread --- */

/* Behind everybody else: for the processor, and for the disk where its scheduler knows of classes (3: idle, of this thread). */
static void lower_priority(void) {
    enum { THREAD = 1, IDLE = 3, CLASS_SHIFT = 13, NICE = 10 };
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    (void)syscall(SYS_ioprio_set, THREAD, 0, IDLE << CLASS_SHIFT);
}

static void *run(void *argument) {
    struct keeper *keeper = argument;
    lower_priority();
    while (keeper_rest(keeper, KEEPER_NS)) {
        remove_due(keeper, clock_real_ns());
        while (!keeper->stop && keeper_adopt(keeper))
            ;
        uint64_t now = clock_monotonic_ns();
        if (keeper->last_look_ns && now - keeper->last_look_ns < REWRITE_LOOK_NS)
            continue;
        keeper->last_look_ns = now;
        keeper_rewrite(keeper, clock_real_ns());
    }
    return NULL;
}

/* --- the other threads' side --- */

int keeper_create(struct partitions *partitions, struct keeper **ret, struct error *error) {
    pthread_condattr_t attributes;
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return error_set(error, -ENOMEM, "out of memory");
    keeper->partitions = partitions;
    int result = room_init(&keeper->room, partitions->data_dir, wake, keeper);
    if (result < 0) {
        free(keeper);
        return error_set(error, result, "cannot set up the keeper of the store: %s", strerror(-result));
    }
    pthread_mutex_init(&keeper->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->woken, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret = keeper;
    return 0;
}

void keeper_set(struct keeper *keeper, const struct config_retention *limits) {
    struct retention_disk disk = { 0 };
    (void)retention_disk_of(keeper->partitions->data_dir, &disk);
    pthread_mutex_lock(&keeper->mutex);
    keeper->limits = *limits;
    keeper->version++;
    keeper->wake = true;
    pthread_cond_signal(&keeper->woken);
    pthread_mutex_unlock(&keeper->mutex);
    room_set(&keeper->room, retention_max_size(limits, &disk), retention_headroom(limits, &disk));
}

int keeper_start(struct keeper *keeper, struct error *error) {
    int result = -pthread_create(&keeper->thread, NULL, run, keeper);
    if (result < 0)
        return error_set(error, result, "no thread for the keeper of the store: %s", strerror(-result));
    keeper->running = true;
    return 0;
}

void keeper_stop(struct keeper *keeper) {
    if (!keeper || !keeper->running)
        return;
    keeper->stop = true;
    keeper_wake(keeper);
    pthread_join(keeper->thread, NULL);
    keeper->running = false;
}

void keeper_destroy(struct keeper *keeper) {
    if (!keeper)
        return;
    keeper_stop(keeper);
    keeper_rewrite_finish(keeper);
    room_finish(&keeper->room);
    pthread_cond_destroy(&keeper->woken);
    pthread_mutex_destroy(&keeper->mutex);
    free(keeper);
}

struct partition_growth keeper_growth(struct keeper *keeper) {
    return (struct partition_growth) { room_grow, &keeper->room };
}

uint64_t keeper_wanted(const struct keeper *keeper) {
    return atomic_load_explicit(&((struct keeper *)(uintptr_t)keeper)->wanted, memory_order_relaxed);
}

void keeper_give(struct keeper *keeper, uint64_t first) {
    pthread_mutex_lock(&keeper->mutex);
    keeper->wanted = 0;
    keeper->given = first;
    keeper->answered = true;
    pthread_cond_signal(&keeper->woken);
    pthread_mutex_unlock(&keeper->mutex);
}
