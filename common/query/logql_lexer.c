/* logql_lexer.c - see logql_lexer.h. */
#include "common/query/logql_lexer.h"

#include <errno.h>

#include "common/base/check.h"

void logql_lexer_init(struct logql_lexer *lexer, struct text source) {
    *lexer = (struct logql_lexer) { .source = source.data ? source : TEXT_LITERAL("") };
}

void logql_lexer_finish(struct logql_lexer *lexer) {
    buffer_finish(&lexer->string);
}

static size_t position_of(const struct logql_lexer *lexer, size_t at) {
    return text_utf8_count((struct text) { lexer->source.data, at }) + 1;
}

static int peek(const struct logql_lexer *lexer, size_t ahead) {
    size_t at = lexer->at + ahead;
    return at < lexer->source.length ? (unsigned char)lexer->source.data[at] : -1;
}

/* White space, and comments from # to the end of the line. */
static void skip_space(struct logql_lexer *lexer) {
    for (int c = peek(lexer, 0); c >= 0; c = peek(lexer, 0)) {
        if (c == '#')
            while (peek(lexer, 0) >= 0 && peek(lexer, 0) != '\n')
                lexer->at++;
        else if (c == ' ' || (c >= '\t' && c <= '\r'))
            lexer->at++;
        else
            return;
    }
}

static bool name_start(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_rest(int c) {
    return name_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static bool number_start(int c, int next) {
    return is_digit(c) || ((c == '-' || c == '.') && (is_digit(next) || next == '.'));
}

/* With its unit; the two bytes of the micro sign, too. */
static bool number_rest(int c) {
    return name_rest(c) || c == '+' || c == 0xc2 || c == 0xb5;
}

/* --- strings --- */

static void append_character(struct buffer *out, uint32_t c) {
    char bytes[4];
    size_t length = 0;
    if (c < 0x80) {
        bytes[length++] = (char)c;
    } else if (c < 0x800) {
        bytes[length++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[length++] = (char)(0xe0 | c >> 12);
        bytes[length++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[length++] = (char)(0xf0 | c >> 18);
        bytes[length++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[length++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        bytes[length++] = (char)(0x80 | (c & 0x3f));
    buffer_append(out, bytes, length);
}

/* `count` digits of that base; -1 when they are not there. */
static int64_t take_digits(struct logql_lexer *lexer, unsigned count, unsigned base) {
    int64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        int c = peek(lexer, 0), digit = -1;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20) - 'a' + 10;
        if (digit < 0 || digit >= (int)base)
            return -1;
        value = value * base + digit;
        lexer->at++;
    }
    return value;
}

/* \x41 and \101 are bytes, \u00e9 and \U0001f600 characters. */
static bool take_number_escape(struct logql_lexer *lexer, int c) {
    int64_t value;
    if (c == 'u' || c == 'U') {
        value = take_digits(lexer, c == 'u' ? 4 : 8, 16);
        if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
        append_character(&lexer->string, (uint32_t)value);
        return true;
    }
    if (c == 'x') {
        value = take_digits(lexer, 2, 16);
    } else {
        lexer->at--;
        value = take_digits(lexer, 3, 8);
    }
    if (value < 0 || value > 255)
        return false;
    buffer_append_char(&lexer->string, (char)value);
    return true;
}

/* Behind a backslash. */
static int take_escape(struct logql_lexer *lexer, struct error *error) {
    static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
    size_t at = lexer->at - 1;
    int c = peek(lexer, 0);
    const char *simple = c > 0 ? strchr(from, c) : NULL;
    if (c >= 0)
        lexer->at++;
    if (simple) {
        buffer_append_char(&lexer->string, to[simple - from]);
        return 0;
    }
    if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7')) {
        if (take_number_escape(lexer, c))
            return 0;
        return error_set(error, -EINVAL, "character %zu: \\%c is not followed by the digits it needs",
                         position_of(lexer, at), c);
    }
    if (c < 0)
        return error_set(error, -EINVAL,
                         "character %zu: the string ends in a backslash: expected \\\\ and a closing \"",
                         position_of(lexer, at));
    return error_set(error, -EINVAL,
                     "character %zu: unknown escape \\%c in a string: write \\\\%c, or the string between backquotes",
                     position_of(lexer, at), c, c);
}

static int take_string(struct logql_lexer *lexer, struct error *error) {
    size_t start = lexer->at;
    int quote = peek(lexer, 0);
    buffer_clear(&lexer->string);
    lexer->at++;
    for (int c = peek(lexer, 0); c != quote; c = peek(lexer, 0)) {
        if (c < 0 || (c == '\n' && quote == '"'))
            return error_set(error, -EINVAL, "character %zu: this string has no closing %c", position_of(lexer, start),
                             quote);
        lexer->at++;
        if (c != '\\' || quote == '`') {
            buffer_append_char(&lexer->string, (char)c);
            continue;
        }
        int status = take_escape(lexer, error);
        if (status < 0)
            return status;
    }
    lexer->at++;
    return lexer->string.failed ? error_set(error, -ENOMEM, "out of memory for a filter") : 0;
}

/* --- tokens --- */

static const struct {
    const char *sign;
    enum logql_token_kind kind;
} signs[] = {
    /* the longer before what it begins with */
    { "{", LOGQL_OPEN },       { "}", LOGQL_CLOSE },          { ",", LOGQL_COMMA },          { "=~", LOGQL_MATCH },
    { "==", LOGQL_SAME },      { ">=", LOGQL_GREATER_EQUAL }, { ">", LOGQL_GREATER },        { "<=", LOGQL_LESS_EQUAL },
    { "<", LOGQL_LESS },       { "(", LOGQL_LEFT },           { ")", LOGQL_RIGHT },          { "=", LOGQL_EQUAL },
    { "!=", LOGQL_NOT_EQUAL }, { "!~", LOGQL_NOT_MATCH },     { "|=", LOGQL_LINE_CONTAINS }, { "|~", LOGQL_LINE_MATCH },
    { "|", LOGQL_PIPE },
};

static bool take_sign(struct logql_lexer *lexer, enum logql_token_kind *ret) {
    struct text rest = { lexer->source.data + lexer->at, lexer->source.length - lexer->at };
    for (size_t i = 0; i < COUNT_OF(signs); i++) {
        if (text_starts_with(rest, text_of(signs[i].sign))) {
            lexer->at += strlen(signs[i].sign);
            *ret = signs[i].kind;
            return true;
        }
    }
    return false;
}

static int unknown_character(const struct logql_lexer *lexer, size_t position, struct error *error) {
    struct text rest = { lexer->source.data + lexer->at, 1 };
    if (rest.data[0] == '\'')
        return error_set(error, -EINVAL, "character %zu: a string stands between \"...\" or `...`, not '...'",
                         position);
    while (lexer->at + rest.length < lexer->source.length && ((unsigned char)rest.data[rest.length] & 0xc0) == 0x80)
        rest.length++;
    return error_set(error, -EINVAL, "character %zu: \"%.*s\" has no meaning here", position, TEXT_FORMAT(rest));
}

int logql_lexer_next(struct logql_lexer *lexer, struct logql_token *ret, struct error *error) {
    skip_space(lexer);
    size_t start = lexer->at;
    struct logql_token token = { .kind = LOGQL_END, .position = position_of(lexer, start) };
    int c = peek(lexer, 0), status = 0;
    if (c == '"' || c == '`') {
        token.kind = LOGQL_STRING;
        status = take_string(lexer, error);
    } else if (name_start(c)) {
        token.kind = LOGQL_NAME;
        while (name_rest(peek(lexer, 0)))
            lexer->at++;
    } else if (number_start(c, peek(lexer, 1))) {
        token.kind = LOGQL_NUMBER;
        lexer->at++;
        while (number_rest(peek(lexer, 0)))
            lexer->at++;
    } else if (c >= 0 && !take_sign(lexer, &token.kind)) {
        status = unknown_character(lexer, token.position, error);
    }
    token.source = (struct text) { lexer->source.data + start, lexer->at - start };
    if (status == 0)
        *ret = token;
    return status;
}
