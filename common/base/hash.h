/* hash.h - the one owner of xxhash: XXH3, for checksums, filters and tables.
 *
 * Not for secrets, not against an attacker who chooses the input. Source: xxhash 0.8, XXH3_64bits. */
#ifndef TASKFORGE_COMMON_BASE_HASH_H
#define TASKFORGE_COMMON_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size);
uint64_t hash_bytes_seeded(const void *data, size_t size, uint64_t seed);

/* 128 bits, for what is taken as the same where these are (a seed that nobody knows is for those who would choose the input). */
struct hash_wide {
    uint64_t low, high;
};
struct hash_wide hash_bytes_wide(const void *data, size_t size, uint64_t seed);

#endif
