/* parse_level.c - guess a text line's level by rules that can be said in a sentence. */
#include "agent/inputs/parse_level.h"

enum { LEVEL_WORD_MIN = 3, LEVEL_WORD_MAX = 13 };

static bool is_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool all(struct text word, bool (*is)(char)) {
    for (size_t i = 0; i < word.length; i++)
        if (!is(word.data[i]))
            return false;
    return true;
}

static bool is_capital(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool level_word(struct text word, enum level *ret) {
    return word.length >= LEVEL_WORD_MIN && word.length <= LEVEL_WORD_MAX && all(word, is_letter) &&
           level_parse(word, ret) == 0;
}

static char closing(char open) {
    static const char pairs[][2] = { { '[', ']' }, { '<', '>' }, { '(', ')' }, { '{', '}' } };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (pairs[i][0] == open)
            return pairs[i][1];
    return '\0';
}

/* "[error]", "[core:error]", also with a colon behind */
static bool bracketed(struct text word, enum level *ret) {
    if (word.length > 0 && word.data[word.length - 1] == ':')
        word.length--;
    if (word.length < 3 || closing(word.data[0]) == '\0' || word.data[word.length - 1] != closing(word.data[0]))
        return false;
    struct text inside = { word.data + 1, word.length - 2 };
    const char *colon = memrchr(inside.data, ':', inside.length);
    if (colon) {
        inside.length -= (size_t)(colon + 1 - inside.data);
        inside.data = colon + 1;
    }
    return level_word(inside, ret);
}

static bool key_and_value(struct text word, enum level *ret) {
    static const char *const keys[] = { "level=", "lvl=", "severity=" };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct text key = text_of(keys[i]);
        if (!text_starts_with(word, key))
            continue;
        struct text value = { word.data + key.length, word.length - key.length };
        if (value.length >= 2 && value.data[0] == '"' && value.data[value.length - 1] == '"')
            value = (struct text) { value.data + 1, value.length - 2 };
        return level_word(value, ret);
    }
    return false;
}

/* "ERROR", "ERROR:", "ERROR,"; the first word also as "error:" */
static bool bare(struct text word, bool first, enum level *ret) {
    bool colon = false;
    if (word.length > 0 && strchr(":,-|", word.data[word.length - 1]) && word.data[word.length - 1] != '\0') {
        colon = word.data[word.length - 1] == ':';
        word.length--;
    }
    return (all(word, is_capital) || (first && colon)) && level_word(word, ret);
}

bool parse_level_early(struct text line, enum level *ret) {
    const char *at = line.data, *end = line.data + (line.length < LEVEL_BYTES ? line.length : LEVEL_BYTES);
    for (int words = 0; words < LEVEL_WORDS && at < end; words++) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        const char *begin = at;
        while (at < end && *at != ' ' && *at != '\t')
            at++;
        struct text word = { begin, (size_t)(at - begin) };
        if (key_and_value(word, ret) || bracketed(word, ret) || bare(word, words == 0, ret))
            return true;
    }
    return false;
}
