/* lanes.h - what the benchmarks of the calls write into, and who takes it out again: the calling user's ring, and one more
 * lane for the floor, which is memory of the same kind and no library.
 *
 *   emptied   between batches the tails are set to the heads, by the writer's own thread: nothing was read
 *   beside    a thread on another processor copies each lane and sets its tail, each millisecond, as the collector does
 */
#ifndef TASKFORGE_TESTS_BENCH_LANES_H
#define TASKFORGE_TESTS_BENCH_LANES_H

#include <stdint.h>

#include "common/shm/ring_reader.h"

enum { FLOOR_RECORD = 176 }; /* header, ids, one number and 100 bytes of text */

/* The ring is there already. Ends the program with a line when it is not. */
void lanes_open(const char *runtime_dir);
void lanes_close(void);
struct ring *lanes_ring(void);

void lanes_empty(void);
uint64_t lanes_bytes(void); /* what stands in them */

void lanes_begin_beside(void);
void lanes_wait(void); /* until the thread has taken out what was written before */
void lanes_end_beside(void);

/* Write the record's bytes with the number i in them: a copy, one reading of a clock, one release-store. */
void lanes_floor_write(unsigned i);

#endif
