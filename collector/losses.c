#include "collector/losses.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/model/pack.h"

struct loss {
    struct text service;
    const char *level;
    const char *reason;
    const char *chosen; /* what was done, where it was chosen; else NULL */
    uint32_t pid;
    uint64_t count, first_ns, last_ns;
};

static void pack_pair(struct pack_writer *writer, const char *key, struct text value) {
    pack_text(writer, text_of(key));
    pack_text(writer, value);
}

static void pack_time(struct pack_writer *writer, const char *key, uint64_t time_ns) {
    char text[CLOCK_RFC3339_SIZE];
    size_t length = clock_format(time_ns, text);
    pack_pair(writer, key, (struct text) { text, length });
}

/* The same on /metrics, in the same transaction. */
static void count_loss(struct drain *drain, const struct loss *loss, uint64_t now_ns, struct batch *batch) {
    const struct text values[] = { loss->service, text_of(loss->level), text_of(loss->reason) };
    if (drain->fold)
        fold_add(drain->fold, OWN_RING_DROPPED, values, (double)loss->count, now_ns, batch);
}

static void add_loss(struct drain *drain, const struct loss *loss, uint64_t now_ns, struct batch *batch) {
    char message[ENTRY_NAME_BYTES + 256], metadata[ENTRY_NAME_BYTES + 512];
    int length =
        snprintf(message, sizeof(message), "%s %llu %s %s of %.*s (pid %u): %s", loss->chosen ? "left out" : "lost",
                 (unsigned long long)loss->count, loss->level, loss->count == 1 ? "entry" : "entries",
                 TEXT_FORMAT(loss->service), loss->pid, loss->chosen ? loss->chosen : loss->reason);
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    pack_map(&writer, 7);
    pack_pair(&writer, "service", loss->service);
    pack_pair(&writer, "level", text_of(loss->level));
    pack_pair(&writer, "reason", text_of(loss->reason));
    pack_text(&writer, TEXT_LITERAL("count"));
    pack_uint(&writer, loss->count);
    pack_time(&writer, "first", loss->first_ns);
    pack_time(&writer, "last", loss->last_ns);
    pack_text(&writer, TEXT_LITERAL("pid"));
    pack_uint(&writer, loss->pid);
    struct text packed = { metadata, writer.failed ? 0 : writer.length };
    count_loss(drain, loss, now_ns, batch);
    drain_own_entry(drain, batch, now_ns, loss->chosen ? LEVEL_INFO : LEVEL_WARN, "loss", loss->reason,
                    (struct text) { message, (size_t)length < sizeof(message) ? (size_t)length : sizeof(message) - 1 },
                    packed);
}

/* What is said of losses that were chosen. */
static const char *const chosen[LOSS_REASON_COUNT] = {
    [LOSS_RATE] = "held back by a rate limit",
    [LOSS_REPEAT] = "repeats of what was written a moment before",
    [LOSS_SAMPLED] = "not of the share that sampling keeps",
};

/* Whether a total is more than was told, and the time to say so has come. */
static bool is_due(const struct slot *slot, int reason, int level, uint64_t total, bool whole, uint64_t now_ns) {
    if (total <= slot->told.counts[reason][level])
        return false;
    uint64_t last = slot->told_ns.ns[reason][level];
    return !chosen[reason] || whole || slot->ending || last == 0 || now_ns - last >= LOSS_CHOSEN_NS;
}

/* Times come from shared memory: kept within what is possible. */
static void bound_times(struct loss *loss, uint64_t now_ns) {
    if (loss->last_ns == 0 || loss->last_ns > now_ns)
        loss->last_ns = now_ns;
    if (loss->first_ns == 0 || loss->first_ns > loss->last_ns)
        loss->first_ns = loss->last_ns;
}

static void slot_gather(struct drain *drain, struct collector_ring *ring, uint32_t index, bool whole, uint64_t now_ns,
                        struct batch *batch) {
    struct slot *slot = &ring->slots[index];
    struct loss_counts counts;
    uint32_t ledger = index == ring->ring.slot_count ? RING_SLOTS_MAX : index;
    if (!slot->known || ring_reader_losses(&ring->ring, ledger, &counts) < 0 ||
        (index < ring->ring.slot_count && !rings_slot_is_same(ring, index)))
        return;
    slot->telling = slot->told;
    slot->telling_ns = now_ns;
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++) {
            uint64_t total = counts.cells[reason][level].count, told = slot->told.counts[reason][level];
            if (!is_due(slot, reason, level, total, whole, now_ns))
                continue;
            struct loss loss = {
                .service = slot->info.service,
                .level = level_name((enum level)level),
                .reason = loss_reason_name((enum loss_reason)reason),
                .chosen = chosen[reason],
                .pid = slot->info.pid,
                .count = total - told,
                .first_ns = counts.cells[reason][level].first_ns,
                .last_ns = counts.cells[reason][level].last_ns,
            };
            bound_times(&loss, now_ns);
            add_loss(drain, &loss, now_ns, batch);
            struct state_key key;
            state_key_loss(&key, slot->info.producer_id, (enum loss_reason)reason, (enum level)level);
            batch_put_u64(batch, state_key_text(&key), total);
            slot->telling.counts[reason][level] = total;
            slot->is_telling = true;
        }
}

void losses_gather(struct drain *drain, bool whole, uint64_t now_ns, struct batch *batch) {
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        if (drain->fold)
            drain->fold->user = ring->uid; /* services are named by the user */
        for (uint32_t i = 0; ring->phase != RING_BROKEN && i <= ring->ring.slot_count; i = rings_next_ledger(ring, i))
            slot_gather(drain, ring, i, whole, now_ns, batch);
    }
}

void losses_settle(struct collector_ring *ring) {
    for (uint32_t i = 0; i <= ring->ring.slot_count; i = rings_next_ledger(ring, i)) {
        struct slot *slot = &ring->slots[i];
        if (!slot->is_telling)
            continue;
        slot->is_telling = false;
        for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
            for (int level = 0; level < LEVEL_COUNT; level++)
                if (slot->telling.counts[reason][level] > slot->told.counts[reason][level])
                    slot->told_ns.ns[reason][level] = slot->telling_ns;
        slot->told = slot->telling;
        if (ring->phase != RING_BROKEN)
            ring_reader_losses_told(&ring->ring, i == ring->ring.slot_count ? RING_SLOTS_MAX : i);
    }
}

void losses_discard(struct collector_ring *ring) {
    for (uint32_t i = 0; i <= ring->ring.slot_count; i = rings_next_ledger(ring, i))
        ring->slots[i].is_telling = false;
}

bool losses_are_untold(struct collector_ring *ring, uint32_t index) {
    const struct slot *slot = &ring->slots[index];
    struct loss_counts counts;
    uint64_t now_ns = clock_real_ns();
    uint32_t ledger = index == ring->ring.slot_count ? RING_SLOTS_MAX : index;
    if (!slot->known || ring_reader_losses(&ring->ring, ledger, &counts) < 0)
        return false;
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++)
            if (is_due(slot, reason, level, counts.cells[reason][level].count, false, now_ns))
                return true;
    return false;
}

bool losses_any_untold(struct rings *rings) {
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase == RING_BROKEN)
            continue;
        if (losses_are_untold(ring, ring->ring.slot_count))
            return true;
        for (uint32_t n = 0; n < ring->slots_used && n < LEDGERS_LOOKED_AT; n++) {
            ring->next_ledger = (ring->next_ledger + 1) % ring->slots_used;
            if (losses_are_untold(ring, ring->next_ledger))
                return true;
        }
    }
    return false;
}

void losses_add_note(struct drain *drain, const struct record_loss_note *note, uint32_t pid, uint64_t now_ns,
                     struct batch *batch) {
    struct loss loss = {
        .service = note->service.length <= ENTRY_NAME_BYTES ? note->service : TEXT_LITERAL("unknown"),
        .level = level_name(note->level),
        .reason = "other",
        .pid = pid,
        .count = note->count,
        .first_ns = note->first_ns,
        .last_ns = note->last_ns,
    };
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        if (text_is(note->reason, loss_reason_name((enum loss_reason)reason))) {
            loss.reason = loss_reason_name((enum loss_reason)reason);
            loss.chosen = chosen[reason];
        }
    bound_times(&loss, now_ns);
    add_loss(drain, &loss, now_ns, batch);
}
