/* error.h - how a function of ours fails.
 *
 * Every function that can fail returns 0 (or a documented positive condition) or a negative errno, and
 * takes, where a person will read it, a `struct error *` as its last argument: one line that says what
 * failed, where, why and what to do. The pointer may be NULL. Libraries never print; main does.
 */
#ifndef TASKFORGE_COMMON_BASE_ERROR_H
#define TASKFORGE_COMMON_BASE_ERROR_H

#include <stddef.h>

enum { ERROR_TEXT_SIZE = 512 };

struct error {
    char text[ERROR_TEXT_SIZE]; /* one line, NUL-terminated, no newline; "" while nothing failed */
};

/* Write the sentence (printf form, cut at ERROR_TEXT_SIZE - 1, control characters replaced by '?') into
 * *error unless it is NULL, and return code, so that `return error_set(error, -EINVAL, ...)` reads well. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before what *error already says; returns code. For adding the place on the way up. */
int error_prefix(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
