/* id.h - UUIDs and random bytes.
 *
 * An entry's id is a UUID of version 7 (RFC 9562): 48 bits of milliseconds, version, 12 bits of the fraction
 * of that millisecond (method 3), variant, and 62 bits that start at random for each generator and count up by
 * one for each id. So ids of one thread sort in the order they were made, ids of two threads do not meet, and
 * a column of them packs to almost nothing. */
#ifndef TASKFORGE_COMMON_BASE_ID_H
#define TASKFORGE_COMMON_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"

enum { UUID_SIZE = 16, UUID_TEXT_SIZE = 37 };

struct uuid {
    uint8_t bytes[UUID_SIZE]; /* network order; all zero: no UUID */
};

struct uuid_generator {
    uint64_t counter; /* the next low half, without the variant bits; one owner, no locking */
};

int random_bytes(void *out, size_t size); /* getrandom(2), whole or -errno */

int uuid_generator_init(struct uuid_generator *generator);

/* The next id for that time. Never fails, never blocks. */
static inline void uuid_make(struct uuid_generator *generator, uint64_t real_ns, struct uuid *ret) {
    uint64_t millisecond = real_ns / 1000000, fraction = ((real_ns % 1000000) << 12) / 1000000;
    uint64_t high = millisecond << 16 | UINT64_C(0x7000) | fraction;
    uint64_t low = UINT64_C(0x8000000000000000) | (generator->counter++ & UINT64_C(0x3fffffffffffffff));
    high = __builtin_bswap64(high);
    low = __builtin_bswap64(low);
    __builtin_memcpy(ret->bytes, &high, 8);
    __builtin_memcpy(ret->bytes + 8, &low, 8);
}

/* The id of the record at `position` of lane `lane` in the ring of that random id: version 7 with that time, its random part
 * begins at a hash of ring and lane and counts up with the position. So it needs no state, is the same for all who look, differs
 * between any two records, and ids of one lane sort in the order of its records. */
void uuid_derive(uint64_t real_ns, const uint8_t ring_id[16], uint32_t lane, uint64_t position, struct uuid *ret);

/* The 36 characters and a NUL, lower case. */
void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_SIZE]);

/* Any version, any case, with dashes in place (36), or 32 hex digits without. -EINVAL otherwise. */
int uuid_parse(struct text text, struct uuid *ret);

bool uuid_is_zero(const struct uuid *uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);

#endif
