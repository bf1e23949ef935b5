/* id.c - UUIDs as text, and random bytes. */
#include "common/base/id.h"

#include <errno.h>
#include <sys/random.h>

#include "common/base/hash.h"

int random_bytes(void *out, size_t size) {
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

int uuid_generator_init(struct uuid_generator *generator) {
    return random_bytes(&generator->counter, sizeof(generator->counter));
}

void uuid_derive(uint64_t real_ns, const uint8_t ring_id[16], uint32_t lane, uint64_t position, struct uuid *ret) {
    struct uuid_generator at = { .counter = hash_bytes_seeded(ring_id, 16, lane) + position / 8 };
    uuid_make(&at, real_ns, ret);
}

void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    char *at = out;
    for (int i = 0; i < UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[uuid->bytes[i] >> 4];
        *at++ = digits[uuid->bytes[i] & 15];
    }
    *at = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int uuid_parse(struct text text, struct uuid *ret) {
    bool dashes = text.length == UUID_TEXT_SIZE - 1;
    if (!dashes && text.length != 2 * UUID_SIZE)
        return -EINVAL;
    struct uuid uuid;
    const char *at = text.data;
    for (int i = 0; i < UUID_SIZE; i++) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-')
            return -EINVAL;
        int high = hex_value(at[0]), low = hex_value(at[1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        uuid.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret = uuid;
    return 0;
}

bool uuid_is_zero(const struct uuid *uuid) {
    static const struct uuid zero;
    return memcmp(uuid, &zero, sizeof(zero)) == 0;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}
