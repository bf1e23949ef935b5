#include "exporter/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool probe_listens(const char *runtime_dir, const char *name) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", runtime_dir, name) >=
        (int)sizeof(address.sun_path))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    /* EAGAIN: somebody listens, and its backlog is full */
    bool listens = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    close(fd);
    return listens;
}

static bool is_partition(const char *name) {
    const char *ending = strrchr(name, '.');
    return ending && strcmp(ending, ".mdb") == 0;
}

bool probe_store(const char *data_dir) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/logs", data_dir) >= (int)sizeof(path))
        return false;
    DIR *dir = opendir(path);
    bool readable = false;
    if (!dir)
        return false;
    for (const struct dirent *entry = readdir(dir); entry && !readable; entry = readdir(dir))
        readable = is_partition(entry->d_name) && faccessat(dirfd(dir), entry->d_name, R_OK, AT_EACCESS) == 0;
    closedir(dir);
    return readable;
}
