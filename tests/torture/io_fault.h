/* io_fault.h - what the preload library (io_fault.c) and the tests that steer it share: the control file, and the log it records.
 *
 * $IO_FAULT_UNDER   folders, parted by colons: only files below them count (never LMDB's lock files, nor the reserve)
 * $IO_FAULT_CONTROL a file of IO_CONTROL_SIZE bytes, mapped: struct io_control, which the test may change at any moment
 * $IO_FAULT_LOG     where set: all that changes a file is appended to it, in the order in which it happened */
#ifndef TASKFORGE_TESTS_TORTURE_IO_FAULT_H
#define TASKFORGE_TESTS_TORTURE_IO_FAULT_H

#include <stdatomic.h>
#include <stdint.h>

enum io_kind {
    IO_OPEN,
    IO_WRITE,
    IO_SYNC,
    IO_SIZE, /* truncating and allocating */
    IO_NAME, /* link, rename, unlink, mkdir */
    IO_READ,
    IO_MAP,
    IO_KINDS,
};

enum io_mode {
    IO_REFUSE, /* the call is not made */
    IO_LIE,    /* it is made, and said to have failed */
    IO_DROP, /* a failing sync: what was written since the last good one is gone from the file, and the next succeeds */
};

enum { IO_CONTROL_SIZE = 4096 };

struct io_control {
    _Atomic uint64_t kinds; /* bits of enum io_kind that may fail; 0: none */
    _Atomic uint64_t first; /* the call of those kinds that fails, from 1, counted from when `passed` was set to 0 */
    _Atomic uint64_t count; /* how many in a row do */
    _Atomic uint64_t error; /* errno */
    _Atomic uint64_t mode;
    _Atomic uint64_t passed, failed;
    _Atomic uint64_t sync_delay_ns; /* each sync, and each write that syncs, takes so much longer */
    _Atomic uint64_t keep;          /* 1: keep what is overwritten, as IO_DROP needs */
    char only[64];                  /* of the path: where not empty, only files whose path has it in it */
};

/* One record of the log; then name_bytes of names (a second one behind a zero byte), then data_bytes. */
struct io_record {
    uint32_t what; /* enum io_event */
    uint32_t file; /* a number for each file, whatever its names */
    uint64_t offset, length;
    int64_t time_ns; /* CLOCK_REALTIME, when it had happened */
    uint32_t name_bytes, data_bytes;
};

enum io_event {
    IO_EVENT_CREATE, /* file, name */
    IO_EVENT_OPEN,   /* likewise; was there before */
    IO_EVENT_WRITE,  /* file, offset, data */
    IO_EVENT_WRITE_SYNC,
    IO_EVENT_SYNC,        /* file */
    IO_EVENT_SYNC_FOLDER, /* name */
    IO_EVENT_TRUNCATE,    /* file, length */
    IO_EVENT_ALLOCATE,    /* file: at least length */
    IO_EVENT_LINK,        /* from, to */
    IO_EVENT_RENAME,
    IO_EVENT_UNLINK,
};

#endif
