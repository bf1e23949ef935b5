#include "collector/dedup.h"

#include <stdlib.h>

#include "collector/dedup_record.h"
#include "collector/limits.h"
#include "common/base/hash.h"
#include "common/model/pack.h"

/* --- the table --- */

void dedup_finish(struct dedup *dedup) {
    for (size_t i = 0; dedup->slots && i < (size_t)DEDUP_SETS * DEDUP_WAYS; i++)
        free(dedup->slots[i].record);
    free(dedup->slots);
    free(dedup->undo);
    *dedup = (struct dedup) { .window_ns = 0 };
}

static void look_at(struct dedup *dedup, uint64_t at_ns) {
    if (dedup->next_ns == 0 || at_ns < dedup->next_ns)
        dedup->next_ns = at_ns;
}

void dedup_configure(struct dedup *dedup, uint64_t window_ns) {
    bool other = dedup->window_ns != window_ns;
    dedup->window_ns = window_ns;
    for (size_t i = 0; other && dedup->slots && i < (size_t)DEDUP_SETS * DEDUP_WAYS; i++) {
        struct dedup_slot *slot = &dedup->slots[i];
        if (slot->until_ns > 0)
            slot->until_ns = slot->tell_ns = 1; /* past */
        look_at(dedup, 1);
    }
}

/* Remember how the slot was before this batch. False when out of memory. */
static bool touch(struct dedup *dedup, struct dedup_slot *slot) {
    if (slot->touched)
        return true;
    if (dedup->undo_count == dedup->undo_capacity) {
        size_t wanted = dedup->undo_capacity ? 2 * dedup->undo_capacity : 256;
        struct dedup_undo *grown = realloc(dedup->undo, wanted * sizeof(*grown));
        if (!grown)
            return false;
        dedup->undo = grown;
        dedup->undo_capacity = wanted;
    }
    dedup->undo[dedup->undo_count++] = (struct dedup_undo) { slot, *slot };
    slot->touched = true;
    slot->fresh = false;
    return true;
}

/* The record that the slot had before this batch stays with what would undo it. */
static void drop_record(struct dedup *dedup, struct dedup_slot *slot) {
    if (slot->fresh)
        free(slot->record);
    slot->fresh = false;
    dedup->bytes -= slot->length;
    slot->record = NULL;
    slot->length = 0;
}

void dedup_settle(struct dedup *dedup) {
    for (size_t i = 0; i < dedup->undo_count; i++) {
        struct dedup_undo *undo = &dedup->undo[i];
        if (undo->before.record != undo->at->record)
            free(undo->before.record);
        undo->at->touched = false;
    }
    dedup->undo_count = 0;
    dedup->old_told |= dedup->old_telling;
    dedup->old_telling = false;
}

void dedup_discard(struct dedup *dedup) {
    for (size_t i = dedup->undo_count; i-- > 0;) {
        struct dedup_undo *undo = &dedup->undo[i];
        if (undo->at->record != undo->before.record) {
            dedup->bytes += undo->before.length;
            dedup->bytes -= undo->at->length;
            free(undo->at->record);
        }
        *undo->at = undo->before;
        if (undo->at->until_ns > 0)
            look_at(dedup, undo->at->count > 0 ? undo->at->tell_ns : undo->at->until_ns);
    }
    dedup->undo_count = 0;
    dedup->old_telling = false;
}

/* --- entries --- */

static uint64_t hash_text(struct text text, uint64_t seed) {
    /* its length apart: two texts side by side are not one */
    return hash_bytes_seeded(text.length ? text.data : "", text.length,
                             seed ^ (text.length * UINT64_C(0x9e3779b97f4a7c15)));
}

static uint64_t hash_entry(uint64_t user, const struct entry *entry, uint64_t seed) {
    const struct text texts[] = { entry->service, entry->module,   entry->operation,
                                  entry->message, entry->metadata, entry->error_details };
    uint64_t hash = seed ^ (user << 8 | (uint64_t)entry->level);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        hash = hash_text(texts[i], hash);
    hash = hash_bytes_seeded(entry->user_id.bytes, UUID_SIZE, hash);
    return hash_bytes_seeded(entry->organization_id.bytes, UUID_SIZE, hash);
}

static uint64_t hash_ids(const struct entry *entry) {
    return hash_text(entry->correlation_id, hash_text(entry->span_id, hash_text(entry->trace_id, 1)));
}

static bool is_candidate(const struct dedup *dedup, const struct entry *entry) {
    struct pack_value value;
    return dedup->window_ns > 0 && !text_is(entry->service, "taskforge") &&
           entry->message.length + entry->metadata.length + entry->error_details.length < DEDUP_ENTRY_BYTES / 2 &&
           !pack_find(entry->metadata, TEXT_LITERAL(ENTRY_REPEATED), &value) &&
           !pack_find(entry->metadata, TEXT_LITERAL(ENTRY_REPEATED_FIRST), &value) &&
           !pack_find(entry->metadata, TEXT_LITERAL(ENTRY_REPEATED_LAST), &value);
}

/* One to take for a new entry: free, past, or without repeats and the oldest; NULL. */
static struct dedup_slot *slot_to_take(struct dedup_slot *set) {
    struct dedup_slot *best = NULL;
    for (unsigned i = 0; i < DEDUP_WAYS; i++)
        if (set[i].count == 0 && (!best || set[i].until_ns < best->until_ns))
            best = &set[i];
    return best;
}

struct dedup_slot *dedup_find(struct dedup *dedup, uint64_t user, const struct entry *entry, uint64_t now_ns,
                              struct batch *batch) {
    if (!is_candidate(dedup, entry))
        return NULL;
    if (!dedup->slots)
        dedup->slots = calloc((size_t)DEDUP_SETS * DEDUP_WAYS, sizeof(*dedup->slots));
    if (!dedup->slots)
        return NULL; /* stored as it is */
    uint64_t hash = hash_entry(user, entry, 0), second = hash_entry(user, entry, UINT64_C(0x243f6a8885a308d3));
    struct dedup_slot *set = &dedup->slots[(hash % DEDUP_SETS) * DEDUP_WAYS], *slot;
    for (unsigned i = 0; i < DEDUP_WAYS; i++)
        if (set[i].hash == hash && set[i].check == second && (set[i].count > 0 || set[i].until_ns > now_ns)) {
            batch->failed |= !touch(dedup, &set[i]);
            return batch->failed ? NULL : &set[i];
        }
    slot = slot_to_take(set);
    if (!slot)
        return NULL;
    batch->failed |= !touch(dedup, slot);
    if (batch->failed)
        return NULL;
    *slot = (struct dedup_slot) {
        .hash = hash, .check = second, .until_ns = now_ns + dedup->window_ns, .ids = hash_ids(entry), .touched = true
    };
    look_at(dedup, slot->until_ns);
    return NULL;
}

bool dedup_keep_entry(struct dedup *dedup, struct dedup_slot *slot, const struct entry *entry) {
    uint32_t length;
    if (!dedup_record_size(entry, &length) || length > 2 * DEDUP_ENTRY_BYTES || dedup->bytes + length > DEDUP_BYTES)
        return false;
    slot->record = malloc(length);
    if (!slot->record)
        return false;
    dedup_record_encode(entry, slot->record, length);
    slot->length = length;
    slot->fresh = true;
    dedup->bytes += length;
    return true;
}

void dedup_count(struct dedup *dedup, struct dedup_slot *slot, const struct entry *entry, uint64_t now_ns) {
    uint64_t at = entry->timestamp_ns;
    if (slot->count == 0) {
        bool hurry = entry->level >= LEVEL_ERROR && dedup->window_ns > DEDUP_ERRORS_NS;
        slot->tell_ns = hurry ? now_ns + DEDUP_ERRORS_NS : slot->until_ns;
        slot->first_ns = slot->last_ns = at;
        slot->mixed_ids = false;
        slot->number = dedup->next_number++;
        look_at(dedup, slot->tell_ns);
    }
    slot->mixed_ids |= hash_ids(entry) != slot->ids;
    slot->first_ns = at < slot->first_ns ? at : slot->first_ns;
    slot->last_ns = at > slot->last_ns ? at : slot->last_ns;
    slot->pid = entry->pid;
    slot->count++;
}

/* --- telling --- */

static struct text key_of(char room[DEDUP_KEY_SIZE], uint64_t number) {
    memcpy(room, STATE_DEDUP, sizeof(STATE_DEDUP) - 1);
    state_u64_put(room + sizeof(STATE_DEDUP) - 1, number);
    return (struct text) { room, DEDUP_KEY_SIZE };
}

static struct dedup_told told_of(const struct dedup_slot *slot) {
    return (struct dedup_told) { .count = slot->count,
                                 .first_ns = slot->first_ns,
                                 .last_ns = slot->last_ns,
                                 .pid = slot->pid,
                                 .mixed_ids = slot->mixed_ids };
}

static void tell_slot(struct dedup *dedup, struct dedup_slot *slot, struct batch *batch, dedup_tell_function *tell,
                      void *context) {
    char key[DEDUP_KEY_SIZE];
    struct dedup_told told = told_of(slot);
    struct entry entry;
    batch->failed |= !touch(dedup, slot);
    if (batch->failed)
        return;
    if (dedup_record_tell(&told, (struct text) { slot->record, slot->length }, batch, &entry))
        tell(context, &entry, batch);
    batch_remove(batch, key_of(key, slot->number));
    drop_record(dedup, slot);
    slot->count = 0;
}

struct old {
    struct dedup *dedup;
    struct batch *batch;
    dedup_tell_function *tell;
    void *context;
};

/* Of an earlier life: what cannot be read any more is nothing to keep. */
static int tell_old(void *argument, struct text key, struct text value) {
    struct old *old = argument;
    struct dedup_told told;
    struct text record;
    struct entry entry;
    if (key.length != DEDUP_KEY_SIZE || state_u64_get(key.data + sizeof(STATE_DEDUP) - 1) >= old->dedup->old_end)
        return 0;
    if (dedup_record_read(value, &told, &record) && dedup_record_tell(&told, record, old->batch, &entry))
        old->tell(old->context, &entry, old->batch);
    batch_remove(old->batch, key);
    return 0;
}

static int note_number(void *argument, struct text key, struct text value) {
    struct dedup *dedup = argument;
    (void)value;
    if (key.length == DEDUP_KEY_SIZE) {
        uint64_t number = state_u64_get(key.data + sizeof(STATE_DEDUP) - 1);
        if (number >= dedup->next_number && number < UINT64_MAX)
            dedup->next_number = number + 1;
    }
    return 0;
}

void dedup_init(struct dedup *dedup, const struct state_map *state) {
    *dedup = (struct dedup) { .next_number = 1 };
    state_map_walk(state, TEXT_LITERAL(STATE_DEDUP), note_number, dedup);
    dedup->old_end = dedup->next_number;
    dedup->old_told = dedup->next_number == 1;
    if (!dedup->old_told)
        look_at(dedup, 1);
}

static void put_slot(const struct dedup_slot *slot, struct batch *batch) {
    char key[DEDUP_KEY_SIZE];
    struct dedup_told told = told_of(slot);
    struct text value = dedup_record_value(&told, (struct text) { slot->record, slot->length }, batch);
    if (value.length > 0)
        batch_put(batch, key_of(key, slot->number), value);
}

/* Tell what is due and free what is past; when to look again. */
static void look_through(struct dedup *dedup, bool whole, uint64_t now_ns, struct batch *batch,
                         dedup_tell_function *tell, void *context) {
    dedup->next_ns = dedup->old_told || dedup->old_telling ? 0 : 1;
    for (size_t i = 0; dedup->slots && i < (size_t)DEDUP_SETS * DEDUP_WAYS && !batch->failed; i++) {
        struct dedup_slot *slot = &dedup->slots[i];
        if (slot->until_ns == 0)
            continue;
        if (slot->count > 0 && (whole || slot->tell_ns <= now_ns))
            tell_slot(dedup, slot, batch, tell, context);
        if (slot->count == 0 && slot->until_ns <= now_ns) {
            batch->failed |= !touch(dedup, slot);
            if (!batch->failed)
                *slot = (struct dedup_slot) { .touched = true };
        } else {
            look_at(dedup, slot->count > 0 ? slot->tell_ns : slot->until_ns);
        }
    }
}

void dedup_gather(struct dedup *dedup, const struct state_map *state, bool whole, uint64_t now_ns, struct batch *batch,
                  dedup_tell_function *tell, void *context) {
    if (!dedup->old_told) {
        struct old old = { dedup, batch, tell, context };
        dedup->old_telling = true;
        state_map_walk(state, TEXT_LITERAL(STATE_DEDUP), tell_old, &old);
    }
    if (whole || dedup_is_due(dedup, now_ns))
        look_through(dedup, whole, now_ns, batch, tell, context);
    for (size_t i = 0; i < dedup->undo_count && !batch->failed; i++)
        if (dedup->undo[i].at->count > 0)
            put_slot(dedup->undo[i].at, batch);
}

bool dedup_is_due(const struct dedup *dedup, uint64_t now_ns) {
    return dedup->next_ns > 0 && dedup->next_ns <= now_ns;
}
