/* Entry ids in about a byte each.
 *
 * uuid_make's high half follows from the timestamp, and its low half counts up by one for each generator. So a row is one code byte, and what
 * the code does not say stands behind all codes:
 *
 *   bits 0-5   which of the generators seen lately, the latest first (63: a new one, its low half as 8 bytes)
 *   bit 6      the low half is not the generator's last plus one: a zigzag varint of the difference
 *   bit 7      the high half is not what the timestamp gives: 8 bytes
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/store/block_private.h"

enum { GENERATORS = 63, CODE_NEW = 63, CODE_STEP = 64, CODE_HIGH = 128 };
#define NEAR (UINT64_C(1) << 20) /* two low halves closer than this come from one generator */

struct generators { /* last low halves, latest first */
    uint64_t last[GENERATORS];
    unsigned count;
};

static void move_to_front(struct generators *generators, unsigned index, uint64_t low) {
    for (unsigned i = 0; i <= index; i++) { /* a few, in each row: no call */
        uint64_t before = generators->last[i];
        generators->last[i] = low;
        low = before;
    }
}

static void add_front(struct generators *generators, uint64_t low) {
    if (generators->count < GENERATORS)
        generators->count++;
    move_to_front(generators, generators->count - 1, low);
}

static uint64_t high_of(uint64_t timestamp_ns) {
    struct uuid_generator none = { 0 };
    struct uuid uuid;
    uint64_t high;
    uuid_make(&none, timestamp_ns, &uuid);
    memcpy(&high, uuid.bytes, 8);
    return be64toh(high);
}

void block_ids_pack(const struct uuid *ids, const uint64_t *timestamps, uint32_t count, struct buffer *out) {
    struct generators generators = { .count = 0 };
    size_t codes = out->length;
    if (!buffer_reserve(out, count))
        return;
    out->length += count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t high, low;
        memcpy(&high, ids[i].bytes, 8);
        memcpy(&low, ids[i].bytes + 8, 8);
        high = be64toh(high);
        low = be64toh(low);
        unsigned index = 0, code;
        while (index < generators.count && low - generators.last[index] + NEAR > 2 * NEAR)
            index++;
        if (index == generators.count) {
            code = CODE_NEW;
            append_u64(out, low);
            add_front(&generators, low);
        } else {
            int64_t step = (int64_t)(low - generators.last[index]);
            code = index;
            if (step != 1) {
                unsigned char room[10];
                code |= CODE_STEP;
                buffer_append(out, room, varint_put(room, zigzag(step)));
            }
            move_to_front(&generators, index, low);
        }
        if (high != high_of(timestamps[i])) {
            code |= CODE_HIGH;
            append_u64(out, high);
        }
        if (!out->failed)
            out->data[codes + i] = (char)code;
    }
}

static bool take_u64(const unsigned char **at, const unsigned char *end, uint64_t *ret) {
    if (end - *at < 8)
        return false;
    memcpy(ret, *at, 8);
    *ret = le64toh(*ret);
    *at += 8;
    return true;
}

int block_ids_unpack(struct text packed, const uint64_t *timestamps, uint32_t count, struct uuid *ret_ids) {
    struct generators generators = { .count = 0 };
    if (packed.length < count)
        return -EBADMSG;
    const unsigned char *codes = (const unsigned char *)packed.data;
    const unsigned char *at = codes + count, *end = codes + packed.length;
    for (uint32_t i = 0; i < count; i++) {
        unsigned index = codes[i] & 63;
        uint64_t high = high_of(timestamps[i]), low;
        if (index == CODE_NEW) {
            if (codes[i] & CODE_STEP || !take_u64(&at, end, &low))
                return -EBADMSG;
            add_front(&generators, low);
        } else {
            uint64_t step = 1;
            if (index >= generators.count)
                return -EBADMSG;
            if (codes[i] & CODE_STEP) {
                unsigned used = varint_get(at, end, &step);
                if (used == 0)
                    return -EBADMSG;
                at += used;
                step = (uint64_t)unzigzag(step);
            }
            low = generators.last[index] + step;
            move_to_front(&generators, index, low);
        }
        if (codes[i] & CODE_HIGH && !take_u64(&at, end, &high))
            return -EBADMSG;
        high = htobe64(high);
        low = htobe64(low);
        memcpy(ret_ids[i].bytes, &high, 8);
        memcpy(ret_ids[i].bytes + 8, &low, 8);
    }
    return at == end ? 0 : -EBADMSG;
}
