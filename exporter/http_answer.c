/* From what a route said to what libmicrohttpd sends. */
#include "exporter/http_private.h"

#include "common/model/pack.h"
#include "exporter/gzip.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAIL_SENTENCE_SIZE = 512, COMPRESS_FROM = 512 };

const struct text *http_parameter(const struct http_request *request, const char *name) {
    for (size_t i = 0; i < request->parameter_count; i++)
        if (text_is(request->parameters[i].name, name))
            return &request->parameters[i].value;
    return NULL;
}

void http_fail(struct http_answer *answer, unsigned status, const char *format, ...) {
    char sentence[FAIL_SENTENCE_SIZE];
    _cleanup_buffer_ struct buffer repaired = BUFFER_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    text_utf8_repair(text_of(sentence), &repaired); /* a character may have been cut */
    buffer_clear(&answer->body);
    answer->borrowed_body = TEXT_EMPTY;
    http_pieces_release(&answer->pieces);
    answer->status = status;
    answer->content_type = answer->cache_control = answer->content_security_policy = NULL;
    answer->etag[0] = '\0';
    buffer_append_string(&answer->body, "{\"error\":");
    json_append_string(&answer->body, buffer_text(&repaired));
    buffer_append_string(&answer->body, "}\n");
    answer->body.failed |= repaired.failed;
}

static struct text body_of(const struct http_answer *answer) {
    return answer->borrowed_body.length ? answer->borrowed_body : buffer_text(&answer->body);
}

/* Whether one of the entity tags in an If-None-Match header is `etag`, plain or as we name its compressed form; "*" is any. */
static bool matches(struct text header, const char *etag) {
    char quoted[sizeof(((struct http_answer *)0)->etag) + 1];
    int length = snprintf(quoted, sizeof(quoted), "\"%s", etag);
    for (size_t i = 0; i + (size_t)length < header.length; i++)
        if (memcmp(header.data + i, quoted, (size_t)length) == 0 &&
            (header.data[i + (size_t)length] == '"' || header.data[i + (size_t)length] == '-'))
            return true;
    return text_is(header, "*");
}

static void compress(struct exchange *exchange) {
    struct http_answer *answer = &exchange->answer;
    struct buffer out = BUFFER_EMPTY;
    exchange->vary = true;
    if (body_of(answer).length < COMPRESS_FROM || !gzip_accepted(exchange->request.accept_encoding))
        return;
    if (gzip_compress(body_of(answer), &out) < 0) { /* then as it is */
        buffer_finish(&out);
        return;
    }
    buffer_finish(&answer->body);
    answer->borrowed_body = TEXT_EMPTY;
    answer->body = out;
    exchange->gzipped = true;
}

void http_answer_run(struct exchange *exchange, void *context) {
    struct http_answer *answer = &exchange->answer;
    exchange->route->function(&exchange->request, answer, context);
    if (answer->body.failed) {
        buffer_finish(&answer->body);
        http_fail(answer, 500, "out of memory");
    }
    if (answer->status == 200 && answer->etag[0] && matches(exchange->request.if_none_match, answer->etag)) {
        buffer_clear(&answer->body);
        answer->borrowed_body = TEXT_EMPTY;
        answer->status = 304;
        exchange->vary = answer->compress;
    } else if (answer->pieces.owner) {
        exchange->vary = true;
        exchange->gzipped = answer->pieces.gzipped;
    } else if (answer->compress) {
        compress(exchange);
    }
    exchange->answered = true;
}

/* --- headers --- */

static void add_headers(const struct exchange *exchange, struct MHD_Response *response) {
    static const char strict[] = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    const struct http_answer *answer = &exchange->answer;
    const char *policy = answer->content_security_policy ? answer->content_security_policy : strict;
    char etag[sizeof(answer->etag) + 10], retry_after[12];
    snprintf(etag, sizeof(etag), "\"%s%s\"", answer->etag, exchange->gzipped ? "-gzip" : "");
    snprintf(retry_after, sizeof(retry_after), "%u", exchange->retry_after_s);
    const struct {
        bool wanted;
        const char *name, *value;
    } headers[] = {
        { answer->status != 304, "Content-Type", answer->content_type ? answer->content_type : "application/json" },
        { true, "Cache-Control", answer->cache_control ? answer->cache_control : "no-store" },
        { true, "Connection", "close" },
        { true, "X-Content-Type-Options", "nosniff" },
        { true, "Referrer-Policy", "no-referrer" },
        { true, "Content-Security-Policy", policy },
        { true, "Cross-Origin-Resource-Policy", "same-origin" },
        { exchange->vary, "Vary", "Accept, Accept-Encoding" },
        { exchange->gzipped, "Content-Encoding", "gzip" },
        { answer->etag[0] != '\0', "ETag", etag },
        { answer->allow[0] != '\0', "Allow", answer->allow },
        { exchange->challenge, "WWW-Authenticate", "Bearer realm=\"taskforge\"" },
        { exchange->challenge, "WWW-Authenticate", "Basic realm=\"taskforge\", charset=\"UTF-8\"" },
        { exchange->retry_after_s > 0, "Retry-After", retry_after },
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (headers[i].wanted)
            MHD_add_response_header(response, headers[i].name, headers[i].value);
}

/* libmicrohttpd sends pieces from where they are, and lets them go behind the last user of the response. */
static struct MHD_Response *response_of_pieces(struct http_pieces *pieces, size_t *ret_bytes) {
    static_assert(sizeof(struct iovec) == sizeof(struct MHD_IoVec) &&
                      offsetof(struct iovec, iov_len) == offsetof(struct MHD_IoVec, iov_len),
                  "the same by another name");
    struct MHD_Response *response = MHD_create_response_from_iovec(
        (const struct MHD_IoVec *)(const void *)pieces->list, (unsigned)pieces->count, pieces->release, pieces->owner);
    *ret_bytes = pieces->length;
    if (response)
        *pieces = (struct http_pieces) { 0 };
    return response;
}

struct MHD_Response *http_answer_response(struct exchange *exchange, size_t *ret_bytes) {
    struct http_answer *answer = &exchange->answer;
    if (answer->pieces.owner) {
        struct MHD_Response *response = response_of_pieces(&answer->pieces, ret_bytes);
        if (response)
            add_headers(exchange, response);
        return response;
    }
    struct text body = body_of(answer);
    bool borrowed = answer->borrowed_body.length > 0;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.length, (void *)(uintptr_t)body.data,
                                        borrowed || !body.data ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (!response)
        return NULL;
    answer->body = BUFFER_EMPTY; /* libmicrohttpd's */
    add_headers(exchange, response);
    *ret_bytes = body.length;
    return response;
}
