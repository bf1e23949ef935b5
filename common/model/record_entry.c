/* record_entry.c - the entry's record: made and read a million times, so no msgpack around it. */
#include <errno.h>

#include "common/base/check.h"
#include "common/model/record_priv.h"

enum { HAS_USER = RECORD_HAS_USER, HAS_ORGANIZATION = RECORD_HAS_ORGANIZATION, TRACE_BYTES = 16, SPAN_BYTES = 8 };

_Static_assert(sizeof(struct record_entry_fixed) == RECORD_ENTRY_FIXED_END - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct record_entry_fixed, timestamp_ns) == 40 - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct record_entry_fixed, service) == 60 - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct record_entry_fixed, trace) == 68 - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(offsetof(struct record_entry_fixed, reserved) == 72 - RECORD_HEADER_SIZE, "as drawn");
_Static_assert(RECORD_ENTRY_FIXED_END + 3 * ENTRY_NAME_BYTES + 3 * ENTRY_TRACE_BYTES + 2 * UUID_SIZE +
                       ENTRY_MESSAGE_BYTES + ENTRY_METADATA_BYTES + ENTRY_ERROR_BYTES + RECORD_INPUT_POSITION_MAX +
                       RECORD_ALIGN <=
                   RECORD_SIZE_MAX,
               "every entry within its limits fits");

int record_entry_size(const struct record_entry *record, uint32_t *ret_size) {
    const struct entry *entry = &record->entry;
    if (record->site != 0)
        return record_call_size(record, ret_size);
    /* one test for all: | and not ||, since nothing is ever too long on the way that matters */
    if (unlikely((entry->service.length > ENTRY_NAME_BYTES) | (entry->module.length > ENTRY_NAME_BYTES) |
                 (entry->operation.length > ENTRY_NAME_BYTES) | (entry->message.length > ENTRY_MESSAGE_BYTES) |
                 (entry->trace_id.length > ENTRY_TRACE_BYTES) | (entry->span_id.length > ENTRY_TRACE_BYTES) |
                 (entry->correlation_id.length > ENTRY_TRACE_BYTES) | (entry->metadata.length > ENTRY_METADATA_BYTES) |
                 (entry->error_details.length > ENTRY_ERROR_BYTES)))
        return -E2BIG;
    size_t size = RECORD_ENTRY_FIXED_END + entry->service.length + entry->module.length + entry->operation.length +
                  entry->trace_id.length + entry->span_id.length + entry->correlation_id.length +
                  entry->message.length + entry->metadata.length + entry->error_details.length;
    size += record_has(&entry->user_id) ? UUID_SIZE : 0;
    size += record_has(&entry->organization_id) ? UUID_SIZE : 0;
    if (unlikely(record->has_position)) {
        int rc = record_position_check(&record->position);
        if (rc < 0)
            return rc;
        size += record_position_size(&record->position);
    }
    *ret_size = record_align(size);
    return 0;
}

void record_entry_encode(const struct record_entry *record, uint64_t position, uint64_t time_ns, void *span,
                         uint32_t size) {
    const struct entry *entry = &record->entry;
    if (record->site != 0) {
        record_call_encode(record, position, time_ns, span, size);
        return;
    }
    bool user = record_has(&entry->user_id), organization = record_has(&entry->organization_id);
    uint32_t position_size = unlikely(record->has_position) ? record_position_size(&record->position) : 0;
    struct record_entry_fixed fixed = {
        .id = entry->id,
        .timestamp_ns = entry->timestamp_ns,
        .message = (uint32_t)entry->message.length,
        .metadata = (uint32_t)entry->metadata.length,
        .error = (uint32_t)entry->error_details.length,
        .service = (uint16_t)entry->service.length,
        .module = (uint16_t)entry->module.length,
        .operation = (uint16_t)entry->operation.length,
        .input_position = (uint16_t)position_size,
        .trace = (uint8_t)entry->trace_id.length,
        .span = (uint8_t)entry->span_id.length,
        .correlation = (uint8_t)entry->correlation_id.length,
        .present = (uint8_t)((user ? HAS_USER : 0) | (organization ? HAS_ORGANIZATION : 0) |
                             (record->raw_trace ? RECORD_RAW_TRACE : 0) | (record->raw_span ? RECORD_RAW_SPAN : 0)),
    };
    char *at = span;
    memset(at + size - RECORD_ALIGN, 0, RECORD_ALIGN); /* the zeros at the end, before what may lie over them */
    record_put_header(at, size, RECORD_ENTRY, (uint8_t)entry->level, position, time_ns);
    memcpy(at + RECORD_HEADER_SIZE, &fixed, sizeof(fixed));
    at = record_put(at + RECORD_ENTRY_FIXED_END, entry->service);
    at = record_put(at, entry->module);
    at = record_put(at, entry->operation);
    at = record_put(at, entry->trace_id);
    at = record_put(at, entry->span_id);
    at = record_put(at, entry->correlation_id);
    at = record_put_uuid(at, &entry->user_id, user);
    at = record_put_uuid(at, &entry->organization_id, organization);
    at = record_put(at, entry->message);
    at = record_put(at, entry->metadata);
    at = record_put(at, entry->error_details);
    if (unlikely(position_size > 0)) {
        record_position_encode(&record->position, at, position_size);
        at += position_size;
    }
    check(record_align((uint64_t)(at - (char *)span)) == size);
}

/* --- decoding --- */

static bool within_limits(const struct record_entry_fixed *fixed) {
    return fixed->service <= ENTRY_NAME_BYTES && fixed->module <= ENTRY_NAME_BYTES &&
           fixed->operation <= ENTRY_NAME_BYTES && fixed->message <= ENTRY_MESSAGE_BYTES &&
           fixed->trace <= ENTRY_TRACE_BYTES && fixed->span <= ENTRY_TRACE_BYTES &&
           fixed->correlation <= ENTRY_TRACE_BYTES && fixed->metadata <= ENTRY_METADATA_BYTES &&
           fixed->error <= ENTRY_ERROR_BYTES && fixed->input_position <= RECORD_INPUT_POSITION_MAX &&
           fixed->present <= (HAS_USER | HAS_ORGANIZATION | RECORD_RAW_TRACE | RECORD_RAW_SPAN) &&
           (!(fixed->present & RECORD_RAW_TRACE) || fixed->trace == TRACE_BYTES) &&
           (!(fixed->present & RECORD_RAW_SPAN) || fixed->span == SPAN_BYTES);
}

int record_entry_decode(const char *bytes, const struct record_header *header, struct record_entry *ret) {
    struct record_entry_fixed fixed;
    if (header->length < RECORD_ENTRY_FIXED_END)
        return -EBADMSG;
    memcpy(&fixed, bytes + RECORD_HEADER_SIZE, sizeof(fixed));
    if (!within_limits(&fixed))
        return -EBADMSG;
    bool user = fixed.present & HAS_USER, organization = fixed.present & HAS_ORGANIZATION;
    uint64_t size = (uint64_t)RECORD_ENTRY_FIXED_END + fixed.service + fixed.module + fixed.operation + fixed.trace +
                    fixed.span + fixed.correlation + (user ? UUID_SIZE : 0) + (organization ? UUID_SIZE : 0) +
                    fixed.message + fixed.metadata + fixed.error + fixed.input_position;
    if (record_align(size) != header->length)
        return -EBADMSG;
    const char *at = bytes + RECORD_ENTRY_FIXED_END;
    struct entry *entry = &ret->entry;
    entry->id = fixed.id;
    entry->timestamp_ns = fixed.timestamp_ns;
    entry->level = (enum level)header->level;
    entry->service = record_take(&at, fixed.service);
    entry->module = record_take(&at, fixed.module);
    entry->operation = record_take(&at, fixed.operation);
    entry->trace_id = record_take(&at, fixed.trace);
    entry->span_id = record_take(&at, fixed.span);
    entry->correlation_id = record_take(&at, fixed.correlation);
    record_take_uuid(&at, user, &entry->user_id);
    record_take_uuid(&at, organization, &entry->organization_id);
    entry->message = record_take(&at, fixed.message);
    entry->metadata = record_take(&at, fixed.metadata);
    entry->error_details = record_take(&at, fixed.error);
    entry->host = TEXT_EMPTY;
    entry->pid = 0;
    entry->templated = false;
    entry->argument_count = 0;
    entry->arguments = NULL;
    ret->site = 0;
    ret->raw_trace = fixed.present & RECORD_RAW_TRACE;
    ret->raw_span = fixed.present & RECORD_RAW_SPAN;
    ret->has_position = fixed.input_position > 0;
    ret->position = (struct input_position) { TEXT_EMPTY, TEXT_EMPTY, TEXT_EMPTY };
    if ((fixed.metadata > 0 && pack_check(entry->metadata) < 0) ||
        (fixed.error > 0 && pack_check(entry->error_details) < 0))
        return -EBADMSG;
    return ret->has_position ? record_position_decode(record_take(&at, fixed.input_position), &ret->position) : 0;
}

bool record_entry_trace(const char *bytes, const struct record_header *header, struct text *ret, bool *ret_raw) {
    struct record_entry_fixed fixed;
    if (header->length < RECORD_ENTRY_FIXED_END)
        return false;
    memcpy(&fixed, bytes + RECORD_HEADER_SIZE, sizeof(fixed));
    uint64_t at = (uint64_t)RECORD_ENTRY_FIXED_END + fixed.service + fixed.module + fixed.operation;
    if (fixed.trace == 0 || at + fixed.trace > header->length)
        return false;
    *ret = (struct text) { bytes + at, fixed.trace };
    *ret_raw = fixed.present & RECORD_RAW_TRACE;
    return !*ret_raw || fixed.trace == TRACE_BYTES;
}
