/* text.h - borrowed strings, growing buffers, and UTF-8.
 *
 * struct text borrows bytes that somebody else keeps (it need not end with NUL and may hold any byte);
 * struct buffer owns what it holds. Neither is thread-safe by itself.
 */
#ifndef TASKFORGE_COMMON_BASE_TEXT_H
#define TASKFORGE_COMMON_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *data; /* may be NULL when length is 0 */
    size_t length;
};

#define TEXT_EMPTY ((struct text) { NULL, 0 })
#define TEXT_LITERAL(literal) ((struct text) { "" literal, sizeof(literal) - 1 })
#define TEXT_INITIALIZER(literal)                                                                                      \
    { "" literal, sizeof(literal) - 1 }                   /* the same in a table of constants */
#define TEXT_FORMAT(text) (int)(text).length, (text).data /* for "%.*s" */

static inline struct text text_of(const char *string) { /* NULL gives the empty text */
    return (struct text) { string, string ? strlen(string) : 0 };
}

static inline bool text_equal(struct text a, struct text b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool text_is(struct text a, const char *string) {
    return text_equal(a, text_of(string));
}

bool text_equal_ignoring_case(struct text a, struct text b); /* ASCII case only */
bool text_starts_with(struct text a, struct text prefix);
struct text text_trim(struct text a);           /* without ASCII white space at both ends */
int text_compare(struct text a, struct text b); /* as strcmp, by bytes */

/* Edit distance of two short names, for "did you mean"; gives up above 3 and returns 4. */
unsigned text_distance(struct text a, struct text b);

/* Replace control characters (C0, DEL, and C1 as UTF-8) in place by '?', for lines of our own to people. */
void text_blank_controls(char *data, size_t length);

/* --- a buffer that grows; `failed` is sticky, so that a run of appends is checked once at the end --- */

struct buffer {
    char *data;
    size_t length;
    size_t capacity;
    bool failed; /* out of memory at some append: what is here is incomplete */
};

#define BUFFER_EMPTY ((struct buffer) { 0 })

void buffer_finish(struct buffer *buffer);               /* frees; the buffer is empty and usable again */
void buffer_clear(struct buffer *buffer);                /* forgets the content, keeps the room */
bool buffer_reserve(struct buffer *buffer, size_t more); /* room for `more` bytes behind length */
void buffer_append_slowly(struct buffer *buffer, const void *data, size_t length); /* where the room does not suffice */
static inline void buffer_append(struct buffer *buffer, const void *data, size_t length) {
    if (__builtin_expect(length == 0 || length > buffer->capacity - buffer->length || buffer->failed, 0)) {
        buffer_append_slowly(buffer, data, length);
        return;
    }
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}
static inline void buffer_append_text(struct buffer *buffer, struct text text) {
    buffer_append(buffer, text.data, text.length);
}
void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_append_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_consume(struct buffer *buffer, size_t length); /* drop the first `length` bytes */
static inline struct text buffer_text(const struct buffer *buffer) {
    return (struct text) { buffer->data, buffer->length };
}
#define _cleanup_buffer_ __attribute__((cleanup(buffer_finish)))

/* --- UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF, no overlong form) --- */

/* True when every byte is ASCII and none NUL: the common case, in which much can be left out. */
bool text_is_ascii(struct text text);

/* True when all of it is valid; NUL bytes are valid characters here. */
bool text_utf8_valid(struct text text);

/* How many characters a valid text has (bytes that start no character are not counted). */
size_t text_utf8_count(struct text text);

/* Append text to out with every bad byte replaced by U+FFFD; true when anything was replaced. */
bool text_utf8_repair(struct text text, struct buffer *out);

/* The character text (not empty) begins with: its length and, unless NULL, *ret; or minus the number of bytes that
 * one U+FFFD should stand for. */
int text_utf8_next(struct text text, uint32_t *ret);

/* Whether a terminal would act on this character: C0, DEL, C1, bidirectional and line separators. */
bool text_acts_on_terminal(uint32_t character);

/* Append text, which is valid, with what a terminal would act on made visible: C0, DEL, C1 and the
 * bidirectional and line separators as \n \t \x1b \u202e. keep_newlines leaves "\n" and "\t" alone. */
void text_append_printable(struct buffer *out, struct text text, bool keep_newlines);

/* `count` bytes as 2 * count lower-case hex digits, without a NUL. */
void text_hex(const void *bytes, size_t count, char *out);

#endif
