/* ring_lib.h - what the ring's torture tests share: numbered records that prove themselves, and a reader that checks
 * them.
 *
 * A stream is a run of entries from one thread: its number stands in the id, the place in it (1, 2, ...) in the
 * timestamp, and length and bytes of the message follow from both. The reader knows each stream's next place: a gap, a
 * repeat, a changed order or one wrong byte ends the test. */
#ifndef TASKFORGE_TESTS_TORTURE_RING_LIB_H
#define TASKFORGE_TESTS_TORTURE_RING_LIB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/shm/ring_reader.h"

/* Ends the test with a line; unlike check() it prints values. */
#define require(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            torture_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                                 \
    } while (0)
_Noreturn void torture_fail(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* `count`, or `count_long` under TASKFORGE_LONG=1. */
uint64_t torture_count(uint64_t count, uint64_t count_long);

uint64_t torture_random(uint64_t *state); /* xorshift; *state not 0 */

/* fork(2); the child dies with us, so that a test that is killed leaves nothing running. */
pid_t torture_fork(void);

/* A runtime directory of the test's own; torture_remove takes it away with all in it. */
void torture_directory(char out[64]);
void torture_remove(const char *directory);
int open_rings(const char *directory); /* a descriptor of its folder of rings */

/* Write record `place` of a stream into a private lane: false when there is no room. */
bool stream_write(struct lane_writer *writer, uint64_t stream, uint64_t place);

/* The same into an overflow lane that is taken, with its hello; and with taking and giving it: 0, or -EAGAIN. */
bool stream_write_with_hello(struct lane_writer *writer, uint64_t stream, uint64_t place);
int stream_write_overflow(struct ring *ring, const struct slot_claim *claim, uint64_t stream, uint64_t place);

/* Register a counter, a gauge and a timer in the slot and update them. The ring may be full of nasty values. */
void torture_metrics(struct ring *ring, const struct slot_claim *claim);
/* In a sound one: claim a slot, which stays, and put records, a call site and metrics into it. */
void torture_fill(struct ring *ring);

/* A value that hurts (limits, neighbours, other people's numbers), and a place for it in one of the ring's parts, the small ones as often
 * as the large. */
uint64_t torture_nasty(uint64_t *random);
uint64_t torture_place(const struct ring *ring, uint64_t *random);

/* The reader of one ring. */
struct follower {
    struct ring *ring;
    char *copy;          /* room for the largest lane */
    uint64_t *next;      /* by stream: the place that must come next */
    uint64_t stream_max; /* streams 0 .. stream_max - 1 */
    uint64_t records;    /* read so far */
};
void follower_init(struct follower *follower, struct ring *ring, uint64_t stream_max);
void follower_finish(struct follower *follower);

/* Read all that is committed in a lane, check it, move the tail; ret as ring_reader_lane gave it, its tail moved. */
void follower_drain_lane(struct follower *follower, uint32_t lane, struct lane_state *ret);
void follower_drain(struct follower *follower);

/* Copy a recorder lane from `from` on and check it: records of one stream, whole, one behind the other without a gap. Gives how many, and the
 * places of the first and the last. */
uint64_t follower_look(struct follower *follower, uint32_t lane, uint64_t from, uint64_t stream, uint64_t *ret_first,
                       uint64_t *ret_last);

#endif
