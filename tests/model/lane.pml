/* lane.pml - one lane, its producer and the collector: laps and paddings, kills at every step, restarts. LEVELS:
 * records of two levels, the lower with half the lane as its share. WAITS: the producer tries again until there is
 * room. PARTIAL: the collector does not take all that it sees. LOOKER: somebody looks without taking (tfctl tail). */
#ifndef RECORDS
#define RECORDS 5
#endif
#include "ring.pml"

#ifdef LEVELS
#define HAS_LEVELS true
#else
#define HAS_LEVELS false
#endif
#define SHARE_OF_LOW (UNITS / 2)
#if MUTANT == NO_SHARES
#define LIMIT_OF_LOW UNITS
#else
#define LIMIT_OF_LOW SHARE_OF_LOW
#endif

bool runs = true; /* the producer: neither killed nor stopped */
bool killed;      /* the collector, just now */
byte errors_end;  /* ghost: where the last error in the lane ends */

active proctype producer() {
    byte writer_head = START, writer_tail = START, write, number, size, limit;
    bool placed, padding, low;
    {
        do
        :: atomic {
               number < RECORDS ->
               number++;
               if
               :: size = HEADER
               :: SIZE_MAX > HEADER -> size = SIZE_MAX
               fi;
#ifdef LEVELS
               if
               :: low = false
               :: low = true
               fi;
#endif
               limit = (low -> LIMIT_OF_LOW : UNITS);
               length[number] = size;
               claim_span(0, number, size, limit);
               assert(placed || low || !HAS_LEVELS || errors_end > writer_tail) /* an error gives way to errors only */
           }
#ifdef WAITS
           do
           :: d_step {
                  !placed && lane[0].tail != writer_tail ->
                  dropped = dropped & ~bit_of(number);
                  claim_span(0, number, size, limit)
              }
           :: placed -> break
           od;
#endif
           fill_span(0, number, size);
           atomic {
               assert(!placed || !low || lane[0].head - lane[0].tail <= SHARE_OF_LOW);
               errors_end = (placed && !low -> writer_head : errors_end);
               size = 0;
               limit = 0;
               low = 0;
               placed = 0
           }
        :: number == RECORDS -> break
        od
    } unless {
        d_step {
            !runs ->
            writer_head = 0;
            writer_tail = 0;
            write = 0;
            number = 0;
            size = 0;
            limit = 0;
            low = 0;
            placed = 0;
            padding = 0
        }
    }
}

active proctype collector() {
    byte at, begin, record, seen_head, each, hand_end[LANES], position[LANES];
    short hand, whole;
    bool torn;
again:
    {
        resume(0);
        do
        :: d_step {
               lane[0].head != position[0] ->
               seen_head = lane[0].head;
               assert(lane[0].tail == position[0] && seen_head >= hand_end[0] && seen_head - position[0] <= UNITS)
           }
#if MUTANT == TAIL_BEFORE_COPY
           move_tail(0, seen_head);
#endif
           copy_lane(0);
#if MUTANT == TAIL_BEFORE_STORE
           move_tail(0, hand_end[0]);
#endif
           store_hand();
           move_tail(0, position[0])
        od
    } unless {
        d_step {
            killed ->
            killed = false;
            hand = 0;
            whole = 0;
            at = 0;
            begin = 0;
            record = 0;
            seen_head = 0;
            position[0] = 0;
            hand_end[0] = 0;
            each = 0
        }
        goto again
    }
}

#ifdef LOOKER
/* What was copied is taken as good when the tail has not passed where it began. */
active proctype looker() {
    byte at, begin, record, from, seen_head;
    short whole;
    bool torn;
    from = lane[0].tail;
    atomic {
        seen_head = lane[0].head;
        at = from;
        begin = from
    }
    do
    :: d_step { at < seen_head && !torn -> read_unit(0) }
    :: atomic {
           at >= seen_head || torn ->
           assert(!torn || (lane[0].tail > from && MUTANT != LOOK_ONCE));
           break
       }
    od
}
#endif

active proctype fate() {
    if
    :: runs = false /* killed or stopped: for the lane it is the same */
    :: skip
    fi;
    if
    :: killed = true
    :: skip
    fi
}

active proctype end() {
    timeout;
    assert(committed == stored && lane[0].head == lane[0].tail && (stored == 0 || stored_position[0] == lane[0].head));
    assert(!runs || (committed | dropped) == ALL_RECORDS);
#ifdef WAITS
    assert(!runs || dropped == 0)
#endif
}
