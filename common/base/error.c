/* error.c - the sentence that travels up with an error code. */
#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

/* What was cut may end inside a character: take its beginning off too. */
static size_t whole_characters(const char *text, size_t length) {
    size_t start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)text[start - 1] < 0xc0)
        return length;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t needs = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    return length - (start - 1) < needs ? start - 1 : length;
}

static void store(struct error *error, char *text, int length) {
    size_t size = length < 0 ? 0 : (size_t)length;
    if (size >= ERROR_TEXT_SIZE)
        size = whole_characters(text, ERROR_TEXT_SIZE - 1);
    text_blank_controls(text, size);
    memcpy(error->text, text, size);
    error->text[size] = '\0';
}

int error_set(struct error *error, int code, const char *format, ...) {
    if (!error)
        return code;
    char text[ERROR_TEXT_SIZE]; /* the arguments may point into *error */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    store(error, text, length);
    return code;
}

int error_prefix(struct error *error, int code, const char *format, ...) {
    if (!error)
        return code;
    char text[2 * ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, ERROR_TEXT_SIZE, format, arguments);
    va_end(arguments);
    if (length < 0)
        return code;
    if (length >= ERROR_TEXT_SIZE)
        length = ERROR_TEXT_SIZE - 1;
    length += snprintf(text + length, sizeof(text) - (size_t)length, ": %s", error->text);
    store(error, text, length);
    return code;
}
