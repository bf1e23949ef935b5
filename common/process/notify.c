#include "common/process/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *place) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(place);
    int fd;

    if ((place[0] != '/' && place[0] != '@') || length < 2 || length >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, place, length);
    if (place[0] == '@') /* the abstract namespace */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int notify_open(void) {
    const char *place = getenv("NOTIFY_SOCKET");
    int fd = place ? connect_to(place) : -1;

    unsetenv("NOTIFY_SOCKET");
    return fd;
}

void notify_send(int fd, const char *assignments) {
    if (fd < 0)
        return;
    while (send(fd, assignments, strlen(assignments), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
}

uint64_t notify_watchdog_ns(void) {
    const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t ns = 0;

    if (interval && (!pid || strtoll(pid, NULL, 10) == (long long)getpid())) {
        unsigned long long us = strtoull(interval, NULL, 10);

        if (__builtin_mul_overflow((uint64_t)us, UINT64_C(1000), &ns))
            ns = 0;
    }
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return ns;
}
