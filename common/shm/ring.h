/* ring.h - one user's ring file, from the producer's side: create or attach, claim a slot, claim lanes.
 *
 * The client library is its only user. Attach once for each process and path (a second descriptor, when closed, would
 * drop the record locks of the first: POSIX; so ring_finish the old one before attaching anew). None of this is on the
 * log path but lane.h. Not thread-safe unless said: the client serialises.
 */
#ifndef TASKFORGE_COMMON_SHM_RING_H
#define TASKFORGE_COMMON_SHM_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/shm/lane.h"
#include "common/shm/layout.h"
#include "common/shm/map.h"

struct ring {
    struct map map;
    struct ring_header *header;
    /* copied from the header when it was checked; only these are used afterwards */
    uint8_t ring_id[16];
    uint32_t uid;
    uint32_t slot_count, overflow_count, lane_count;
    uint64_t lanes_at, slots_at, data_at;
    uint64_t size_limit;
    struct shared_settings settings; /* as they were at attach: what slots claimed here start with */
};

/* Map header, check everything (magic, version, sizes against the file, offsets, alignment) and fill *ret. Shared by
 * producers and reader. `fd` is taken over, also on failure. -EPROTO for a newer version (the sentence says so),
 * -EBADMSG for garbage. */
int ring_map(int fd, bool writable, struct ring *ret, struct error *error);
void ring_finish(struct ring *ring);

/* Attach to RUNTIME_DIR/rings/UID of the calling user, creating it (and, where the parent allows it, the folders) when
 * it is not there: built whole under a temporary name with O_EXCL and O_NOFOLLOW, then linked into place; mode 0660,
 * the folder's group. A file there that is not the user's own, or a symbolic link, is refused. A retired ring is
 * refused with -ESTALE: unlink is the collector's; try again. size 0: the settings file's, or RING_SIZE_DEFAULT. */
int ring_attach(const char *runtime_dir, uint64_t size, struct ring *ret, struct error *error);

struct slot_claim {
    uint32_t index;
    uint32_t generation;
    struct ring_slot *slot;
};

/* Really allocate a part of the file, within the ring's budget less `kept`: -ENOSPC when that, or the file system, is full. And the
 * same for a part of a slot, once in the slot's life: metrics and call sites leave what ring_kept_for_slots says, as lanes do, a claim
 * need not. */
int ring_allocate(struct ring *ring, uint64_t at, uint64_t size, uint64_t kept);
uint64_t ring_kept_for_slots(const struct ring *ring);
int ring_slot_allocate(struct ring *ring, struct ring_slot *slot, enum slot_pages pages, uint64_t at, uint64_t size);

/* How many slots were ever claimed: only those are looked at. */
uint32_t ring_slots_used(const struct ring *ring);

/* Claim a slot for a client that writes nothing below min_level: record lock first, then the state word, so that a claimed slot is never without its lock. Fills
 * producer id, pid, start time, service, control (level threshold of the settings file). Its pages are really allocated
 * first. -EAGAIN: no free slot; -ESTALE: retired meanwhile; -ENOSPC. The caller serialises claims inside one process.
 */
int ring_slot_claim(struct ring *ring, struct text service, uint8_t min_level, struct slot_claim *ret);

/* Give the slot back at a clean end: freed at once when nothing of it is left to read (`untouched`: no private lane
 * was ever claimed, no site registered, no loss counted), else marked closed for the collector. */
void ring_slot_release(struct ring *ring, const struct slot_claim *claim, bool untouched);

/* The process is about to end, in good order: nobody need be told when its lock is gone. The slot stays in use. */
void ring_slot_say_goodbye(const struct slot_claim *claim);

/* Take the record lock again after the application closed every descriptor (slow path; a no-op where it is held).
 * -EBADF when our descriptor itself is gone, -ESTALE when the slot is ours no more: attach anew. */
int ring_slot_relock(struct ring *ring, const struct slot_claim *claim);

/* Register a call site in the slot: its number (from 1), or -ENOSPC when the table is full or has no pages left. Serialised by the
 * caller. */
int ring_site_add(struct ring *ring, const struct slot_claim *claim, enum level level, struct text module,
                  struct text operation, struct text format);

/* Claim a private lane for a thread, one that overwrites where it is the flight recorder's: from those released by earlier threads of this slot first (go on behind their
 * records), then from the pool, as long as that leaves some for other processes; its pages are allocated. -EAGAIN: none left; -ENOSPC; -EBADF: our descriptor is gone.
 * Thread-safe. */
int ring_lane_claim(struct ring *ring, const struct slot_claim *claim, bool recorder, struct lane_writer *ret,
                    uint32_t *ret_lane);

/* The thread is done with its lane; the collector returns it to the pool when it is drained. Thread-safe,
 * async-signal-safe. */
void ring_lane_release(struct ring *ring, const struct slot_claim *claim, uint32_t lane);

/* Take any overflow lane for one claim (compare-and-swap on its owner word; busy: the next; one held by a dead process
 * is taken over): 0 and a writer, or -EAGAIN (-ENOSPC when the only free ones could not be allocated). Lanes less than
 * half full come first, the lowest of them, else the emptiest. Give it back with ring_overflow_give. Thread-safe. */
int ring_overflow_take(struct ring *ring, const struct slot_claim *claim, struct lane_writer *ret, uint32_t *ret_lane);
void ring_overflow_give(struct ring *ring, uint32_t lane);

/* A slot by its number, below slot_count. */
const struct ring_slot *ring_slot_of(const struct ring *ring, uint32_t slot);

/* "lane_full" "lanes_busy" "no_ring" "input" "quota" "rate_limited" "repeated" "sampled" */
const char *loss_reason_name(enum loss_reason reason);

/* Count losses in a ledger: wait-free, any thread, async-signal-safe. first_ns may stay 0 where a count meets the
 * collector's reset: last_ns then says when. */
void loss_count(struct loss_ledger *ledger, enum loss_reason reason, enum level level, uint64_t count, uint64_t now_ns);

/* The ledger for producers that could attach but got no slot (page 1 of the file). */
struct loss_ledger *ring_anonymous_ledger(struct ring *ring);

/* Read and write RUNTIME_DIR/settings. Reading gives the defaults where it is missing or foreign, and of single fields that
 * make no sense; what it gives may be used unchecked: counts and ranges hold, texts end. Writing takes no other (-EINVAL). */
void settings_default(struct shared_settings *ret);
void settings_read(const char *runtime_dir, struct shared_settings *ret);
int settings_write(const char *runtime_dir, const struct shared_settings *settings, struct error *error);

#endif
