/* ring.pml - a lane of common/shm/layout.h, very small, for the models beside it; run.py runs them.
 *
 * Every access to shared memory is one step, and between any two steps anybody may run, be killed or be stopped. A lane
 * is made of units, the least that is written at once; of a record the first HEADER units are its header, the last of
 * which carries the position. Spin's memory is sequentially consistent: what the real one may do beyond that is argued
 * beside each atomic operation in common/shm, and tried by tests/torture/ring_threads.c.
 *
 * Ghosts are what nobody's steps depend on: what was committed, who may write. MUTANT chooses a seeded mistake
 * (mutants.pml); each must be found. */
#include "mutants.pml"

#ifndef UNITS
#define UNITS 4 /* of a lane */
#endif
#ifndef HEADER
#define HEADER 1
#endif
#ifndef SIZE_MAX
#define SIZE_MAX HEADER /* units of a record, its header included; 4 at most */
#endif
#ifndef START
#define START (UNITS + UNITS / 2) /* where lanes begin; the lap ends soon */
#endif
#ifndef LANES
#define LANES 1
#endif
#ifndef at_home
#define at_home(record) true /* whether a record that is read may be in this lane */
#endif
#define PADDING 0 /* as a record's number; records are numbered from 1 */
#define unit_of(record, i) ((record) * 4 + (i))
#define STALE unit_of(63, 0) /* what the lane's earlier life left: a header, of some other position */

typedef Lane {
    short owner; /* owner.pml */
    byte head = START;
    byte tail = START;
    byte what[UNITS] = STALE;
    byte at[UNITS]; /* the position, where a header ends */
};
Lane lane[LANES];
byte length[RECORDS + 1] = SIZE_MAX; /* by record: what its header says */

#define bit_of(record) (1 << ((record) - 1))
#define ALL_RECORDS ((1 << RECORDS) - 1)
short committed; /* ghost: a bit for each record */
short dropped;   /* ghost: those that found no room */

/* The store: what one transaction holds together. */
short stored;
byte stored_position[LANES]; /* 0: none yet */

/* --- the producer: lane_claim, the encoder, lane_commit. Its own: writer_head, writer_tail (as in struct lane_writer);
 * placed, whether there was room; padding, whether that comes first; write, the next unit. */

#if MUTANT == NO_HEADER_ROOM
#define LAP_ROOM 0
#else
#define LAP_ROOM HEADER
#endif
#define rest_of(position) (UNITS - (position) % UNITS)
#define meets_lap(position, size) (rest_of(position) < (size) + LAP_ROOM)
#define need_of(position, size) (meets_lap(position, size) -> rest_of(position) + (size) : (size))
#define has_room(size, limit) (writer_head + need_of(writer_head, size) - writer_tail <= limit)

/* One step: the tail is looked at when the lane looks full. Who finds no room drops his record. */
inline claim_span(l, number, size, limit) {
    if
    :: !has_room(size, limit) -> writer_tail = lane[l].tail
    :: else
    fi;
    placed = MUTANT == NO_ROOM || has_room(size, limit);
    padding = placed && meets_lap(writer_head, size);
    assert(!padding || rest_of(writer_head) >= HEADER); /* never a gap too short for a header */
    if
    :: !placed -> dropped = dropped | bit_of(number)
    :: placed && MUTANT == COMMIT_FIRST ->
        lane[l].head = writer_head + need_of(writer_head, size);
        committed = committed | bit_of(number)
    :: else
    fi
}

inline write_unit(l, number) {
    lane[l].what[(writer_head + write) % UNITS] = unit_of(number, write);
    lane[l].at[(writer_head + write) % UNITS] = (write == HEADER - 1 -> writer_head : 0);
    write++
}

/* What was claimed: padding and record unit by unit, then the commit. */
inline fill_span(l, number, size) {
    do
    :: d_step {
           padding ->
           write_unit(l, PADDING);
           if
           :: write == HEADER ->
               writer_head = writer_head + rest_of(writer_head);
               write = 0;
               padding = false
           :: else
           fi
       }
    :: d_step { placed && !padding && write < size -> write_unit(l, number) }
    :: atomic {
           placed && write == size ->
           lane[l].head = writer_head + size;
           committed = committed | bit_of(number);
           writer_head = writer_head + size;
           write = 0;
           break
       }
    :: !placed -> break
    od
}

/* --- who reads: units from `at` on, one by one. Its own: at; begin, where the record began; record; whole, the records
 * read so far; torn, whether a unit was not the next of one committed record that is at home there. */

inline read_unit(l) {
    if
    :: at == begin ->
        record = lane[l].what[at % UNITS] / 4;
        torn = torn || lane[l].what[at % UNITS] % 4 != 0 || record > RECORDS ||
               (record != PADDING && ((committed & bit_of(record)) == 0 || !at_home(record)))
    :: else -> torn = torn || lane[l].what[at % UNITS] != unit_of(record, at - begin)
    fi;
    torn = torn || (at - begin == HEADER - 1 && lane[l].at[at % UNITS] != begin);
    at++;
    if
    :: torn
    :: !torn && record == PADDING && at - begin == HEADER ->
        begin = begin + rest_of(begin);
        at = begin
    :: !torn && record != PADDING && at - begin == length[record] ->
        begin = at;
        whole = whole | bit_of(record)
    :: else
    fi
}

/* --- the collector. Its own, beside these: hand (records copied), hand_end and position by lane, seen_head. */

inline copy_lane(l) {
    atomic {
        at = hand_end[l];
        begin = at
    }
    do
    :: d_step {
           at < seen_head ->
           read_unit(l);
           assert(!torn)
       }
    :: atomic {
#ifdef PARTIAL /* the hand is full: the rest another time */
           at == begin && at > hand_end[l] ->
#else
           at >= seen_head ->
#endif
           assert(at == begin && at <= seen_head); /* whole records only */
           hand = hand | whole;
           hand_end[l] = at;
           whole = 0;
           record = 0;
           at = 0;
           begin = 0;
           seen_head = 0;
           break
       }
    od
}

/* One transaction of the store: what is in hand, and how far it goes. */
inline store_hand() {
    atomic {
        assert((hand & stored) == 0); /* none twice */
        stored = stored | hand;
        hand = 0;
        for (each : 0 .. LANES - 1) {
            if
            :: hand_end[each] != position[each] ->
                position[each] = hand_end[each];
                stored_position[each] = hand_end[each]
            :: else
            fi
        }
        each = 0
    }
}

inline move_tail(l, to) {
    d_step {
        assert(lane[l].tail <= to && to <= lane[l].head);
        lane[l].tail = to
    }
}

/* A new collector: where the store ends; a tail behind that is moved. */
inline resume(l) {
    d_step {
        position[l] = lane[l].tail;
        if
        :: stored_position[l] != 0 ->
            assert(lane[l].tail <= stored_position[l] && stored_position[l] <= lane[l].head);
#if MUTANT != RESUME_AT_TAIL
            position[l] = stored_position[l]
#endif
        :: else
        fi;
        hand_end[l] = position[l]
    }
#if MUTANT != STAY_BEHIND
    move_tail(l, position[l])
#endif
}
