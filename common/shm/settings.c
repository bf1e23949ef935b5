/* settings.c - RUNTIME_DIR/settings, the collector's word to the library (ring.h, layout.h). */
#include "common/shm/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_PATH_MAX = 4096 };

static const struct shared_settings defaults = {
    .magic = SETTINGS_MAGIC,
    .version = SETTINGS_VERSION,
    .size = sizeof(struct shared_settings),
    .ring_size = RING_SIZE_DEFAULT,
    .level = LEVEL_TRACE,
};

static bool is_sound(const struct shared_settings *settings) {
    return settings->magic == SETTINGS_MAGIC && settings->version >= SETTINGS_VERSION &&
           settings->size >= sizeof(*settings) && settings->ring_size >= RING_SIZE_MIN &&
           settings->ring_size <= RING_SIZE_MAX && settings->level < LEVEL_COUNT;
}

void settings_read(const char *runtime_dir, struct shared_settings *ret) {
    char path[SETTINGS_PATH_MAX];
    struct shared_settings found;
    *ret = defaults;
    if ((size_t)snprintf(path, sizeof(path), "%s/settings", runtime_dir) >= sizeof(path))
        return;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    if (pread(fd, &found, sizeof(found), 0) == (ssize_t)sizeof(found) && is_sound(&found))
        *ret = found;
    close(fd);
}

static int write_whole(int fd, const struct shared_settings *settings) {
    ssize_t written = write(fd, settings, sizeof(*settings));
    if (written < 0)
        return -errno;
    if (written != (ssize_t)sizeof(*settings))
        return -ENOSPC;
    return fchmod(fd, 0644) < 0 ? -errno : 0; /* whatever the umask: every user's library reads it */
}

int settings_write(const char *runtime_dir, const struct shared_settings *settings, struct error *error) {
    char path[SETTINGS_PATH_MAX], temporary[SETTINGS_PATH_MAX];
    struct shared_settings out = *settings;
    out.magic = SETTINGS_MAGIC;
    out.version = SETTINGS_VERSION;
    out.size = sizeof(out);
    if (!is_sound(&out))
        return error_set(error, -EINVAL, "settings for the library are out of range (ring size %llu, level %u)",
                         (unsigned long long)out.ring_size, out.level);
    if ((size_t)snprintf(path, sizeof(path), "%s/settings", runtime_dir) >= sizeof(path) ||
        (size_t)snprintf(temporary, sizeof(temporary), "%s/.settings.new", runtime_dir) >= sizeof(temporary))
        return error_set(error, -ENAMETOOLONG, "the runtime directory's path is too long");

    unlink(temporary); /* of a writer that was killed; the collector is the only one */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(error, -errno, "cannot create %s: %s", temporary, strerror(errno));
    int result = write_whole(fd, &out);
    close(fd);
    if (result == 0 && rename(temporary, path) < 0)
        result = -errno;
    if (result < 0) {
        unlink(temporary);
        return error_set(error, result, "cannot write %s: %s", path, strerror(-result));
    }
    return 0;
}
