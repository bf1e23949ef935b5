/* utf8.c - UTF-8 as RFC 3629 has it. */
#include "common/base/text.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define LOW_BITS UINT64_C(0x0101010101010101)

static inline bool continues(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

/* The length of the valid character at p, or minus the length of the longest beginning of one that stands there
 * (at least 1): what one U+FFFD stands for (Unicode, section 3.9, "maximal subpart"). n is at least 1. */
static inline int step(const unsigned char *p, size_t n) {
    unsigned char lead = p[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2)
        return -1;
    if (lead < 0xe0)
        return n >= 2 && continues(p[1]) ? 2 : -1;
    if (lead < 0xf0) {
        unsigned char low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
        if (n < 2 || p[1] < low || p[1] > high)
            return -1;
        return n >= 3 && continues(p[2]) ? 3 : -2;
    }
    if (lead < 0xf5) {
        unsigned char low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
        if (n < 2 || p[1] < low || p[1] > high)
            return -1;
        if (n < 3 || !continues(p[2]))
            return -2;
        return n >= 4 && continues(p[3]) ? 4 : -3;
    }
    return -1;
}

/* How many bytes from the start are valid. */
static size_t valid_prefix(const unsigned char *p, size_t length) {
    size_t at = 0;
    while (at < length) {
        uint64_t word;
        while (length - at >= sizeof(word)) {
            memcpy(&word, p + at, sizeof(word));
            if (word & HIGH_BITS)
                break;
            at += sizeof(word);
        }
        /* up to the next run of ASCII, character by character */
        while (at < length) {
            int size = step(p + at, length - at);
            if (size < 0)
                return at;
            at += (size_t)size;
            if (size == 1 && length - at >= sizeof(word))
                break;
        }
    }
    return at;
}

bool text_is_ascii(struct text text) {
    uint64_t word, bad = 0; /* a high bit where a byte is no ASCII, or NUL (or stands behind one: bad all the same) */
    size_t at = 0;
    for (; text.length - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text.data + at, sizeof(word));
        bad |= word | (word - LOW_BITS);
    }
    if (at == text.length)
        return (bad & HIGH_BITS) == 0;
    if (at > 0) { /* the last eight bytes, of which some were looked at */
        memcpy(&word, text.data + text.length - sizeof(word), sizeof(word));
        bad |= word | (word - LOW_BITS);
    } else if (text.length >= sizeof(uint32_t)) {
        uint32_t first, last;
        memcpy(&first, text.data, sizeof(first));
        memcpy(&last, text.data + text.length - sizeof(last), sizeof(last));
        word = (uint64_t)first << 32 | last;
        bad = word | (word - LOW_BITS);
    } else {
        for (; at < text.length; at++)
            bad |= (uint64_t)(unsigned char)text.data[at] | ((uint64_t)(unsigned char)text.data[at] - 1);
    }
    return (bad & HIGH_BITS) == 0;
}

bool text_utf8_valid(struct text text) {
    return valid_prefix((const unsigned char *)text.data, text.length) == text.length;
}

size_t text_utf8_count(struct text text) {
    size_t count = 0, at = 0;
    for (uint64_t word; text.length - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text.data + at, sizeof(word));
        uint64_t starts = (~word >> 7 | word >> 6) & LOW_BITS; /* 1 in each byte that is no 10xxxxxx */
        count += starts * LOW_BITS >> 56;
    }
    for (; at < text.length; at++)
        count += !continues((unsigned char)text.data[at]);
    return count;
}

bool text_utf8_repair(struct text text, struct buffer *out) {
    bool repaired = false;
    while (text.length > 0) {
        size_t good = valid_prefix((const unsigned char *)text.data, text.length);
        buffer_append(out, text.data, good);
        if (good == text.length)
            break;
        int bad = -step((const unsigned char *)text.data + good, text.length - good);
        buffer_append(out, "\xef\xbf\xbd", 3);
        repaired = true;
        text.data += good + (size_t)bad;
        text.length -= good + (size_t)bad;
    }
    return repaired;
}

static uint32_t code_point(const unsigned char *p, int size) {
    switch (size) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    default:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
               (p[3] & 0x3f);
    }
}

int text_utf8_next(struct text text, uint32_t *ret) {
    const unsigned char *p = (const unsigned char *)text.data;
    int size = step(p, text.length);
    if (size > 0 && ret)
        *ret = code_point(p, size);
    return size;
}

/* What would move, recolour, reorder or break a line of a terminal. */
bool text_acts_on_terminal(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void append_visible(struct buffer *out, uint32_t c) {
    if (c == '\n')
        buffer_append(out, "\\n", 2);
    else if (c == '\t')
        buffer_append(out, "\\t", 2);
    else if (c == '\r')
        buffer_append(out, "\\r", 2);
    else if (c < 0x80)
        buffer_append_format(out, "\\x%02x", (unsigned)c);
    else
        buffer_append_format(out, "\\u%04x", (unsigned)c);
}

void text_append_printable(struct buffer *out, struct text text, bool keep_newlines) {
    const unsigned char *p = (const unsigned char *)text.data;
    size_t clean = 0, at = 0; /* p[clean..at) waits to be copied as it is */
    while (at < text.length) {
        int size = step(p + at, text.length - at);
        uint32_t c = size > 0 ? code_point(p + at, size) : p[at];
        bool kept = keep_newlines && (c == '\n' || c == '\t');
        if (size > 0 && (kept || !text_acts_on_terminal(c))) {
            at += (size_t)size;
            continue;
        }
        buffer_append(out, p + clean, at - clean);
        if (size > 0)
            append_visible(out, c);
        else
            buffer_append_format(out, "\\x%02x", p[at]); /* was to be valid; a stray byte still does no harm */
        at += size > 0 ? (size_t)size : 1;
        clean = at;
    }
    if (at > clean)
        buffer_append(out, p + clean, at - clean);
}
