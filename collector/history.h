/* history.h - the thread that keeps metric history: at each tick it writes the values of all series (common/store/samples.h).
 *
 * It reads the metric segment, as anybody does, so what it writes was committed, and the ingest never waits for it. Its priority is low.
 * A tick is a multiple of the interval in Unix time; one that is late (the machine was busy, or slept) is written for the last multiple that
 * has come, and those in between are counted as missed. Whatever fails is said once, counted, and tried again at the next tick. Killed at
 * any moment it leaves what was committed, and no tick is written twice (samples_writer_begin).
 *
 * The samples take at most max_size of the disk, the oldest go first; and a day goes when it is older than max_age. When less than keep_free is
 * free, the log's partitions go before samples (history_room.c), and in the last quarter of it no samples are written. */
#ifndef TASKFORGE_COLLECTOR_HISTORY_H
#define TASKFORGE_COLLECTOR_HISTORY_H

#include "common/base/error.h"
#include "common/process/config.h"

struct history;

/* Nothing runs before history_start. The paths are copied. */
int history_create(const char *data_dir, const char *runtime_dir, struct history **ret, struct error *error);
/* The limits from now on; copied. Another interval begins with its next tick. */
void history_set(struct history *history, const struct config_history *limits,
                 const struct config_retention *retention);
int history_start(struct history *history, struct error *error);
/* End the thread, behind the tick it is at. NULL is fine. */
void history_destroy(struct history *history);

/* What the thread has done since it was created; any thread may ask. */
enum { HISTORY_TIMES_MAX = 64 };
struct history_status {
    uint64_t ticks, missed, samples, failures;
    uint64_t bytes;                       /* of all files on the disk */
    uint64_t lag_ns;                      /* how long ago the last tick that is written was due; 0: it is off */
    uint64_t failing_since_ns;            /* monotonic; 0: it is written, or off */
    uint64_t times_ns[HISTORY_TIMES_MAX]; /* how long ticks took: those since the last look, each told once */
    size_t time_count;
};
void history_look(struct history *history, struct history_status *ret);

#endif
