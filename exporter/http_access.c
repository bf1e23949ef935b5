#include "exporter/http_access.h"

static enum http_verdict compare(const struct token *token, struct text shown) {
    if (token_equal(token, shown))
        return HTTP_ADMITTED;
    return shown.length > 0 ? HTTP_TOKEN_WRONG : HTTP_TOKEN_MISSING;
}

enum http_verdict http_admit(const struct http_tokens *tokens, enum http_access access, struct text authorization,
                             const char **ret_actor) {
    const struct token *wanted = access == HTTP_READ ? &tokens->read : &tokens->admin;
    char scratch[TOKEN_MAX];
    *ret_actor = "anyone";
    if (access == HTTP_ADMIN && wanted->length == 0)
        wanted = &tokens->read;
    if (access == HTTP_OPEN || wanted->length == 0)
        return HTTP_ADMITTED;
    struct text shown = token_shown(authorization, scratch);
    if (tokens->admin.length > 0 && token_equal(&tokens->admin, shown)) {
        *ret_actor = "admin_token";
        return HTTP_ADMITTED;
    }
    *ret_actor = "token";
    return compare(wanted, shown);
}

/* --- other sites --- */

static struct text without_port(struct text host) {
    if (!host.data)
        return host;
    const char *bracket = memrchr(host.data, ']', host.length), *colon = memrchr(host.data, ':', host.length);
    if (colon && (!bracket || colon > bracket))
        host.length = (size_t)(colon - host.data);
    return host;
}

static bool is_own_name(struct text host) {
    const struct text localhost = TEXT_LITERAL(".localhost");
    host = without_port(host);
    if (host.length == 0 || host.data[0] == '[' || !memchr(host.data, '.', host.length))
        return true;
    if (host.length > localhost.length &&
        text_equal_ignoring_case((struct text) { host.data + host.length - localhost.length, localhost.length },
                                 localhost))
        return true;
    for (size_t i = 0; i < host.length; i++)
        if (host.data[i] != '.' && (host.data[i] < '0' || host.data[i] > '9'))
            return false;
    return true;
}

/* What stands behind "http://" or "https://"; empty for "null" and anything else. */
static struct text authority_of(struct text origin) {
    const struct text schemes[] = { TEXT_LITERAL("http://"), TEXT_LITERAL("https://") };
    for (size_t i = 0; i < 2; i++)
        if (text_starts_with(origin, schemes[i]))
            return (struct text) { origin.data + schemes[i].length, origin.length - schemes[i].length };
    return TEXT_EMPTY;
}

bool http_same_site(const struct http_head *head, bool open) {
    if (head->sec_fetch_site.length > 0 && !text_is(head->sec_fetch_site, "same-origin") &&
        !text_is(head->sec_fetch_site, "none"))
        return false;
    if (head->origin.length == 0)
        return true;
    struct text authority = authority_of(head->origin);
    return authority.length > 0 && text_equal_ignoring_case(authority, head->host) &&
           (!open || is_own_name(head->host));
}
