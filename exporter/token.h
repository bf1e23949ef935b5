/* token.h - the secret that a client must show: read from a file, taken out of the Authorization header, compared in
 * constant time. Pure but for reading the file. */
#ifndef TASKFORGE_EXPORTER_TOKEN_H
#define TASKFORGE_EXPORTER_TOKEN_H

#include "common/base/error.h"
#include "common/base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum { TOKEN_MAX = 4096 };

struct token {
    size_t length; /* 0: there is none */
    char text[TOKEN_MAX];
};

/* Read the one line of the file at `path`: visible ASCII characters, white space at both ends does not count. `key` names the
 * configuration key in the sentence. Refused with -EACCES when others than owner and group may read it, with -EINVAL
 * when it is empty, longer than TOKEN_MAX, no regular file or holds anything else; another negative errno when it cannot be
 * read. *ret is untouched then. */
int token_load(const char *path, const char *key, struct token *ret, struct error *error);

/* Whether `shown` is the token (which is there). Takes the same time for each `shown` of one length. */
bool token_equal(const struct token *token, struct text shown);

/* The token that an Authorization header shows: "Bearer T", or the password of "Basic BASE64", so that a browser can ask for
 * it. *ret borrows from the header or from `scratch`; empty when there is none in it. */
struct text token_shown(struct text authorization, char scratch[TOKEN_MAX]);

#endif
