/* hash.c - XXH3, inlined from its header. */
#include "common/base/hash.h"

#include <xxhash.h>

uint64_t hash_bytes(const void *data, size_t size) {
    return XXH3_64bits(data, size);
}

uint64_t hash_bytes_seeded(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}

struct hash_wide hash_bytes_wide(const void *data, size_t size, uint64_t seed) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(data, size, seed);
    return (struct hash_wide) { hash.low64, hash.high64 };
}
