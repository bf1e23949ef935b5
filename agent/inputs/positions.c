/* positions.c - lists of positions, and their form in the collector's answer. */
#include "agent/inputs/positions.h"

#include <errno.h>
#include <stdlib.h>

enum { POSITIONS_FIRST = 16 };

void positions_finish(struct positions *positions) {
    for (size_t i = 0; i < positions->count; i++)
        free((char *)positions->items[i].key.data); /* key and value stand in one piece */
    free(positions->items);
    *positions = POSITIONS_EMPTY;
}

int positions_add(struct positions *positions, struct text key, struct text value) {
    if (positions->count >= POSITIONS_MAX || key.length > POSITION_KEY_MAX || value.length > POSITION_VALUE_MAX)
        return -E2BIG;
    if (positions->count == positions->capacity) {
        size_t capacity = positions->capacity ? 2 * positions->capacity : POSITIONS_FIRST;
        struct position *items = realloc(positions->items, capacity * sizeof(*items));
        if (!items)
            return -ENOMEM;
        positions->items = items;
        positions->capacity = capacity;
    }
    char *piece = malloc(key.length + value.length + 1);
    if (!piece)
        return -ENOMEM;
    if (key.length > 0)
        memcpy(piece, key.data, key.length);
    if (value.length > 0)
        memcpy(piece + key.length, value.data, value.length);
    positions->items[positions->count++] =
        (struct position) { { piece, key.length }, { piece + key.length, value.length } };
    return 0;
}

struct text positions_find(const struct positions *positions, struct text key) {
    for (size_t i = 0; i < positions->count; i++)
        if (text_equal(positions->items[i].key, key))
            return positions->items[i].value;
    return TEXT_EMPTY;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* `hex` to bytes at `out`, which has room for `max`: the length, or -EBADMSG. */
static ssize_t unhex(struct text hex, char *out, size_t max) {
    if (hex.length % 2 != 0 || hex.length / 2 > max)
        return -EBADMSG;
    for (size_t i = 0; i < hex.length; i += 2) {
        int high = hex_digit(hex.data[i]), low = hex_digit(hex.data[i + 1]);
        if (high < 0 || low < 0)
            return -EBADMSG;
        out[i / 2] = (char)(high << 4 | low);
    }
    return (ssize_t)(hex.length / 2);
}

/* An empty key is an empty word ("-" too). */
static int parse_position(struct text line, struct positions *ret) {
    char key[POSITION_KEY_MAX], value[POSITION_VALUE_MAX];
    const char *space = line.length ? memchr(line.data, ' ', line.length) : NULL;
    if (!space)
        return -EBADMSG;
    struct text left = { line.data, (size_t)(space - line.data) };
    struct text right = { space + 1, line.length - left.length - 1 };
    if (text_is(left, "-"))
        left.length = 0;
    ssize_t key_length = unhex(left, key, sizeof(key)), value_length = unhex(right, value, sizeof(value));
    if (key_length < 0 || value_length < 0)
        return -EBADMSG;
    return positions_add(ret, (struct text) { key, (size_t)key_length }, (struct text) { value, (size_t)value_length });
}

int positions_parse(struct text body, struct positions *ret) {
    struct positions read = POSITIONS_EMPTY;
    while (body.length > 0) {
        const char *newline = memchr(body.data, '\n', body.length);
        struct text line = { body.data, newline ? (size_t)(newline - body.data) : body.length };
        int result = parse_position(line, &read);
        if (result != 0) {
            positions_finish(&read);
            return result;
        }
        size_t step = line.length + (newline != NULL);
        body.data += step;
        body.length -= step;
    }
    *ret = read;
    return 0;
}
