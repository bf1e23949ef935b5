#include "collector/spill_frame.h"

#include <errno.h>

#include "collector/limits.h"
#include "common/base/hash.h"
#include "common/model/record.h"

static void append_number(struct buffer *out, uint64_t value, size_t size) {
    char bytes[8];
    state_u64_put(bytes, value);
    buffer_append(out, bytes, size);
}

static int append_span(struct buffer *out, const struct span *span) {
    uint32_t size;
    int result = record_span_size(&span->record, &size);
    if (result < 0)
        return result;
    append_number(out, span->pid, 4);
    append_number(out, size, 4);
    if (!buffer_reserve(out, size))
        return -ENOMEM;
    record_span_encode(&span->record, 0, span->end_ns, out->data + out->length, size);
    out->length += size;
    return 0;
}

static int append_entry(struct buffer *out, const struct entry *entry) {
    struct record_entry record = { .entry = *entry };
    uint32_t size;
    int result = record_entry_size(&record, &size);
    if (result < 0)
        return result;
    append_number(out, entry->pid, 4);
    append_number(out, size, 4);
    if (!buffer_reserve(out, size))
        return -ENOMEM;
    record_entry_encode(&record, 0, entry->timestamp_ns, out->data + out->length, size);
    out->length += size;
    append_number(out, entry->templated ? entry->argument_count + 1u : 0, 2);
    for (unsigned i = 0; entry->templated && i < entry->argument_count; i++) {
        append_number(out, entry->arguments[i].begin, 2);
        append_number(out, entry->arguments[i].length, 2);
    }
    return 0;
}

int spill_frame_encode(const struct batch *batch, uint64_t file_id, uint64_t offset, struct buffer *out) {
    size_t begin = out->length;
    append_number(out, SPILL_FRAME_MAGIC, 8);
    append_number(out, SPILL_FRAME_VERSION, 4);
    append_number(out, batch->span_count, 4);
    append_number(out, file_id, 8);
    append_number(out, offset, 8);
    append_number(out, batch->entry_count, 4);
    append_number(out, batch->put_count, 4);
    append_number(out, 0, 8);
    struct text host = batch->entry_count  ? batch->entries[0].host
                       : batch->span_count ? batch->spans[0].host
                                           : TEXT_EMPTY;
    append_number(out, host.length, 2);
    buffer_append_text(out, host);
    for (size_t i = 0; i < batch->entry_count; i++) {
        int result = append_entry(out, &batch->entries[i]);
        if (result < 0)
            return result;
    }
    for (size_t i = 0; i < batch->span_count; i++) {
        int result = append_span(out, &batch->spans[i]);
        if (result < 0)
            return result;
    }
    for (size_t i = 0; i < batch->put_count; i++) {
        const struct batch_put *put = &batch->puts[i];
        append_number(out, put->key.length, 2);
        append_number(out, put->remove, 2);
        append_number(out, put->value.length, 4);
        buffer_append_text(out, put->key);
        buffer_append_text(out, put->value);
    }
    if (out->failed)
        return -ENOMEM;
    uint64_t body = out->length - begin - SPILL_FRAME_HEADER;
    if (body > SPILL_FRAME_MAX)
        return -E2BIG;
    state_u64_put(out->data + begin + 40, body);
    append_number(out, hash_bytes(out->data + begin, out->length - begin), 8);
    return out->failed ? -ENOMEM : 0;
}

/* --- decoding --- */

struct cursor {
    const char *at, *end;
    bool failed;
};

static uint64_t take_number(struct cursor *cursor, size_t size) {
    char bytes[8] = { 0 };
    if (cursor->failed || (size_t)(cursor->end - cursor->at) < size) {
        cursor->failed = true;
        return 0;
    }
    memcpy(bytes, cursor->at, size);
    cursor->at += size;
    return state_u64_get(bytes);
}

static struct text take_text(struct cursor *cursor, uint64_t length) {
    if (cursor->failed || (uint64_t)(cursor->end - cursor->at) < length) {
        cursor->failed = true;
        return TEXT_EMPTY;
    }
    struct text text = { cursor->at, (size_t)length };
    cursor->at += length;
    return text;
}

int spill_frame_length(struct text header, uint64_t file_id, uint64_t offset, uint64_t *ret_length) {
    struct cursor cursor = { header.data, header.data + header.length, false };
    uint64_t magic = take_number(&cursor, 8), version = take_number(&cursor, 4);
    take_number(&cursor, 4);
    uint64_t id = take_number(&cursor, 8), at = take_number(&cursor, 8);
    take_number(&cursor, 8);
    uint64_t body = take_number(&cursor, 8);
    if (cursor.failed || magic != SPILL_FRAME_MAGIC || version == 0 || version > SPILL_FRAME_VERSION || id != file_id ||
        at != offset || body > SPILL_FRAME_MAX)
        return -EBADMSG;
    *ret_length = SPILL_FRAME_HEADER + body + SPILL_FRAME_TAIL;
    return 0;
}

/* Places that make no sense are found out where they are used (block_mine). */
static int decode_places(struct cursor *cursor, struct entry *entry, struct batch *batch) {
    uint64_t count = take_number(cursor, 2);
    if (cursor->failed || count > ENTRY_ARGUMENTS_MAX + 1)
        return -EBADMSG;
    entry->templated = count > 0;
    entry->argument_count = (uint8_t)(count ? count - 1 : 0);
    if (count < 2)
        return 0;
    struct entry_argument *places = arena_allocate(&batch->arena, entry->argument_count * sizeof(*places));
    if (!places)
        return -ENOMEM;
    for (unsigned i = 0; i < entry->argument_count; i++) {
        places[i].begin = (uint16_t)take_number(cursor, 2);
        places[i].length = (uint16_t)take_number(cursor, 2);
    }
    entry->arguments = places;
    return cursor->failed ? -EBADMSG : 0;
}

static int decode_entry(struct cursor *cursor, uint64_t version, struct text host, struct batch *batch) {
    uint32_t pid = (uint32_t)take_number(cursor, 4);
    struct text bytes = take_text(cursor, take_number(cursor, 4));
    struct record record;
    if (cursor->failed || record_decode(bytes.data, bytes.length, 0, &record) < 0 || record.kind != RECORD_ENTRY)
        return -EBADMSG;
    record.entry.entry.host = host;
    record.entry.entry.pid = pid;
    int result = version > 1 ? decode_places(cursor, &record.entry.entry, batch) : 0;
    if (result < 0)
        return result;
    batch_add(batch, &record.entry.entry);
    return batch->failed ? -ENOMEM : 0;
}

static int decode_span(struct cursor *cursor, struct text host, struct batch *batch) {
    uint32_t pid = (uint32_t)take_number(cursor, 4);
    struct text bytes = take_text(cursor, take_number(cursor, 4));
    struct record record;
    if (cursor->failed || record_decode(bytes.data, bytes.length, 0, &record) < 0 || record.kind != RECORD_SPAN)
        return -EBADMSG;
    const struct span span = { .record = record.span, .end_ns = record.time_ns, .host = host, .pid = pid };
    batch_add_span(batch, &span);
    return batch->failed ? -ENOMEM : 0;
}

static int decode_put(struct cursor *cursor, struct batch *batch) {
    uint64_t key_length = take_number(cursor, 2), removed = take_number(cursor, 2),
             value_length = take_number(cursor, 4);
    struct text key = take_text(cursor, key_length), value = take_text(cursor, value_length);
    if (cursor->failed || key.length == 0 || removed > 1)
        return -EBADMSG;
    if (removed)
        batch_remove(batch, key);
    else
        batch_put(batch, key, value);
    return batch->failed ? -ENOMEM : 0;
}

int spill_frame_decode(struct text frame, uint64_t file_id, uint64_t offset, struct batch *batch) {
    uint64_t length;
    if (spill_frame_length(frame, file_id, offset, &length) < 0 || length != frame.length)
        return -EBADMSG;
    size_t hashed = frame.length - SPILL_FRAME_TAIL;
    if (hash_bytes(frame.data, hashed) != state_u64_get(frame.data + hashed))
        return -EBADMSG;
    struct cursor cursor = { frame.data + 8, frame.data + hashed, false };
    uint64_t version = take_number(&cursor, 4);
    uint64_t spans = take_number(&cursor, 4);
    cursor.at = frame.data + 32;
    uint64_t entries = take_number(&cursor, 4), puts = take_number(&cursor, 4);
    take_number(&cursor, 8);
    struct text host = take_text(&cursor, take_number(&cursor, 2));
    for (uint64_t i = 0; i < entries; i++) {
        int result = decode_entry(&cursor, version, host, batch);
        if (result < 0)
            return result;
    }
    for (uint64_t i = 0; i < spans; i++) {
        int result = decode_span(&cursor, host, batch);
        if (result < 0)
            return result;
    }
    for (uint64_t i = 0; i < puts; i++) {
        int result = decode_put(&cursor, batch);
        if (result < 0)
            return result;
    }
    return cursor.failed || cursor.at != cursor.end ? -EBADMSG : 0;
}
