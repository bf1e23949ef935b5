/* Trace, span and correlation ids: mostly lower-case hex or UUIDs, often the one of the row before.
 *
 * A code byte for each row, then the bytes of all rows: 0 absent, 1 as the row before, 2 a UUID with dashes in lower case (16 raw bytes), 3 plain (a length byte, the
 * bytes), 4 + n: n raw bytes, 2n lower-case hex digits.
 */
#include <errno.h>
#include <string.h>

#include "common/store/block_private.h"

enum { ABSENT, SAME, DASHED, PLAIN, HEX };
static const char digits[] = "0123456789abcdef";

/* What a byte is as a lower-case digit, + 1; 0: none. */
static const uint8_t values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16
};

#ifdef __SSE2__
/* 16 digits to 8 bytes. */
static bool step_to_raw(const char *hex, unsigned char *out) {
    typedef unsigned char bytes __attribute__((vector_size(16)));
    typedef char marks __attribute__((vector_size(16)));
    typedef uint16_t pairs __attribute__((vector_size(16)));
    typedef short words __attribute__((vector_size(16)));
    bytes at;
    memcpy(&at, hex, sizeof(at));
    bytes number = at - '0', letter = at - 'a';
    bytes is_number = (bytes)(number < 10), is_letter = (bytes)(letter < 6);
    bytes value = (number & is_number) | ((letter + 10) & is_letter);
    pairs pair = (pairs)value; /* the first digit is the low byte */
    pair = ((pair << 4) | (pair >> 8)) & 0xff;
    marks packed = (marks)__builtin_ia32_packuswb128((words)pair, (words)pair);
    memcpy(out, &packed, 8);
    return __builtin_ia32_pmovmskb128((marks)(is_number | is_letter)) == 0xffff;
}
#endif

static bool to_raw(struct text hex, unsigned char *out) {
    bool all = true;
    size_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= hex.length; i += 16)
        all &= step_to_raw(hex.data + i, out + i / 2);
#endif
    for (; i + 1 < hex.length; i += 2) {
        unsigned high = values[(unsigned char)hex.data[i]], low = values[(unsigned char)hex.data[i + 1]];
        all &= high != 0 && low != 0;
        out[i / 2] = (unsigned char)((high - 1) << 4 | (low - 1));
    }
    return all;
}

static bool is_dashed_uuid(struct text text, struct uuid *ret) {
    char again[UUID_TEXT_SIZE];
    if (text.length != UUID_TEXT_SIZE - 1 || uuid_parse(text, ret) < 0)
        return false;
    uuid_format(ret, again);
    return memcmp(again, text.data, text.length) == 0;
}

static unsigned char pack_one(struct text text, struct buffer *out) {
    unsigned char raw[ENTRY_TRACE_BYTES / 2];
    struct uuid uuid;
    if (text.length == 0)
        return ABSENT;
    if (is_dashed_uuid(text, &uuid)) {
        buffer_append(out, uuid.bytes, UUID_SIZE);
        return DASHED;
    }
    if (text.length % 2 == 0 && text.length <= ENTRY_TRACE_BYTES && to_raw(text, raw)) {
        buffer_append(out, raw, text.length / 2);
        return (unsigned char)(HEX + text.length / 2);
    }
    buffer_append_char(out, (char)text.length);
    buffer_append_text(out, text);
    return PLAIN;
}

void block_hex_pack(const struct text_run *run, uint32_t count, struct buffer *out) {
    size_t codes = out->length;
    struct text before = TEXT_EMPTY;
    if (!buffer_reserve(out, count))
        return;
    out->length += count;
    for (uint32_t i = 0; i < count; i++) {
        struct text text = text_run_get(run, i);
        unsigned char code = text.length > 0 && text_equal(text, before) ? SAME : pack_one(text, out);
        before = text;
        if (!out->failed)
            out->data[codes + i] = (char)code;
    }
}

static void append_hex(struct buffer *out, const unsigned char *raw, size_t size) {
    if (size == 0 || !buffer_reserve(out, 2 * size)) /* of a damaged block: there may be no bytes at all yet */
        return;
    char *at = out->data + out->length;
    for (size_t i = 0; i < size; i++) {
        *at++ = digits[raw[i] >> 4];
        *at++ = digits[raw[i] & 15];
    }
    out->length += 2 * size;
}

/* How many of the `left` bytes at `at` a row with this code has behind it; -EBADMSG. */
static int measure_one(unsigned code, const unsigned char *at, size_t left) {
    size_t size = code == ABSENT ? 0 : code == DASHED ? UUID_SIZE : code == PLAIN ? 1 : code - HEX;
    if (size > left || (code >= HEX && size > ENTRY_TRACE_BYTES / 2))
        return -EBADMSG;
    if (code == PLAIN)
        size += at[0];
    return size > left ? -EBADMSG : (int)size;
}

/* The text of a row: measured. */
static void unpack_one(unsigned code, const unsigned char *at, size_t size, struct buffer *out) {
    char text[UUID_TEXT_SIZE];
    struct uuid uuid;
    if (code == DASHED) {
        memcpy(uuid.bytes, at, UUID_SIZE);
        uuid_format(&uuid, text);
        buffer_append(out, text, UUID_TEXT_SIZE - 1);
    } else if (code == PLAIN) {
        buffer_append(out, at + 1, size - 1);
    } else if (code != ABSENT) {
        append_hex(out, at, size);
    }
}

int block_hex_unpack(struct text packed, uint32_t count, const uint8_t *wanted, struct buffer *out,
                     uint32_t *ret_ends) {
    if (packed.length < count)
        return -EBADMSG;
    const unsigned char *codes = (const unsigned char *)packed.data;
    const unsigned char *at = codes + count, *end = codes + packed.length, *last = at;
    unsigned code = ABSENT; /* of the last row that was not like the one before; its bytes are at `last` */
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (codes[i] != SAME) {
            int used = measure_one(codes[i], at, (size_t)(end - at));
            if (used < 0)
                return used;
            code = codes[i];
            size = (size_t)used;
            last = at;
            at += used;
        } else if (size <= (code == PLAIN)) { /* as nothing at all */
            return -EBADMSG;
        }
        if (!wanted || wanted[i])
            unpack_one(code, last, size, out);
        if (out->failed)
            return -ENOMEM;
        ret_ends[i] = (uint32_t)out->length;
    }
    return at == end ? 0 : -EBADMSG;
}
