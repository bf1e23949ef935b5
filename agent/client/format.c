/* format.c - a message put together in the calling thread, where it cannot be deferred. */
#include "agent/client/client_internal.h"

#include <stdio.h>

#define CUT_MARK "[... %zu bytes cut ...]"
enum { CUT_MARK_SIZE = 48 };

static bool continues_a_character(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Longer than a record takes: keep the beginning and the end, where a stack trace says what happened. */
static struct text cut_in_the_middle(char *message, size_t length, size_t room) {
    char mark[CUT_MARK_SIZE];
    size_t mark_length = (size_t)snprintf(mark, sizeof(mark), CUT_MARK, length);
    size_t head = (room - mark_length) / 2, tail = length - (room - mark_length - head);
    while (head > 0 && continues_a_character(message[head]))
        head--;
    while (tail < length && continues_a_character(message[tail]))
        tail++;
    mark_length = (size_t)snprintf(mark, sizeof(mark), CUT_MARK, tail - head);
    memcpy(message + head, mark, mark_length);
    memmove(message + head + mark_length, message + tail, length - tail);
    return (struct text) { message, head + mark_length + length - tail };
}

struct text format_here(const struct scratch *scratch, const char *format, va_list *arguments) {
    va_list copy;
    va_copy(copy, *arguments);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int length = vsnprintf(scratch->message, scratch->message_size, format, copy);
#pragma GCC diagnostic pop
    va_end(copy);
    if (length < 0)
        return TEXT_LITERAL("(the format failed)");
    size_t kept = (size_t)length < scratch->message_size ? (size_t)length : scratch->message_size - 1;
    if (kept <= ENTRY_MESSAGE_BYTES)
        return (struct text) { scratch->message, kept };
    return cut_in_the_middle(scratch->message, kept, ENTRY_MESSAGE_BYTES);
}
