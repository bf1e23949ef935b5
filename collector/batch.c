#include "collector/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"

static void forget_prepared(const struct batch *batch) {
    for (size_t i = 0; i < batch->put_count; i++) {
        free(batch->puts[i].node);
        batch->puts[i].node = NULL;
    }
}

void batch_clear(struct batch *batch) {
    forget_prepared(batch);
    batch->entry_count = 0;
    batch->span_count = 0;
    batch->put_count = 0;
    if (batch->put_index)
        memset(batch->put_index, 0, batch->put_index_size * sizeof(*batch->put_index));
    arena_reset(&batch->arena);
    buffer_clear(&batch->scratch);
    batch->repaired = 0;
    batch->redacted = batch->too_costly = batch->unsealed = 0;
    batch->invalid_spans = 0;
    batch->failed = false;
}

void batch_finish(struct batch *batch) {
    forget_prepared(batch);
    free(batch->entries);
    free(batch->spans);
    free(batch->puts);
    free(batch->put_index);
    arena_finish(&batch->arena);
    buffer_finish(&batch->scratch);
    *batch = BATCH_EMPTY;
}

/* Room for one more item in a growing array; false when out of memory. */
static bool array_room(void **items, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 256;
    void *grown = realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

/* What entry_repair made anew stands in the scratch buffer, which the next entry will overwrite. */
static void keep_repaired(struct batch *batch, struct text *text) {
    const char *from = batch->scratch.data;
    if (from && text->length && text->data >= from && text->data < from + batch->scratch.length)
        *text = arena_copy(&batch->arena, *text);
}

/* True when anything had to be changed. */
static bool repair(struct batch *batch, struct entry *entry) {
    buffer_clear(&batch->scratch);
    int reasons = entry_repair(entry, 0, &batch->scratch);
    if (reasons < 0) {
        batch->failed = true;
        return false;
    }
    struct text *texts[] = { &entry->service,       &entry->module,  &entry->operation,      &entry->message,
                             &entry->trace_id,      &entry->span_id, &entry->correlation_id, &entry->metadata,
                             &entry->error_details, &entry->host };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        keep_repaired(batch, texts[i]);
    return reasons != 0;
}

void batch_repair(struct batch *batch, struct entry *entry) {
    batch->repaired += repair(batch, entry);
    batch->failed |= batch->arena.failed;
}

void batch_push(struct batch *batch, const struct entry *entry) {
    if (batch->failed ||
        !array_room((void **)&batch->entries, &batch->entry_capacity, batch->entry_count, sizeof(*entry)))
        batch->failed = true;
    else
        batch->entries[batch->entry_count++] = *entry;
}

void batch_add(struct batch *batch, const struct entry *entry) {
    struct entry added = *entry;
    batch_repair(batch, &added);
    batch_push(batch, &added);
}

static bool is_zero(const uint8_t *id, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= id[i];
    return any == 0;
}

/* The beginning of valid UTF-8 that fits, cut at a character. */
static struct text cut_to(struct text text, size_t size) {
    if (text.length <= size)
        return text;
    while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return (struct text) { text.data, size };
}

/* Its texts keep the rules of an entry's. */
static void repair_span(struct batch *batch, struct span *span) {
    struct record_span *record = &span->record;
    struct entry entry = {
        .level = LEVEL_INFO,
        .service = record->service,
        .module = TEXT_LITERAL("span"),
        .operation = record->operation,
        .message = record->status.length > 0 ? record->status : TEXT_LITERAL("-"),
        .metadata = record->metadata,
        .host = span->host,
    };
    repair(batch, &entry);
    record->service = entry.service;
    record->operation = entry.operation;
    record->metadata = entry.metadata;
    if (record->status.length > 0)
        record->status = cut_to(entry.message, RECORD_SPAN_STATUS_BYTES);
    if (span->end_ns == 0)
        span->end_ns = 1; /* 0 would mean that it has not ended */
    if (record->start_ns == 0)
        record->start_ns = span->end_ns;
}

void batch_add_span(struct batch *batch, const struct span *span) {
    if (is_zero(span->record.trace_id, SPAN_TRACE_BYTES) || is_zero(span->record.span_id, SPAN_ID_BYTES)) {
        batch->invalid_spans++;
        return;
    }
    if (batch->failed || !array_room((void **)&batch->spans, &batch->span_capacity, batch->span_count, sizeof(*span))) {
        batch->failed = true;
        return;
    }
    batch->spans[batch->span_count] = *span;
    repair_span(batch, &batch->spans[batch->span_count]);
    batch->failed |= batch->arena.failed;
    if (!batch->failed)
        batch->span_count++;
}

static void reverse(struct entry *entries, size_t count) {
    for (size_t i = 0; i < count / 2; i++) {
        struct entry entry = entries[i];
        entries[i] = entries[count - 1 - i];
        entries[count - 1 - i] = entry;
    }
}

void batch_move_front(struct batch *batch, size_t from) {
    reverse(batch->entries, from);
    reverse(batch->entries + from, batch->entry_count - from);
    reverse(batch->entries, batch->entry_count);
}

/* The place of a key in the index: its put's number + 1, or 0 where it would go. */
static uint32_t *index_at(struct batch *batch, struct text key) {
    size_t mask = batch->put_index_size - 1;
    for (size_t at = hash_bytes(key.data, key.length) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &batch->put_index[at];
        if (*slot == 0 || text_equal(batch->puts[*slot - 1].key, key))
            return slot;
    }
}

static bool index_room(struct batch *batch) {
    if (batch->put_count * 2 < batch->put_index_size)
        return true;
    size_t size = batch->put_index_size ? batch->put_index_size * 2 : 512;
    uint32_t *index = calloc(size, sizeof(*index));
    if (!index)
        return false;
    free(batch->put_index);
    batch->put_index = index;
    batch->put_index_size = size;
    for (size_t i = 0; i < batch->put_count; i++)
        *index_at(batch, batch->puts[i].key) = (uint32_t)i + 1;
    return true;
}

static void put(struct batch *batch, struct text key, struct text value, bool removed) {
    if (batch->failed || !index_room(batch) ||
        !array_room((void **)&batch->puts, &batch->put_capacity, batch->put_count, sizeof(*batch->puts))) {
        batch->failed = true;
        return;
    }
    uint32_t *slot = index_at(batch, key);
    if (*slot == 0) {
        batch->puts[batch->put_count] = (struct batch_put) { .key = arena_copy(&batch->arena, key) };
        *slot = (uint32_t)++batch->put_count;
    }
    struct batch_put *at = &batch->puts[*slot - 1];
    if (!at->value.data || at->value.length < value.length)
        at->value = arena_copy(&batch->arena, value);
    else if (value.length)
        memcpy((char *)at->value.data, value.data, value.length);
    at->value.length = value.length;
    at->remove = removed;
    batch->failed |= batch->arena.failed;
}

void batch_put(struct batch *batch, struct text key, struct text value) {
    put(batch, key, value, false);
}

void batch_put_u64(struct batch *batch, struct text key, uint64_t value) {
    char bytes[8];
    state_u64_put(bytes, value);
    put(batch, key, (struct text) { bytes, sizeof(bytes) }, false);
}

void batch_remove(struct batch *batch, struct text key) {
    put(batch, key, TEXT_EMPTY, true);
}

int batch_prepare(const struct batch *batch, struct state_map *map) {
    forget_prepared(batch);
    for (size_t i = 0; i < batch->put_count; i++) {
        struct batch_put *at = &batch->puts[i];
        int result = at->remove ? 0 : state_map_prepare(map, batch->put_count, at->key, at->value, &at->node);
        if (result < 0)
            return result;
    }
    return 0;
}

int batch_apply(const struct batch *batch, struct state_map *map) {
    for (size_t i = 0; i < batch->put_count; i++) {
        struct batch_put *at = &batch->puts[i];
        if (at->remove) {
            state_map_delete(map, at->key);
        } else if (at->node) {
            state_map_put_prepared(map, at->node, at->key, at->value);
            at->node = NULL;
        } else {
            int result = state_map_put(map, at->key, at->value);
            if (result < 0)
                return result;
        }
    }
    return 0;
}
