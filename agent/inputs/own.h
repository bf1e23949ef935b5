/* own.h - what is our own and must never come in again (law 7): folders, files and open files.
 *
 * The folders data_dir, runtime_dir, spill_dir and /var/log/taskforge; the file collector.output and what it is rotated
 * to; and whatever file our own and the collector's stdout and stderr happen to be.
 */
#ifndef TASKFORGE_AGENT_INPUTS_OWN_H
#define TASKFORGE_AGENT_INPUTS_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/process/config.h"

#define OWN_LOG_FOLDER "/var/log/taskforge"

enum { OWN_FILES_MAX = 16, OWN_FOLDERS_MAX = 10 };

struct own {
    char *folders[OWN_FOLDERS_MAX]; /* as written, and as resolved where that differs */
    size_t folder_count;
    char *outputs[2];
    size_t output_count;
    struct {
        dev_t device;
        ino_t inode;
    } files[OWN_FILES_MAX];
    size_t file_count;
};

/* Take the folders and files of `config`; copies. -ENOMEM. Free with own_finish. */
int own_init(struct own *own, const struct config *config);
void own_finish(struct own *own);

/* Add the regular files that are a process's stdout and stderr, as far as we may see them. */
void own_add_process(struct own *own, pid_t pid);

/* Judge a file by its path (also by the one it resolves to) and by what it is. */
bool own_is_path(const struct own *own, const char *path);
bool own_is_file(const struct own *own, dev_t device, ino_t inode);

#endif
