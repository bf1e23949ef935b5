/* paths.c - the directories when nobody says so. */
#include "common/base/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_RUNTIME_DIR "/run/taskforge"
#define SYSTEM_DATA_DIR "/var/lib/taskforge"

static int put(char out[PATHS_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int put(char out[PATHS_MAX], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, PATHS_MAX, format, arguments);
    va_end(arguments);
    if (length >= 0 && length < PATHS_MAX)
        return 0;
    out[0] = '\0';
    return -ENAMETOOLONG;
}

/* An environment variable that holds an absolute path; a set-user-id program does not listen to it. */
static const char *directory_variable(const char *name) {
    const char *value = secure_getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

/* A real directory that belongs to this user: a link, or somebody else's folder in /dev/shm, is not it. */
static bool is_own_directory(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

int paths_user_runtime_dir(char out[PATHS_MAX]) {
    if (geteuid() == 0)
        return put(out, SYSTEM_RUNTIME_DIR);
    const char *xdg = directory_variable("XDG_RUNTIME_DIR");
    if (xdg)
        return put(out, "%s/taskforge", xdg);
    return put(out, "/dev/shm/taskforge-%u", (unsigned)geteuid());
}

int paths_user_data_dir(char out[PATHS_MAX]) {
    if (geteuid() == 0)
        return put(out, SYSTEM_DATA_DIR);
    const char *xdg = directory_variable("XDG_DATA_HOME");
    if (xdg)
        return put(out, "%s/taskforge", xdg);
    const char *home = directory_variable("HOME");
    if (home)
        return put(out, "%s/.local/share/taskforge", home);
    struct passwd entry, *found = NULL;
    char room[1024];
    if (getpwuid_r(geteuid(), &entry, room, sizeof(room), &found) == 0 && found)
        return put(out, "%s/.local/share/taskforge", found->pw_dir);
    return put(out, SYSTEM_DATA_DIR);
}

int paths_runtime_dir(const char *configured, char out[PATHS_MAX]) {
    const char *variable = secure_getenv("TASKFORGE_RUNTIME_DIR");
    if (variable && variable[0])
        return put(out, "%s", variable);
    if (configured && configured[0])
        return put(out, "%s", configured);
    if (geteuid() != 0) {
        /* the last two for an app whose environment differs from that of deploy/up (cron, su): all must meet */
        if (paths_user_runtime_dir(out) == 0 && is_own_directory(out))
            return 0;
        if (put(out, "/run/user/%u/taskforge", (unsigned)geteuid()) == 0 && is_own_directory(out))
            return 0;
        if (put(out, "/dev/shm/taskforge-%u", (unsigned)geteuid()) == 0 && is_own_directory(out))
            return 0;
    }
    return put(out, SYSTEM_RUNTIME_DIR);
}

int paths_data_dir(const char *configured, char out[PATHS_MAX]) {
    const char *variable = secure_getenv("TASKFORGE_DATA_DIR");
    if (variable && variable[0])
        return put(out, "%s", variable);
    if (configured && configured[0])
        return put(out, "%s", configured);
    if (geteuid() != 0 && paths_user_data_dir(out) == 0 && is_own_directory(out))
        return 0;
    return put(out, SYSTEM_DATA_DIR);
}
