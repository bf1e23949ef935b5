/* settings.c - RUNTIME_DIR/settings, the collector's word to the library (ring.h, layout.h). */
#include "common/shm/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_PATH_MAX = 4096 };

void settings_default(struct shared_settings *ret) {
    *ret = (struct shared_settings) {
        .magic = SETTINGS_MAGIC,
        .version = SETTINGS_VERSION,
        .size = sizeof(*ret),
        .ring_size = RING_SIZE_DEFAULT,
        .level = LEVEL_TRACE,
    };
    for (int level = 0; level < LEVEL_COUNT; level++)
        ret->sampling[level] = SETTINGS_SAMPLING_ALL;
}

/* --- what came from a file --- */

/* What every release has. */
static bool is_sound(const struct shared_settings *settings) {
    return settings->magic == SETTINGS_MAGIC && settings->version >= SETTINGS_VERSION &&
           settings->size >= SETTINGS_SIZE_FIRST && settings->ring_size >= RING_SIZE_MIN &&
           settings->ring_size <= RING_SIZE_MAX && settings->level < LEVEL_COUNT;
}

static void repair_sampling(struct shared_settings *settings) {
    for (int level = LEVEL_ERROR; level < LEVEL_COUNT; level++)
        settings->sampling[level] = SETTINGS_SAMPLING_ALL;
}

static void repair_recorder(struct shared_settings *settings) {
    if (settings->recorder_levels & ~(uint32_t)SETTINGS_RECORDER_LEVELS ||
        settings->recorder_keep_ns < SETTINGS_RECORDER_KEEP_MIN ||
        settings->recorder_keep_ns > SETTINGS_RECORDER_KEEP_MAX) {
        settings->recorder_levels = 0;
        settings->recorder_keep_ns = 0;
    }
}

static bool is_key(const char key[SETTINGS_REDACT_KEY_SIZE]) {
    size_t length = strnlen(key, SETTINGS_REDACT_KEY_SIZE);
    return length > 0 && length <= SETTINGS_REDACT_KEY_BYTES && text_utf8_valid((struct text) { key, length });
}

/* Every key that is one stays: rather one too many than a secret that is told. Behind a key and the last one are NULs. */
static void repair_redaction(struct shared_settings *settings) {
    uint32_t count = 0;
    if (settings->redact_count > SETTINGS_REDACT_KEYS_MAX)
        settings->redact_count = SETTINGS_REDACT_KEYS_MAX;
    for (uint32_t i = 0; i < settings->redact_count; i++) {
        char key[SETTINGS_REDACT_KEY_SIZE] = "";
        if (!is_key(settings->redact_keys[i]))
            continue;
        memcpy(key, settings->redact_keys[i], strlen(settings->redact_keys[i]));
        memcpy(settings->redact_keys[count++], key, sizeof(key));
    }
    memset(settings->redact_keys[count], 0, (SETTINGS_REDACT_KEYS_MAX - count) * sizeof(settings->redact_keys[0]));
    settings->redact_count = count;
}

static void repair(struct shared_settings *settings) {
    memset(settings->reserved, 0, sizeof(settings->reserved));
    settings->version = SETTINGS_VERSION;
    settings->size = sizeof(*settings);
    repair_sampling(settings);
    repair_recorder(settings);
    repair_redaction(settings);
}

static bool read_beginning(int fd, struct shared_settings *ret) {
    struct shared_settings found;
    size_t known = SETTINGS_SIZE_FIRST;
    if (pread(fd, &found, known, 0) != (ssize_t)known || !is_sound(&found))
        return false;
    known = found.size < sizeof(found) ? found.size : sizeof(found);
    settings_default(ret);
    return pread(fd, ret, known, 0) == (ssize_t)known && is_sound(ret);
}

void settings_read(const char *runtime_dir, struct shared_settings *ret) {
    char path[SETTINGS_PATH_MAX];
    settings_default(ret);
    if ((size_t)snprintf(path, sizeof(path), "%s/settings", runtime_dir) >= sizeof(path))
        return;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    if (read_beginning(fd, ret))
        repair(ret);
    else
        settings_default(ret);
    close(fd);
}

/* --- writing --- */

static int write_whole(int fd, const struct shared_settings *settings) {
    ssize_t written = write(fd, settings, sizeof(*settings));
    if (written < 0)
        return -errno;
    if (written != (ssize_t)sizeof(*settings))
        return -ENOSPC;
    return fchmod(fd, 0644) < 0 ? -errno : 0; /* whatever the umask: every user's library reads it */
}

static int check_ranges(const struct shared_settings *settings, struct error *error) {
    struct shared_settings repaired = *settings;
    if (!is_sound(settings))
        return error_set(error, -EINVAL, "settings for the library are out of range (ring size %llu, level %u)",
                         (unsigned long long)settings->ring_size, settings->level);
    repair(&repaired);
    if (memcmp(&repaired, settings, sizeof(repaired)) != 0)
        return error_set(error, -EINVAL,
                         "settings for the library are out of range (redaction, sampling or flight recorder)");
    return 0;
}

int settings_write(const char *runtime_dir, const struct shared_settings *settings, struct error *error) {
    char path[SETTINGS_PATH_MAX], temporary[SETTINGS_PATH_MAX];
    struct shared_settings out = *settings;
    out.magic = SETTINGS_MAGIC;
    out.version = SETTINGS_VERSION;
    out.size = sizeof(out);
    int result = check_ranges(&out, error);
    if (result < 0)
        return result;
    if ((size_t)snprintf(path, sizeof(path), "%s/settings", runtime_dir) >= sizeof(path) ||
        (size_t)snprintf(temporary, sizeof(temporary), "%s/.settings.new", runtime_dir) >= sizeof(temporary))
        return error_set(error, -ENAMETOOLONG, "the runtime directory's path is too long");

    unlink(temporary); /* of a writer that was killed; the collector is the only one */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(error, -errno, "cannot create %s: %s", temporary, strerror(errno));
    result = write_whole(fd, &out);
    close(fd);
    if (result == 0 && rename(temporary, path) < 0)
        result = -errno;
    if (result < 0) {
        unlink(temporary);
        return error_set(error, result, "cannot write %s: %s", path, strerror(-result));
    }
    return 0;
}
