#include "collector/dedup_record.h"

#include <endian.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/model/record.h"

enum { VERSION = 1, FLAG_MIXED = 1, NOTES_BYTES = 160 };

bool dedup_record_size(const struct entry *entry, uint32_t *ret) {
    const struct record_entry record = { .entry = *entry };
    return record_entry_size(&record, ret) == 0;
}

void dedup_record_encode(const struct entry *entry, char *out, uint32_t size) {
    const struct record_entry record = { .entry = *entry };
    record_entry_encode(&record, 0, entry->timestamp_ns, out, size);
}

struct text dedup_record_value(const struct dedup_told *told, struct text record, struct batch *batch) {
    char *value = arena_allocate(&batch->arena, DEDUP_HEAD_SIZE + record.length);
    if (!value || record.length == 0)
        return TEXT_EMPTY;
    const uint32_t pid = htole32(told->pid);
    memset(value, 0, DEDUP_HEAD_SIZE);
    value[0] = VERSION;
    value[1] = told->mixed_ids ? FLAG_MIXED : 0;
    memcpy(value + 4, &pid, sizeof(pid));
    state_u64_put(value + 8, told->count);
    state_u64_put(value + 16, told->first_ns);
    state_u64_put(value + 24, told->last_ns);
    memcpy(value + DEDUP_HEAD_SIZE, record.data, record.length);
    return (struct text) { value, DEDUP_HEAD_SIZE + record.length };
}

bool dedup_record_read(struct text value, struct dedup_told *ret, struct text *ret_record) {
    uint32_t pid;
    if (value.length <= DEDUP_HEAD_SIZE || value.data[0] != VERSION || (value.data[1] & ~FLAG_MIXED) != 0)
        return false;
    memcpy(&pid, value.data + 4, sizeof(pid));
    *ret = (struct dedup_told) { .count = state_u64_get(value.data + 8),
                                 .first_ns = state_u64_get(value.data + 16),
                                 .last_ns = state_u64_get(value.data + 24),
                                 .pid = le32toh(pid),
                                 .mixed_ids = value.data[1] & FLAG_MIXED };
    *ret_record = (struct text) { value.data + DEDUP_HEAD_SIZE, value.length - DEDUP_HEAD_SIZE };
    return ret->count > 0;
}

static void pack_time(struct pack_writer *writer, const char *key, uint64_t real_ns) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format(real_ns, time);
    pack_text(writer, text_of(key));
    pack_text(writer, text_of(time));
}

/* The metadata with what is told. */
static bool add_notes(const struct dedup_told *told, struct batch *batch, struct text *metadata) {
    struct pack_reader reader = { NULL, NULL };
    struct pack_value map = { .type = PACK_MAP };
    if (metadata->length > 0)
        reader = (struct pack_reader) { metadata->data, metadata->data + metadata->length };
    if (metadata->length > 0 && (pack_next(&reader, &map) != 1 || map.type != PACK_MAP))
        return false;
    struct pack_writer writer = { .capacity = metadata->length + NOTES_BYTES };
    writer.data = arena_allocate(&batch->arena, writer.capacity);
    if (!writer.data)
        return false;
    pack_map(&writer, map.count + 3);
    if (metadata->length > 0)
        pack_raw(&writer, (struct text) { reader.at, (size_t)(reader.end - reader.at) });
    pack_text(&writer, TEXT_LITERAL(ENTRY_REPEATED));
    pack_uint(&writer, told->count);
    pack_time(&writer, ENTRY_REPEATED_FIRST, told->first_ns);
    pack_time(&writer, ENTRY_REPEATED_LAST, told->last_ns);
    *metadata = (struct text) { writer.data, writer.length };
    return !writer.failed;
}

bool dedup_record_tell(const struct dedup_told *told, struct text bytes, struct batch *batch, struct entry *ret) {
    struct record record;
    struct text copy = arena_copy(&batch->arena, bytes); /* the entry borrows from it as long as the batch */
    if (batch->arena.failed || record_decode(copy.data, copy.length, 0, &record) < 0 || record.kind != RECORD_ENTRY)
        return false;
    *ret = record.entry.entry;
    ret->timestamp_ns = told->last_ns;
    ret->pid = told->pid;
    if (told->mixed_ids)
        ret->trace_id = ret->span_id = ret->correlation_id = TEXT_EMPTY;
    return add_notes(told, batch, &ret->metadata);
}
