/* ring_sweep.h - everything a reader does with a ring, once, on whatever stands there. */
#ifndef TASKFORGE_TESTS_TORTURE_RING_SWEEP_H
#define TASKFORGE_TESTS_TORTURE_RING_SWEEP_H

#include "common/shm/ring_reader.h"

/* `copy` has RING_OVERFLOW_SIZE bytes. With `change` also what writes: tails, owners, slots, control. Every loop in
 * here is bounded by the ring's own counts; returns how many records came out. */
uint64_t ring_sweep(struct ring *ring, char *copy, bool change);

/* The same of one lane and one slot, without changing anything. */
uint64_t ring_sweep_one(struct ring *ring, uint32_t lane, uint32_t slot, char *copy);

#endif
