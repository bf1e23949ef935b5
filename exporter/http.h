/* http.h - the exporter's HTTP server (http*.c): the only owner of libmicrohttpd. What a request is, what an answer is, and
 * what is refused before any route sees it.
 *
 * Three threads matter to those who write routes: the server's own, which runs the routes marked HTTP_INLINE (they must
 * not block: no store, no socket, no file but /proc), one query thread and one for scrapes, which run the others one after the other, so that a
 * long query delays other queries and never /metrics, and a large scrape never /livez. A route function gets a request that is whole, checked and
 * private to it, and fills an answer; it never sees a socket.
 *
 * A connection carries one request and is closed behind the answer. libmicrohttpd would read what it should refuse (two
 * lengths, a NUL) and hide it from us, and its time-out counts idleness only: so a connection is ours until its request has arrived
 * whole. We look at the bytes where they lie (MSG_PEEK), judge and decode them (http_head, http_body, http_target), and hand
 * the socket to libmicrohttpd for the answer (MHD_add_connection). With one request for each connection nothing can hide behind
 * another request, and a slow sender costs a small record and the kernel's buffer alone.
 *
 * Refused here, with {"error": "..."}: both Content-Length and Transfer-Encoding, two lengths, a NUL, a bad target or
 * query (400); a header section over HTTP_HEADERS_MAX (431) or a body over HTTP_BODY_MAX (413); a request that has not
 * arrived within HTTP_ARRIVE_NS (408, then closed; without a word where nothing has arrived); a path nobody serves (404); a
 * method the path does not have (405 with Allow); a token that is missing or wrong (401 with WWW-Authenticate: Bearer),
 * each of them an audit entry, at most one a second; a change (POST) whose Origin or Sec-Fetch-Site says that another
 * site's page asked for it (403); a query or scrape when HTTP_QUERIES_MAX or HTTP_SCRAPES_MAX wait already (503 with Retry-After). More than
 * HTTP_CONNECTIONS_MAX connections, or answers of more than HTTP_ANSWERS_MAX bytes still going out: an idle or
 * half-arrived connection gives way, the oldest first, then the slowest reader. A reader that takes nothing for
 * HTTP_STALL_S seconds is cut. HEAD is GET without the body.
 */
#ifndef TASKFORGE_EXPORTER_HTTP_H
#define TASKFORGE_EXPORTER_HTTP_H

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/process/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    HTTP_CONNECTIONS_MAX = 512,
    HTTP_HEADERS_MAX = 32 * 1024, /* bytes, request line included */
    HTTP_BODY_MAX = 64 * 1024,
    HTTP_PARAMETERS_MAX = 64, /* of a query */
    HTTP_QUERIES_MAX = 64,    /* waiting for the query thread */
    HTTP_SCRAPES_MAX = 64,    /* waiting for the thread of scrapes */
    HTTP_STALL_S = 30,        /* seconds that a reader may take nothing of its answer */
};
#define HTTP_ANSWERS_MAX ((size_t)256 * 1024 * 1024) /* bytes of answers that have not gone out, all together */
#define HTTP_ARRIVE_NS (10 * CLOCK_SECOND)

enum http_method { HTTP_GET = 1, HTTP_POST = 2 }; /* HEAD comes as GET */

struct http_parameter {
    struct text name, value; /* percent-decoded, valid UTF-8, no NUL */
};

struct http_request {
    enum http_method method;
    struct text path;                        /* decoded: "/api/v1/alerts/0193.../ack" */
    struct text rest;                        /* what of the path stands behind a route that ends with '/', else empty */
    const struct http_parameter *parameters; /* in the order of the query */
    size_t parameter_count;
    struct text accept, accept_encoding, if_none_match, last_event_id; /* headers as they came; empty when absent */
    struct text body;                                                  /* POST: at most HTTP_BODY_MAX */
    const char *actor;   /* who asks, in one word: "token", "admin_token", or "anyone" where no token is asked for */
    uint64_t arrived_ns; /* monotonic: when it was whole */
    bool scrape_timeout_given;
    uint64_t scrape_timeout_ns; /* X-Prometheus-Scrape-Timeout-Seconds */
};

/* The first parameter of that name; NULL: none. */
const struct text *http_parameter(const struct http_request *request, const char *name);

/* A body in pieces that others may be sending, too. */
struct http_pieces {
    const struct iovec *list; /* stays until it is released */
    size_t count, length;
    bool gzipped;
    void (*release)(void *owner); /* called once, from any thread */
    void *owner;                  /* NULL: there are no pieces */
};

/* Begun with status 200, no body. The body is owned by the answer; the server adds Content-Length, Date, security headers
 * (nosniff, no-referrer, frame-ancestors 'none') and, where the client takes it and `compress` is set, gzip. */
struct http_answer {
    unsigned status;
    const char *content_type;            /* a literal; NULL: application/json */
    const char *cache_control;           /* a literal; NULL: no-store */
    const char *content_security_policy; /* a literal; NULL: "default-src 'none'" and so on */
    char etag[40];                       /* without quotes; "" for none; the server answers If-None-Match with 304 */
    char allow[32];                      /* for 405; filled in by the server */
    bool compress;
    struct buffer body;
    struct http_pieces pieces; /* instead of body; compressed already, where they are */
    struct text borrowed_body; /* instead of body: memory that stays for the process's life (the dashboard) */
};

/* {"error": "sentence"} and the status. */
void http_fail(struct http_answer *answer, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum http_access { HTTP_OPEN, HTTP_READ, HTTP_ADMIN };
enum http_thread { HTTP_INLINE, HTTP_QUERY, HTTP_SCRAPE, HTTP_THREADS };

/* `context` is the exporter's (struct exporter). An answer whose body has failed (out of memory) becomes 500. */
typedef void http_route_function(const struct http_request *request, struct http_answer *answer, void *context);

struct http_route {
    const char
        *path; /* exact, or ending with '/': everything below it ("/api/v1/alerts/"); the longest match is taken */
    unsigned methods;              /* of enum http_method */
    enum http_access read_access;  /* asked of GET */
    enum http_access write_access; /* asked of POST */
    enum http_thread thread;
    http_route_function *function;
};

struct http_counters {        /* since start */
    uint64_t requests;        /* arrived whole and were let through to a route */
    uint64_t refused;         /* were not: 4xx and 503 of the list above */
    uint64_t tokens_missing;  /* of them, for want of a token */
    uint64_t tokens_wrong;    /* of them, since theirs was wrong */
    uint64_t connections;     /* accepted */
    uint64_t timeouts;        /* did not arrive in time */
    uint64_t evicted;         /* gave way to others */
    uint64_t bytes_out;       /* of bodies, as they went out (compressed) */
    uint64_t open;            /* connections now */
    uint64_t answers_bytes;   /* bodies that have not gone out, now */
    uint64_t queries_waiting; /* now, the running one included */
};

/* A token was missing or wrong: at most one call a second; `count` is how many it stands for. On the server's thread: it must
 * not block. `peer` is the address and port, `reason` "missing" or "wrong". */
typedef void http_refused_function(const char *peer, struct text path, const char *reason, uint64_t count,
                                   void *context);

struct http;

/* Listen and serve in threads of its own. -EADDRINUSE and so on with one sentence that names the address; tokens are read from
 * the files of the configuration (a file that cannot be read, is readable by everybody, is empty or longer than 4 KiB: an
 * error that names it). routes and context are borrowed; context goes to them and to refused_token. */
int http_create(const struct config_exporter *config, const struct http_route *routes, size_t route_count,
                http_refused_function *refused_token, void *context, struct http **ret, struct error *error);

/* SIGHUP: tokens anew; listen cannot change (-EINVAL with a sentence). On failure the old tokens stay. */
int http_reload(struct http *http, const struct config_exporter *config, struct error *error);

/* The port listened on (for port 0). */
unsigned http_port(const struct http *http);
void http_counters_get(struct http *http, struct http_counters *ret); /* any thread */

/* From now on told of each answer, on the server's thread: `route` is NULL where the request came to none. It must not block. */
typedef void http_answered_function(const struct http_route *route, unsigned status, uint64_t duration_ns,
                                    void *context);
void http_watch_answers(struct http *http, http_answered_function *function);

/* Stops taking connections and ends the threads, as http_destroy does first; the counters stand still then. Any number of times; NULL is
 * fine (true). */
bool http_stop(struct http *http);

/* Stops taking connections, lets answers in hand go out for a second at most. False when a query still runs then: nothing
 * that routes use may be freed, the process is to end as it is. NULL is fine (true). */
bool http_destroy(struct http *http);

#endif
