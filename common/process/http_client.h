/* http_client.h - requests to others: http, https and mail by smtp and smtps. The one owner of libcurl.
 *
 * http(s) lives in the event loop (curl's multi interface). Mail has a thread for each message in hand, since libcurl waits
 * inside a call for the answers to the end of a message and to QUIT; its end comes back through the loop. So no peer, name
 * server included, ever holds up the thread that runs the loop. All functions are called from that thread, and `done` is.
 *
 * What it never does: follow a redirect, speak another protocol, use a proxy (those of the environment neither: who needs
 * one names it as the address), read .netrc, take a certificate that the host's trust store does not know, or send an
 * address or header with a control character in it. What comes back is bounded: of an answer's body at most `answer_max`
 * bytes are read, then the connection is closed and the answer counts as it stands.
 */
#ifndef TASKFORGE_COMMON_PROCESS_HTTP_CLIENT_H
#define TASKFORGE_COMMON_PROCESS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/process/loop.h"

enum {
    HTTP_URL_MAX = 2048,               /* bytes of an address */
    HTTP_HEADER_MAX = 4096,            /* bytes of one header, name and value */
    HTTP_MAIL_ADDRESS_MAX = 254,       /* RFC 5321 */
    HTTP_REQUESTS_MAX = 128,           /* in hand at a time, of both kinds */
    HTTP_BODY_MAX = 16 * 1024 * 1024,  /* of a request */
    HTTP_ANSWER_MAX = 1 * 1024 * 1024, /* what answer_max may be */
    HTTP_LINE_SIZE = 256,              /* of the status line or reply that is kept, NUL included */
};
#define HTTP_CONNECT_TIMEOUT_NS (10 * CLOCK_SECOND)
#define HTTP_TIMEOUT_NS (30 * CLOCK_SECOND)

struct http_client;
struct http_request; /* in hand */

struct http_header {
    const char *name;
    const char *value;
};

/* A request; http_send copies what it needs of it. Everything not set is NULL or 0. */
struct http_message {
    const char *url;  /* http:, https:, smtp: or smtps: */
    struct text body; /* http: empty means GET, else POST; mail: the whole message, RFC 5322, lines ended with CRLF */
    const struct http_header *headers; /* http only */
    size_t header_count;
    bool own_connection; /* http: a new connection, closed after the answer: curl repeats nothing on its own */

    const char *from; /* mail: the envelope */
    const char *const *recipients;
    size_t recipient_count;
    bool starttls; /* smtp: the connection must become TLS before anything is said; smtps is TLS from the start */
    const char *username; /* mail: NULL means no login */
    const char *password;

    const char *ca_file;         /* trust these certificates (PEM) instead of the host's; NULL: the host's */
    uint64_t connect_timeout_ns; /* 0: HTTP_CONNECT_TIMEOUT_NS; with TLS and the login it takes part in the whole */
    uint64_t timeout_ns;         /* of the whole; 0: HTTP_TIMEOUT_NS */
    size_t answer_max;           /* 0: nothing of the body is kept, and the first bytes of it end the request */
};

struct http_answer {
    unsigned status;         /* HTTP's (200 and up), or SMTP's last reply code; 0: no answer came, *failure says why */
    const char *line;        /* "HTTP/1.1 503 Service Unavailable", "250 OK queued"; one line, without controls */
    struct text body;        /* http */
    bool cut;                /* there was more than answer_max */
    uint64_t retry_after_ns; /* of the header Retry-After, from now on, at most a day; 0: none (or past) */
    const char
        *refused; /* mail: the last refusal among replies of a mail that was taken (one recipient of several); "" */
    const char *failure; /* "" with a status */
    bool timed_out;      /* no answer came in time */
};

/* How a request ended; called once from the loop, never from within http_send, with everything valid until it returns. It
 * may send further requests, but not destroy the client. A mail's status is 2xx only when the whole message was taken. */
typedef void http_done_function(const struct http_answer *answer, void *context);

int http_client_create(struct loop *loop, struct http_client **ret, struct error *error);
/* Drops what is in hand (`done` is not called); waits at most about a second for mail threads to notice. NULL is fine. */
void http_client_destroy(struct http_client *client);

/* Begin. 0; -EINVAL with a sentence for an address, header or mail address that must not be sent; -EAGAIN when
 * HTTP_REQUESTS_MAX are in hand; -E2BIG for a body over HTTP_BODY_MAX; -ENOMEM. */
int http_send(struct http_client *client, const struct http_message *message, http_done_function *done, void *context,
              struct http_request **ret, struct error *error);
void http_cancel(struct http_request *request); /* before its `done`, which will not be called; NULL is fine */
size_t http_in_hand(const struct http_client *client);

/* --- checks, for those who read addresses from outside; pure. -EINVAL with a sentence --- */

enum http_scheme { HTTP_SCHEME_WEB, HTTP_SCHEME_MAIL }; /* http and https; smtp and smtps */
int http_check_url(const char *url, enum http_scheme scheme, struct error *error);
int http_check_header(const struct http_header *header, struct error *error);
int http_check_mail_address(const char *address, struct error *error);
/* Whether the address names this host: localhost, 127.0.0.0/8, ::1 (a checked URL). */
bool http_url_is_loopback(const char *url);

#endif
