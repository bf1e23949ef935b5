/* segment_scan.h - series at memory speed, for whoever reads all of them again and again and keeps only where they are (the exposition).
 *
 * What is read here is not judged: only sizes are checked. Who uses it has read each series once by segment_next, which judges it, and knows a
 * hash of what it saw then. Everything but segment_scan_guard is to run inside of it, and allocates nothing. Several threads may scan one
 * segment at the same time.
 */
#ifndef TASKFORGE_COMMON_SHM_SEGMENT_SCAN_H
#define TASKFORGE_COMMON_SHM_SEGMENT_SCAN_H

#include "common/shm/segment.h"

/* function(argument), which may call the functions below: what it returns, or -EFAULT when the file was cut. */
int segment_scan_guard(const struct segment *segment, int (*function)(void *argument), void *argument);

/* Whether series stand there as the functions below expect it: false for a segment of version 1. */
bool segment_scan_fits(const struct segment *segment);

/* A series where it stands. */
struct segment_look {
    struct text labels; /* in the file, where they can change: copy them, then judge the copy */
    bool hidden;
    uint64_t created_ns;
    uint64_t position;
};
int segment_look(const struct segment *segment, uint64_t position, struct segment_look *ret); /* -EBADMSG */
bool segment_look_hidden(const struct segment *segment, uint64_t position); /* that alone; true of nonsense */
/* Have the processor fetch the beginning of a series that will be looked at soon. */
void segment_look_ahead(const struct segment *segment, uint64_t position);

/* The value of a counter or gauge, and, unless NULL, of a counter the exemplar (length 0: none), of one moment. -EBADMSG. */
int segment_look_value(struct segment *segment, const struct segment_look *look, double *ret,
                       struct metric_exemplar *exemplar);

/* A histogram without memory of its own. */
struct segment_counts {
    struct histogram histogram; /* its octaves point below; not to be finished */
    uint64_t octaves[HISTOGRAM_OCTAVES][HISTOGRAM_BUCKETS];
    unsigned exemplar_count;
    struct metric_exemplar exemplars[METRIC_BOUNDS_MAX + 1];
};
/* The histogram and, where they are wanted, its exemplars, of one moment. -EBADMSG. */
int segment_look_counts(struct segment *segment, const struct segment_look *look, bool exemplars,
                        struct segment_counts *ret);

#endif
