/* logql_parser_private.h - what the two files of the parser share. */
#ifndef TASKFORGE_COMMON_QUERY_LOGQL_PARSER_PRIVATE_H
#define TASKFORGE_COMMON_QUERY_LOGQL_PARSER_PRIVATE_H

#include "common/query/logql_lexer.h"
#include "common/query/logql_parser.h"

struct logql_parser {
    struct logql_lexer lexer;
    struct logql_token token; /* the one we stand at */
    struct filter *filter;
    struct error *error;
};

int logql_advance(struct logql_parser *parser);
/* -EINVAL and "character 9: expected ..., found ...". */
int logql_expected(struct logql_parser *parser, const char *what);
/* The string the parser stands at, appended to *out: the lexer's buffer is for one string. */
int logql_take_string(struct logql_parser *parser, struct buffer *out, const char *what);

/* At a |: the stage behind it (logql_stage.c). */
int logql_parse_stage(struct logql_parser *parser);

#endif
