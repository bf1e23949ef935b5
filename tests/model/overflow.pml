/* overflow.pml - overflow lanes: taken by compare-and-swap for one record, which follows its PROCESS_HELLO in one
 * commit; taken over from the dead; given back. Each process writes EACH records and leaves; what finds no lane or no
 * room is dropped. */
#ifndef PROCESSES
#define PROCESSES 2
#endif
#ifndef EACH
#define EACH 2
#endif
#ifndef SEATED
#define SEATED PROCESSES /* the first of them get their slots without a struggle, private.pml has that */
#endif
#define RECORDS (PROCESSES * EACH)
#define SIZE_MAX 2 /* a unit of hello, a unit of record */
#define OVERFLOW true
#include "owner.pml"

byte seated;

/* From here on the lane is ours. */
inline take(l) {
    lane[l].owner = own;
    hold(l);
    held = true
}

/* lane_writer_init: nobody else moves the head. */
inline begin_writing(l) {
    writer_head = lane[l].head;
    writer_tail = lane[l].tail
}

#if MUTANT == NO_GENERATION
#define OWNER_GENERATION generation_of(word)
#else
#define OWNER_GENERATION generation_of(identity_of(owner))
#endif

/* Whether who holds `owner` is dead: its slot has another owner by now, or none, or his process is gone. */
inline judge_holder() {
    atomic {
        word = slot[slot_of(owner)].word;
        dead = generation_of(word) != OWNER_GENERATION || state_of(word) == FREE
    }
    atomic {
        dead = dead || is_dead(slot_of(owner), slot[slot_of(owner)].process);
        word = 0
    }
}

/* ring_overflow_take: a free lane, else that of a dead holder. met: ghost, whether a living process was in the way. */
inline take_lane() {
    do
#if MUTANT == TAKE_BY_STORE
    :: l < LANES && lane[l].owner == 0 ->
        atomic {
#else
    :: atomic {
           l < LANES && lane[l].owner == 0 ->
#endif
#if MUTANT != HEAD_EARLY
           take(l);
#endif
           break
       }
    :: atomic {
           l < LANES && lane[l].owner != 0 ->
           met = met || (holder[l] != 0 && !gone[holder[l] - 1]);
           l++
       }
    :: l == LANES -> break
    od;
#if MUTANT == HEAD_EARLY
    if
    :: l < LANES ->
        begin_writing(l);
        atomic {
            if
            :: lane[l].owner == 0 -> take(l)
            :: else -> met = true; l = LANES
            fi
        }
    :: else
    fi;
#endif
    if
    :: !held && MUTANT != NO_TAKEOVER ->
        l = 0;
        do
        :: atomic {
               l < LANES && !held && owner == 0 ->
               owner = (identity_of(lane[l].owner) == own -> 0 : lane[l].owner);
               met = met || lane[l].owner == 0 || !gone[holder[l] - 1];
               l = (owner == 0 -> l + 1 : l)
           }
        :: owner != 0 ->
            judge_holder();
            atomic {
                if
                :: dead && lane[l].owner == owner -> take(l)
                :: else ->
                    met = met || lane[l].owner != owner;
                    l++
                fi;
                owner = 0;
                dead = false
            }
        :: owner == 0 && (held || l == LANES) -> break
        od
    :: else
    fi
}

inline give(l) {
    atomic {
        assert(holder[l] == process + 1);
        lane[l].owner = 0;
        holder[l] = 0
    }
}

inline log() {
    take_lane();
    if
    :: held ->
#if MUTANT != HEAD_EARLY
        atomic { begin_writing(l) }
#endif
        atomic { claim_span(l, number, SIZE_MAX, UNITS) }
#if MUTANT == GIVE_FIRST
        give(l);
#endif
        fill_span(l, number, SIZE_MAX);
#if MUTANT != GIVE_FIRST
        give(l)
#endif
    :: else ->
        atomic {
            assert(met); /* the dead alone keep nobody out */
            dropped = dropped | bit_of(number)
        }
    fi;
    atomic {
        l = 0;
        held = false;
        placed = false;
        met = false;
        writer_head = 0;
        writer_tail = 0
    }
}

inline leave() {
    l = 0;
    s = 0;
    word = 0;
    number = 0;
    writer_head = 0;
    writer_tail = 0;
    write = 0;
    own = 0;
    owner = 0;
    placed = 0;
    padding = 0;
    held = 0;
    dead = 0;
    met = 0
}

active [PROCESSES] proctype producer() {
    byte process = _pid - OTHERS, l, s, word, number, writer_head, writer_tail, write;
    short own, owner;
    bool placed, padding, held, dead, met;
    {
        if
        :: atomic {
               process < SEATED ->
               assert(slot[process].word == FREE);
               slot[process].lock = process + 1;
               slot[process].process = process + 1;
               slot[process].word = ACTIVE | 1 << 2;
               own = identity(process, 1);
               s = process;
               seated++
           }
        :: process >= SEATED && seated == SEATED -> claim_slot()
        fi;
        if
        :: own != 0 ->
            number = process * EACH;
            do
            :: number < (process + 1) * EACH ->
                number++;
                log()
            :: else -> break
            od
        :: else
        fi;
        end_process(true);
        d_step { leave() }
    } unless {
        d_step {
            !runs[process] ->
            seated = (process < SEATED && own == 0 -> seated + 1 : seated); /* nobody need wait for it */
            leave()
        }
    }
}
