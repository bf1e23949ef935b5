/* io_fault_private.h - io_fault.c and io_record.c. All under the mutex of io_fault.c, but for the set up. */
#ifndef TASKFORGE_TESTS_TORTURE_IO_FAULT_PRIVATE_H
#define TASKFORGE_TESTS_TORTURE_IO_FAULT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "tests/torture/io_fault.h"

ssize_t (*io_real_pwritev(void))(int, const struct iovec *, int, off_t);

void io_record_open(const char *path);
/* The number of the file just opened; `made`: by this call. */
uint32_t io_record_file(const struct stat *status, const char *path, bool made);
void io_record_write(uint32_t file, bool synced, off_t offset, const struct iovec *parts, int count, size_t size);
void io_record_event(enum io_event event, uint32_t file, uint64_t length, const char *name, const char *second);

/* What a write overwrites, until the file's next sync: kept, put back (the last first), let go. */
void io_keep(int fd, uint32_t file, off_t offset, size_t size);
void io_undo(int fd, uint32_t file);
void io_forget(uint32_t file);

#endif
