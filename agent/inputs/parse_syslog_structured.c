/* parse_syslog_structured.c - RFC 5424's structured data (6.3) as a packed map of maps. */
#include "agent/inputs/parse_syslog.h"

enum { SD_NAME_MAX = 128 }; /* the RFC says 32 */

struct cursor {
    const char *at, *end;
};

static bool take_char(struct cursor *cursor, char c) {
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool take_name(struct cursor *cursor, struct text *ret) {
    const char *begin = cursor->at;
    while (cursor->at < cursor->end && (unsigned char)*cursor->at > ' ' && (unsigned char)*cursor->at < 0x7f &&
           *cursor->at != '=' && *cursor->at != ']' && *cursor->at != '"')
        cursor->at++;
    *ret = (struct text) { begin, (size_t)(cursor->at - begin) };
    return ret->length > 0 && ret->length <= SD_NAME_MAX;
}

/* "value" with \" \\ \] inside, unescaped into `out`; any other backslash stands for itself. */
static bool take_value(struct cursor *cursor, struct buffer *out) {
    buffer_clear(out);
    if (!take_char(cursor, '"'))
        return false;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at == '\\' && cursor->end - cursor->at > 1 &&
            (cursor->at[1] == '"' || cursor->at[1] == '\\' || cursor->at[1] == ']'))
            cursor->at++;
        buffer_append_char(out, *cursor->at++);
    }
    return take_char(cursor, '"');
}

/* [id name="value" ...]; scratch->repair serves as the inner map, scratch->text as the value. */
static bool take_element(struct cursor *cursor, struct metadata_builder *outer, struct parse_scratch *scratch) {
    struct metadata_builder inner;
    struct text id, name;
    metadata_begin(&inner, &scratch->repair);
    if (!take_char(cursor, '[') || !take_name(cursor, &id))
        return false;
    while (take_char(cursor, ' ')) {
        if (cursor->at < cursor->end && *cursor->at == ']')
            break; /* a space too many */
        if (!take_name(cursor, &name) || !take_char(cursor, '=') || !take_value(cursor, &scratch->text))
            return false;
        metadata_add_text(&inner, name, buffer_text(&scratch->text));
    }
    if (!take_char(cursor, ']'))
        return false;
    struct text map = metadata_end(&inner);
    metadata_add_raw(outer, id, map.length > 0 ? map : TEXT_LITERAL("\x80"));
    return true;
}

bool parse_syslog_structured(struct text *rest, struct parse_scratch *scratch, struct text *ret) {
    struct cursor cursor = { rest->data, rest->data + rest->length };
    struct metadata_builder outer;
    metadata_begin(&outer, &scratch->packed);
    if (!take_char(&cursor, '-')) {
        if (cursor.at == cursor.end || *cursor.at != '[')
            return false;
        while (cursor.at < cursor.end && *cursor.at == '[')
            if (!take_element(&cursor, &outer, scratch))
                return false;
    }
    *ret = metadata_end(&outer);
    *rest = (struct text) { cursor.at, (size_t)(cursor.end - cursor.at) };
    return true;
}
