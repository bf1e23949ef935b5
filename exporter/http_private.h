/* http_private.h - what the rooms of the HTTP server share: connections, their states and lists. Used by http*.c alone.
 *
 *   accepted --> ARRIVING --whole--> ANSWERING (libmicrohttpd's) --answer went out--> gone
 *                   |                    \-- WAITING for a worker --/
 *                   \--refused--> LINGERING: our refusal was sent, the rest of what comes is thrown away, so that
 *                                 the kernel does not reset the connection before the client has read why
 *
 * Everything here belongs to the server's thread, but what stands below `lock` in struct http.
 */
#ifndef TASKFORGE_EXPORTER_HTTP_PRIVATE_H
#define TASKFORGE_EXPORTER_HTTP_PRIVATE_H

#include "common/process/config_value.h"
#include "common/process/loop.h"
#include "exporter/http.h"
#include "exporter/http_access.h"
#include "exporter/http_body.h"
#include "exporter/http_head.h"
#include "exporter/http_target.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum connection_state { CONNECTION_ARRIVING, CONNECTION_LINGERING, CONNECTION_ANSWERING, CONNECTION_WAITING };

/* A request and its answer; made when the request has arrived. */
struct exchange {
    char *bytes; /* owned: the header section and the decoded target behind it, which everything below borrows */
    struct http_head head;
    struct http_target target;
    struct buffer body;
    struct http_request request;
    const struct http_route *route; /* NULL: the answer is a refusal and there already */
    struct http_answer answer;
    bool answered, vary, challenge, gzipped;
    unsigned retry_after_s;
    uint64_t begun_ns; /* monotonic: it had arrived */
};

struct connection {
    struct http *http;
    int fd;
    enum connection_state state;
    struct sockaddr_storage peer;
    socklen_t peer_length;
    uint64_t deadline_ns;       /* monotonic: of ARRIVING and LINGERING */
    size_t seen;                /* ARRIVING: bytes that have arrived; LINGERING: bytes thrown away */
    bool continued;             /* 100 Continue was sent */
    bool evicted;               /* cut off, and not counted as open any more */
    struct loop_fd *source;     /* while it is ours */
    struct MHD_Connection *mhd; /* while it is libmicrohttpd's */
    struct exchange *exchange;
    size_t answer_bytes;
    struct connection_list *list; /* it is in; NULL while WAITING */
    struct connection *previous, *next;
    struct connection *next_job;
};

struct connection_list { /* the oldest first */
    struct connection *first, *last;
};

struct job_list {
    struct connection *first, *last;
};

struct http_worker { /* a thread that runs routes, one after the other */
    struct http *http;
    pthread_t thread;
    pthread_cond_t work;
    bool started;
    atomic_uint_fast64_t waiting; /* the running one included */
    struct job_list todo;         /* this and what follows: under the lock */
    bool stop, running;
};

struct http {
    const struct http_route *routes;
    size_t route_count;
    http_refused_function *refused_token;
    _Atomic(http_answered_function *) answered; /* NULL: nobody asks */
    void *context;
    struct config_endpoint endpoint; /* listened on */
    unsigned port;

    struct loop *loop;
    struct MHD_Daemon *daemon;
    int listen_fd, wake_fd;
    struct loop_fd *listen_source;
    struct loop_timer *clock;        /* the next deadline of a connection of ours */
    struct loop_timer *mhd_clock;    /* libmicrohttpd's */
    struct loop_timer *listen_clock; /* when to listen again after descriptors ran out */
    struct loop_timer *stop_clock;
    struct connection_list arriving, lingering, answering;
    struct connection *entering; /* while MHD_add_connection runs */
    char *scratch;               /* HTTP_REQUEST_MAX bytes */
    size_t open;                 /* connections, those that were cut off not counted */
    uint64_t audited_ns, unaudited;
    bool stopping;

    pthread_t server_thread;
    bool server_started;
    struct http_worker workers[HTTP_THREADS]; /* that of HTTP_INLINE is not used */
    atomic_uint_fast64_t requests, refused, tokens_missing, tokens_wrong, connections, timeouts, evicted, bytes_out,
        open_now, answers_bytes;
    atomic_bool stop_wanted;

    pthread_mutex_t lock;
    struct http_tokens tokens;
    struct job_list done;
};

enum { HTTP_REQUEST_MAX = HTTP_HEADERS_MAX + 2 * HTTP_BODY_MAX }; /* bytes on the wire, chunks' sizes included */

/* http_listen.c: a socket that listens; or a negative errno and the sentence. */
int http_listen(const struct config_exporter *config, const struct config_endpoint *endpoint, unsigned *ret_port,
                struct error *error);

/* http_front.c: connections until their request has arrived */
void http_front_accept(struct loop_fd *source, int fd, uint32_t events, void *http);
void http_front_clock(struct loop_timer *timer, void *http);
void http_front_listen_again(struct loop_timer *timer, void *http);

/* http_refusal.c: one answer of ours, straight to the socket, where nothing else was sent. */
void http_refusal_send(int fd, const struct http_fault *fault);
void http_continue_send(int fd);

/* http_connections.c: the table */
struct connection *http_connection_create(struct http *http, int fd, const struct sockaddr_storage *peer,
                                          socklen_t length);
void http_connection_drop(struct connection *connection); /* ours: closed as well; libmicrohttpd's: from its callback */
void http_connection_move(struct connection *connection, struct connection_list *list, enum connection_state state);
bool http_give_way(struct http *http); /* false: nobody is idle, arriving or reading */
void http_peer_name(const struct connection *connection, char *out, size_t size);
void http_exchange_destroy(struct exchange *exchange); /* NULL is fine */
void http_pieces_release(struct http_pieces *pieces);  /* none is fine, and so it is afterwards */

/* http_serve.c: libmicrohttpd's side */
int http_serve_create(struct http *http, struct error *error);
void http_serve_take(struct connection *connection); /* the request is whole; the connection may be gone afterwards */
void http_serve_run(struct http *http);
void http_serve_event(struct loop_fd *source, int fd, uint32_t events, void *http);
void http_serve_clock(struct loop_timer *timer, void *http);
void http_serve_resume(struct connection *connection);

/* http_route.c: which route, and whether it may be asked; fills route, request.rest and actor, or the refusing answer. */
void http_route_choose(struct connection *connection);

/* http_answer.c */
void http_answer_run(struct exchange *exchange,
                     void *context); /* the route's function, and what the server makes of its answer */
struct MHD_Response *http_answer_response(struct exchange *exchange,
                                          size_t *ret_bytes); /* takes the body; NULL: no memory */

/* http_queries.c: the query thread and that of scrapes */
void http_queries_init(struct http *http);
int http_queries_start(struct http *http);
bool http_queries_add(struct http *http, struct connection *connection); /* by its route; false: too many wait */
struct connection *http_queries_take_done(struct http *http);
void http_queries_cancel(struct http *http); /* what has not begun is answered with 503 */
bool http_queries_stop(struct http *http);   /* false: a query is running */
void http_queries_finish(struct http *http);

#endif
