/* ring_reader.h - one user's ring file, from the reader's side: the collector's, and (read-only) tfctl tail's.
 *
 * Everything here treats the file as hostile: lengths and offsets are copied once and checked; mapped memory is touched
 * only inside map_guarded. A broken ring yields -EBADMSG or -EFAULT and a sentence: the caller sets it aside. Not
 * thread-safe. Lane and slot numbers must be below the ring's counts. What writes (tails, owners, states, control)
 * needs a ring opened writable. Names in the folder that begin with a dot are rings in the making: one that is minutes
 * old was left by a maker that was killed. Closing a reader's ring drops the record locks this process has on the same
 * file as a client: its client takes them again.
 */
#ifndef TASKFORGE_COMMON_SHM_RING_READER_H
#define TASKFORGE_COMMON_SHM_RING_READER_H

#include "common/model/record.h"
#include "common/shm/ring.h"

struct lane_state { /* a snapshot of one lane, checked */
    uint64_t owner;
    uint64_t head;
    uint64_t tail;
    uint32_t slot; /* RING_SLOTS_MAX when free */
    uint32_t generation;
    bool released;
    bool recorder; /* it overwrites; more than its size may lie between tail and head */
};

struct slot_info { /* a private copy of one slot's head, checked; service repaired to valid UTF-8 */
    uint64_t state_word;
    enum slot_state state;
    uint32_t generation;
    uint8_t producer_id[16];
    uint32_t pid;
    uint64_t start_time;
    uint64_t pid_namespace;
    uint64_t claimed_ns;
    enum level min_level;
    bool goodbye;        /* its process has come to exit(3) */
    struct text service; /* points into service_bytes */
    char service_bytes[ENTRY_NAME_BYTES];
};

struct loss_counts { /* a copy of a ledger */
    struct {
        uint64_t count, first_ns, last_ns;
    } cells[LOSS_REASON_COUNT][LEVEL_COUNT];
};

/* Open rings/UID through the folder's descriptor: O_NOFOLLOW, a regular file whose owner is the uid its name says (else
 * -EPERM: a squatter). */
int ring_reader_open(int rings_fd, uid_t uid, bool writable, struct ring *ret, struct error *error);

/* Still as long as it was, header still ours? For the once-a-second look; -EBADMSG when cut or scribbled on. */
int ring_reader_check(struct ring *ring, struct error *error);

/* Data size of a lane (overflow or private). */
uint64_t ring_lane_size(const struct ring *ring, uint32_t lane);

/* Snapshot one lane; -EBADMSG when head, tail or owner make no sense. The records up to `head` are the owner's; when
 * `released` is set, `head` is final for that owner word: drained and committed up to there, the lane may be freed from
 * it. */
int ring_reader_lane(struct ring *ring, uint32_t lane, struct lane_state *ret);

/* Copy the bytes [from, to) of a lane to out (room for to - from). */
int ring_reader_copy(struct ring *ring, uint32_t lane, uint64_t from, uint64_t to, void *out);

/* After the commit: everything below is in the store. Also the way to move a tail that lags behind the store at start.
 * -EBADMSG for a tail that would go back or pass the head. */
int ring_reader_set_tail(struct ring *ring, uint32_t lane, uint64_t tail);

/* -EBADMSG when the slot makes no sense. ret->service points into *ret: a copy of it must be pointed anew. A free slot
 * has the state word alone. */
int ring_reader_slot(struct ring *ring, uint32_t slot, struct slot_info *ret);
/* Bytes of pages that may still be allocated in the ring. */
uint64_t ring_reader_room(struct ring *ring);
/* Slots from this number on were never claimed. */
uint32_t ring_reader_slots_used(struct ring *ring);
/* The state words of the first `count` slots that are in use: how many there are. Cheap: whoever remembers the word he saw last looks
 * closer only where it changed. */
uint32_t ring_reader_slot_states(struct ring *ring, uint32_t count, uint64_t *out);

int ring_reader_losses(struct ring *ring, uint32_t slot,
                       struct loss_counts *ret);               /* slot RING_SLOTS_MAX: the anonymous ledger */
int ring_reader_losses_told(struct ring *ring, uint32_t slot); /* sets first_ns of every cell back to 0 */

/* One call site of a slot; texts point into out (its own copy). -EBADMSG when there is no such site. */
struct site_info {
    enum level level;
    struct text module, operation, format;
    char bytes[SLOT_SITE_TEXT_SIZE];
};
int ring_reader_site(struct ring *ring, uint32_t slot, uint32_t site, struct site_info *ret);

/* The spans that the process of a slot, which must not be free, has open, in no order: how many, or -EFAULT. What it wrote is there as it
 * is: the operation may be no UTF-8. */
struct open_span {
    uint8_t trace_id[16], span_id[8], parent_id[8] /* zeros: none */;
    uint64_t start_ns;
    uint32_t thread;
    uint8_t operation_length;
    char operation[SLOT_SPAN_OPERATION_BYTES];
};
int ring_reader_spans(struct ring *ring, uint32_t slot, struct open_span ret[SLOT_SPANS_MAX]);

/* Whether the slot's process is dead: it does not hold the record lock, and pid with start time is gone where we share
 * its pid namespace. Never true for a live or stopped process. A slot that is not active: false. */
bool ring_reader_slot_dead(struct ring *ring, uint32_t slot, const struct slot_info *info);

/* A descriptor that becomes readable when the slot's process ends, after which ring_reader_slot_dead says the rest; a negative errno where that
 * cannot be had. The caller closes it. */
int ring_reader_slot_watch(struct ring *ring, uint32_t slot, const struct slot_info *info);

/* --- recorder lanes (of the flight recorder): their producers overwrite, and never wait for us --- */

struct recorder_reader {
    const char *bytes; /* a private copy of what stands at [position, end); moves with position */
    uint64_t position, end;
};

/* Copy what a private lane holds from `from` on (a multiple of 8) into `room`, which has the lane's size and is aligned to 8. What
 * was overwritten meanwhile, or may have been, is not in it: *ret may begin later than `from`, within a record. -EBADMSG for a
 * head that makes no sense, -EFAULT. */
int ring_reader_recorder(struct ring *ring, uint32_t lane, uint64_t from, void *room, struct recorder_reader *ret);

/* The next record that is no padding: its bytes, header->length of them, and its header, whose position is right; NULL at the end. Where
 * there is none at a place, at the beginning or because the lane was scribbled on, the next is looked for: every 8 bytes. */
const char *recorder_reader_next(struct recorder_reader *reader, struct record_header *ret);

/* Return a drained private lane to the pool, or take an overflow lane from its dead holder: compare-and-swap from
 * `owner`. -EAGAIN when it changed meanwhile, -EBUSY when the tail of a private lane has not reached its head. */
int ring_reader_lane_free(struct ring *ring, uint32_t lane, uint64_t owner);
/* Free a dead or closed slot whose lanes are free and whose losses are committed. -EBUSY when a lane still carries its
 * number, -EAGAIN when the state changed meanwhile. */
int ring_reader_slot_free(struct ring *ring, uint32_t slot, uint64_t state_word);

/* How often the slot's process asked that what the flight recorder holds of it be stored. */
int ring_reader_recorder_wanted(struct ring *ring, uint32_t slot, uint32_t *ret);

int ring_reader_set_control(struct ring *ring, uint32_t slot, uint32_t control);

/* Retire: set the retired bit when no slot is taken, by compare-and-swap (-EBUSY when one is or came meanwhile). force:
 * set it whatever is attached, and REATTACH in every slot (for a ring that is set aside or removed). */
int ring_reader_retire(struct ring *ring, bool force);

/* --- records out of a copied span --- */

/* Whose record it is. */
struct origin {
    struct text service;
    uint8_t producer_id[16];
    uint32_t pid;
};

struct span_reader {
    const char *bytes; /* a private copy of a lane's [position, end); moves with position */
    uint64_t position;
    uint64_t end;
    bool has_hello; /* overflow lanes: the last PROCESS_HELLO */
    struct record_process_hello hello;
    /* NULL, or asked of each update by name: true and *ret says its value and what is known of it, and it is not decoded; false: it may
     * set ret->hash. `available`: to the end of the copy. */
    bool (*known)(void *context, const void *bytes, size_t available, const struct record_header *header,
                  struct record_metric_update *ret);
    void *context;
};

/* The next record that is neither padding nor hello: 1 and *ret (borrowing from bytes), 0 at the end, -EBADMSG.
 * `position` moves past it. Padding and records that end past `end` never occur in a sound lane: the producer publishes
 * whole records. */
int span_reader_next(struct span_reader *reader, struct record *ret);

#endif
