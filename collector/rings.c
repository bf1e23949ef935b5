#include "collector/rings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "collector/level_keeper.h"
#include "collector/rings_folder.h"
#include "collector/slots.h"
#include "common/base/check.h"
#include "common/base/diag.h"

int rings_init(struct rings *rings, const char *runtime_dir, struct state_map *state, struct error *error) {
    *rings = RINGS_CLOSED;
    rings->state = state;
    rings->starting = true;
    if (strlen(runtime_dir) >= sizeof(rings->runtime_dir))
        return error_set(error, -ENAMETOOLONG, "the runtime folder's name is too long");
    memcpy(rings->runtime_dir, runtime_dir, strlen(runtime_dir) + 1);
    int result = rings_folder_open(rings, error);
    if (result < 0)
        return result;
    slots_init(rings);
    return map_guard_install(error);
}

void slot_forget(struct slot *slot) {
    if (slot->sites)
        for (size_t i = 0; i <= SLOT_SITES_MAX; i++)
            free(slot->sites[i]);
    free(slot->sites);
    cells_destroy(slot->cells);
    slot_unwatch(slot);
    *slot = SLOT_UNKNOWN;
}

static void ring_destroy(struct collector_ring *ring) {
    if (!ring)
        return;
    for (uint32_t i = 0; ring->lanes && i < ring->ring.lane_count; i++) {
        buffer_finish(&ring->lanes[i].hand);
        free(ring->lanes[i].recorder);
    }
    for (uint32_t i = 0; ring->slots && i <= ring->ring.slot_count; i++)
        slot_forget(&ring->slots[i]);
    free(ring->lanes);
    free(ring->slots);
    free(ring->producers);
    ring_finish(&ring->ring);
    free(ring);
}

void rings_finish(struct rings *rings) {
    for (size_t i = 0; i < rings->count; i++)
        ring_destroy(rings->items[i]);
    free(rings->removals);
    slot_metrics_view_finish(&rings->cells_view);
    if (rings->watch_fd >= 0)
        close(rings->watch_fd);
    if (rings->folder_fd >= 0)
        close(rings->folder_fd);
    if (rings->deaths_fd >= 0)
        close(rings->deaths_fd);
    *rings = RINGS_CLOSED;
}

bool rings_changed(struct rings *rings) {
    bool changed = false;
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    while (rings->watch_fd >= 0 && read(rings->watch_fd, events, sizeof(events)) > 0)
        changed = true;
    return changed;
}

/* --- state of what is gone --- */

static int compare_removals(const void *left, const void *right) {
    return memcmp(left, right, REMOVAL_BYTES);
}

void rings_sort_removals(struct rings *rings) {
    size_t kept = 0;
    if (rings->removal_count > 1)
        qsort(rings->removals, rings->removal_count, sizeof(*rings->removals), compare_removals);
    for (size_t i = 0; i < rings->removal_count; i++)
        if (kept == 0 || compare_removals(&rings->removals[kept - 1], &rings->removals[i]) != 0)
            rings->removals[kept++] = rings->removals[i];
    rings->removal_count = kept;
}

bool rings_removes(const struct rings *rings, struct text key) {
    return key.length >= REMOVAL_BYTES && rings->removal_count > 0 &&
           bsearch(key.data, rings->removals, rings->removal_count, sizeof(*rings->removals), compare_removals);
}

void rings_remove_state(struct rings *rings, const struct state_key *prefix) {
    check(prefix->length >= REMOVAL_BYTES);
    if (rings->removal_count == rings->removal_capacity)
        rings_sort_removals(rings); /* a producer's cells all ask for the same */
    if (rings->removal_count >= rings->removal_capacity / 2) {
        size_t capacity = rings->removal_capacity ? rings->removal_capacity * 2 : 16;
        struct removal *grown = capacity <= REMOVALS_MAX ? realloc(rings->removals, capacity * sizeof(*grown)) : NULL;
        if (grown) {
            rings->removals = grown;
            rings->removal_capacity = capacity;
        } else if (rings->removal_count == rings->removal_capacity) {
            return; /* a left-over key does no harm; the next start removes it */
        }
    }
    memcpy(rings->removals[rings->removal_count++].prefix, prefix->bytes, REMOVAL_BYTES);
}

/* --- taking a ring in --- */

/* Where each lane goes on: at the stored position; a tail behind it is moved, one ahead of it says that somebody wrote what only we
 * may write. */
static int lanes_resume(struct rings *rings, struct collector_ring *ring, struct error *error) {
    for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        *lane = (struct lane) {
            .ring = ring,
            .index = i,
            .overflow = i < ring->ring.overflow_count,
            .size = ring_lane_size(&ring->ring, i),
        };
        if (ring_reader_lane(&ring->ring, i, &lane->state) < 0)
            return error_set(error, -EBADMSG, "head and tail of lane %u make no sense", i);
        lane->position = lane->hand_end = lane->state.tail;
        struct state_key key;
        uint64_t stored = lane->state.tail;
        state_key_lane(&key, ring->ring.ring_id, i);
        if (state_map_get_u64(rings->state, state_key_text(&key), &stored) &&
            (stored < lane->state.tail || stored > lane->state.head))
            return error_set(error, -EBADMSG, "lane %u is at %llu to %llu, but was stored up to %llu", i,
                             (unsigned long long)lane->state.tail, (unsigned long long)lane->state.head,
                             (unsigned long long)stored);
        if (stored != lane->state.tail && ring_reader_set_tail(&ring->ring, i, stored) < 0)
            return error_set(error, -EFAULT, "the tail of lane %u cannot be set", i);
        lane->state.tail = lane->position = lane->hand_end = stored;
        if (lane->state.recorder) /* out of memory: begin again */
            check(recorder_lane_load(rings->state, ring->ring.ring_id, i, stored, &lane->recorder) == 0);
    }
    return 0;
}

static void losses_resume(struct rings *rings, const uint8_t producer_id[16], struct loss_totals *ret) {
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++) {
            struct state_key key;
            state_key_loss(&key, producer_id, (enum loss_reason)reason, (enum level)level);
            ret->counts[reason][level] = 0;
            state_map_get_u64(rings->state, state_key_text(&key), &ret->counts[reason][level]);
        }
}

/* The ledger of those without a slot goes by the ring's own id. */
static void anonymous_resume(struct rings *rings, struct collector_ring *ring) {
    struct slot *slot = &ring->slots[ring->ring.slot_count];
    slot->known = true;
    memcpy(slot->info.producer_id, ring->ring.ring_id, sizeof(slot->info.producer_id));
    slot->info.service = TEXT_LITERAL("unknown");
    losses_resume(rings, ring->ring.ring_id, &slot->told);
}

/* Takes `opened` over. 0, or the ring stands in quarantine already and the reason is said. */
int rings_take_in(struct rings *rings, struct ring *opened, uid_t uid, dev_t device, ino_t inode) {
    struct collector_ring *ring = calloc(1, sizeof(*ring));
    if (!ring) {
        ring_finish(opened);
        return -ENOMEM;
    }
    *ring = (struct collector_ring) { .ring = *opened, .uid = uid, .device = device, .inode = inode };
    ring->busy_ns = clock_monotonic_ns();
    ring->lanes = calloc(ring->ring.lane_count, sizeof(*ring->lanes));
    ring->slots = calloc((size_t)ring->ring.slot_count + 1, sizeof(*ring->slots));
    if (!ring->lanes || !ring->slots) {
        ring_destroy(ring);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i <= ring->ring.slot_count; i++)
        ring->slots[i] = SLOT_UNKNOWN;
    rings_slots_count(ring);
    rings->items[rings->count++] = ring;
    anonymous_resume(rings, ring);
    struct error error;
    int result = lanes_resume(rings, ring, &error);
    if (result < 0) {
        rings_break(rings, ring, error.text);
        return result;
    }
    if (rings_folder_is_retired(ring)) /* by one of us who did not come to the end of it */
        rings_leave(rings, ring);
    return 0;
}

void rings_slots_count(struct collector_ring *ring) {
    uint32_t used = ring_reader_slots_used(&ring->ring);
    if (used > ring->slots_used)
        ring->slots_used = used;
}

static bool slot_refresh(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    struct slot_info info;
    if (index >= ring->slots_used)
        rings_slots_count(ring);
    if (index >= ring->slots_used) /* scribbled on: nobody claimed it by the rules */
        return false;
    if (ring_reader_slot(&ring->ring, index, &info) < 0 || info.state == SLOT_FREE) {
        slot_forget(slot);
        return false;
    }
    if (slot->known && slot->info.generation == info.generation &&
        memcmp(slot->info.producer_id, info.producer_id, sizeof(info.producer_id)) == 0) {
        slot->info.state = info.state;
        slot->info.state_word = info.state_word;
        return true;
    }
    slot_forget(slot);
    slot->known = true;
    slot->was_there = rings->starting;
    slot->info = info;
    slot->info.service.data = slot->info.service_bytes;
    ring->producers_are_old = true;
    losses_resume(rings, slot->info.producer_id, &slot->told);
    return true;
}

bool rings_slot_refresh(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    bool known = slot_refresh(rings, ring, index);
    if (known && rings->level_keeper)
        level_keeper_apply(rings->level_keeper, ring, index);
    return known;
}

bool rings_slot_is_same(struct collector_ring *ring, uint32_t index) {
    const struct slot_info *known = &ring->slots[index].info;
    struct slot_info info;
    return ring_reader_slot(&ring->ring, index, &info) == 0 && info.state != SLOT_FREE &&
           info.generation == known->generation &&
           memcmp(info.producer_id, known->producer_id, sizeof(info.producer_id)) == 0;
}

/* --- setting aside and letting go --- */

void rings_break(struct rings *rings, struct collector_ring *ring, const char *why) {
    if (ring->phase == RING_BROKEN)
        return;
    uint64_t unread = 0;
    for (uint32_t i = 0; i < ring->ring.lane_count; i++)
        if (ring->lanes[i].state.head > ring->lanes[i].hand_end && !ring->lanes[i].state.recorder)
            unread += ring->lanes[i].state.head - ring->lanes[i].hand_end;
    bool was_active = ring->phase == RING_ACTIVE;
    ring->phase = RING_BROKEN;
    rings->broken_count++;
    ring_reader_retire(&ring->ring, true); /* best effort: of a cut file nothing may be left to write to */
    if (was_active)
        rings_folder_quarantine(rings, ring);
    if (rings_may_say(rings))
        diag_error("the ring of user %u is broken and set aside: %s; at least %llu bytes in it were not read",
                   (unsigned)ring->uid, why, (unsigned long long)unread);
}

void rings_leave(struct rings *rings, struct collector_ring *ring) {
    ring->phase = RING_LEAVING;
    ring->leaving_ns = clock_monotonic_ns();
    rings_folder_unlink(rings, ring);
}

static bool ring_has_hand(const struct collector_ring *ring) {
    for (uint32_t i = 0; i < ring->ring.lane_count; i++)
        if (ring->lanes[i].hand_end != ring->lanes[i].position)
            return true;
    return false;
}

static bool ring_has_slots(const struct collector_ring *ring) {
    for (uint32_t i = 0; i < ring->slots_used; i++)
        if (ring->slots[i].known)
            return true;
    return false;
}

/* Nothing to read, nobody there, nothing untold; by fresh snapshots. */
static bool ring_is_empty(struct collector_ring *ring) {
    if (ring_has_slots(ring) || ring->slots[ring->ring.slot_count].is_telling)
        return false;
    for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
        struct lane *lane = &ring->lanes[i];
        if (ring_reader_lane(&ring->ring, i, &lane->state) < 0 || !lane_is_drained(lane) || lane->state.owner != 0)
            return false;
    }
    return true;
}

static void forget_state(struct rings *rings, struct collector_ring *ring) {
    struct state_key key;
    state_key_lanes(&key, ring->ring.ring_id);
    rings_remove_state(rings, &key);
    state_key_losses(&key, ring->ring.ring_id);
    rings_remove_state(rings, &key);
    for (uint32_t i = 0; i < ring->slots_used; i++)
        if (ring->slots[i].known) {
            state_key_losses(&key, ring->slots[i].info.producer_id);
            rings_remove_state(rings, &key);
            state_key_cells(&key, ring->slots[i].info.producer_id);
            rings_remove_state(rings, &key);
            state_key_gone(&key, ring->slots[i].info.producer_id);
            rings_remove_state(rings, &key);
        }
}

void rings_sweep(struct rings *rings, uint64_t now_monotonic_ns) {
    for (size_t i = 0; i < rings->count;) {
        struct collector_ring *ring = rings->items[i];
        bool over = ring->phase == RING_BROKEN    ? !ring_has_hand(ring)
                    : ring->phase == RING_LEAVING ? now_monotonic_ns - ring->leaving_ns >= RING_LEAVING_NS &&
                                                        !ring_has_hand(ring) && ring_is_empty(ring)
                                                  : false;
        if (!over) {
            i++;
            continue;
        }
        forget_state(rings, ring);
        ring_destroy(ring);
        rings->items[i] = rings->items[--rings->count];
        rings->said_full = false;
    }
}

/* A ring that nobody has used for long gives its memory back. */
static void retire_when_idle(struct rings *rings, struct collector_ring *ring, uint64_t now) {
    if (ring_has_slots(ring)) {
        ring->busy_ns = now;
        return;
    }
    if (now - ring->busy_ns < RING_IDLE_NS || ring_has_hand(ring) || !ring_is_empty(ring))
        return;
    if (ring_reader_retire(&ring->ring, false) < 0)
        return; /* somebody came meanwhile */
    diag_info("the ring of user %u was idle and is removed", (unsigned)ring->uid);
    rings_leave(rings, ring);
}

void rings_maintain(struct rings *rings, uint64_t now_monotonic_ns) {
    for (size_t i = 0; i < rings->count; i++) {
        struct collector_ring *ring = rings->items[i];
        struct error error;
        if (ring->phase == RING_BROKEN)
            continue;
        if (ring_reader_check(&ring->ring, &error) < 0)
            rings_break(rings, ring, error.text);
        else if (ring->phase == RING_ACTIVE)
            retire_when_idle(rings, ring, now_monotonic_ns);
    }
    rings_sweep(rings, now_monotonic_ns);
}
