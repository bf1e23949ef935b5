/* space_job.h - statvfs(2) of some mount points on a thread of its own.
 *
 * A server that is gone makes statvfs wait for ever, in a sleep that no signal ends. So each look at the file systems is a
 * job with its own thread, and a thread that hangs is left alone: it stops at the call in hand and frees what it holds if that
 * ever returns. The functions are for one thread, the job's owner.
 */
#ifndef TASKFORGE_AGENT_HOST_SPACE_JOB_H
#define TASKFORGE_AGENT_HOST_SPACE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/statvfs.h>

struct space_job;

typedef int space_job_stat(const char *path, struct statvfs *ret); /* as statvfs(3) */

/* Begin; the paths are copied. A negative errno: no memory, descriptor or thread to be had. */
int space_job_start(const char *const *paths, size_t count, space_job_stat *stat, struct space_job **ret);

/* A descriptor (the job's) that is readable once all paths were looked at. */
int space_job_fd(const struct space_job *job);

/* Look at no further path: how many were looked at, from the first, and whether the thread is still in the call for the
 * one behind them. */
size_t space_job_stop(struct space_job *job, bool *ret_hangs);

/* Whether the thread has come to its end. */
bool space_job_ended(struct space_job *job);

/* What came of a path that was reached: true and *ret, or false when it was an error. */
bool space_job_result(struct space_job *job, size_t at, struct statvfs *ret);

/* Let go of it, whatever its thread does. NULL is fine. */
void space_job_release(struct space_job *job);

#endif
