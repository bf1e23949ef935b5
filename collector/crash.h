/* crash.h - who went without goodbye: told once as an entry of the process's own service, module "crash", operation "gone".
 *
 *   notice   a scan finds the process dead and no goodbye in its slot
 *   hear     entries that pass and say which signal ended a process: tfrun's, systemd-coredump's, the kernel's (with the journal)
 *   gather   once all that it wrote is safe: the entry, and with it in the same batch the key "gone/" producer_id. It waits up to
 *            CRASH_WAIT_NS for the signal
 *   settle   it is told; only now reap.h gives the slot back, and then the key goes, as those of its losses do
 *
 * The key is what makes it once: a collector that is killed before the commit finds slot and no key, and tells it; after the commit the
 * slot with the key, and does not; with the slot given back, nobody looks for it any more. Producer ids are never used again. One thread. */
#ifndef TASKFORGE_COLLECTOR_CRASH_H
#define TASKFORGE_COLLECTOR_CRASH_H

#include "collector/batch.h"
#include "collector/rings.h"

struct crash_news {
    uint32_t pid;
    uint64_t pid_namespace; /* of who told it: the pid is one of there */
    uid_t uid;              /* whose ring it came from */
    int signal;
    bool core_known, core;
    uint64_t heard_ns, heard_real_ns; /* the first is monotonic; 0: none */
};

struct crash {
    struct crash_news heard[CRASH_HEARD_MAX];
    unsigned next;
};

/* Of a slot whose process was found dead just now. */
void crash_notice(struct rings *rings, struct collector_ring *ring, uint32_t index);

/* Whether an entry may say which signal ended a process: cheap, for each that passes; and take in what it says. `teller` is the slot of
 * who wrote it, NULL: not known, and not believed then. */
bool crash_is_news(const struct entry *entry);
void crash_hear(struct crash *crash, const struct collector_ring *ring, const struct slot *teller,
                const struct entry *entry);

/* `whole`: the collector ends, no signal is waited for. */
struct drain;
void crash_gather(struct drain *drain, bool whole, uint64_t now_ns, struct batch *batch);
void crash_settle(struct collector_ring *ring);
void crash_discard(struct collector_ring *ring);

static inline bool crash_is_untold(const struct slot *slot) {
    return slot->end.gone && !slot->end.told;
}
/* Whether a batch made now would tell something; whether something is still to be told, now or later. */
bool crash_is_due(const struct rings *rings, const struct crash *crash);
bool crash_is_waiting(const struct rings *rings);

#endif
