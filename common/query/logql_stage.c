/* logql_stage.c - what may stand behind a |:
 *
 *   stage   = "json" | "logfmt" | any
 *   any     = both { "or" both }
 *   both    = one { ( "and" | "," ) one }
 *   one     = "(" any ")" | ( NAME | STRING ) operator value
 *   value   = STRING, or behind > >= < <= == = != a number: 3, -1.5, 12ms, 1h30m, 5KB
 *
 * json and logfmt take no parameters: an entry's metadata are its fields already. */
#include <errno.h>

#include "common/base/check.h"
#include "common/query/logql_parser_private.h"

struct stage {
    struct logql_parser *parser;
    struct filter_tree tree;
    unsigned depth;
};

static int parse_any(struct stage *stage, uint32_t *ret);

static const struct {
    enum logql_token_kind token;
    enum filter_operator text, number;
    bool takes_text;
} operators[] = {
    { LOGQL_EQUAL, FILTER_EQUAL, FILTER_NUMBER_EQUAL, true },
    { LOGQL_SAME, FILTER_EQUAL, FILTER_NUMBER_EQUAL, true },
    { LOGQL_NOT_EQUAL, FILTER_NOT_EQUAL, FILTER_NUMBER_NOT_EQUAL, true },
    { LOGQL_MATCH, FILTER_MATCH, FILTER_MATCH, true },
    { LOGQL_NOT_MATCH, FILTER_NOT_MATCH, FILTER_NOT_MATCH, true },
    { LOGQL_GREATER, FILTER_GREATER, FILTER_GREATER, false },
    { LOGQL_GREATER_EQUAL, FILTER_GREATER_EQUAL, FILTER_GREATER_EQUAL, false },
    { LOGQL_LESS, FILTER_LESS, FILTER_LESS, false },
    { LOGQL_LESS_EQUAL, FILTER_LESS_EQUAL, FILTER_LESS_EQUAL, false },
};

static bool is_word(const struct logql_parser *parser, const char *word) {
    return parser->token.kind == LOGQL_NAME && text_is(parser->token.source, word);
}

/* The operator and what stands behind it: a string for texts, a number for numbers. */
static int parse_value(struct logql_parser *parser, enum filter_operator *ret_op, struct buffer *value) {
    size_t i = 0;
    while (i < COUNT_OF(operators) && operators[i].token != parser->token.kind)
        i++;
    if (i == COUNT_OF(operators))
        return logql_expected(parser, "= != =~ !~ == > >= < or <=");
    int status = logql_advance(parser);
    if (status < 0)
        return status;
    bool takes_number = operators[i].number >= FILTER_GREATER;
    if (parser->token.kind == LOGQL_NUMBER && takes_number) {
        *ret_op = operators[i].number;
        buffer_append_text(value, parser->token.source);
        if (value->failed)
            return error_set(parser->error, -ENOMEM, "out of memory for a filter");
        return logql_advance(parser);
    }
    *ret_op = operators[i].text;
    if (!operators[i].takes_text)
        return logql_expected(parser, "a number such as 3, 12ms or 5KB");
    return logql_take_string(parser, value, takes_number ? "a value in quotes or a number" : "a value in quotes");
}

static int parse_leaf(struct stage *stage, uint32_t *ret) {
    struct logql_parser *parser = stage->parser;
    _cleanup_buffer_ struct buffer label = BUFFER_EMPTY, value = BUFFER_EMPTY;
    size_t position = parser->token.position;
    enum filter_operator op = FILTER_EQUAL;
    int status;
    if (parser->token.kind == LOGQL_NAME) {
        buffer_append_text(&label, parser->token.source);
        status = label.failed ? error_set(parser->error, -ENOMEM, "out of memory for a filter") : logql_advance(parser);
    } else {
        status = logql_take_string(parser, &label, "a field such as service, a key of metadata, or (");
    }
    if (status == 0 && label.length == 0)
        status = error_set(parser->error, -EINVAL, "character %zu: a label may not be empty", position);
    if (status == 0)
        status = parse_value(parser, &op, &value);
    if (status < 0)
        return status;
    status = filter_tree_leaf(&stage->tree, buffer_text(&label), op, buffer_text(&value), ret, parser->error);
    return status < 0 ? error_prefix(parser->error, status, "character %zu", position) : 0;
}

static int parse_one(struct stage *stage, uint32_t *ret) {
    struct logql_parser *parser = stage->parser;
    if (parser->token.kind != LOGQL_LEFT)
        return parse_leaf(stage, ret);
    if (stage->depth == FILTER_DEPTH_MAX)
        return error_set(parser->error, -E2BIG, "character %zu: more than %d parentheses in each other",
                         parser->token.position, FILTER_DEPTH_MAX);
    stage->depth++;
    int status = logql_advance(parser);
    if (status == 0)
        status = parse_any(stage, ret);
    stage->depth--;
    if (status == 0 && parser->token.kind != LOGQL_RIGHT)
        status = logql_expected(parser, "and, or, a comma or )");
    return status < 0 ? status : logql_advance(parser);
}

static int join(struct stage *stage, bool any, uint32_t *left, uint32_t right) {
    int status = filter_tree_join(&stage->tree, any, *left, right, left, stage->parser->error);
    return status < 0 ? error_prefix(stage->parser->error, status, "character %zu", stage->parser->token.position) : 0;
}

static int parse_both(struct stage *stage, uint32_t *ret) {
    uint32_t right = 0;
    int status = parse_one(stage, ret);
    while (status == 0 && (is_word(stage->parser, "and") || stage->parser->token.kind == LOGQL_COMMA)) {
        status = logql_advance(stage->parser);
        if (status == 0)
            status = parse_one(stage, &right);
        if (status == 0)
            status = join(stage, false, ret, right);
    }
    return status;
}

static int parse_any(struct stage *stage, uint32_t *ret) {
    uint32_t right = 0;
    int status = parse_both(stage, ret);
    while (status == 0 && is_word(stage->parser, "or")) {
        status = logql_advance(stage->parser);
        if (status == 0)
            status = parse_both(stage, &right);
        if (status == 0)
            status = join(stage, true, ret, right);
    }
    return status;
}

static int parse_label_filter(struct logql_parser *parser) {
    struct stage stage = { .parser = parser };
    uint32_t root = 0;
    size_t position = parser->token.position;
    int status = parse_any(&stage, &root);
    if (status < 0) {
        filter_tree_finish(&stage.tree);
        return status;
    }
    status = filter_add_tree(parser->filter, &stage.tree, root, parser->error);
    return status < 0 ? error_prefix(parser->error, status, "character %zu", position) : 0;
}

/* A name that nothing follows which could compare it is a stage's. */
static int unknown_stage(struct logql_parser *parser, const struct logql_token *name) {
    return error_set(parser->error, -EINVAL,
                     "character %zu: the stage %.*s is not taken: expected json, logfmt, or a label filter such as "
                     "attempt > 3",
                     name->position, TEXT_FORMAT(name->source));
}

static bool is_stage(struct text name) {
    static const char *const stages[] = { "json",         "logfmt", "regexp",     "pattern", "unpack", "line_format",
                                          "label_format", "unwrap", "decolorize", "drop",    "keep",   "distinct" };
    for (size_t i = 0; i < COUNT_OF(stages); i++)
        if (text_is(name, stages[i]))
            return true;
    return false;
}

/* Whether the name at hand is a stage's and not a label's: what stands behind it says so. */
static int looks_like_stage(const struct logql_parser *parser, bool *ret) {
    struct logql_lexer ahead = { .source = parser->lexer.source, .at = parser->lexer.at };
    struct logql_token next;
    int status = logql_lexer_next(&ahead, &next, parser->error);
    logql_lexer_finish(&ahead);
    if (status < 0)
        return status;
    bool compares =
        next.kind == LOGQL_EQUAL || next.kind == LOGQL_MATCH || (next.kind >= LOGQL_GREATER && next.kind <= LOGQL_SAME);
    bool maybe =
        next.kind == LOGQL_NOT_EQUAL || next.kind == LOGQL_NOT_MATCH; /* the next line filter's, behind a stage */
    *ret = !compares && !(maybe && !is_stage(parser->token.source));
    return 0;
}

int logql_parse_stage(struct logql_parser *parser) {
    bool stage = false;
    int status = logql_advance(parser); /* the | */
    if (status == 0 && parser->token.kind == LOGQL_NAME)
        status = looks_like_stage(parser, &stage);
    if (status < 0)
        return status;
    if (!stage)
        return parse_label_filter(parser);
    const struct logql_token name = parser->token;
    if (!is_word(parser, "json") && !is_word(parser, "logfmt"))
        return unknown_stage(parser, &name);
    status = logql_advance(parser);
    if (status == 0 && (parser->token.kind == LOGQL_NAME || parser->token.kind == LOGQL_STRING))
        return error_set(parser->error, -EINVAL,
                         "character %zu: %.*s takes no parameters here: all of metadata can be named as it is",
                         parser->token.position, TEXT_FORMAT(name.source));
    return status;
}
