/* private.pml - private lanes: claimed from the pool, released by their thread, taken up by another thread of the
 * process, given back by the collector when they are drained, those of the living and of the dead. Process 0 has
 * TOGETHER threads (1 or 2), the others one each. A thread claims a lane, writes EACH records and leaves.
 * MAY_BE_SILENT: or it writes none, and then its process gives its slot back untouched. */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef TOGETHER
#define TOGETHER 2
#endif
#ifndef MAY_BE_SILENT
#define MAY_BE_SILENT false
#endif
#define PROCESSES (THREADS - TOGETHER + 1)
#ifndef EACH
#define EACH 1
#endif
#define RECORDS (THREADS * EACH)
#define OVERFLOW false
#include "owner.pml"

#define thread_number (_pid - OTHERS + 1) /* from 1 */
#define threads_of(process) (process == 0 -> TOGETHER : 1)

/* What a process's threads share: its session, made by the first; the last to leave ends it. */
bool session[PROCESSES];
byte session_slot[PROCESSES];
short session_own[PROCESSES]; /* 0: there was no slot for it */
bool touched[PROCESSES];      /* had a private lane */
byte ended[PROCESSES];        /* threads */

/* ring_lane_claim: those that threads of this slot released, then the pool. The look before a compare-and-swap from 0
 * only saves it. */
inline claim_lane() {
    do
    :: atomic {
           l < LANES && owner == 0 ->
           owner = lane[l].owner;
           if
           :: owner & RELEASED && identity_of(owner) == own
           :: else ->
               owner = 0;
               l++
           fi
       }
    :: atomic {
           owner != 0 ->
           if
           :: lane[l].owner == owner ->
               lane[l].owner = next_turn(owner);
               hold(l);
               placed = true
           :: else -> l++
           fi;
           owner = 0;
           if
           :: placed -> break
           :: else
           fi
       }
    :: l == LANES && owner == 0 -> break
    od;
    if
    :: !placed ->
        l = 0;
        do
#if MUTANT == TAKE_BY_STORE
        :: l < LANES && lane[l].owner == 0 ->
            atomic {
#else
        :: atomic {
               l < LANES && lane[l].owner == 0 ->
#endif
               lane[l].owner = own;
               hold(l);
               placed = true;
               break
           }
        :: atomic { l < LANES && lane[l].owner != 0 -> l++ }
        :: l == LANES -> break
        od
    :: else
    fi
}

inline write_and_release() {
    atomic { /* lane_writer_init: nobody else moves the head */
        writer_head = lane[l].head;
        writer_tail = lane[l].tail;
        touched[process] = true;
        number = (thread_number - 1) * EACH
    }
    do
    :: atomic {
           number < thread_number * EACH ->
           number++;
           written_as[number] = own;
           claim_span(l, number, HEADER, UNITS)
       }
       fill_span(l, number, HEADER)
    :: number == thread_number * EACH -> break
    od;
    atomic { /* ring_lane_release */
        assert(identity_of(lane[l].owner) == own && holder[l] == process + 1);
        lane[l].owner = lane[l].owner | RELEASED;
        holder[l] = 0
    }
}

inline leave() {
    l = 0;
    s = 0;
    number = 0;
    writer_head = 0;
    writer_tail = 0;
    write = 0;
    own = 0;
    owner = 0;
    placed = 0;
    padding = 0;
    last = 0
}

active [THREADS] proctype thread() {
    byte process = (thread_number <= TOGETHER -> 0 : thread_number - TOGETHER);
    byte l, s, number, writer_head, writer_tail, write;
    short own, owner;
    bool placed, padding, last;
    {
        if
        :: thread_number == 1 || thread_number > TOGETHER ->
            claim_slot();
            atomic {
                session[process] = true;
                session_own[process] = own;
                session_slot[process] = s
            }
        :: atomic {
               thread_number > 1 && thread_number <= TOGETHER && session[process] ->
               own = session_own[process];
               s = session_slot[process]
           }
        fi;
        if
        :: own != 0 -> claim_lane()
        :: own == 0 || MAY_BE_SILENT
        fi;
        if
        :: placed -> write_and_release()
        :: else
        fi;
        atomic {
            ended[process]++;
            last = ended[process] == threads_of(process)
        }
        if
        :: last -> end_process(!touched[process])
        :: else
        fi;
        d_step { leave() }
    } unless {
        d_step {
            !runs[process] ->
            leave()
        }
    }
}
