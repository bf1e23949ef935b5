/* liveness.h - whether the process behind a slot is still there: the record lock on the slot's byte, and its pid.
 *
 * Record locks are POSIX ones (F_SETLK): they survive a child's close after fork, the kernel drops them at death in
 * every pid namespace, and they do not conflict inside one process, nor does F_GETLK show a process its own: inside one
 * process the slot's state word tells. They are lost when the process closes any descriptor of the file. Thread-safe.
 */
#ifndef TASKFORGE_COMMON_SHM_LIVENESS_H
#define TASKFORGE_COMMON_SHM_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_identity {
    uint32_t pid;
    uint64_t start_time;    /* field 22 of /proc/PID/stat; 0 when there is no /proc */
    uint64_t pid_namespace; /* inode of /proc/self/ns/pid; 0 when there is no /proc */
};

void process_identity_own(struct process_identity *ret);

/* True when it is certain that the process is gone: same pid namespace as ours, and no such pid, or another start time,
 * or a zombie without threads. False where we cannot see. */
bool process_is_gone(const struct process_identity *process);

/* True when the process would be visible to us: process_is_gone can be believed either way. */
bool process_is_visible(const struct process_identity *process);

/* Take the lock of a slot: 0 (also when this process has it already), -EAGAIN when another process has it, -errno. */
int slot_lock_take(int fd, uint32_t slot);
void slot_lock_drop(int fd, uint32_t slot);

/* A descriptor that becomes readable when the slot's owner ends (close it): for who would else have to ask about each of many, again
 * and again. -ESRCH where the owner does not hold the slot's lock, or is not to be seen; -EMFILE and so on. */
int slot_owner_watch(int fd, uint32_t slot, const struct process_identity *owner);

/* The rule of DESIGN section 3: dead is a lock that its owner does not hold, and a process that is gone where its pid
 * namespace can be seen; where it cannot, a lock that nobody holds. False when that cannot be found out. */
bool slot_owner_is_dead(int fd, uint32_t slot, const struct process_identity *owner);

#endif
