/* owner.pml - processes, slots, owner words and the collector, for private.pml and overflow.pml. A process is killed or
 * stopped at any step, with all its threads. Killed, its record lock and its pid are gone at once; stopped, they stay
 * for good (one that goes on later is only slow). */
#include "mutants.pml"

#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef EARLY_LOOK
#define EARLY_LOOK false
#endif
#define FREE 0
#define ACTIVE 1
#define CLOSED 2
typedef Slot {
    byte word;    /* state | generation << 2 */
    byte process; /* whose pid stands there, + 1 */
    byte lock;    /* who holds the record lock, + 1 */
};
Slot slot[SLOTS];
#define state_of(word) ((word) & 3)
#define generation_of(word) ((word) >> 2)

#define RELEASED 64
#define TURN 16
#define identity_of(owner) ((owner) & (TURN - 1))
#define slot_of(owner) (((owner) & 3) - 1)
#if MUTANT == NO_GENERATION
#define identity(s, generation) ((s) + 1)
#else
#define identity(s, generation) ((s) + 1 | (generation) << 2)
#endif
#if MUTANT == NO_TURN
#define next_turn(owner) identity_of(owner)
#else
#define next_turn(owner) (identity_of(owner) | ((owner) + TURN & 3 * TURN))
#endif

#define at_home(record) (OVERFLOW || written_as[record] == identity_of(seen_owner))
#include "ring.pml"

bool runs[PROCESSES] = true;  /* neither killed nor stopped */
bool gone[PROCESSES];         /* its pid is not there any more: killed, or at its end */
bool collector_killed;        /* just now */
byte holder[LANES];           /* ghost: the process that may write, + 1 */
byte written_as[RECORDS + 1]; /* ghost: the identity under which a record was written */

/* slot_owner_is_dead: two system calls; what they ask for can only become more so between them. Somebody who is about
 * to claim a slot may hold the lock for a moment that another process's death let go. */
#if MUTANT == STOPPED_IS_DEAD
#define is_dead(s, whose) (!runs[(whose) - 1])
#elif MUTANT == ANY_LOCK
#define is_dead(s, whose) (slot[s].lock == 0 && gone[(whose) - 1])
#else
#define is_dead(s, whose) (slot[s].lock != (whose) && gone[(whose) - 1])
#endif

#define OTHERS 3 /* Spin's processes that are declared here, before any of ours */

/* --- a process. Its own: own, the identity of its slot (0: it has none); s; owner, a word that it saw. --- */

/* ring_slot_claim. Who finds no slot does without the ring. */
inline claim_slot() {
    do
    :: atomic { own == 0 && s < SLOTS && state_of(slot[s].word) != FREE -> s++ }
    :: own == 0 && s < SLOTS && state_of(slot[s].word) == FREE ->
        if
        :: atomic { slot[s].lock != 0 && MUTANT != NO_LOCK -> s++ }
        :: atomic { slot[s].lock == 0 || MUTANT == NO_LOCK -> slot[s].lock = process + 1 }
            if
            :: state_of(slot[s].word) == FREE ->
                slot[s].process = process + 1;
                atomic {
                    assert(state_of(slot[s].word) == FREE && slot[s].process == process + 1);
                    slot[s].word = ACTIVE | generation_of(slot[s].word) + 1 << 2;
                    own = identity(s, generation_of(slot[s].word))
                }
            :: else -> /* somebody had it between look and lock, and is through with it */
                atomic {
                    slot[s].lock = 0;
                    s++
                }
            fi
        fi
    :: own != 0 || s == SLOTS -> break
    od
}

/* ring_slot_release; then the process ends. */
inline end_process(untouched) {
    if
    :: atomic {
           own != 0 ->
           assert(state_of(slot[s].word) == ACTIVE && slot[s].process == process + 1); /* ours to the end */
           slot[s].word = slot[s].word & ~3 | (untouched -> FREE : CLOSED)
       }
       slot[s].lock = 0
    :: own == 0
    fi;
    gone[process] = true
}

/* From here on the lane is this process's; it never has two. */
inline hold(l) {
    assert(holder[l] == 0 || gone[holder[l] - 1]);
    holder[l] = process + 1
}

/* --- the collector --- */

/* ring_reader_lane, when `before` was read: an owner word that changed meanwhile is never taken as released. */
inline snapshot(l) {
    seen_head = lane[l].head;
    atomic {
        seen_owner = (lane[l].owner == before -> before : lane[l].owner & ~RELEASED);
        before = 0;
        assert(lane[l].tail == position[l] && seen_head >= hand_end[l] && seen_head - position[l] <= UNITS)
    }
}

/* Free the lane when it is drained, by a fresh snapshot under the word `expected`; else: all = false. An overflow
 * lane's records say whose they are: it is free at once. */
inline free_lane(l) {
    if
    :: !OVERFLOW ->
        before = lane[l].owner;
        snapshot(l);
        atomic {
            all = all && (seen_owner == expected && seen_head == position[l] || MUTANT == FREE_UNREAD);
            free = all && lane[l].head == lane[l].tail || MUTANT == FREE_UNREAD;
            seen_owner = 0;
            seen_head = 0
        }
    :: OVERFLOW -> free = true
    fi;
    atomic { /* ring_reader_lane_free */
        if
#if MUTANT == FREE_BY_STORE
        :: free ->
#elif MUTANT == FREE_BY_IDENTITY
        :: free && identity_of(lane[l].owner) == identity_of(expected) ->
#else
        :: free && lane[l].owner == expected ->
#endif
            assert(holder[l] == 0 || gone[holder[l] - 1]); /* never from under a living writer */
            assert(OVERFLOW || lane[l].head == position[l]); /* all of it is in the store */
            lane[l].owner = 0;
            holder[l] = 0
        :: else
        fi;
        expected = 0;
        free = false
    }
}

/* A round of the lanes, and what is in hand into the store. */
inline drain() {
    do
    :: atomic { l < LANES -> before = lane[l].owner }
        snapshot(l);
        copy_lane(l);
        l++
    :: atomic {
           l == LANES ->
           l = 0;
           seen_owner = 0;
           break
       }
    od;
    if
    :: hand != 0 ->
        store_hand();
        do
        :: l < LANES ->
            move_tail(l, position[l]);
            l++
        :: l == LANES -> break
        od;
        l = 0
    :: else
    fi
}

/* Lanes that their thread has left, its process living on. */
inline free_released() {
    do
    :: atomic { l < LANES && !(lane[l].owner & RELEASED) -> l++ }
    :: atomic {
           l < LANES && lane[l].owner & RELEASED ->
           expected = lane[l].owner;
           all = true
       }
        free_lane(l);
        l++
    :: atomic {
           l == LANES ->
           l = 0;
           all = false;
           break
       }
    od
}

/* A slot that was closed, or whose process is dead: its lanes, then the slot. */
inline reap_slot(s) {
    word = slot[s].word;
    atomic {
        whose = slot[s].process;
        all = slot[s].word == word && state_of(word) != FREE
    }
    atomic {
        all = all && (state_of(word) == CLOSED || is_dead(s, whose));
        l = (all -> 0 : LANES + 1);
        whose = 0
    }
    do
    :: atomic { l < LANES && identity_of(lane[l].owner) != identity(s, generation_of(word)) -> l++ }
    :: atomic {
           l < LANES && identity_of(lane[l].owner) == identity(s, generation_of(word)) ->
           expected = lane[l].owner
       }
        free_lane(l);
        l++
    :: atomic { l == LANES && !all && MUTANT != SLOT_FIRST -> l = LANES + 1 }
    :: l == LANES && (all || MUTANT == SLOT_FIRST) -> break
    :: l > LANES -> break
    od;
    /* ring_reader_slot_free: no lane carries its number, and the state word is still the one that was judged */
    l = (l == LANES -> 0 : LANES + 1);
    do
    :: atomic {
           l < LANES ->
           l = (identity_of(lane[l].owner) == identity(s, generation_of(word)) && MUTANT != SLOT_FIRST -> LANES : l) + 1
       }
    :: atomic {
           l >= LANES ->
           if
           :: l == LANES && (slot[s].word == word || MUTANT == SLOT_BY_STORE) ->
               assert(state_of(slot[s].word) == CLOSED || gone[slot[s].process - 1]); /* never a living process's */
               slot[s].word = slot[s].word & ~3 | FREE
           :: else
           fi;
           l = 0;
           word = 0;
           all = false;
           break
       }
    od
}

#define lane_needs(l) (lane[l].head != position[l])
#define lane_is_left(l) (lane[l].owner & RELEASED)
#define slot_needs(s) (state_of(slot[s].word) == CLOSED || \
                       (state_of(slot[s].word) == ACTIVE && is_dead(s, slot[s].process)))
#define any_lane_needs (lane_needs(0) || lane_needs(LANES - 1))
#define any_lane_is_left (lane_is_left(0) || lane_is_left(LANES - 1))
#define any_slot_needs (slot_needs(0) || slot_needs(SLOTS / 2) || slot_needs(SLOTS - 1))

/* What a killed collector knew. */
inline forget() {
    for (each : 0 .. LANES - 1) {
        position[each] = 0;
        hand_end[each] = 0
    }
    each = 0;
    at = 0;
    begin = 0;
    record = 0;
    seen_head = 0;
    l = 0;
    s = 0;
    word = 0;
    whose = 0;
    hand = 0;
    whole = 0;
    before = 0;
    seen_owner = 0;
    expected = 0;
    all = 0;
    free = 0
}

active proctype collector() {
    byte at, begin, record, seen_head, each, hand_end[LANES], position[LANES], l, s, word, whose;
    short hand, whole, before, seen_owner, expected;
    bool torn, all, free;
    bool looked = !EARLY_LOOK; /* at a slot, once, whose process may still be there */
again:
    {
        do
        :: l < LANES ->
            resume(l);
            l++
        :: l == LANES -> break
        od;
        l = 0;
        do /* a poll; it only begins when there is something to see */
        :: atomic { !looked && state_of(slot[0].word) == ACTIVE -> looked = true }
            reap_slot(0)
        :: any_lane_needs || any_lane_is_left || any_slot_needs ->
            if
            :: any_lane_needs -> drain()
            :: else
            fi;
            if
            :: any_lane_is_left -> free_released()
            :: else
            fi;
            do
            :: s < SLOTS && slot_needs(s) ->
                reap_slot(s);
                s++
            :: s < SLOTS && !slot_needs(s) -> s++
            :: s == SLOTS -> break
            od;
            s = 0
        od
    } unless {
        d_step {
            collector_killed ->
            collector_killed = false;
            forget()
        }
        goto again
    }
}

/* --- what may happen, and what must hold when nothing more does --- */

inline kill_process(process) {
    runs[process] = false;
    gone[process] = true;
    for (each : 0 .. SLOTS - 1) {
        slot[each].lock = (slot[each].lock == process + 1 -> 0 : slot[each].lock)
    }
    each = 0
}

active proctype fate() {
    byte victim, each;
#ifdef DEATHS
    byte deaths;
    do
    :: atomic {
           deaths < DEATHS ->
           deaths++;
           select (victim : 0 .. PROCESSES - 1);
           runs[victim] && !gone[victim];
           if
           :: kill_process(victim)
           :: runs[victim] = false /* stopped */
           fi;
           victim = 0
       }
    :: break
    od;
#endif
#ifdef RESTARTS
    if
    :: collector_killed = true
    :: skip
    fi
#endif
}

active proctype end() {
    byte each, process;
    timeout;
    assert(committed == stored);
    for (each : 0 .. LANES - 1) {
        assert(lane[each].head == lane[each].tail && (stored_position[each] == 0 || stored_position[each] == lane[each].head));
        assert(lane[each].owner == 0 || (holder[each] != 0 && !gone[holder[each] - 1])) /* only somebody stopped has it */
    }
    for (each : 0 .. SLOTS - 1) {
        assert(state_of(slot[each].word) == FREE || !gone[slot[each].process - 1])
    }
    for (process : 0 .. PROCESSES - 1) {
        assert(gone[process] || !runs[process]) /* who was left alone came to his end */
    }
}
