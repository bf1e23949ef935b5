/* notify.h - the service manager's side: the notification protocol of sd_notify(3), spoken directly. */
#ifndef TASKFORGE_COMMON_PROCESS_NOTIFY_H
#define TASKFORGE_COMMON_PROCESS_NOTIFY_H

#include <stdint.h>

/* A descriptor connected to $NOTIFY_SOCKET, which is taken out of the environment so that children do not speak for us; -1
 * when nobody listens. */
int notify_open(void);

/* Send "READY=1\nSTATUS=..." and the like; without a listener (fd -1) nothing happens. Never blocks, never fails. */
void notify_send(int fd, const char *assignments);

/* How often WATCHDOG=1 is wanted at the least, from WATCHDOG_USEC and WATCHDOG_PID (taken out likewise); 0: not at all. */
uint64_t notify_watchdog_ns(void);

#endif
