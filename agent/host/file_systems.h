/* file_systems.h - the space of all mounted file systems, looked at without ever waiting for one of them.
 *
 * A file system that gives no answer within the deadline counts as failed (node_filesystem_device_error) and is left alone
 * until its call returns; the others are looked at by a new thread. At most FILE_SYSTEMS_HUNG_MAX may hang so at once: from
 * then on those behind them count as failed too, until one answers. One thread, the loop's.
 */
#ifndef TASKFORGE_AGENT_HOST_FILE_SYSTEMS_H
#define TASKFORGE_AGENT_HOST_FILE_SYSTEMS_H

#include "agent/host/parse_host.h"
#include "agent/host/space_job.h"
#include "common/process/loop.h"

enum {
    FILE_SYSTEMS_MAX = 1024, /* more mounts than this are left out */
    FILE_SYSTEMS_HUNG_MAX = 64,
};

struct file_systems;

/* `ready` is called from the loop when a look has come to its end. */
int file_systems_create(struct loop *loop, space_job_stat *stat, uint64_t deadline_ns, void (*ready)(void *context),
                        void *context, struct file_systems **ret);
void file_systems_destroy(struct file_systems *self); /* waits for no one. NULL is fine */

/* Begin a look at the mounts of this /proc/PID/mounts. While the look before is still on, nothing happens. */
void file_systems_look(struct file_systems *self, struct text mounts);

/* The samples of the last look; what the sink returned. */
int file_systems_give(const struct file_systems *self, host_sink *sink, void *context);

/* How many hang now. */
size_t file_systems_hung(const struct file_systems *self);

#endif
