#include "common/shm/liveness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/process_stat.h"
#include "common/shm/layout.h"

static uint64_t own_namespace(void) {
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

void process_identity_own(struct process_identity *ret) {
    struct process_stat stat_fields = { 0 };
    *ret = (struct process_identity) { .pid = (uint32_t)getpid(), .pid_namespace = own_namespace() };
    if (process_stat_read("/proc/self/stat", &stat_fields) == 0)
        ret->start_time = stat_fields.start_time;
}

bool process_is_visible(const struct process_identity *process) {
    return process->pid_namespace != 0 && process->pid_namespace == own_namespace();
}

bool process_is_gone(const struct process_identity *process) {
    if (!process_is_visible(process) || process->pid == 0 || process->pid > INT32_MAX)
        return false;
    if (kill((pid_t)process->pid, 0) < 0 && errno == ESRCH)
        return true;
    char path[64];
    struct process_stat stat_fields = { 0 };
    snprintf(path, sizeof(path), "/proc/%u/stat", process->pid);
    if (process_stat_read(path, &stat_fields) <
        0) /* hidden from us (hidepid), or gone just now: look again next time */
        return false;
    if (process->start_time != 0 && stat_fields.start_time != process->start_time)
        return true;
    /* A zombie whose other threads still run is a main thread that left early: the process lives. */
    return (stat_fields.state == 'Z' || stat_fields.state == 'X') && stat_fields.threads <= 1;
}

static struct flock lock_of(short type, uint32_t slot) {
    return (
        struct flock) { .l_type = type, .l_whence = SEEK_SET, .l_start = RING_LOCK_OFFSET + (off_t)slot, .l_len = 1 };
}

int slot_lock_take(int fd, uint32_t slot) {
    struct flock lock = lock_of(F_WRLCK, slot);
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

void slot_lock_drop(int fd, uint32_t slot) {
    struct flock lock = lock_of(F_UNLCK, slot);
    fcntl(fd, F_SETLK, &lock); /* cannot fail on a descriptor that is ours; else there is no lock to drop */
}

int slot_owner_watch(int fd, uint32_t slot, const struct process_identity *owner) {
    if (owner->pid == 0 || owner->pid > INT32_MAX)
        return -ESRCH;
    int watch = (int)syscall(SYS_pidfd_open, (pid_t)owner->pid, 0);
    if (watch < 0)
        return -errno;
    /* Who holds the lock now, behind the opening, is who was opened: or he has ended meanwhile, and the descriptor says so. The kernel
     * gives his number as we see it. */
    struct flock lock = lock_of(F_WRLCK, slot);
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid == (pid_t)owner->pid)
        return watch;
    close(watch);
    return -ESRCH;
}

bool slot_owner_is_dead(int fd, uint32_t slot, const struct process_identity *owner) {
    struct flock lock = lock_of(F_WRLCK, slot);
    if (fcntl(fd, F_GETLK, &lock) < 0)
        return false;
    bool is_held = lock.l_type != F_UNLCK;
    if (!process_is_visible(owner))
        return !is_held;
    /* Held by a process with another pid: one that is about to claim the slot, between its lock and its second look at
     * the state. It may be stopped there, and must not keep the dead alive. */
    if (is_held && (lock.l_pid <= 0 || (uint32_t)lock.l_pid == owner->pid))
        return false;
    return process_is_gone(owner);
}
