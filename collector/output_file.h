/* output_file.h - where the lines go: stdout, or a file that is rotated by size. One thread. */
#ifndef TASKFORGE_COLLECTOR_OUTPUT_FILE_H
#define TASKFORGE_COLLECTOR_OUTPUT_FILE_H

#include <stdint.h>

#include "common/base/error.h"

struct output_file {
    int fd;     /* STDOUT_FILENO, or the file's */
    char *path; /* NULL: stdout */
    uint64_t size;
    uint64_t rotate_bytes;
};

int output_file_open(struct output_file *file, const char *path, uint64_t rotate_bytes, struct error *error);
int output_file_reopen(struct output_file *file, struct error *error); /* the old one stays open on failure */
void output_file_close(struct output_file *file);

/* Before a batch of lines: begin a new file when this one has reached its size. */
int output_file_rotate(struct output_file *file, struct error *error);

/* Write some of it: the bytes written, 0 when stdout takes nothing now, or a negative errno. Only stdout may block. */
int64_t output_file_write(struct output_file *file, const char *data, uint64_t size);

#endif
