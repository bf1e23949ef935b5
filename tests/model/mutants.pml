/* mutants.pml - the seeded mistakes, by name; run.py says which model has to find which. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define COMMIT_FIRST 1      /* the head is stored before the record's bytes */
#define NO_ROOM 2           /* the tail is not looked at */
#define NO_HEADER_ROOM 3    /* a record may leave less than a header's room at the end of a lap */
#define TAIL_BEFORE_STORE 4 /* the tail is moved before the store has the records */
#define TAIL_BEFORE_COPY 5  /* the tail is moved before the bytes are copied */
#define NO_SHARES 6         /* every level may fill the lane */
#define RESUME_AT_TAIL 7    /* a new collector begins at the tail, not where the store ends */
#define STAY_BEHIND 8       /* a new collector leaves the tail behind the stored position */
#define LOOK_ONCE 9         /* who only looks does not check behind the copy */
#define NO_TURN 10          /* a released lane is taken up under its old word */
#define FREE_BY_IDENTITY 11 /* a lane is freed whatever its turn, and whether it is released */
#define FREE_BY_STORE 12    /* a lane is freed without compare-and-swap */
#define FREE_UNREAD 13      /* a lane is freed without a look whether it is drained */
#define TAKE_BY_STORE 14    /* a lane is claimed without compare-and-swap */
#define NO_GENERATION 15    /* a slot's owner words are the same for each of its processes */
#define NO_LOCK 16          /* a slot is claimed without its record lock */
#define SLOT_FIRST 17       /* a slot is freed although a lane still carries its number */
#define SLOT_BY_STORE 18    /* a slot is freed whatever its state word */
#define STOPPED_IS_DEAD 19  /* who is stopped is taken as dead */
#define ANY_LOCK 20         /* whoever holds a slot's lock, its process is not dead */
#define NO_TAKEOVER 21      /* an overflow lane stays with its dead holder */
#define HEAD_EARLY 22       /* where to go on is read before the lane is ours */
#define GIVE_FIRST 23       /* an overflow lane is given back before the commit */
#define NO_SECOND_LOOK 24   /* the head is not read again behind the copy */
#define SPAN_FORGOTTEN 25   /* what the producer may be writing beyond the head is not reckoned with */
#define NO_POSITION 26      /* a header is believed whatever position it repeats */
#define ANNOUNCE_FIRST 27   /* a process counts itself in the attach word before its slot is active */
#define NOT_COUNTED 28      /* it only looks whether the ring is retired */
#define RETIRE_BY_STORE 29  /* the collector sets the bit without compare-and-swap */
#define STATES_FIRST 30     /* it reads the attach word behind the slots' states */
