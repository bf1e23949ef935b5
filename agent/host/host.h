/* host.h - the host's metrics: at every interval one look at /proc and at the file systems, written as metric updates.
 *
 * Each look gives the values as they are (operation set), so a look that finds no room in the ring loses nothing: it waits
 * and goes on with values read anew, and the next look begins when it has ended. A part that the kernel does not have is
 * left out. All on the loop's thread; statvfs has its own (file_systems.h).
 */
#ifndef TASKFORGE_AGENT_HOST_HOST_H
#define TASKFORGE_AGENT_HOST_HOST_H

#include "agent/host/space_job.h"
#include "agent/inputs/input.h"
#include "common/base/error.h"
#include "common/process/loop.h"

struct host;

struct host_options {
    uint64_t interval_ns; /* between the beginnings of two looks */
    const char *proc;     /* NULL: "/proc"; borrowed for good */
    space_job_stat *stat; /* NULL: statvfs */
    uint64_t deadline_ns; /* for one file system; 0: HOST_STAT_DEADLINE_S */
};
enum { HOST_STAT_DEADLINE_S = 5 };

/* What happened since it was created. */
struct host_counters {
    uint64_t looks;    /* begun */
    uint64_t samples;  /* written to the ring */
    uint64_t repaired; /* of them, those whose name or labels no series may have (metric_repair.h) */
    uint64_t held;     /* times that a look held back since there was no room */
};

/* Begin with the first look in the loop's next round. `outlet` and `loop` are borrowed. */
int host_create(struct loop *loop, const struct outlet *outlet, const struct host_options *options, struct host **ret,
                struct error *error);
void host_destroy(struct host *host); /* NULL is fine */

/* From now on; the next look comes after that time. */
void host_set_interval(struct host *host, uint64_t interval_ns);

const struct host_counters *host_counters(const struct host *host);

#endif
