/* text.c - borrowed strings and growing buffers. */
#include "common/base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_FIRST_SIZE = 128, DISTANCE_MAX = 3, DISTANCE_NAME_MAX = 64 };

static inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool text_equal_ignoring_case(struct text a, struct text b) {
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool text_starts_with(struct text a, struct text prefix) {
    return a.length >= prefix.length && (prefix.length == 0 || memcmp(a.data, prefix.data, prefix.length) == 0);
}

struct text text_trim(struct text a) {
    while (a.length > 0 && is_space(a.data[0])) {
        a.data++;
        a.length--;
    }
    while (a.length > 0 && is_space(a.data[a.length - 1]))
        a.length--;
    return a;
}

int text_compare(struct text a, struct text b) {
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static unsigned least(unsigned a, unsigned b, unsigned c) {
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insert, delete, replace, or swap of neighbours (optimal string alignment): one each. */
unsigned text_distance(struct text a, struct text b) {
    size_t difference = a.length > b.length ? a.length - b.length : b.length - a.length;
    if (difference > DISTANCE_MAX || a.length > DISTANCE_NAME_MAX || b.length > DISTANCE_NAME_MAX)
        return DISTANCE_MAX + 1;
    unsigned rows[3][DISTANCE_NAME_MAX + 1];
    unsigned *before = rows[0], *previous = rows[1], *current = rows[2];
    for (size_t j = 0; j <= b.length; j++)
        previous[j] = (unsigned)j;
    for (size_t i = 1; i <= a.length; i++) {
        current[0] = (unsigned)i;
        for (size_t j = 1; j <= b.length; j++) {
            unsigned change = a.data[i - 1] != b.data[j - 1];
            current[j] = least(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + change);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1] &&
                before[j - 2] + 1 < current[j])
                current[j] = before[j - 2] + 1;
        }
        unsigned *free_row = before;
        before = previous;
        previous = current;
        current = free_row;
    }
    return previous[b.length] > DISTANCE_MAX ? DISTANCE_MAX + 1 : previous[b.length];
}

void text_blank_controls(char *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c < 0x20 || c == 0x7f)
            data[i] = '?';
        else if (c == 0xc2 && i + 1 < length && (unsigned char)data[i + 1] >= 0x80 && (unsigned char)data[i + 1] < 0xa0)
            data[i] = data[i + 1] = '?';
    }
}

/* --- buffers --- */

void buffer_finish(struct buffer *buffer) {
    free(buffer->data);
    *buffer = BUFFER_EMPTY;
}

void buffer_clear(struct buffer *buffer) {
    buffer->length = 0;
    buffer->failed = false;
}

bool buffer_reserve(struct buffer *buffer, size_t more) {
    if (__builtin_expect(more <= buffer->capacity - buffer->length, 1))
        return !buffer->failed;
    if (buffer->failed)
        return false;
    size_t needed;
    if (__builtin_add_overflow(buffer->length, more, &needed) || needed > SIZE_MAX / 4) {
        buffer->failed = true;
        return false;
    }
    size_t capacity = buffer->capacity < BUFFER_FIRST_SIZE ? BUFFER_FIRST_SIZE : buffer->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_append_slowly(struct buffer *buffer, const void *data, size_t length) {
    if (length == 0 || !buffer_reserve(buffer, length))
        return;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

void buffer_append_string(struct buffer *buffer, const char *string) {
    buffer_append(buffer, string, strlen(string));
}

void buffer_append_char(struct buffer *buffer, char c) {
    if (buffer_reserve(buffer, 1))
        buffer->data[buffer->length++] = c;
}

void buffer_append_format(struct buffer *buffer, const char *format, ...) {
    if (!buffer_reserve(buffer, 64))
        return;
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t room = buffer->capacity - buffer->length;
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(buffer->data + buffer->length, room, format, arguments);
        va_end(arguments);
        if (length < 0) {
            buffer->failed = true;
            return;
        }
        if ((size_t)length < room) {
            buffer->length += (size_t)length;
            return;
        }
        if (!buffer_reserve(buffer, (size_t)length + 1))
            return;
    }
}

void buffer_consume(struct buffer *buffer, size_t length) {
    if (length >= buffer->length) {
        buffer->length = 0;
        return;
    }
    memmove(buffer->data, buffer->data + length, buffer->length - length);
    buffer->length -= length;
}

void text_hex(const void *bytes, size_t count, char *out) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) {
        *out++ = digits[at[i] >> 4];
        *out++ = digits[at[i] & 15];
    }
}
