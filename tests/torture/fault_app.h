/* fault_app.h - the account of one fault_app, in a file that outlives it. */
#ifndef TASKFORGE_TESTS_TORTURE_FAULT_APP_H
#define TASKFORGE_TESTS_TORTURE_FAULT_APP_H

#include <stdatomic.h>
#include <stdint.h>

enum { STREAM_MAIN, STREAM_THREADS, STREAM_CHILDREN, STREAMS };

/* Entries "STREAM NUMBER ..." with numbers from 1: of one stream one after the other, and a number again when it was refused. Each
 * is counted after its call has returned. */
struct fault_account {
    struct {
        _Atomic uint64_t accepted, refused;
    } streams[STREAMS];
    _Atomic uint64_t counted, observed; /* by handle: a counter, a histogram */
    _Atomic uint64_t worst_ns;          /* the longest that a call was held up by anything but other processes' turns */
};

#endif
