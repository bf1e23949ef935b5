/* libmicrohttpd's side: it gets a socket whose request has arrived, reads what we have judged already, and sends the answer. */
#include "exporter/http_private.h"

#include "common/base/check.h"

#include <errno.h>

enum { MEMORY_FOR_EACH = 4 * HTTP_HEADERS_MAX }; /* of libmicrohttpd: the header section, and its list of it */

static struct connection *connection_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    check(info && info->socket_context);
    return info->socket_context;
}

/* --- the answer --- */

static enum MHD_Result queue(struct connection *connection) {
    struct http *http = connection->http;
    struct exchange *exchange = connection->exchange;
    unsigned status = exchange->answer.status;
    struct MHD_Response *response = http_answer_response(exchange, &connection->answer_bytes);
    if (!response)
        return MHD_NO; /* out of memory: libmicrohttpd closes the connection */
    http_answered_function *answered = atomic_load(&http->answered);
    if (answered)
        answered(exchange->route, status, clock_monotonic_ns() - exchange->begun_ns, http->context);
    enum MHD_Result result = MHD_queue_response(connection->mhd, status, response);
    MHD_destroy_response(response); /* it counts its users */
    atomic_fetch_add(&http->answers_bytes, connection->answer_bytes);
    atomic_fetch_add(&http->bytes_out, connection->answer_bytes);
    while (atomic_load(&http->answers_bytes) > HTTP_ANSWERS_MAX && http->answering.first != connection &&
           http->answering.first && http_give_way(http))
        ;
    return result;
}

static void answer_busy(struct exchange *exchange) {
    bool scrape = exchange->route->thread == HTTP_SCRAPE;
    http_fail(&exchange->answer, 503, "%d %s wait already; try again in a second",
              scrape ? HTTP_SCRAPES_MAX : HTTP_QUERIES_MAX, scrape ? "scrapes" : "queries");
    exchange->retry_after_s = 1;
    exchange->answered = true;
}

/* Answer now, or hand it to another thread: false, and the connection waits. */
static bool answer(struct connection *connection) {
    struct http *http = connection->http;
    struct exchange *exchange = connection->exchange;
    exchange->begun_ns = clock_monotonic_ns();
    http_route_choose(connection);
    if (exchange->route && exchange->route->thread != HTTP_INLINE) {
        http_connection_move(connection, NULL, CONNECTION_WAITING);
        if (http_queries_add(http, connection)) {
            MHD_suspend_connection(connection->mhd);
            atomic_fetch_add(&http->requests, 1);
            return false;
        }
        http_connection_move(connection, &http->answering, CONNECTION_ANSWERING);
        answer_busy(exchange);
        exchange->route = NULL;
    }
    atomic_fetch_add(exchange->route ? &http->requests : &http->refused, 1);
    if (exchange->route)
        http_answer_run(exchange, http->context);
    return true;
}

/* Called once with the header section, then for each piece of the body, then at its end; and again after a resume. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_length, void **state) {
    struct connection *connection = connection_of(mhd);
    (void)context, (void)url, (void)method, (void)version, (void)upload;
    if (!*state) {
        *state = connection;
        return MHD_YES;
    }
    if (*upload_length > 0) { /* the body is in the exchange already */
        *upload_length = 0;
        return MHD_YES;
    }
    if (!connection->exchange->answered && !answer(connection))
        return MHD_YES;
    return queue(connection);
}

void http_serve_resume(struct connection *connection) {
    http_connection_move(connection, &connection->http->answering, CONNECTION_ANSWERING);
    MHD_resume_connection(connection->mhd);
}

/* --- connections come and go --- */

static void on_socket(void *context, struct MHD_Connection *mhd, void **socket_context,
                      enum MHD_ConnectionNotificationCode code) {
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        check(http->entering);
        http->entering->mhd = mhd;
        *socket_context = http->entering;
        return;
    }
    if (http->entering == *socket_context)
        http->entering = NULL;
    http_connection_drop(*socket_context);
}

void http_serve_take(struct connection *connection) {
    struct http *http = connection->http;
    loop_remove_fd(connection->source);
    connection->source = NULL;
    http_connection_move(connection, &http->answering, CONNECTION_ANSWERING);
    http->entering = connection;
    if (MHD_add_connection(http->daemon, connection->fd, (const struct sockaddr *)&connection->peer,
                           connection->peer_length) != MHD_YES &&
        http->entering) {
        connection->fd = -1; /* closed by libmicrohttpd */
        http_connection_drop(connection);
    }
    http->entering = NULL;
    http_serve_run(http);
}

void http_serve_run(struct http *http) {
    MHD_UNSIGNED_LONG_LONG ms;
    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
        loop_set_timer(http->mhd_clock, ms * CLOCK_MILLISECOND);
    else
        loop_rest_timer(http->mhd_clock);
}

void http_serve_event(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source, (void)fd, (void)events;
    http_serve_run(context);
}

void http_serve_clock(struct loop_timer *timer, void *context) {
    (void)timer;
    http_serve_run(context);
}

int http_serve_create(struct http *http, struct error *error) {
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                                    on_request, http, MHD_OPTION_NOTIFY_CONNECTION, on_socket, http,
                                    MHD_OPTION_CONNECTION_LIMIT, 2U * HTTP_CONNECTIONS_MAX, /* ours is counted by us */
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_STALL_S,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_FOR_EACH, MHD_OPTION_END);
    if (!http->daemon)
        return error_set(error, -ENOMEM, "cannot start libmicrohttpd: out of memory or descriptors");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    check(info);
    int result = loop_add_fd(http->loop, info->epoll_fd, EPOLLIN, http_serve_event, http, NULL);
    return result < 0 ? error_set(error, result, "cannot watch libmicrohttpd: %s", strerror(-result)) : 0;
}
