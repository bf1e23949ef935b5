#include "collector/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "collector/history_private.h"
#include "collector/limits.h"
#include "common/base/clock.h"
#include "common/base/diag.h"

enum { NICE = 10 };

/* --- waiting --- */

static uint64_t tick_at(const struct history *history, uint64_t real_ns) {
    uint64_t interval = history->own.history.interval_ns;
    return interval > 0 ? real_ns / interval * interval : 0;
}

/* The mutex is held. A tick of the new interval that has come before is not one to be written. */
static void take_limits(struct history *history) {
    uint64_t interval = history->own.history.interval_ns;
    history->own = history->limits;
    history->own_version = history->version;
    history->last_expire_ns = 0;
    if (history->own.history.interval_ns != interval)
        history->last_tick_ns = tick_at(history, clock_real_ns());
}

/* Until that time, or until the limits have changed. False when the thread is to stop. */
static bool rest_until(struct history *history, uint64_t real_ns) {
    const struct timespec until = { (time_t)(real_ns / CLOCK_SECOND), (long)(real_ns % CLOCK_SECOND) };
    pthread_mutex_lock(&history->mutex);
    while (!history->stop && history->own_version == history->version &&
           pthread_cond_timedwait(&history->woken, &history->mutex, &until) != ETIMEDOUT)
        ;
    bool stop = history->stop, changed = history->own_version != history->version;
    if (changed)
        take_limits(history);
    pthread_mutex_unlock(&history->mutex);
    if (changed && !stop)
        history_forget(history); /* interval and sizes are the writer's */
    return !stop;
}

/* --- telling --- */

static void note_failure(struct history *history, const struct error *error) {
    if (!history->failing)
        diag_error("metric history cannot be written: %s%s; it is tried again at each tick", error->text,
                   history->scarce ? " (the last quarter of retention.keep_free is the log's)" : "");
    history->failing = true;
    pthread_mutex_lock(&history->mutex);
    history->status.failures++;
    if (!history->status.failing_since_ns)
        history->status.failing_since_ns = clock_monotonic_ns();
    pthread_mutex_unlock(&history->mutex);
}

static void note_tick(struct history *history, uint64_t tick_ns, uint64_t samples, uint64_t took_ns) {
    struct history_status *status = &history->status;
    uint64_t bytes = history_bytes(history);
    if (history->failing)
        diag_info("metric history is written again");
    history->failing = history->told_back = false;
    pthread_mutex_lock(&history->mutex);
    history->written_ns = tick_ns;
    status->ticks++;
    status->samples += samples;
    status->bytes = bytes;
    status->failing_since_ns = 0;
    if (status->time_count < HISTORY_TIMES_MAX)
        status->times_ns[status->time_count++] = took_ns;
    pthread_mutex_unlock(&history->mutex);
}

static void note_missed(struct history *history, uint64_t ticks) {
    pthread_mutex_lock(&history->mutex);
    history->status.missed += ticks;
    pthread_mutex_unlock(&history->mutex);
}

/* The tick is there already: of a collector that ran until now, which is as it should be; or the clock went back. */
static void note_there(struct history *history, uint64_t tick_ns) {
    uint64_t last = samples_writer_last(history->writer);
    pthread_mutex_lock(&history->mutex);
    history->written_ns = last;
    pthread_mutex_unlock(&history->mutex);
    if (last <= tick_ns)
        return;
    if (!history->told_back)
        diag_warn("the clock went back: there are samples of metrics that are %" PRIu64
                  " s ahead, and none are written until it has passed them",
                  (last - tick_ns) / CLOCK_SECOND);
    history->told_back = true;
    note_missed(history, 1);
}

/* --- the thread --- */

static void sample(struct history *history, uint64_t tick_ns) {
    struct error error = { "" };
    uint64_t samples = 0, begun = clock_monotonic_ns();
    history->scarce = false;
    history_yield(history);
    int result = history_sample(history, tick_ns, &samples, &error);
    if (result < 0) {
        note_failure(history, &error);
        history_forget(history);
    } else if (result == 1) {
        note_there(history, tick_ns);
    } else {
        note_tick(history, tick_ns, samples, clock_monotonic_ns() - begun);
    }
}

/* The newest tick that has come, if it was not looked at. */
static void look(struct history *history) {
    uint64_t interval = history->own.history.interval_ns, tick = tick_at(history, clock_real_ns());
    uint64_t last = history->last_tick_ns;
    if (tick == last)
        return;
    if (tick > last + interval)
        note_missed(history, (tick - last) / interval - 1);
    history->last_tick_ns = tick;
    sample(history, tick);
}

static uint64_t next_tick(const struct history *history) {
    uint64_t interval = history->own.history.interval_ns, now = clock_real_ns();
    return interval > 0 ? tick_at(history, now) + interval : now + HISTORY_EXPIRE_NS;
}

static void *run(void *argument) {
    struct history *history = argument;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* behind those who bring in what it reads */
    while (rest_until(history, next_tick(history))) {
        uint64_t now = clock_monotonic_ns();
        if (history->own.history.interval_ns > 0)
            look(history);
        if (history->last_expire_ns && now - history->last_expire_ns < HISTORY_EXPIRE_NS)
            continue;
        history->last_expire_ns = now;
        history_expire(history, clock_real_ns());
    }
    return NULL;
}

/* --- the other threads' side --- */

int history_create(const char *data_dir, const char *runtime_dir, struct history **ret, struct error *error) {
    struct history *history = calloc(1, sizeof(*history));
    if (!history)
        return error_set(error, -ENOMEM, "out of memory");
    snprintf(history->data_dir, sizeof(history->data_dir), "%s", data_dir);
    snprintf(history->runtime_dir, sizeof(history->runtime_dir), "%s", runtime_dir);
    pthread_mutex_init(&history->mutex, NULL);
    pthread_cond_init(&history->woken, NULL); /* by the real clock: when that is set, the next tick is another one */
    *ret = history;
    return 0;
}

void history_set(struct history *history, const struct config_history *limits,
                 const struct config_retention *retention) {
    pthread_mutex_lock(&history->mutex);
    if (history->limits.history.interval_ns == 0)
        history->written_ns = clock_real_ns();
    history->limits.history = *limits;
    history->limits.retention = *retention;
    history->version++;
    if (limits->interval_ns == 0)
        history->status.failing_since_ns = 0;
    pthread_cond_signal(&history->woken);
    pthread_mutex_unlock(&history->mutex);
}

int history_start(struct history *history, struct error *error) {
    int result = -pthread_create(&history->thread, NULL, run, history);
    if (result < 0)
        return error_set(error, result, "no thread for the history of metrics: %s", strerror(-result));
    history->running = true;
    return 0;
}

void history_destroy(struct history *history) {
    if (!history)
        return;
    if (history->running) {
        pthread_mutex_lock(&history->mutex);
        history->stop = true;
        pthread_cond_signal(&history->woken);
        pthread_mutex_unlock(&history->mutex);
        pthread_join(history->thread, NULL);
    }
    history_forget(history);
    segment_sample_finish(&history->sample);
    free(history->series);
    pthread_cond_destroy(&history->woken);
    pthread_mutex_destroy(&history->mutex);
    free(history);
}

void history_look(struct history *history, struct history_status *ret) {
    pthread_mutex_lock(&history->mutex);
    uint64_t now_ns = clock_real_ns();
    *ret = history->status;
    if (history->limits.history.interval_ns > 0 && now_ns > history->written_ns)
        ret->lag_ns = now_ns - history->written_ns;
    history->status.time_count = 0;
    pthread_mutex_unlock(&history->mutex);
}
