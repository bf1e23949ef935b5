/* http_access.h - who may ask for what: tokens, and pages of other sites. Pure. */
#ifndef TASKFORGE_EXPORTER_HTTP_ACCESS_H
#define TASKFORGE_EXPORTER_HTTP_ACCESS_H

#include "exporter/http.h"
#include "exporter/http_head.h"
#include "exporter/token.h"

struct http_tokens {
    struct token read, admin; /* length 0: none was configured */
};

enum http_verdict { HTTP_ADMITTED, HTTP_TOKEN_MISSING, HTTP_TOKEN_WRONG };

/* Whether what the Authorization header shows is enough for `access`. *ret_actor is who asks, a literal of one word: "admin_token", "token", or
 * "anyone" when no token is asked for. The admin's token reads as well; without one the reading token writes. */
enum http_verdict http_admit(const struct http_tokens *tokens, enum http_access access, struct text authorization,
                             const char **ret_actor);

/* Whether a change may be asked for by this request: not when a browser says that a page of another site sent it (Origin, or
 * Sec-Fetch-Site). Where no token is asked for (`open`), the page must also have come from an address in numbers, localhost or a
 * name without dots: a foreign name that was made to point here (DNS rebinding) is another site. */
bool http_same_site(const struct http_head *head, bool open);

#endif
