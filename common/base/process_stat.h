/* process_stat.h - what the kernel says of a process: in /proc/PID/stat of any, and what this one uses. Thread-safe. */
#ifndef TASKFORGE_COMMON_BASE_PROCESS_STAT_H
#define TASKFORGE_COMMON_BASE_PROCESS_STAT_H

#include <stdbool.h>
#include <stdint.h>

struct process_stat {
    char state;          /* field 3: 'R', 'S', 'Z' ... */
    uint64_t threads;    /* field 20 */
    uint64_t start_time; /* field 22: clock ticks since boot; with the pid it names a process */
};

/* `path` is "/proc/PID/stat". A negative errno; -EBADMSG for what is no such file. */
int process_stat_read(const char *path, struct process_stat *ret);

/* How long ago a process began by its start_time; false where that cannot be (0, or later than now). */
bool process_age_ns(uint64_t start_time, uint64_t *ret);

struct process_usage {
    double cpu_seconds; /* user and system, of all threads, since the process began */
    uint64_t resident_bytes;
    uint64_t open_files; /* descriptors */
};

/* What this process uses now. A negative errno where /proc does not say, *ret untouched. */
int process_usage_read(struct process_usage *ret);

/* When this process began, Unix seconds; two calls may differ by some milliseconds. 0: /proc does not say. */
double process_start_seconds(void);

#endif
