/* logql_parser.c - one function for each rule of the grammar:
 *
 *   selector = [ "{" [ matcher { "," matcher } [ "," ] ] "}" ] { line | "|" stage }
 *   matcher  = ( NAME | STRING ) ( "=" | "!=" | "=~" | "!~" ) STRING
 *   line     = ( "|=" | "!=" | "|~" | "!~" ) STRING { "or" STRING }
 *   stage    : logql_stage.c
 */
#include "common/query/logql_parser.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/logql_parser_private.h"

int logql_advance(struct logql_parser *parser) {
    return logql_lexer_next(&parser->lexer, &parser->token, parser->error);
}

int logql_expected(struct logql_parser *parser, const char *what) {
    if (parser->token.kind == LOGQL_END)
        return error_set(parser->error, -EINVAL, "character %zu: expected %s, found the end", parser->token.position,
                         what);
    return error_set(parser->error, -EINVAL, "character %zu: expected %s, found %.*s", parser->token.position, what,
                     TEXT_FORMAT(parser->token.source));
}

int logql_take_string(struct logql_parser *parser, struct buffer *out, const char *what) {
    if (parser->token.kind != LOGQL_STRING)
        return logql_expected(parser, what);
    buffer_append_text(out, buffer_text(&parser->lexer.string));
    if (out->failed)
        return error_set(parser->error, -ENOMEM, "out of memory for a filter");
    return logql_advance(parser);
}

static const struct {
    enum logql_token_kind token;
    enum filter_operator op;
} operators[] = {
    { LOGQL_EQUAL, FILTER_EQUAL },
    { LOGQL_NOT_EQUAL, FILTER_NOT_EQUAL },
    { LOGQL_MATCH, FILTER_MATCH },
    { LOGQL_NOT_MATCH, FILTER_NOT_MATCH },
};

static int parse_operator(struct logql_parser *parser, enum filter_operator *ret) {
    for (size_t i = 0; i < COUNT_OF(operators); i++) {
        if (parser->token.kind == operators[i].token) {
            *ret = operators[i].op;
            return logql_advance(parser);
        }
    }
    return logql_expected(parser, "= != =~ or !~");
}

static int parse_matcher(struct logql_parser *parser) {
    _cleanup_buffer_ struct buffer label = BUFFER_EMPTY, value = BUFFER_EMPTY;
    enum filter_operator op = FILTER_EQUAL;
    size_t position = parser->token.position;
    int status;
    if (parser->token.kind == LOGQL_NAME) {
        buffer_append_text(&label, parser->token.source);
        status = logql_advance(parser);
    } else {
        status = logql_take_string(parser, &label, "a label such as service or level, or }");
    }
    if (status == 0 && label.length == 0)
        status = error_set(parser->error, -EINVAL, "character %zu: a label may not be empty", position);
    if (status == 0)
        status = parse_operator(parser, &op);
    if (status == 0)
        status = logql_take_string(parser, &value, "a value in quotes");
    if (status < 0)
        return status;
    status = filter_add_matcher(parser->filter, buffer_text(&label), op, buffer_text(&value), parser->error);
    return status < 0 ? error_prefix(parser->error, status, "character %zu", position) : 0;
}

static int parse_matchers(struct logql_parser *parser) {
    int status = logql_advance(parser); /* the brace */
    while (status == 0 && parser->token.kind != LOGQL_CLOSE) {
        status = parse_matcher(parser);
        if (status == 0 && parser->token.kind == LOGQL_COMMA)
            status = logql_advance(parser);
        else if (status == 0 && parser->token.kind != LOGQL_CLOSE)
            status = logql_expected(parser, "a comma or }");
    }
    return status < 0 ? status : logql_advance(parser);
}

/* The strings of one line filter stand one behind the other in `bytes` until all are known. */
static int parse_alternatives(struct logql_parser *parser, struct buffer *bytes, size_t *ends, uint32_t *count) {
    bool more;
    do {
        if (*count == FILTER_CONDITIONS_MAX)
            return error_set(parser->error, -E2BIG, "character %zu: a line filter may have %d alternatives",
                             parser->token.position, FILTER_CONDITIONS_MAX);
        int status = logql_take_string(parser, bytes, "a text in quotes");
        if (status < 0)
            return status;
        ends[(*count)++] = bytes->length;
        more = parser->token.kind == LOGQL_NAME && text_is(parser->token.source, "or");
        if (more && (status = logql_advance(parser)) < 0)
            return status;
    } while (more);
    return 0;
}

static int parse_line(struct logql_parser *parser) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    size_t ends[FILTER_CONDITIONS_MAX], position = parser->token.position, start = 0;
    struct text alternatives[FILTER_CONDITIONS_MAX];
    enum logql_token_kind kind = parser->token.kind;
    uint32_t count = 0;
    int status = logql_advance(parser);
    if (status == 0)
        status = parse_alternatives(parser, &bytes, ends, &count);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < count; start = ends[i++])
        alternatives[i] = (struct text) { (bytes.data ? bytes.data : "") + start, ends[i] - start };
    status = filter_add_line(parser->filter, kind == LOGQL_NOT_EQUAL || kind == LOGQL_NOT_MATCH,
                             kind == LOGQL_LINE_MATCH || kind == LOGQL_NOT_MATCH, alternatives, count, parser->error);
    return status < 0 ? error_prefix(parser->error, status, "character %zu", position) : 0;
}

static int parse_selector(struct logql_parser *parser) {
    int status = logql_advance(parser);
    if (status == 0 && parser->token.kind == LOGQL_END)
        return 0;
    bool braces = status == 0 && parser->token.kind == LOGQL_OPEN;
    if (braces)
        status = parse_matchers(parser);
    for (bool first = !braces; status == 0 && parser->token.kind != LOGQL_END; first = false) {
        switch (parser->token.kind) {
        case LOGQL_LINE_CONTAINS:
        case LOGQL_LINE_MATCH:
        case LOGQL_NOT_EQUAL:
        case LOGQL_NOT_MATCH:
            status = parse_line(parser);
            break;
        case LOGQL_PIPE:
            status = logql_parse_stage(parser);
            break;
        default:
            return logql_expected(parser, first ? "{ or a line filter |= != |~ !~"
                                                : "a line filter |= != |~ !~, a label filter behind |, or the end");
        }
    }
    return status;
}

int logql_parse(struct text source, struct filter *filter, struct error *error) {
    struct logql_parser parser = { .filter = filter, .error = error };
    if (source.length > LOGQL_LENGTH_MAX)
        return error_set(error, -E2BIG, "a filter may have %d bytes, this has %zu", LOGQL_LENGTH_MAX, source.length);
    logql_lexer_init(&parser.lexer, source);
    int status = parse_selector(&parser);
    logql_lexer_finish(&parser.lexer);
    return status;
}
