#include "common/query/label_matchers.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/metric.h"
#include "common/query/logql_lexer.h"

struct parser {
    struct logql_lexer lexer;
    struct logql_token token;
    struct error *error;
};

void label_matchers_finish(struct label_matchers *matchers) {
    for (size_t i = 0; i < matchers->count; i++) {
        free((char *)(uintptr_t)matchers->items[i].name.data);
        free((char *)(uintptr_t)matchers->items[i].value.data);
        pattern_destroy(matchers->items[i].pattern);
    }
    matchers->count = 0;
}

/* --- parsing; the words are LogQL's --- */

static int advance(struct parser *parser) {
    return logql_lexer_next(&parser->lexer, &parser->token, parser->error);
}

static int expected(struct parser *parser, const char *what) {
    if (parser->token.kind == LOGQL_END)
        return error_set(parser->error, -EINVAL, "character %zu: expected %s, found the end", parser->token.position,
                         what);
    return error_set(parser->error, -EINVAL, "character %zu: expected %s, found %.*s", parser->token.position, what,
                     TEXT_FORMAT(parser->token.source));
}

static int keep(struct parser *parser, struct text from, struct text *ret) {
    char *copy = malloc(from.length + 1);
    if (!copy)
        return error_set(parser->error, -ENOMEM, "out of memory");
    if (from.length > 0)
        memcpy(copy, from.data, from.length);
    *ret = (struct text) { copy, from.length };
    return 0;
}

static const struct {
    enum logql_token_kind token;
    bool negated, pattern;
} operators[] = {
    { LOGQL_EQUAL, false, false },
    { LOGQL_NOT_EQUAL, true, false },
    { LOGQL_MATCH, false, true },
    { LOGQL_NOT_MATCH, true, true },
};

static int take_value(struct parser *parser, bool pattern, struct label_matcher *matcher) {
    int result = advance(parser);
    if (result < 0)
        return result;
    size_t position = parser->token.position;
    if (parser->token.kind != LOGQL_STRING)
        return expected(parser, "a value in quotes");
    result = keep(parser, buffer_text(&parser->lexer.string), &matcher->value);
    if (result == 0 && pattern) {
        result = pattern_compile(matcher->value, true, &matcher->pattern, parser->error);
        if (result < 0)
            error_prefix(parser->error, result, "character %zu", position);
    }
    return result < 0 ? result : advance(parser);
}

static int take_matcher(struct parser *parser, struct label_matchers *ret) {
    struct error why = { "" };
    size_t position = parser->token.position;
    if (parser->token.kind != LOGQL_NAME)
        return expected(parser, "a label's name or }");
    const struct metric_label label = { parser->token.source, TEXT_LITERAL("x") };
    if (metric_label_check(&label, &why) < 0)
        return error_set(parser->error, -EINVAL, "character %zu: %.300s", position, why.text);
    if (ret->count == LABEL_MATCHERS_MAX)
        return error_set(parser->error, -E2BIG, "at most %d labels are asked for at once", LABEL_MATCHERS_MAX);
    struct label_matcher *matcher = &ret->items[ret->count];
    *matcher = (struct label_matcher) { .negated = false };
    int result = keep(parser, parser->token.source, &matcher->name);
    if (result < 0)
        return result;
    ret->count++;
    result = advance(parser);
    if (result < 0)
        return result;
    for (size_t i = 0; i < COUNT_OF(operators); i++)
        if (parser->token.kind == operators[i].token) {
            matcher->negated = operators[i].negated;
            return take_value(parser, operators[i].pattern, matcher);
        }
    return expected(parser, "= != =~ or !~");
}

static int take_all(struct parser *parser, struct label_matchers *ret) {
    int result = advance(parser);
    if (result == 0 && parser->token.kind != LOGQL_OPEN)
        result = expected(parser, "{");
    if (result == 0)
        result = advance(parser);
    while (result == 0 && parser->token.kind != LOGQL_CLOSE) {
        result = take_matcher(parser, ret);
        if (result == 0 && parser->token.kind == LOGQL_COMMA)
            result = advance(parser);
        else if (result == 0 && parser->token.kind != LOGQL_CLOSE)
            result = expected(parser, ", or }");
    }
    if (result == 0)
        result = advance(parser);
    return result == 0 && parser->token.kind != LOGQL_END ? expected(parser, "the end") : result;
}

int label_matchers_parse(struct text text, struct label_matchers *ret, struct error *error) {
    struct parser parser = { .error = error };
    *ret = LABEL_MATCHERS_EMPTY;
    logql_lexer_init(&parser.lexer, text);
    int result = take_all(&parser, ret);
    logql_lexer_finish(&parser.lexer);
    if (result < 0)
        label_matchers_finish(ret);
    return result;
}

int label_matchers_parse_selector(struct text text, struct text *ret_name, struct label_matchers *ret,
                                  struct error *error) {
    const char *brace = text.length > 0 ? memchr(text.data, '{', text.length) : NULL;
    size_t length = brace ? (size_t)(brace - text.data) : text.length;
    *ret_name = text_trim((struct text) { text.data, length });
    if (brace)
        return label_matchers_parse((struct text) { brace, text.length - length }, ret, error);
    *ret = LABEL_MATCHERS_EMPTY;
    return 0;
}

/* --- judging --- */

int label_matchers_judge(const struct label_matchers *matchers, struct text labels, struct error *error) {
    for (size_t i = 0; i < matchers->count; i++) {
        const struct label_matcher *matcher = &matchers->items[i];
        struct text value = metric_labels_find(labels, matcher->name);
        int holds =
            matcher->pattern ? pattern_match(matcher->pattern, value, error) : text_equal(value, matcher->value);
        if (holds < 0)
            return holds;
        if ((holds != 0) == matcher->negated)
            return 0;
    }
    return 1;
}
