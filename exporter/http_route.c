/* Which route a request is for, and whether it may be asked. */
#include "exporter/http_private.h"

#include <stdio.h>

enum { PEER_NAME_SIZE = 64 };
#define AUDIT_PAUSE_NS CLOCK_SECOND

static const struct http_route *find(const struct http *http, struct text path, struct text *ret_rest) {
    const struct http_route *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < http->route_count; i++) {
        struct text own = text_of(http->routes[i].path);
        bool folder = own.length > 1 && own.data[own.length - 1] == '/';
        if (own.length < best_length || !(folder ? text_starts_with(path, own) : text_equal(path, own)))
            continue;
        best = &http->routes[i];
        best_length = own.length;
        *ret_rest = folder ? (struct text) { path.data + own.length, path.length - own.length } : TEXT_EMPTY;
    }
    return best;
}

/* A guess at a token, told at most once a second with how many there were. */
static void tell_refused(struct connection *connection, const char *reason) {
    struct http *http = connection->http;
    char peer[PEER_NAME_SIZE];
    uint64_t now = clock_monotonic_ns();
    http->unaudited++;
    if (!http->refused_token || (http->audited_ns != 0 && now - http->audited_ns < AUDIT_PAUSE_NS))
        return;
    http_peer_name(connection, peer, sizeof(peer));
    http->refused_token(peer, connection->exchange->target.path, reason, http->unaudited, http->context);
    http->audited_ns = now;
    http->unaudited = 0;
}

static bool admit(struct connection *connection, enum http_access access, bool *ret_open) {
    struct http *http = connection->http;
    struct exchange *exchange = connection->exchange;
    pthread_mutex_lock(&http->lock);
    enum http_verdict verdict =
        http_admit(&http->tokens, access, exchange->head.authorization, &exchange->request.actor);
    pthread_mutex_unlock(&http->lock);
    *ret_open = strcmp(exchange->request.actor, "anyone") == 0;
    if (verdict == HTTP_ADMITTED)
        return true;
    exchange->challenge = true;
    atomic_fetch_add(verdict == HTTP_TOKEN_MISSING ? &http->tokens_missing : &http->tokens_wrong, 1);
    if (verdict == HTTP_TOKEN_MISSING)
        http_fail(&exchange->answer, 401, "this path asks for a token: Authorization: Bearer TOKEN");
    else
        http_fail(&exchange->answer, 401, "the token is wrong");
    tell_refused(connection, verdict == HTTP_TOKEN_MISSING ? "missing" : "wrong");
    return false;
}

static void refuse_method(struct http_answer *answer, unsigned methods) {
    snprintf(answer->allow, sizeof(answer->allow), "%s%s%s", methods & HTTP_GET ? "GET, HEAD" : "",
             methods == (HTTP_GET | HTTP_POST) ? ", " : "", methods & HTTP_POST ? "POST" : "");
    http_fail(answer, 405, "this path has the methods %s", answer->allow);
}

/* "1.5" seconds of a Prometheus that says how long it waits. */
static bool parse_seconds(struct text text, uint64_t *ret_ns) {
    char copy[24];
    if (text.length == 0 || text.length >= sizeof(copy) - 1)
        return false;
    snprintf(copy, sizeof(copy), "%.*ss", TEXT_FORMAT(text));
    return clock_parse_duration(copy, text.length + 1, ret_ns) == 0;
}

static void fill_request(struct exchange *exchange, enum http_method method, struct text rest) {
    const struct http_head *head = &exchange->head;
    struct http_request *request = &exchange->request;
    const char *actor = request->actor;
    *request = (struct http_request) {
        .method = method,
        .path = exchange->target.path,
        .rest = rest,
        .parameters = exchange->target.parameters,
        .parameter_count = exchange->target.count,
        .accept = head->accept,
        .accept_encoding = head->accept_encoding,
        .if_none_match = head->if_none_match,
        .last_event_id = head->last_event_id,
        .body = buffer_text(&exchange->body),
        .actor = actor,
        .arrived_ns = clock_monotonic_ns(),
    };
    request->scrape_timeout_given = parse_seconds(head->scrape_timeout, &request->scrape_timeout_ns);
}

void http_route_choose(struct connection *connection) {
    struct exchange *exchange = connection->exchange;
    const struct http_head *head = &exchange->head;
    struct http_answer *answer = &exchange->answer;
    struct text rest = TEXT_EMPTY;
    bool post = text_is(head->method, "POST"), open;
    bool get = text_is(head->method, "GET") || text_is(head->method, "HEAD");
    enum http_method method = post ? HTTP_POST : get ? HTTP_GET : 0;
    const struct http_route *route = find(connection->http, exchange->target.path, &rest);
    enum http_access access = !route ? HTTP_READ : post ? route->write_access : route->read_access;

    answer->status = 200;
    exchange->answered = true;
    if (!admit(connection, access, &open))
        return;
    if (!route) {
        http_fail(answer, 404, "nothing is here");
    } else if ((route->methods & method) == 0) {
        refuse_method(answer, route->methods);
    } else if (post && !http_same_site(head, open)) {
        http_fail(answer, 403, "a page of another site may not ask for changes");
    } else {
        exchange->route = route;
        exchange->answered = false;
        fill_request(exchange, method, rest);
    }
}
