#include "collector/curator.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "collector/curator_private.h"
#include "collector/limits.h"
#include "common/base/clock.h"
#include "common/base/diag.h"

/* --- waiting --- */

void curator_wake(struct curator *curator) {
    if (!curator)
        return;
    pthread_mutex_lock(&curator->mutex);
    curator->wake = true;
    pthread_cond_signal(&curator->woken);
    pthread_mutex_unlock(&curator->mutex);
}

static void wake(void *argument) {
    curator_wake(argument);
}

static struct timespec in(uint64_t ns) {
    uint64_t until = clock_monotonic_ns() + ns;
    return (struct timespec) { (time_t)(until / CLOCK_SECOND), (long)(until % CLOCK_SECOND) };
}

bool curator_rest(struct curator *curator, uint64_t ns) {
    struct timespec until = in(ns);
    pthread_mutex_lock(&curator->mutex);
    while (!curator->wake && !curator->stop &&
           pthread_cond_timedwait(&curator->woken, &curator->mutex, &until) != ETIMEDOUT)
        ;
    curator->wake = false;
    if (curator->own_version != curator->version) {
        curator->own = curator->limits;
        curator->own_version = curator->version;
        curator->last_look_ns = 0;
        curator_rewrite_finish(curator); /* what was counted is of other services */
    }
    pthread_mutex_unlock(&curator->mutex);
    return !curator->stop;
}

int curator_between(void *argument) {
    struct curator *curator = argument;
    uint64_t now = clock_monotonic_ns(), took = now - curator->step_ns;
    struct timespec until = in(took < CLOCK_SECOND ? took : CLOCK_SECOND);
    while (!curator->stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    curator->step_ns = clock_monotonic_ns();
    return curator->stop || curator->room.pressed ? -ECANCELED : 0;
}

/* --- removing --- */

static void remove_due(struct curator *curator, uint64_t now_ns) {
    struct partition_name *names;
    struct retention_disk disk;
    struct error error;
    size_t count;
    const char *why, *data_dir = curator->partitions->data_dir;
    int result = retention_disk_of(data_dir, &disk);
    if (result < 0) {
        diag_warn("retention cannot see the disk of %s: %s", data_dir, strerror(-result));
        return;
    }
    uint64_t partitions = 0, used = room_used(&curator->room, &partitions);
    disk.other = used - partitions;
    room_set(&curator->room, retention_max_size(&curator->own, &disk), retention_headroom(&curator->own, &disk));
    if (partition_list(data_dir, &names, &count, &error) < 0) {
        diag_warn("retention: %s", error.text);
        return;
    }
    size_t gone = retention_choose(names, count, &curator->own, &disk, now_ns, &why);
    for (size_t i = 0; i < gone; i++) {
        result = partition_unlink(names[i].path);
        if (result < 0 && result != -ENOENT)
            diag_warn("retention cannot remove %s: %s", names[i].path, strerror(-result));
        else if (result == 0) {
            atomic_fetch_add(&curator->removed, 1);
            diag_info("retention removed %s (%" PRIu64 " bytes): %s", names[i].path, names[i].size, why);
        }
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
    struct curator *curator = argument;
    lower_priority();
    while (curator_rest(curator, CURATOR_NS)) {
        remove_due(curator, clock_real_ns());
        while (!curator->stop && curator_adopt(curator))
            ;
        uint64_t now = clock_monotonic_ns();
        if (curator->last_look_ns && now - curator->last_look_ns < REWRITE_LOOK_NS)
            continue;
        curator->last_look_ns = now;
        curator_rewrite(curator, clock_real_ns());
    }
    return NULL;
}

/* --- the other threads' side --- */

uint64_t curator_removed(const struct curator *curator) {
    return atomic_load(&curator->removed);
}

uint64_t curator_rewritten(const struct curator *curator) {
    return atomic_load(&curator->rewritten);
}

int curator_create(struct partitions *partitions, struct curator **ret, struct error *error) {
    pthread_condattr_t attributes;
    struct curator *curator = calloc(1, sizeof(*curator));
    if (!curator)
        return error_set(error, -ENOMEM, "out of memory");
    curator->partitions = partitions;
    int result = room_init(&curator->room, partitions->data_dir, wake, curator);
    if (result < 0) {
        free(curator);
        return error_set(error, result, "cannot set up the curator of the store: %s", strerror(-result));
    }
    pthread_mutex_init(&curator->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&curator->woken, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret = curator;
    return 0;
}

void curator_set(struct curator *curator, const struct config_retention *limits) {
    struct retention_disk disk = { 0 };
    (void)retention_disk_of(curator->partitions->data_dir, &disk);
    pthread_mutex_lock(&curator->mutex);
    curator->limits = *limits;
    curator->version++;
    curator->wake = true;
    pthread_cond_signal(&curator->woken);
    pthread_mutex_unlock(&curator->mutex);
    room_set(&curator->room, retention_max_size(limits, &disk), retention_headroom(limits, &disk));
}

int curator_start(struct curator *curator, struct error *error) {
    int result = -pthread_create(&curator->thread, NULL, run, curator);
    if (result < 0)
        return error_set(error, result, "no thread for the curator of the store: %s", strerror(-result));
    curator->running = true;
    return 0;
}

void curator_stop(struct curator *curator) {
    if (!curator || !curator->running)
        return;
    curator->stop = true;
    curator_wake(curator);
    pthread_join(curator->thread, NULL);
    curator->running = false;
}

void curator_destroy(struct curator *curator) {
    if (!curator)
        return;
    curator_stop(curator);
    curator_rewrite_finish(curator);
    room_finish(&curator->room);
    pthread_cond_destroy(&curator->woken);
    pthread_mutex_destroy(&curator->mutex);
    free(curator);
}

struct partition_growth curator_growth(struct curator *curator) {
    return (struct partition_growth) { room_grow, &curator->room };
}

uint64_t curator_wanted(const struct curator *curator) {
    return atomic_load_explicit(&((struct curator *)(uintptr_t)curator)->wanted, memory_order_relaxed);
}

void curator_give(struct curator *curator, uint64_t first) {
    pthread_mutex_lock(&curator->mutex);
    curator->wanted = 0;
    curator->given = first;
    curator->answered = true;
    pthread_cond_signal(&curator->woken);
    pthread_mutex_unlock(&curator->mutex);
}
