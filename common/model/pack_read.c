/* pack_read.c - reading msgpack in place, every length checked against the bytes that are there. */
#include <errno.h>

#include "common/base/check.h"
#include "common/model/pack_priv.h"

enum form { BAD, NIL, FALSE, TRUE, BIN, EXT, FLOAT, DOUBLE, UINT, INT, FIXEXT, STR, ARRAY, MAP };

/* What the first bytes c0..df mean, and how many bytes of number follow. */
static const struct {
    uint8_t form, width;
} forms[32] = {
    { NIL, 0 },     { BAD, 0 }, { FALSE, 0 }, { TRUE, 0 },   { BIN, 1 },    { BIN, 2 },    { BIN, 4 },    { EXT, 1 },
    { EXT, 2 },     { EXT, 4 }, { FLOAT, 4 }, { DOUBLE, 8 }, { UINT, 1 },   { UINT, 2 },   { UINT, 4 },   { UINT, 8 },
    { INT, 1 },     { INT, 2 }, { INT, 4 },   { INT, 8 },    { FIXEXT, 1 }, { FIXEXT, 2 }, { FIXEXT, 4 }, { FIXEXT, 8 },
    { FIXEXT, 16 }, { STR, 1 }, { STR, 2 },   { STR, 4 },    { ARRAY, 2 },  { ARRAY, 4 },  { MAP, 2 },    { MAP, 4 },
};

static inline uint64_t big_endian(const char *at, unsigned width) {
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++)
        number = number << 8 | (uint8_t)at[i];
    return number;
}

/* A text, bin or ext: `length` bytes from `head` on. */
static inline int64_t body(const char *at, const char *end, uint64_t head, uint64_t length, enum pack_type type,
                           struct pack_value *ret) {
    if ((uint64_t)(end - at) < head + length)
        return -EINVAL;
    ret->type = type;
    ret->text = (struct text) { at + head, (size_t)length };
    return (int64_t)(head + length);
}

/* An array or map: each child takes a byte at least, so a count that the rest cannot hold is a lie. */
static inline int64_t container(const char *at, const char *end, uint64_t head, uint64_t count, enum pack_type type,
                                struct pack_value *ret) {
    uint64_t least = type == PACK_MAP ? 2 * count : count;
    if ((uint64_t)(end - at) - head < least)
        return -EINVAL;
    ret->type = type;
    ret->count = (uint32_t)count;
    return (int64_t)head;
}

static int64_t natural(uint64_t number, int64_t size, struct pack_value *ret) {
    ret->type = PACK_UINT;
    ret->natural = number;
    return size;
}

static int64_t integer(uint64_t number, unsigned width, struct pack_value *ret) {
    unsigned shift = 64 - 8 * width;
    int64_t value = (int64_t)(number << shift) >> shift; /* sign-extended; both compilers shift arithmetically */
    if (value >= 0)
        return natural((uint64_t)value, 1 + (int64_t)width, ret);
    ret->type = PACK_INT;
    ret->integer = value;
    return 1 + (int64_t)width;
}

static int64_t real(uint64_t bits, unsigned width, struct pack_value *ret) {
    ret->type = PACK_DOUBLE;
    if (width == 4) {
        uint32_t half = (uint32_t)bits;
        float value;
        memcpy(&value, &half, sizeof(value));
        ret->number = (double)value;
    } else {
        memcpy(&ret->number, &bits, sizeof(bits));
    }
    return 1 + (int64_t)width;
}

static int64_t long_head(const char *at, const char *end, unsigned first, struct pack_value *ret) {
    enum form form = forms[first - 0xc0].form;
    unsigned width = forms[first - 0xc0].width;
    if (form == FIXEXT)
        return body(at, end, 2, width, PACK_EXT, ret);
    if ((size_t)(end - at) < 1 + width)
        return -EINVAL;
    uint64_t number = big_endian(at + 1, width), head = 1 + width;
    switch (form) {
    case NIL:
        ret->type = PACK_NIL;
        return 1;
    case FALSE:
    case TRUE:
        ret->type = PACK_BOOL;
        ret->boolean = form == TRUE;
        return 1;
    case BIN:
        return body(at, end, head, number, PACK_BINARY, ret);
    case EXT:
        return body(at, end, head + 1, number, PACK_EXT, ret);
    case FLOAT:
    case DOUBLE:
        return real(number, width, ret);
    case UINT:
        return natural(number, (int64_t)head, ret);
    case INT:
        return integer(number, width, ret);
    case STR:
        return body(at, end, head, number, PACK_TEXT, ret);
    case ARRAY:
    case MAP:
        return container(at, end, head, number, form == MAP ? PACK_MAP : PACK_ARRAY, ret);
    default:
        return -EINVAL;
    }
}

int64_t pack_head(const char *at, const char *end, struct pack_value *ret) {
    if (at >= end)
        return -EINVAL;
    unsigned first = (uint8_t)*at;
    if (first < 0x80)
        return natural(first, 1, ret);
    if (first < 0x90)
        return container(at, end, 1, first & 15, PACK_MAP, ret);
    if (first < 0xa0)
        return container(at, end, 1, first & 15, PACK_ARRAY, ret);
    if (first < 0xc0)
        return body(at, end, 1, first & 31, PACK_TEXT, ret);
    if (first < 0xe0)
        return long_head(at, end, first, ret);
    ret->type = PACK_INT;
    ret->integer = (int8_t)first;
    return 1;
}

const char *pack_skip(const char *at, const char *end, unsigned depth_max) {
    struct {
        uint64_t left; /* values still to come; of a map an even number where a key is next */
        bool map;
    } open[PACK_DEPTH_MAX];
    unsigned depth = 0;
    for (;;) {
        struct pack_value value;
        int64_t size = pack_head(at, end, &value);
        if (size < 0)
            return NULL;
        at += size;
        if (depth > 0 && open[depth - 1].map && open[depth - 1].left % 2 == 0 && value.type != PACK_TEXT)
            return NULL;
        if (value.type == PACK_ARRAY || value.type == PACK_MAP) {
            if (depth == depth_max)
                return NULL;
            if (value.count > 0) {
                open[depth].map = value.type == PACK_MAP;
                open[depth].left = (uint64_t)value.count * (value.type == PACK_MAP ? 2 : 1);
                depth++;
                continue;
            }
        }
        while (depth > 0 && --open[depth - 1].left == 0)
            depth--;
        if (depth == 0)
            return at;
    }
}

int pack_check(struct text packed) {
    if (packed.length == 0)
        return -EINVAL;
    const char *end = packed.data + packed.length;
    return pack_skip(packed.data, end, PACK_DEPTH_MAX) == end ? 0 : -EINVAL;
}

bool pack_is_map(struct text packed) {
    struct pack_value value;
    return packed.length > 0 && pack_head(packed.data, packed.data + packed.length, &value) > 0 &&
           value.type == PACK_MAP;
}

int pack_next(struct pack_reader *reader, struct pack_value *ret) {
    if (reader->at == reader->end)
        return 0;
    /* straight into *ret: a copy of what was written in parts a moment ago waits for them */
    int64_t size = pack_head(reader->at, reader->end, ret);
    if (size < 0)
        return -EINVAL;
    const char *behind = reader->at + size;
    if (ret->type == PACK_ARRAY || ret->type == PACK_MAP) {
        behind = pack_skip(reader->at, reader->end, PACK_DEPTH_MAX);
        if (!behind)
            return -EINVAL;
    }
    ret->whole.data = reader->at;
    ret->whole.length = (size_t)(behind - reader->at);
    reader->at += size;
    return 1;
}

bool pack_enter_map(struct text packed_map, struct pack_reader *ret, uint32_t *ret_pairs) {
    struct pack_value map;
    const char *end = packed_map.length > 0 ? packed_map.data + packed_map.length : packed_map.data;
    int64_t size = pack_head(packed_map.data, end, &map);
    if (size < 0 || map.type != PACK_MAP)
        return false;
    *ret = (struct pack_reader) { packed_map.data + size, end };
    *ret_pairs = map.count;
    return true;
}

int pack_find(struct text packed_map, struct text key, struct pack_value *ret) {
    struct pack_reader reader;
    struct pack_value name = { .type = PACK_NIL }, value;
    uint32_t pairs;
    int found = 0;
    if (!pack_enter_map(packed_map, &reader, &pairs))
        return 0;
    for (uint32_t i = 0; i < pairs; i++) {
        if (pack_next(&reader, &name) != 1 || pack_next(&reader, &value) != 1)
            return 0;
        if (name.type == PACK_TEXT && text_equal(name.text, key)) {
            *ret = value; /* the last holds, as in JSON */
            found = 1;
        }
        reader.at = value.whole.data + value.whole.length;
    }
    return found;
}
