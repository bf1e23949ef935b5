#include "common/shm/ring_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/shm/geometry.h"
#include "common/shm/liveness.h"
#include "common/shm/ring_file.h"

/* How often a snapshot that changed under our eyes is taken again: a sound ring settles at once. */
enum { SNAPSHOT_ATTEMPTS = 8 };

/* --- the file --- */

int ring_reader_open(int rings_fd, uid_t uid, bool writable, struct ring *ret, struct error *error) {
    struct ring ring;
    int fd = ring_file_open(rings_fd, uid, writable, error);
    if (fd == -ENOENT)
        return error_set(error, -ENOENT, "there is no ring %u", (unsigned)uid);
    if (fd < 0)
        return fd;
    int result = ring_map(fd, writable, &ring, error);
    if (result < 0)
        return error_prefix(error, result, "ring %u", (unsigned)uid);
    if (ring.uid != uid) {
        result = error_set(error, -EBADMSG, "ring %u says it is user %u's", (unsigned)uid, ring.uid);
        ring_finish(&ring);
        return result;
    }
    *ret = ring;
    return 0;
}

int ring_reader_check(struct ring *ring, struct error *error) {
    struct ring_header header;
    struct stat status;
    if (fstat(ring->map.fd, &status) < 0)
        return error_set(error, -EBADMSG, "cannot look at ring %u: %s", ring->uid, strerror(errno));
    if ((uint64_t)status.st_size != ring->map.size)
        return error_set(error, -EBADMSG, "ring %u was cut: it has %lld bytes in place of %zu", ring->uid,
                         (long long)status.st_size, ring->map.size);
    if (pread(ring->map.fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
        return error_set(error, -EBADMSG, "cannot read the header of ring %u", ring->uid);
    if (ring_header_check(&header, ring->map.size, error) < 0)
        return error_prefix(error, -EBADMSG, "ring %u", ring->uid);
    if (memcmp(header.ring_id, ring->ring_id, sizeof(ring->ring_id)) != 0 || header.uid != ring->uid ||
        header.slot_count != ring->slot_count || header.overflow_count != ring->overflow_count ||
        header.lane_count != ring->lane_count)
        return error_set(error, -EBADMSG, "the header of ring %u is another one than when it was opened", ring->uid);
    return 0;
}

/* --- lanes; each operation is one function under the guard and its argument --- */

struct lane_access {
    struct lane_header *header;
    const char *data;
    uint64_t size;
    struct lane_state *state; /* look */
    uint64_t from, to;        /* copy; to: the new tail */
    void *out;
    uint64_t owner; /* free */
    bool private;
};

static struct lane_access access_lane(struct ring *ring, uint32_t lane) {
    return (struct lane_access) {
        .header = ring_lane_header(ring, lane),
        .data = ring->map.base + ring_lane_data_at(ring, lane),
        .size = ring_lane_size(ring, lane),
        .private = lane >= ring->overflow_count,
    };
}

/* The order of the loads (each an acquire, so that none moves before it) is what makes the snapshot useful:
 * - the owner after the head: whoever committed up to the head had claimed the lane before, so that is his, or a later
 * turn's;
 * - the owner also before the head: seen released, and the same after, the head is that turn's last;
 * - the tail before the head: it was never above it (only the collector moves it; others look while it does). */
static int look_at_lane(void *argument) {
    struct lane_access *access = argument;
    struct lane_state *state = access->state;
    bool sound = false, settled = false;
    for (int attempt = 0; attempt < SNAPSHOT_ATTEMPTS && !(sound && settled); attempt++) {
        uint64_t before = atomic_load_explicit(&access->header->owner, memory_order_acquire);
        state->tail = atomic_load_explicit(&access->header->tail, memory_order_acquire);
        sound =
            state->tail % RECORD_ALIGN == 0 && lane_head(access->header, UINT64_MAX, state->tail, &state->head) == 0;
        state->owner = atomic_load_explicit(&access->header->owner, memory_order_acquire);
        /* By the owner that is told, or who reads it as a lane like the others would copy more than its size. */
        sound = sound && (state->owner & LANE_OWNER_RECORDER || state->head - state->tail <= access->size);
        settled = state->owner == before;
    }
    if (!sound)
        return -EBADMSG;
    if (!settled) /* a busy overflow lane, or somebody plays: no head that is final, so never "released" */
        state->owner &= ~LANE_OWNER_RELEASED;
    return 0;
}

int ring_reader_lane(struct ring *ring, uint32_t lane, struct lane_state *ret) {
    struct lane_state state = { 0 };
    struct lane_access access = access_lane(ring, lane);
    access.state = &state;
    int result = map_guarded(look_at_lane, &access);
    if (result < 0)
        return result;
    state.slot = lane_owner_slot(state.owner);
    if (state.owner != 0 && state.slot >= ring->slot_count)
        return -EBADMSG;
    state.generation = lane_owner_generation(state.owner);
    state.released = state.owner & LANE_OWNER_RELEASED;
    state.recorder = state.owner & LANE_OWNER_RECORDER;
    if (!state.recorder && state.head - state.tail > access.size) /* it was one a moment ago: by no rule */
        return -EBADMSG;
    *ret = state;
    return 0;
}

static int copy_lane(void *argument) {
    struct lane_access *access = argument;
    lane_copy(access->data, access->size, access->from, access->to, access->out);
    return 0;
}

int ring_reader_copy(struct ring *ring, uint32_t lane, uint64_t from, uint64_t to, void *out) {
    struct lane_access access = access_lane(ring, lane);
    check(from <= to && to - from <= access.size);
    access.from = from;
    access.to = to;
    access.out = out;
    return map_guarded(copy_lane, &access);
}

static int move_tail(void *argument) {
    struct lane_access *access = argument;
    /* relaxed: only we write it. */
    uint64_t head, tail = atomic_load_explicit(&access->header->tail, memory_order_relaxed);
    uint64_t owner = atomic_load_explicit(&access->header->owner, memory_order_relaxed);
    uint64_t most = owner & LANE_OWNER_RECORDER ? UINT64_MAX : access->size;
    if (tail > access->to || access->to % RECORD_ALIGN != 0 || lane_head(access->header, most, access->to, &head) < 0)
        return -EBADMSG;
    /* release: our copy of what lies below is done before the producer, who acquires the tail, overwrites it. */
    atomic_store_explicit(&access->header->tail, access->to, memory_order_release);
    return 0;
}

int ring_reader_set_tail(struct ring *ring, uint32_t lane, uint64_t tail) {
    struct lane_access access = access_lane(ring, lane);
    access.to = tail;
    return map_guarded(move_tail, &access);
}

static int free_lane(void *argument) {
    struct lane_access *access = argument;
    uint64_t expected = access->owner;
    if (access->private) {
        /* A turn that began since the caller's snapshot changes the word first, and the swap fails. The tail is our
         * own. */
        uint64_t head = atomic_load_explicit(&access->header->head, memory_order_acquire);
        if (head != atomic_load_explicit(&access->header->tail, memory_order_relaxed))
            return -EBUSY;
    }
    /* acq_rel: the next owner, who acquires the word, sees the tail we moved. */
    bool swapped = atomic_compare_exchange_strong_explicit(&access->header->owner, &expected, 0, memory_order_acq_rel,
                                                           memory_order_relaxed);
    return swapped ? 0 : -EAGAIN;
}

int ring_reader_lane_free(struct ring *ring, uint32_t lane, uint64_t owner) {
    struct lane_access access = access_lane(ring, lane);
    access.owner = owner;
    return map_guarded(free_lane, &access);
}

/* --- slots --- */

struct slot_access {
    struct ring *ring;
    struct ring_slot *slot;
    struct ring_slot *head; /* look: room for what stands before `control` */
    uint64_t state_word;
    uint32_t number; /* the slot's, or the site's */
    uint32_t control;
    struct site_info *site;
};

/* Each word an acquire: the copy is then done before the state is looked at again, without a fence (which TSan cannot
 * see). */
static void copy_words(struct ring_slot *to, const struct ring_slot *from) {
    static_assert(offsetof(struct ring_slot, control) % sizeof(uint64_t) == 0, "copied in whole words");
    uint64_t *out = (uint64_t *)(void *)to;
    const uint64_t *in = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < offsetof(struct ring_slot, control) / sizeof(uint64_t); i++)
        out[i] = __atomic_load_n(&in[i], __ATOMIC_ACQUIRE);
}

static int look_at_slot(void *argument) {
    struct slot_access *access = argument;
    if (access->number >= ring_slots_used(access->ring))
        return 0;
    for (int attempt = 0; attempt < SNAPSHOT_ATTEMPTS; attempt++) {
        access->state_word = atomic_load_explicit(&access->slot->state, memory_order_acquire); /* what came before it */
        if ((access->state_word & 0xff) == SLOT_FREE)
            return 0;
        copy_words(access->head, access->slot);
        if (atomic_load_explicit(&access->slot->state, memory_order_relaxed) == access->state_word)
            return 0;
    }
    return -EBADMSG;
}

/* The name as valid UTF-8 that fits, cut at a character. */
static int repair_service(struct slot_info *info, const char *bytes, size_t length) {
    struct buffer repaired = BUFFER_EMPTY;
    text_utf8_repair((struct text) { bytes, length }, &repaired);
    if (repaired.failed) {
        buffer_finish(&repaired);
        return -ENOMEM;
    }
    size_t fit = repaired.length;
    if (fit > sizeof(info->service_bytes)) {
        fit = sizeof(info->service_bytes);
        while (fit > 0 && (repaired.data[fit] & 0xc0) == 0x80)
            fit--;
    }
    if (fit > 0)
        memcpy(info->service_bytes, repaired.data, fit);
    info->service = (struct text) { info->service_bytes, fit };
    buffer_finish(&repaired);
    return 0;
}

int ring_reader_slot(struct ring *ring, uint32_t slot, struct slot_info *ret) {
    struct ring_slot head; /* only what stands before `control` */
    memset(&head, 0, offsetof(struct ring_slot, control));
    struct slot_access access = { .ring = ring, .slot = ring_slot_at(ring, slot), .head = &head, .number = slot };
    int result = map_guarded(look_at_slot, &access);
    if (result < 0)
        return result;
    uint64_t state = access.state_word & 0xff;
    if (state > SLOT_CLOSED || head.service_length > ENTRY_NAME_BYTES)
        return -EBADMSG;
    *ret = (struct slot_info) {
        .state_word = access.state_word,
        .state = (enum slot_state)state,
        .generation = (uint32_t)(access.state_word >> 8),
        .pid = head.pid,
        .start_time = head.start_time,
        .pid_namespace = head.pid_namespace,
        .claimed_ns = head.claimed_ns,
        .min_level = head.min_level < LEVEL_COUNT ? (enum level)head.min_level : LEVEL_CRITICAL,
        .goodbye = atomic_load_explicit(&head.goodbye, memory_order_relaxed) != 0,
    };
    memcpy(ret->producer_id, head.producer_id, sizeof(ret->producer_id));
    return repair_service(ret, head.service, head.service_length);
}

static struct process_identity owner_of(const struct slot_info *info) {
    return (struct process_identity) { .pid = info->pid,
                                       .start_time = info->start_time,
                                       .pid_namespace = info->pid_namespace };
}

bool ring_reader_slot_dead(struct ring *ring, uint32_t slot, const struct slot_info *info) {
    struct process_identity owner = owner_of(info);
    /* Dead: from here on all that it wrote is seen, since its stores came before the kernel let its lock and pid go. */
    return info->state == SLOT_ACTIVE && slot_owner_is_dead(ring->map.fd, slot, &owner);
}

int ring_reader_slot_watch(struct ring *ring, uint32_t slot, const struct slot_info *info) {
    struct process_identity owner = owner_of(info);
    return slot_owner_watch(ring->map.fd, slot, &owner);
}

static int free_slot(void *argument) {
    struct slot_access *access = argument;
    uint64_t expected = access->state_word, generation = (uint32_t)(access->state_word >> 8);
    uint64_t own = lane_owner(access->number, (uint32_t)generation);
    for (uint32_t lane = 0; lane < access->ring->lane_count; lane++) {
        /* The process is dead, or has closed the slot, and we saw that before: it takes no lane any more. acquire: what
         * a lane's last holder did comes before the slot's next owner. */
        uint64_t owner = atomic_load_explicit(&ring_lane_header(access->ring, lane)->owner, memory_order_acquire);
        if (lane_owner_identity(owner) == own)
            return -EBUSY;
    }
    uint64_t next = slot_state_word((uint32_t)generation, SLOT_FREE);
    /* Sequentially consistent, as all that the retirement looks at. */
    return atomic_compare_exchange_strong(&access->slot->state, &expected, next) ? 0 : -EAGAIN;
}

int ring_reader_slot_free(struct ring *ring, uint32_t slot, uint64_t state_word) {
    struct slot_access access = {
        .ring = ring, .slot = ring_slot_at(ring, slot), .state_word = state_word, .number = slot
    };
    return map_guarded(free_slot, &access);
}

static int count_used(void *argument) {
    struct slot_access *access = argument;
    access->number = ring_slots_used(access->ring);
    return 0;
}

uint32_t ring_reader_slots_used(struct ring *ring) {
    struct slot_access access = { .ring = ring };
    return map_guarded(count_used, &access) < 0 ? 0 : access.number;
}

static int store_control(void *argument) {
    struct slot_access *access = argument;
    atomic_store_explicit(&access->slot->control, access->control, memory_order_relaxed); /* seen soon: enough */
    return 0;
}

int ring_reader_set_control(struct ring *ring, uint32_t slot, uint32_t control) {
    struct slot_access access = { .slot = ring_slot_at(ring, slot), .control = control };
    return map_guarded(store_control, &access);
}

static int load_wanted(void *argument) {
    struct slot_access *access = argument;
    /* acquire: what was recorded before it was asked for is there. */
    access->number = atomic_load_explicit(&access->slot->recorder_wanted, memory_order_acquire);
    return 0;
}

int ring_reader_recorder_wanted(struct ring *ring, uint32_t slot, uint32_t *ret) {
    struct slot_access access = { .slot = ring_slot_at(ring, slot) };
    int result = map_guarded(load_wanted, &access);
    if (result == 0)
        *ret = access.number;
    return result;
}

static int copy_site(void *argument) {
    struct slot_access *access = argument;
    struct site_info *out = access->site;
    /* acquire: pairs with ring_site_add; the site and its text are there. */
    uint32_t count = atomic_load_explicit(&access->slot->site_count, memory_order_acquire);
    if (access->number < 1 || access->number > count || count > SLOT_SITES_MAX)
        return -EBADMSG;
    struct slot_site site;
    memcpy(&site, &access->slot->sites[access->number - 1], sizeof(site));
    size_t length = (size_t)site.module_length + site.operation_length + site.format_length;
    if (site.level >= LEVEL_COUNT || site.text_at > SLOT_SITE_TEXT_SIZE || length > SLOT_SITE_TEXT_SIZE - site.text_at)
        return -EBADMSG;
    memcpy(out->bytes, access->slot->site_text + site.text_at, length);
    out->level = (enum level)site.level;
    out->module = (struct text) { out->bytes, site.module_length };
    out->operation = (struct text) { out->bytes + site.module_length, site.operation_length };
    out->format = (struct text) { out->bytes + site.module_length + site.operation_length, site.format_length };
    return 0;
}

int ring_reader_site(struct ring *ring, uint32_t slot, uint32_t site, struct site_info *ret) {
    struct slot_access access = { .slot = ring_slot_at(ring, slot), .number = site, .site = ret };
    return map_guarded(copy_site, &access);
}

/* --- losses --- */

struct ledger_access {
    struct loss_ledger *ledger;
    struct loss_counts *out;
};

static struct loss_ledger *ledger_of(struct ring *ring, uint32_t slot) {
    return slot == RING_SLOTS_MAX ? ring_anonymous_ledger(ring) : &ring_slot_at(ring, slot)->ledger;
}

static int copy_losses(void *argument) {
    struct ledger_access *access = argument;
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++) {
        for (int level = 0; level < LEVEL_COUNT; level++) {
            const struct loss_cell *cell = &access->ledger->cells[reason][level];
            /* acquire: pairs with loss_count; the times of what is counted are there. */
            access->out->cells[reason][level].count = atomic_load_explicit(&cell->count, memory_order_acquire);
            access->out->cells[reason][level].first_ns = atomic_load_explicit(&cell->first_ns, memory_order_relaxed);
            access->out->cells[reason][level].last_ns = atomic_load_explicit(&cell->last_ns, memory_order_relaxed);
        }
    }
    return 0;
}

int ring_reader_losses(struct ring *ring, uint32_t slot, struct loss_counts *ret) {
    struct ledger_access access = { .ledger = ledger_of(ring, slot), .out = ret };
    return map_guarded(copy_losses, &access);
}

static int reset_first(void *argument) {
    struct ledger_access *access = argument;
    /* relaxed: as ring.h says of loss_count, a count that meets this may lose its first time. */
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++)
            atomic_store_explicit(&access->ledger->cells[reason][level].first_ns, 0, memory_order_relaxed);
    return 0;
}

int ring_reader_losses_told(struct ring *ring, uint32_t slot) {
    struct ledger_access access = { .ledger = ledger_of(ring, slot) };
    return map_guarded(reset_first, &access);
}

/* --- retirement --- */

/* The counterpart of `announce` in ring_slot.c: the word first, then the states, then the swap. A slot that became
 * active after we looked has not yet counted itself in the word, or the swap fails: it will see the bit and let go. */
static int retire_unused(void *argument) {
    struct ring *ring = argument;
    uint64_t attach = atomic_load(&ring->header->attach);
    if (attach & 1)
        return 0;
    for (uint32_t slot = 0, used = ring_slots_used(ring); slot < used; slot++)
        if ((atomic_load(&ring_slot_at(ring, slot)->state) & 0xff) != SLOT_FREE)
            return -EBUSY;
    return atomic_compare_exchange_strong(&ring->header->attach, &attach, attach | 1) ? 0 : -EBUSY;
}

static int retire_used(void *argument) {
    struct ring *ring = argument;
    /* In any order: a process looks at the word before it claims, and at its control with every record. */
    atomic_fetch_or(&ring->header->attach, 1);
    for (uint32_t slot = 0, used = ring_slots_used(ring); slot < used; slot++)
        atomic_fetch_or(&ring_slot_at(ring, slot)->control, SLOT_CONTROL_REATTACH);
    return 0;
}

int ring_reader_retire(struct ring *ring, bool force) {
    return map_guarded(force ? retire_used : retire_unused, ring);
}
