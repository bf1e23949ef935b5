/* logql_lexer.h - the words of LogQL's log selector. Pure; borrows the source. One thread. */
#ifndef TASKFORGE_COMMON_QUERY_LOGQL_LEXER_H
#define TASKFORGE_COMMON_QUERY_LOGQL_LEXER_H

#include "common/base/error.h"
#include "common/base/text.h"

enum logql_token_kind {
    LOGQL_END,
    LOGQL_OPEN,          /* { */
    LOGQL_CLOSE,         /* } */
    LOGQL_COMMA,         /* , */
    LOGQL_EQUAL,         /* = */
    LOGQL_NOT_EQUAL,     /* != : a matcher's, and the line filter "contains not" */
    LOGQL_MATCH,         /* =~ */
    LOGQL_NOT_MATCH,     /* !~ : likewise */
    LOGQL_LINE_CONTAINS, /* |= */
    LOGQL_LINE_MATCH,    /* |~ */
    LOGQL_PIPE,          /* | of json, logfmt and label filters */
    LOGQL_LEFT,          /* ( */
    LOGQL_RIGHT,         /* ) */
    LOGQL_GREATER,       /* > and so on: of numbers */
    LOGQL_GREATER_EQUAL,
    LOGQL_LESS,
    LOGQL_LESS_EQUAL,
    LOGQL_SAME,   /* == */
    LOGQL_NUMBER, /* 3, -1.5, 12ms: as written; whether it is one is not looked at */
    LOGQL_NAME,   /* service, metadata.key, or */
    LOGQL_STRING, /* "..." with Go's escapes, or `...` as it stands */
};

struct logql_token {
    enum logql_token_kind kind;
    struct text source; /* as written */
    size_t position;    /* in characters, from 1 */
};

struct logql_lexer {
    struct text source;
    size_t at;
    struct buffer string; /* the value of the last LOGQL_STRING; ours */
};

void logql_lexer_init(struct logql_lexer *lexer, struct text source);
void logql_lexer_finish(struct logql_lexer *lexer);

/* 0 and the next token (for ever LOGQL_END at the end). -EINVAL with "character 12: ...", -ENOMEM. */
int logql_lexer_next(struct logql_lexer *lexer, struct logql_token *ret, struct error *error);

#endif
