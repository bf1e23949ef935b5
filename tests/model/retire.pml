/* retire.pml - a process that attaches and the collector that retires an unused ring: one of them sees the other. The
 * process sets its slot's state, then counts itself in the attach word by compare-and-swap; the collector reads the
 * word, then the states, then swaps. Slots are claimed as in private.pml; here each process has its own. */
#include "mutants.pml"
#ifndef PROCESSES
#define PROCESSES 2
#endif
#ifndef TRIES
#define TRIES 2 /* of the collector */
#endif

short attach; /* times a slot was claimed << 1 | retired */
bool taken[PROCESSES];    /* its slot is not free */
bool attached[PROCESSES]; /* ghost: it will write records */

#define is_retired(word) ((word) & 1)

inline announce() {
    word = attach;
    do
    :: is_retired(word) -> break
#if MUTANT == NOT_COUNTED
    :: atomic { !is_retired(word) -> attached[me] = true; break }
#endif
    :: atomic { /* the swap that fails reads the word anew */
           !is_retired(word) && MUTANT != NOT_COUNTED ->
           if
           :: attach == word ->
               attach = attach + 2;
               attached[me] = true;
               break
           :: else -> word = attach
           fi
       }
    od
}

active [PROCESSES] proctype process() {
    byte me = _pid;
    short word;
    if
    :: is_retired(attach) -> goto end_away
    :: else
    fi;
#if MUTANT == ANNOUNCE_FIRST
    announce();
    taken[me] = true;
#else
    taken[me] = true;
    announce();
#endif
    if
    :: attached[me] ->
        assert(!is_retired(attach)); /* whoever got through has the ring for himself */
        attached[me] = false;
        assert(!is_retired(attach))
    :: else
    fi;
    taken[me] = false; /* at its end, or refused */
end_away:
    skip
}

active proctype collector() {
    byte tries, i;
    short word;
    bool used;
    do
    :: tries < TRIES && !is_retired(attach) ->
        tries++;
#if MUTANT != STATES_FIRST
        word = attach;
#endif
        i = 0;
        used = false;
        do
        :: atomic {
               i < PROCESSES ->
               used = used || taken[i];
               i++
           }
        :: i == PROCESSES -> break
        od;
#if MUTANT == STATES_FIRST
        word = attach;
#endif
        atomic {
            if
            :: !used && (attach == word || MUTANT == RETIRE_BY_STORE) ->
                for (i : 0 .. PROCESSES - 1) {
                    assert(!attached[i]) /* nobody is cut off */
                }
                attach = attach | 1
            :: else
            fi
        }
    :: else -> break
    od
}
