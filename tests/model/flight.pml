/* flight.pml - the flight recorder's lane: its one producer overwrites the oldest and looks at no tail. Who reads
 * copies what the lane holds, reads the head again behind the copy, and lets go of all that may have been overwritten
 * meanwhile: what is below the new head by more than the lane has, and of that what the producer may be writing beyond
 * it right now (SPAN_MAX). Where records begin he finds by their headers, which repeat their position.
 *
 * In the real memory this needs a release fence between a commit and the next record's first byte, and an acquire fence
 * between the copy and the second look at the head: else a byte may be seen before the head that told of it. */
#ifndef RECORDS
#define RECORDS 6
#endif
#ifndef UNITS
#define UNITS 8
#endif
#ifndef SIZE_MAX
#define SIZE_MAX 2
#endif
#include "ring.pml"

#define SPAN_MAX (SIZE_MAX + LAP_ROOM - 1 + SIZE_MAX) /* padding and record */
#define oldest(head) ((head) > START + UNITS -> (head) - UNITS : START)
#if MUTANT == SPAN_FORGOTTEN
#define intact_from(head) oldest(head)
#else
#define intact_from(head) oldest((head) + SPAN_MAX)
#endif

bool runs = true;
byte begins[RECORDS + 1]; /* ghost */

active proctype producer() {
    byte writer_head = START, writer_tail, write, number, size;
    bool placed, padding;
    {
        do
        :: atomic {
               number < RECORDS ->
               number++;
               if
               :: size = HEADER
               :: size = SIZE_MAX
               fi;
               length[number] = size;
               writer_tail = writer_head; /* there is always room */
               claim_span(0, number, size, UNITS);
               begins[number] = (padding -> writer_head + rest_of(writer_head) : writer_head)
           }
           fill_span(0, number, size);
           size = 0
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
            placed = 0;
            padding = 0
        }
    }
}

active proctype reader() {
    byte head, at, from, record, i, what[UNITS], repeated[UNITS];
    short found, expected;
    atomic {
        head = lane[0].head;
        at = oldest(head);
        for (record : 1 .. RECORDS) {
            expected = expected | (committed & bit_of(record))
        }
    }
    do
    :: d_step {
           at < head ->
           what[at % UNITS] = lane[0].what[at % UNITS];
           repeated[at % UNITS] = lane[0].at[at % UNITS];
           at++
       }
    :: at == head -> break
    od;
    atomic {
#if MUTANT == NO_SECOND_LOOK
        from = oldest(head);
#else
        from = intact_from(lane[0].head);
#endif
        at = from;
        do
        :: at < head && (what[at % UNITS] % 4 != 0 || (repeated[at % UNITS] != at && MUTANT != NO_POSITION)) -> at++
        :: else ->
            if
            :: at >= head -> break
            :: at < head && what[at % UNITS] == unit_of(PADDING, 0) -> at = at + rest_of(at)
            :: else -> /* taken as good: it is whole, committed, and stood there */
                record = what[at % UNITS] / 4;
                assert(record <= RECORDS && committed & bit_of(record) && begins[record] == at && at + length[record] <= head);
                for (i : 0 .. length[record] - 1) {
                    assert(what[(at + i) % UNITS] == unit_of(record, i))
                }
                found = found | bit_of(record);
                at = at + length[record]
            fi
        od;
#if MUTANT == 0 /* and all that cannot have been overwritten is there; a mutant must not be found by missing some */
        for (record : 1 .. RECORDS) {
            assert(!(expected & bit_of(record)) || begins[record] < from || found & bit_of(record))
        }
#endif
    }
}

active proctype fate() {
    if
    :: runs = false
    :: skip
    fi
}

active proctype end() {
    timeout;
    assert(!runs || committed == ALL_RECORDS)
}
