/* hash.h - the one owner of xxhash: XXH3 with 64 bits, for checksums and filters.
 *
 * Not for secrets, not against an attacker who chooses the input. Source: xxhash 0.8, XXH3_64bits. */
#ifndef TASKFORGE_COMMON_BASE_HASH_H
#define TASKFORGE_COMMON_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size);
uint64_t hash_bytes_seeded(const void *data, size_t size, uint64_t seed);

#endif
