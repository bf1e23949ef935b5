/* record_priv.h - what the two halves of record share: the header's places, and the msgpack kinds. */
#ifndef TASKFORGE_COMMON_MODEL_RECORD_PRIV_H
#define TASKFORGE_COMMON_MODEL_RECORD_PRIV_H

#include "common/model/pack.h"
#include "common/model/record.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are copied in and out as they lie in memory");

static inline uint32_t record_align(uint64_t length) {
    return (uint32_t)((length + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1));
}

static inline void record_put_header(char *at, uint32_t length, uint8_t kind, uint8_t level, uint64_t position,
                                     uint64_t time_ns) {
    uint8_t small[4] = { kind, 0, level, RECORD_VERSION };
    memcpy(at, &length, 4);
    memcpy(at + 4, small, 4);
    memcpy(at + 8, &position, 8);
    memcpy(at + 16, &time_ns, 8);
}

/* Pieces of the fixed kinds: texts and ids one behind the other. */

static inline bool record_has(const struct uuid *uuid) {
    uint64_t halves[2];
    memcpy(halves, uuid->bytes, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

static inline char *record_put(char *at, struct text text) {
    if (text.length > 0)
        memcpy(at, text.data, text.length);
    return at + text.length;
}

static inline char *record_put_uuid(char *at, const struct uuid *uuid, bool present) {
    if (!present)
        return at;
    memcpy(at, uuid->bytes, UUID_SIZE);
    return at + UUID_SIZE;
}

static inline struct text record_take(const char **at, size_t length) {
    struct text text = { length ? *at : NULL, length };
    *at += length;
    return text;
}

static inline void record_take_uuid(const char **at, bool present, struct uuid *ret) {
    memset(ret, 0, sizeof(*ret));
    if (!present)
        return;
    memcpy(ret->bytes, *at, UUID_SIZE);
    *at += UUID_SIZE;
}

/* An input position as its msgpack array. */
int record_position_check(const struct input_position *position); /* 0, or -E2BIG, -EINVAL */
uint32_t record_position_size(const struct input_position *position);
void record_position_encode(const struct input_position *position, char *at, uint32_t size);
int record_position_decode(struct text packed, struct input_position *ret);

/* Calls and spans (record_call.c); sizes and limits as record_entry_size says. */
int record_call_size(const struct record_entry *record, uint32_t *ret_size);
void record_call_encode(const struct record_entry *record, uint64_t position, uint64_t time_ns, void *span,
                        uint32_t size);
int record_call_decode(const char *bytes, const struct record_header *header, struct record_entry *ret);
bool record_call_trace(const char *bytes, const struct record_header *header, struct text *ret, bool *ret_raw);
int record_span_decode(const char *bytes, const struct record_header *header, struct record_span *ret);

/* The entry of a record whose header was decoded; `bytes` are header->length long. */
int record_entry_decode(const char *bytes, const struct record_header *header, struct record_entry *ret);
bool record_entry_trace(const char *bytes, const struct record_header *header, struct text *ret, bool *ret_raw);

#endif
