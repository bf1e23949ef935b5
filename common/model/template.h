/* template.h - deferred formatting: a printf format and its raw arguments, put together later by the collector.
 *
 * A call site's format is parsed once into the types of its arguments. A call then stores only the arguments,
 * back to back: integers, pointers and doubles as 8 bytes little-endian, strings as u32 length and bytes
 * ("%.*s" keeps its precision), and the collector formats. Formats that use anything else (%n, %m, long double, positional
 * "1$", wide characters, more than TEMPLATE_ARGUMENTS_MAX arguments) are not deferrable: the library formats.
 * The idea is NanoLog's (Yang, Park, Ousterhout, USENIX ATC 2018).
 */
#ifndef TASKFORGE_COMMON_MODEL_TEMPLATE_H
#define TASKFORGE_COMMON_MODEL_TEMPLATE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"
#include "common/model/entry.h"

enum { TEMPLATE_ARGUMENTS_MAX = 16 };

/* The argument types of a format, one character each: 'i' int (and shorter), 'l' long, 'q' long long / intmax_t, 'z' size_t / ptrdiff_t,
 * 'd' double, 's' string, 'S' string with a constant or starred precision, 'w' a starred width or precision (an int), 'p' pointer. */
struct template_types {
    char types[TEMPLATE_ARGUMENTS_MAX + 1]; /* NUL-terminated */
};

/* -ENOTSUP when the format is not deferrable. Never allocates. */
int template_parse(const char *format, struct template_types *ret);

/* Copy the arguments of a call into out (capacity bytes): the bytes used, -ENOSPC when they do not fit. String arguments are cut to
 * string_max bytes each, NULL is "(null)". Never allocates. */
int template_capture(const struct template_types *types, const char *format, va_list arguments, size_t string_max,
                     void *out, size_t capacity);

/* Append the formatted message. Everything is hostile: format, types and arguments come from shared memory.
 * -EBADMSG when arguments and format do not agree (what could be formatted was appended). Widths and precisions above 10,000 are cut to that. */
int template_format(struct text format, struct text arguments, struct buffer *out);

/* The same, and where in what was appended the arguments stand: for struct entry, whose `templated` is only true when *ret_count can say it (a
 * message of more than 64 KiB has no such places: -1). */
int template_format_marked(struct text format, struct text arguments, struct buffer *out,
                           struct entry_argument ret[TEMPLATE_ARGUMENTS_MAX], int *ret_count);

#endif
