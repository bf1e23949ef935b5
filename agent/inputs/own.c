/* own.c - tell our own files from others'. */
#include "agent/inputs/own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path with its folder resolved, so that it need not exist itself; NULL where even that fails. */
static char *resolve(const char *path) {
    char *whole = realpath(path, NULL);
    if (whole)
        return whole;
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return NULL;
    char *folder = strndup(path, (size_t)(slash - path)), *resolved = folder ? realpath(folder, NULL) : NULL, *joined;
    if (!resolved || asprintf(&joined, "%s%s", resolved, slash) < 0)
        joined = NULL;
    free(folder);
    free(resolved);
    return joined;
}

static int add(char **list, size_t *count, const char *path) {
    if (!path || path[0] == '\0')
        return 0;
    char *written = strdup(path);
    if (!written)
        return -ENOMEM;
    size_t length = strlen(written);
    while (length > 1 && written[length - 1] == '/')
        written[--length] = '\0';
    list[(*count)++] = written;
    char *resolved = resolve(written);
    if (resolved && strcmp(resolved, written) != 0)
        list[(*count)++] = resolved;
    else
        free(resolved);
    return 0;
}

int own_init(struct own *own, const struct config *config) {
    *own = (struct own) { 0 };
    const char *folders[] = { config->data_dir, config->runtime_dir, config->collector.spill_dir, OWN_LOG_FOLDER };
    int result = add(own->outputs, &own->output_count, config->collector.output_path);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && result == 0; i++)
        result = add(own->folders, &own->folder_count, folders[i]);
    if (result != 0)
        own_finish(own);
    else
        own_add_process(own, getpid());
    return result;
}

void own_finish(struct own *own) {
    for (size_t i = 0; i < own->folder_count; i++)
        free(own->folders[i]);
    for (size_t i = 0; i < own->output_count; i++)
        free(own->outputs[i]);
    *own = (struct own) { 0 };
}

void own_add_process(struct own *own, pid_t pid) {
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        char path[64];
        struct stat status;
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        if (pid <= 0 || stat(path, &status) != 0 || !S_ISREG(status.st_mode) ||
            own_is_file(own, status.st_dev, status.st_ino))
            continue;
        if (own->file_count == OWN_FILES_MAX) { /* the oldest goes: a collector started often */
            memmove(own->files, own->files + 1, sizeof(own->files) - sizeof(own->files[0]));
            own->file_count--;
        }
        own->files[own->file_count].device = status.st_dev;
        own->files[own->file_count++].inode = status.st_ino;
    }
}

static bool under(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0' || length == 1);
}

/* "out.ndjson", "out.ndjson.1", "out.ndjson-20261123" */
static bool is_output(const char *path, const char *output) {
    size_t length = strlen(output);
    return strncmp(path, output, length) == 0 && (path[length] == '\0' || path[length] == '.' || path[length] == '-');
}

static bool is_own(const struct own *own, const char *path) {
    for (size_t i = 0; i < own->folder_count; i++)
        if (under(path, own->folders[i]))
            return true;
    for (size_t i = 0; i < own->output_count; i++)
        if (is_output(path, own->outputs[i]))
            return true;
    return false;
}

bool own_is_path(const struct own *own, const char *path) {
    if (is_own(own, path))
        return true;
    char *resolved = realpath(path, NULL);
    bool result = resolved && is_own(own, resolved);
    free(resolved);
    return result;
}

bool own_is_file(const struct own *own, dev_t device, ino_t inode) {
    for (size_t i = 0; i < own->file_count; i++)
        if (own->files[i].device == device && own->files[i].inode == inode)
            return true;
    return false;
}
