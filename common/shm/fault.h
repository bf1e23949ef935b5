/* fault.h - the named points of the producer's side, between any two steps that others can see. Compiled to nothing unless
 * TASKFORGE_FAULTS is defined, as it is for a copy of the library that the torture tests link (tests/torture/fault.c):
 * there a process is killed or stopped at the point that its environment names.
 *
 * X(name, what the process was about to do, or has just done) */
#ifndef TASKFORGE_COMMON_SHM_FAULT_H
#define TASKFORGE_COMMON_SHM_FAULT_H

#define FAULT_POINTS_OF_A_NEW_RING(X)                                                                                  \
    X(ring_named, "a file of a temporary name is there, empty")                                                        \
    X(ring_sized, "it has its length")                                                                                 \
    X(ring_allocated, "it has the pages of its front")                                                                 \
    X(ring_written, "the front is written, and not the access rights")                                                 \
    X(ring_whole, "it is whole, and not yet linked into place")                                                        \
    X(ring_linked, "it stands in place, under both names")                                                             \
    X(pages_counted, "pages are counted in the budget, and not there yet")                                             \
    X(pages_allocated, "they are there")                                                                               \
    X(slot_page, "one more slot's first page is there, and the slot not counted yet")                                  \
    X(slot_taken_in, "it is counted")                                                                                  \
    X(lane_allocated, "a lane has its pages, and nobody knows")

#define FAULT_POINTS_OF_A_PROCESS(X)                                                                                   \
    X(ring_opened, "the ring is open")                                                                                 \
    X(ring_mapped, "and mapped")                                                                                       \
    X(slot_locked, "a free slot's record lock is ours")                                                                \
    X(slot_filled, "the slot is filled, and still free")                                                               \
    X(slot_active, "its state is active, and the ring does not know")                                                  \
    X(slot_announced, "the ring's attach word counts it")                                                              \
    X(slot_releasing, "about to give the slot back")                                                                   \
    X(slot_released, "its state is free or closed, the lock still ours")                                               \
    X(session_claimed, "a session has its slot, and the client does not know")                                         \
    X(session_open, "the client writes to it")                                                                         \
    X(lane_taken, "a lane of the pool is ours by its owner word")                                                      \
    X(lane_retaken, "a lane that another thread of ours released is ours again")                                       \
    X(lane_claimed, "the lane is ready to be written to")                                                              \
    X(lane_releasing, "about to release a lane")                                                                       \
    X(lane_released, "the lane is released")                                                                           \
    X(span_padded, "the rest of a lap is filled with padding, unpublished")                                            \
    X(span_claimed, "a span of a lane is claimed")                                                                     \
    X(commit, "a record is whole, and not published")                                                                  \
    X(committed, "a record is published")                                                                              \
    X(overflow_taken, "an overflow lane is ours")                                                                      \
    X(overflow_giving, "about to give it back")                                                                        \
    X(overflow_given, "it is given back")                                                                              \
    X(site_written, "a call site is written, and not counted")                                                         \
    X(site_added, "it is counted")                                                                                     \
    X(loss_timed, "a loss has its time, and is not counted")                                                           \
    X(loss_counted, "it is counted")                                                                                   \
    X(area_cleared, "the metric area is there and clear, its marks are not set")                                       \
    X(metric_room, "room for a series is taken")                                                                       \
    X(metric_written, "the series is written, and not counted")                                                        \
    X(metric_added, "it is counted")                                                                                   \
    X(chunk_taken, "a histogram's chunk is taken, and nothing points to it")                                           \
    X(chunk_placed, "its octave points to it")                                                                         \
    X(counter_added, "a counter has grown")                                                                            \
    X(gauge_valued, "a gauge has its value, and not its time")                                                         \
    X(histogram_counted, "a histogram has counted, and not summed up")                                                 \
    X(span_placing, "a place among the open spans is ours, and says that it is being written")                         \
    X(span_filled, "it is written")                                                                                    \
    X(span_placed, "it is there to be seen")                                                                           \
    X(span_leaving, "the span has ended, its place is not free yet")                                                   \
    X(fork_child, "a child of fork begins to forget what was its parent's")                                            \
    X(fork_forgotten, "it has forgotten it")

#define FAULT_POINTS(X) FAULT_POINTS_OF_A_NEW_RING(X) FAULT_POINTS_OF_A_PROCESS(X)

enum fault_point {
#define FAULT_POINT_ENUM(name, text) FAULT_##name,
    FAULT_POINTS(FAULT_POINT_ENUM)
#undef FAULT_POINT_ENUM
        FAULT_COUNT,
};

#ifdef TASKFORGE_FAULTS
void fault_pass(enum fault_point point);
#else
static inline void fault_pass(enum fault_point point) {
    (void)point;
}
#endif
#define fault_point(name) fault_pass(FAULT_##name)

#endif
