/* record_call.c - calls of registered sites, and spans: as they are drawn in record.h. What a program does most, so no msgpack around
 * them. */
#include <errno.h>

#include "common/base/check.h"
#include "common/model/record_priv.h"

enum { TRACE_BYTES = 16, SPAN_BYTES = 8 };

/* --- calls --- */

_Static_assert(sizeof(struct record_call_fixed) == RECORD_CALL_FIXED_END - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct record_call_fixed, present) == 36 - RECORD_HEADER_SIZE, "as drawn");

int record_call_size(const struct record_entry *record, uint32_t *ret_size) {
    const struct entry *entry = &record->entry;
    if (unlikely((entry->message.length > ENTRY_MESSAGE_BYTES) | (entry->trace_id.length > ENTRY_TRACE_BYTES) |
                 (entry->span_id.length > ENTRY_TRACE_BYTES) | (entry->correlation_id.length > ENTRY_TRACE_BYTES) |
                 (entry->metadata.length > ENTRY_METADATA_BYTES) | record->has_position))
        return -E2BIG;
    size_t size = RECORD_CALL_FIXED_END + entry->trace_id.length + entry->span_id.length +
                  entry->correlation_id.length + entry->message.length + entry->metadata.length;
    size += record_has(&entry->user_id) ? UUID_SIZE : 0;
    size += record_has(&entry->organization_id) ? UUID_SIZE : 0;
    *ret_size = record_align(size);
    return 0;
}

void record_call_encode(const struct record_entry *record, uint64_t position, uint64_t time_ns, void *span,
                        uint32_t size) {
    const struct entry *entry = &record->entry;
    bool user = record_has(&entry->user_id), organization = record_has(&entry->organization_id);
    struct record_call_fixed fixed = {
        .site = record->site,
        .arguments = (uint32_t)entry->message.length,
        .metadata = (uint32_t)entry->metadata.length,
        .present = (uint8_t)((user ? RECORD_HAS_USER : 0) | (organization ? RECORD_HAS_ORGANIZATION : 0) |
                             (record->raw_trace ? RECORD_RAW_TRACE : 0) | (record->raw_span ? RECORD_RAW_SPAN : 0)),
        .trace = (uint8_t)entry->trace_id.length,
        .span = (uint8_t)entry->span_id.length,
        .correlation = (uint8_t)entry->correlation_id.length,
    };
    char *at = span;
    memset(at + size - RECORD_ALIGN, 0, RECORD_ALIGN); /* the zeros at the end, before what may lie over them */
    record_put_header(at, size, RECORD_CALL, (uint8_t)entry->level, position, time_ns);
    memcpy(at + RECORD_HEADER_SIZE, &fixed, sizeof(fixed));
    at = record_put(at + RECORD_CALL_FIXED_END, entry->trace_id);
    at = record_put(at, entry->span_id);
    at = record_put(at, entry->correlation_id);
    at = record_put_uuid(at, &entry->user_id, user);
    at = record_put_uuid(at, &entry->organization_id, organization);
    at = record_put(at, entry->message);
    at = record_put(at, entry->metadata);
    check(record_align((uint64_t)(at - (char *)span)) == size);
}

static bool call_is_within_limits(const struct record_call_fixed *fixed) {
    return fixed->site != 0 && fixed->arguments <= ENTRY_MESSAGE_BYTES && fixed->metadata <= ENTRY_METADATA_BYTES &&
           fixed->trace <= ENTRY_TRACE_BYTES && fixed->span <= ENTRY_TRACE_BYTES &&
           fixed->correlation <= ENTRY_TRACE_BYTES &&
           fixed->present <= (RECORD_HAS_USER | RECORD_HAS_ORGANIZATION | RECORD_RAW_TRACE | RECORD_RAW_SPAN) &&
           (!(fixed->present & RECORD_RAW_TRACE) || fixed->trace == TRACE_BYTES) &&
           (!(fixed->present & RECORD_RAW_SPAN) || fixed->span == SPAN_BYTES);
}

int record_call_decode(const char *bytes, const struct record_header *header, struct record_entry *ret) {
    struct record_call_fixed fixed;
    if (header->length < RECORD_CALL_FIXED_END)
        return -EBADMSG;
    memcpy(&fixed, bytes + RECORD_HEADER_SIZE, sizeof(fixed));
    if (!call_is_within_limits(&fixed))
        return -EBADMSG;
    bool user = fixed.present & RECORD_HAS_USER, organization = fixed.present & RECORD_HAS_ORGANIZATION;
    uint64_t size = (uint64_t)RECORD_CALL_FIXED_END + fixed.trace + fixed.span + fixed.correlation +
                    (user ? UUID_SIZE : 0) + (organization ? UUID_SIZE : 0) + fixed.arguments + fixed.metadata;
    if (record_align(size) != header->length)
        return -EBADMSG;
    const char *at = bytes + RECORD_CALL_FIXED_END;
    *ret = (struct record_entry) { .site = fixed.site,
                                   .raw_trace = fixed.present & RECORD_RAW_TRACE,
                                   .raw_span = fixed.present & RECORD_RAW_SPAN };
    struct entry *entry = &ret->entry;
    entry->timestamp_ns = header->time_ns;
    entry->level = (enum level)header->level;
    entry->trace_id = record_take(&at, fixed.trace);
    entry->span_id = record_take(&at, fixed.span);
    entry->correlation_id = record_take(&at, fixed.correlation);
    record_take_uuid(&at, user, &entry->user_id);
    record_take_uuid(&at, organization, &entry->organization_id);
    entry->message = record_take(&at, fixed.arguments);
    entry->metadata = record_take(&at, fixed.metadata);
    return fixed.metadata > 0 && pack_check(entry->metadata) < 0 ? -EBADMSG : 0;
}

bool record_call_trace(const char *bytes, const struct record_header *header, struct text *ret, bool *ret_raw) {
    struct record_call_fixed fixed;
    if (header->length < RECORD_CALL_FIXED_END)
        return false;
    memcpy(&fixed, bytes + RECORD_HEADER_SIZE, sizeof(fixed));
    if (fixed.trace == 0 || fixed.trace > header->length - RECORD_CALL_FIXED_END)
        return false;
    *ret = (struct text) { bytes + RECORD_CALL_FIXED_END, fixed.trace };
    *ret_raw = fixed.present & RECORD_RAW_TRACE;
    return !*ret_raw || fixed.trace == TRACE_BYTES;
}

/* --- spans --- */

struct span_fixed {
    uint8_t trace_id[TRACE_BYTES], span_id[SPAN_BYTES], parent_id[SPAN_BYTES];
    uint64_t start_ns;
    uint32_t metadata;
    uint16_t service, operation, status;
    uint8_t flags, reserved;
    uint32_t thread;
};
_Static_assert(sizeof(struct span_fixed) == RECORD_SPAN_FIXED_END - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct span_fixed, metadata) == 64 - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct span_fixed, thread) == 76 - RECORD_HEADER_SIZE, "as drawn");

enum { SPAN_FAILED = 1 };

int record_span_size(const struct record_span *span, uint32_t *ret_size) {
    if (span->service.length > ENTRY_NAME_BYTES || span->operation.length > ENTRY_NAME_BYTES ||
        span->status.length > RECORD_SPAN_STATUS_BYTES || span->metadata.length > ENTRY_METADATA_BYTES)
        return -E2BIG;
    *ret_size = record_align((uint64_t)RECORD_SPAN_FIXED_END + span->service.length + span->operation.length +
                             span->status.length + span->metadata.length);
    return 0;
}

static inline void put_word(char *at, uint64_t word) {
    memcpy(at, &word, sizeof(word));
}

/* In place, word by word: put together elsewhere, the small parts would have to be read back as large ones. */
void record_span_encode(const struct record_span *span, uint64_t position, uint64_t end_ns, void *room, uint32_t size) {
    char *at = room;
    put_word(at + size - RECORD_ALIGN, 0);
    record_put_header(at, size, RECORD_SPAN, 0, position, end_ns);
    memcpy(at + 24, span->trace_id, sizeof(span->trace_id));
    memcpy(at + 40, span->span_id, sizeof(span->span_id));
    memcpy(at + 48, span->parent_id, sizeof(span->parent_id));
    put_word(at + 56, span->start_ns);
    put_word(at + 64, (uint64_t)(uint32_t)span->metadata.length | (uint64_t)span->service.length << 32 |
                          (uint64_t)span->operation.length << 48);
    put_word(at + 72, (uint64_t)(uint16_t)span->status.length | (uint64_t)(span->failed ? SPAN_FAILED : 0) << 16 |
                          (uint64_t)span->thread << 32);
    at = record_put(at + RECORD_SPAN_FIXED_END, span->service);
    at = record_put(at, span->operation);
    at = record_put(at, span->status);
    at = record_put(at, span->metadata);
    check(record_align((uint64_t)(at - (char *)room)) == size);
}

int record_span_decode(const char *bytes, const struct record_header *header, struct record_span *ret) {
    struct span_fixed fixed;
    if (header->length < RECORD_SPAN_FIXED_END)
        return -EBADMSG;
    memcpy(&fixed, bytes + RECORD_HEADER_SIZE, sizeof(fixed));
    if (fixed.service > ENTRY_NAME_BYTES || fixed.operation > ENTRY_NAME_BYTES ||
        fixed.status > RECORD_SPAN_STATUS_BYTES || fixed.metadata > ENTRY_METADATA_BYTES || fixed.flags > SPAN_FAILED)
        return -EBADMSG;
    if (record_align((uint64_t)RECORD_SPAN_FIXED_END + fixed.service + fixed.operation + fixed.status +
                     fixed.metadata) != header->length)
        return -EBADMSG;
    const char *at = bytes + RECORD_SPAN_FIXED_END;
    *ret = (struct record_span) { .start_ns = fixed.start_ns,
                                  .thread = fixed.thread,
                                  .failed = fixed.flags & SPAN_FAILED };
    memcpy(ret->trace_id, fixed.trace_id, sizeof(fixed.trace_id));
    memcpy(ret->span_id, fixed.span_id, sizeof(fixed.span_id));
    memcpy(ret->parent_id, fixed.parent_id, sizeof(fixed.parent_id));
    ret->service = record_take(&at, fixed.service);
    ret->operation = record_take(&at, fixed.operation);
    ret->status = record_take(&at, fixed.status);
    ret->metadata = record_take(&at, fixed.metadata);
    return fixed.metadata > 0 && pack_check(ret->metadata) < 0 ? -EBADMSG : 0;
}
