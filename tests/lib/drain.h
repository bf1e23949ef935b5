/* drain.h - what a collector would find in the calling user's ring, for tests that run without one. */
#ifndef TASKFORGE_TESTS_LIB_DRAIN_H
#define TASKFORGE_TESTS_LIB_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"
#include "common/shm/ring_reader.h"

struct drain {
    struct ring ring;
    struct buffer lines;   /* one JSON line for each entry, as CONTRACT section 3, lane by lane */
    struct buffer metrics; /* one JSON line for each metric update */
    struct buffer updates; /* one line for each metric update: counter app add jobs{queue="mail"} 3 TRACE_ID, or
                              3x10 where it counts ten times */
    struct buffer reports; /* one line for each health report: NAME STATE TTL_NS DETAILS */
    struct buffer cells;   /* one line for each series by handle, slot by slot: counter app jobs{queue="mail"} 3; of a
                              histogram count and sum */
    unsigned update_count;
    unsigned entries;                              /* how many there were */
    unsigned deferred;                             /* of them, how many carried a call site */
    unsigned in_overflow;                          /* of them, how many came through an overflow lane */
    unsigned positions;                            /* input positions, within entries and alone */
    uint64_t lost[LOSS_REASON_COUNT][LEVEL_COUNT]; /* the ledgers' sums */
    uint64_t lost_total;
};

/* Open RUNTIME_DIR/rings/UID of the caller. Aborts, with the reason on stderr, when anything is not as it must be. */
void drain_open(struct drain *drain, const char *runtime_dir);
void drain_close(struct drain *drain);

/* Read everything between tails and heads anew into *drain; where `take`, also move the tails, as a collector does after its
 * commit. Returns the number of entries. */
unsigned drain_read(struct drain *drain, bool take);

/* drain_open, drain_read, drain_close; the buffers are the caller's to free with drain_finish. */
unsigned drain_once(const char *runtime_dir, bool take, struct drain *ret);

void drain_finish(struct drain *drain); /* the buffers alone */

/* Lines that contain `part`. */
unsigned drain_count(const struct drain *drain, const char *part);

#endif
