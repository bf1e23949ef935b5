/* host.c - see checks.h: memory and disk of this host against the shares of the configuration. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "exporter/checks/checks.h"

enum { MEMINFO_SIZE = 16 * 1024, MIB = 1024 * 1024 };

static void judge(struct check_result *ret, const struct config_thresholds *limits, const char *what, double available,
                  double total) {
    double percent = total > 0 ? available / total * 100 : 0;
    enum check_state state = percent < limits->unhealthy_below_percent  ? CHECK_UNHEALTHY
                             : percent < limits->degraded_below_percent ? CHECK_DEGRADED
                                                                        : CHECK_HEALTHY;
    check_say(ret, state, "%.1f %% of %s is available (%.0f of %.0f MiB)", percent, what, available / MIB, total / MIB);
}

/* "MemAvailable:   123 kB" in bytes; false when the line is not there. */
static bool meminfo_value(const char *text, const char *name, double *ret) {
    const char *at = strstr(text, name);
    if (!at)
        return false;
    *ret = (double)strtoull(at + strlen(name), NULL, 10) * 1024;
    return true;
}

void check_memory(const struct checks *checks, struct check_result *ret) {
    char text[MEMINFO_SIZE];
    double available, total;
    int fd = open(checks->meminfo, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (!meminfo_value(text, "MemAvailable:", &available) || !meminfo_value(text, "MemTotal:", &total))
        check_say(ret, CHECK_DEGRADED, "memory cannot be judged: %s does not tell", checks->meminfo);
    else
        judge(ret, &checks->limits.memory, "the memory", available, total);
}

void check_disk(const struct checks *checks, struct check_result *ret) {
    struct statvfs disk;
    if (statvfs(checks->data_dir, &disk) < 0) {
        check_say(ret, CHECK_UNHEALTHY, "the disk of %s cannot be looked at: %s", checks->data_dir, strerror(errno));
        return;
    }
    judge(ret, &checks->limits.disk, "the disk", (double)disk.f_bavail * (double)disk.f_frsize,
          (double)disk.f_blocks * (double)disk.f_frsize);
}
