/* json_write.c - msgpack to JSON, and strings of any bytes to JSON strings. */
#include <math.h>

#include "common/base/decimal.h"
#include "common/model/pack_priv.h"

#define EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* --- strings --- */

/* A mark in the highest bit of the first of 8 bytes that needs a look (and maybe of some behind it): below space, a quote, a backslash, DEL, or not ASCII. */
static inline uint64_t needs_look(uint64_t word) {
    uint64_t quote = word ^ EVERY_BYTE('"'), slash = word ^ EVERY_BYTE('\\'), rubout = word ^ EVERY_BYTE(0x7f);
    uint64_t hit = ((word - EVERY_BYTE(0x20)) & ~word) | ((quote - EVERY_BYTE(1)) & ~quote) |
                   ((slash - EVERY_BYTE(1)) & ~slash) | ((rubout - EVERY_BYTE(1)) & ~rubout) | word;
    return hit & EVERY_BYTE(0x80);
}

static inline bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_prefix(struct text text) {
    size_t at = 0;
    for (uint64_t word; text.length - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text.data + at, sizeof(word));
        uint64_t marks = needs_look(word);
        if (marks)
            return at + (size_t)__builtin_ctzll(marks) / 8;
    }
    while (at < text.length && is_plain((unsigned char)text.data[at]))
        at++;
    return at;
}

static void append_escape(struct buffer *out, uint32_t c) {
    static const char digits[] = "0123456789abcdef", names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *name = c ? strchr(names, (int)c) : NULL;
    if (c < 0x80 && name) {
        char escape[2] = { '\\', letters[name - names] };
        buffer_append(out, escape, sizeof(escape));
        return;
    }
    char escape[6] = { '\\', 'u', digits[c >> 12 & 15], digits[c >> 8 & 15], digits[c >> 4 & 15], digits[c & 15] };
    buffer_append(out, escape, sizeof(escape));
}

static inline void put_char(struct buffer *out, char c) {
    if (out->length < out->capacity)
        out->data[out->length++] = c;
    else
        buffer_append_char(out, c);
}

/* All of it in one piece. */
static void append_plain(struct buffer *out, struct text text) {
    if (!buffer_reserve(out, text.length + 2))
        return;
    char *at = out->data + out->length;
    at[0] = '"';
    if (text.length > 0)
        memcpy(at + 1, text.data, text.length);
    at[1 + text.length] = '"';
    out->length += text.length + 2;
}

void json_append_string(struct buffer *out, struct text text) {
    size_t plain = plain_prefix(text);
    if (plain == text.length) {
        append_plain(out, text);
        return;
    }
    buffer_reserve(out, text.length + 2);
    buffer_append_char(out, '"');
    for (; text.length > 0; plain = plain_prefix(text)) {
        buffer_append(out, text.data, plain);
        text.data += plain;
        text.length -= plain;
        if (text.length == 0)
            break;
        uint32_t c;
        int size = text_utf8_next(text, &c);
        if (size < 0)
            buffer_append(out, "\xef\xbf\xbd", 3);
        else if (c == '"' || c == '\\' || text_acts_on_terminal(c)) /* JSON too gets read on terminals */
            append_escape(out, c);
        else
            buffer_append(out, text.data, (size_t)size);
        size = size < 0 ? -size : size;
        text.data += size;
        text.length -= (size_t)size;
    }
    buffer_append_char(out, '"');
}

/* --- numbers --- */

void json_append_uint(struct buffer *out, uint64_t number) {
    char digits[DECIMAL_UINT_MAX];
    buffer_append(out, digits, decimal_write_uint(number, digits));
}

static void append_int(struct buffer *out, int64_t number) {
    if (number < 0)
        buffer_append_char(out, '-');
    json_append_uint(out, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void json_append_number(struct buffer *out, double number) {
    char text[DECIMAL_TEXT_MAX];
    if (isfinite(number))
        buffer_append(out, text, decimal_write(number, text));
    else
        buffer_append(out, "null", 4);
}

void json_append_double(struct buffer *out, double number) {
    size_t before = out->length;
    json_append_number(out, number);
    for (size_t i = before; i < out->length; i++)
        if (out->data[i] == '.' || out->data[i] == 'e' || out->data[i] == 'n')
            return;
    buffer_append(out, ".0", 2); /* still a double when it is read back */
}

/* --- values --- */

static void append_base64(struct buffer *out, struct text bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes.data;
    buffer_reserve(out, bytes.length / 3 * 4 + 6);
    buffer_append_char(out, '"');
    for (size_t i = 0; i < bytes.length; i += 3) {
        size_t left = bytes.length - i;
        uint32_t three = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        char four[4] = { digits[three >> 18], digits[three >> 12 & 63], left > 1 ? digits[three >> 6 & 63] : '=',
                         left > 2 ? digits[three & 63] : '=' };
        buffer_append(out, four, sizeof(four));
    }
    buffer_append_char(out, '"');
}

static void append_scalar(struct buffer *out, const struct pack_value *value) {
    switch (value->type) {
    case PACK_BOOL:
        buffer_append_string(out, value->boolean ? "true" : "false");
        break;
    case PACK_INT:
        append_int(out, value->integer);
        break;
    case PACK_UINT:
        json_append_uint(out, value->natural);
        break;
    case PACK_DOUBLE:
        json_append_double(out, value->number);
        break;
    case PACK_TEXT:
        json_append_string(out, value->text);
        break;
    case PACK_BINARY:
    case PACK_EXT:
        append_base64(out, value->text);
        break;
    default:
        buffer_append(out, "null", 4);
    }
}

struct open_container {
    uint64_t left; /* values still to come; of a map an even number where a key is next */
    bool map;
};

/* A value of a map or array is complete: what stands behind it. */
static unsigned finish_value(struct buffer *out, struct open_container *open, unsigned depth) {
    while (depth > 0) {
        struct open_container *inner = &open[depth - 1];
        if (--inner->left > 0) {
            put_char(out, inner->map && inner->left % 2 == 1 ? ':' : ',');
            break;
        }
        put_char(out, inner->map ? '}' : ']');
        depth--;
    }
    return depth;
}

/* The bytes were checked; should they have been damaged since, what is missing reads as null, and it is still JSON. */
static void close_damaged(struct buffer *out, struct open_container *open, unsigned depth) {
    if (depth > 0 && open[depth - 1].map && open[depth - 1].left % 2 == 0)
        buffer_append(out, "\"\":", 3);
    buffer_append(out, "null", 4);
    while (depth-- > 0)
        buffer_append_char(out, open[depth].map ? '}' : ']');
}

void pack_append_json(struct buffer *out, struct text packed) {
    struct open_container open[PACK_DEPTH_MAX];
    unsigned depth = 0;
    const char *at = packed.data, *end = packed.length ? at + packed.length : at;
    do {
        struct pack_value value;
        int64_t size = pack_head(at, end, &value);
        bool container = size > 0 && (value.type == PACK_ARRAY || value.type == PACK_MAP);
        bool key = depth > 0 && open[depth - 1].map && open[depth - 1].left % 2 == 0;
        if (size < 0 || (container && depth == PACK_DEPTH_MAX) || (key && value.type != PACK_TEXT)) {
            close_damaged(out, open, depth);
            return;
        }
        at += size;
        if (container) {
            bool map = value.type == PACK_MAP;
            put_char(out, map ? '{' : '[');
            if (value.count > 0) {
                open[depth++] = (struct open_container) { (uint64_t)value.count * (map ? 2 : 1), map };
                continue;
            }
            put_char(out, map ? '}' : ']');
        } else {
            append_scalar(out, &value);
        }
        depth = finish_value(out, open, depth);
    } while (depth > 0);
}
