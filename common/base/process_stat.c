#include "common/base/process_stat.h"

#include "common/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROC_FILE_SIZE = 1024 };

/* A short file of /proc, NUL-terminated: 0 or a negative errno. */
static int read_file(const char *path, char out[PROC_FILE_SIZE]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, out, PROC_FILE_SIZE - 1);
    int result = length < 0 ? -errno : 0;
    close(fd);
    out[length > 0 ? length : 0] = '\0';
    return result;
}

/* The name in field 2 may hold anything, also blanks and parentheses. */
int process_stat_read(const char *path, struct process_stat *ret) {
    char text[PROC_FILE_SIZE];
    struct process_stat read = { 0 };
    int result = read_file(path, text);
    if (result < 0)
        return result;
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ')
        return -EBADMSG;
    field += 2;
    read.state = *field;
    for (int number = 3; number < 22; number++) {
        field = strchr(field, ' ');
        if (!field)
            return -EBADMSG;
        field++;
        if (number + 1 == 20)
            read.threads = strtoull(field, NULL, 10);
    }
    read.start_time = strtoull(field, NULL, 10);
    *ret = read;
    return 0;
}

bool process_age_ns(uint64_t start_time, uint64_t *ret) {
    struct timespec now = { 0 };
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
    if (start_time == 0 || start_time / ticks > now_ns / CLOCK_SECOND)
        return false;
    uint64_t start_ns = start_time / ticks * CLOCK_SECOND + start_time % ticks * (CLOCK_SECOND / ticks);
    if (start_ns > now_ns)
        return false;
    *ret = now_ns - start_ns;
    return true;
}

static double seconds_of(clockid_t clock) {
    struct timespec now = { 0 };
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / (double)CLOCK_SECOND;
}

static int count_open_files(uint64_t *ret) {
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (!folder)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    *ret = count > 0 ? count - 1 : 0; /* without the folder's own */
    return 0;
}

int process_usage_read(struct process_usage *ret) {
    char text[PROC_FILE_SIZE];
    struct process_usage usage = { 0 };
    int result = read_file("/proc/self/statm", text);
    if (result == 0)
        result = count_open_files(&usage.open_files);
    if (result < 0)
        return result;
    const char *resident = strchr(text, ' '); /* size and resident, in pages */
    usage.resident_bytes = resident ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    usage.cpu_seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    *ret = usage;
    return 0;
}

double process_start_seconds(void) {
    struct process_stat stat;
    if (process_stat_read("/proc/self/stat", &stat) < 0)
        return 0;
    return seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) +
           (double)stat.start_time / (double)sysconf(_SC_CLK_TCK);
}
