/* Connections from their beginning until their request has arrived whole, or has been refused. */
#include "exporter/http_private.h"

#include "common/base/check.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_AT_ONCE = 64, LINGER_BYTES_MAX = 1024 * 1024 };
#define LINGER_NS CLOCK_SECOND
#define LISTEN_REST_NS (100 * CLOCK_MILLISECOND)

/* --- deadlines: both lists are in the order of theirs --- */

static void set_clock(struct http *http) {
    uint64_t next = UINT64_MAX, now = clock_monotonic_ns();
    if (http->arriving.first)
        next = http->arriving.first->deadline_ns;
    if (http->lingering.first && http->lingering.first->deadline_ns < next)
        next = http->lingering.first->deadline_ns;
    if (next == UINT64_MAX)
        loop_rest_timer(http->clock);
    else
        loop_set_timer(http->clock, next > now ? next - now : 0);
}

/* Throw away what still comes; the end of it is the end of the connection. */
static void on_lingering(struct connection *connection) {
    for (;;) {
        ssize_t n = recv(connection->fd, connection->http->scratch, HTTP_REQUEST_MAX, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        connection->seen += n > 0 ? (size_t)n : 0;
        if (n <= 0 || connection->seen > LINGER_BYTES_MAX) {
            http_connection_drop(connection);
            return;
        }
    }
}

static void refuse(struct connection *connection, const struct http_fault *fault) {
    struct http *http = connection->http;
    atomic_fetch_add(&http->refused, 1);
    http_refusal_send(connection->fd, fault);
    shutdown(connection->fd, SHUT_WR);
    http_connection_move(connection, &http->lingering, CONNECTION_LINGERING);
    connection->deadline_ns = clock_monotonic_ns() + LINGER_NS;
    connection->seen = 0;
    on_lingering(connection);
    set_clock(http);
}

void http_front_clock(struct loop_timer *timer, void *context) {
    static const struct http_fault late = { 408, "the request did not arrive within 10 seconds" };
    struct http *http = context;
    uint64_t now = clock_monotonic_ns();
    (void)timer;
    while (http->arriving.first && http->arriving.first->deadline_ns <= now) {
        struct connection *connection = http->arriving.first;
        atomic_fetch_add(&http->timeouts, 1);
        if (connection->seen > 0)
            refuse(connection, &late);
        else /* nobody has asked for anything */
            http_connection_drop(connection);
    }
    while (http->lingering.first && http->lingering.first->deadline_ns <= now)
        http_connection_drop(http->lingering.first);
    set_clock(http);
}

/* --- what arrives --- */

static struct exchange *make_exchange(const struct http_head *head, struct text bytes, struct http_fault *fault) {
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    char *copy = malloc(head->length + head->target.length);
    struct http_head own;
    *fault = (struct http_fault) { 500, "out of memory" };
    if (exchange)
        exchange->bytes = copy;
    else
        free(copy);
    if (!exchange || !copy) {
        http_exchange_destroy(exchange);
        return NULL;
    }
    memcpy(copy, bytes.data, head->length);
    /* the kernel's bytes may not have changed, but the copy is what is used: read it, not them */
    check(http_head_parse((struct text) { copy, head->length }, &own, fault) == 1);
    exchange->head = own;
    if (http_target_parse(own.target, copy + own.length, &exchange->target, fault) < 0) {
        http_exchange_destroy(exchange);
        return NULL;
    }
    return exchange;
}

/* What lies in the kernel's buffer: 1 when a request is whole in it, 0 when more must come, -1 and *fault. */
static int judge(struct connection *connection, struct text bytes, struct http_fault *fault) {
    struct buffer body = BUFFER_EMPTY;
    struct http_head head;
    int result = http_head_parse(bytes, &head, fault);
    if (result <= 0)
        return result;
    struct text rest = { bytes.data + head.length, bytes.length - head.length };
    result = http_body_parse(&head, rest, &body, fault);
    if (result == 0 && bytes.length == HTTP_REQUEST_MAX) {
        *fault = (struct http_fault) { 413, "the chunks of the body are too small for its size" };
        result = -1;
    }
    if (result == 0 && head.expects_continue && !connection->continued && rest.length == 0) {
        connection->continued = true;
        http_continue_send(connection->fd);
    }
    if (result == 1) {
        connection->exchange = make_exchange(&head, bytes, fault);
        result = connection->exchange ? 1 : -1;
    }
    if (result == 1)
        connection->exchange->body = body;
    else
        buffer_finish(&body);
    return result;
}

static void on_arriving(struct connection *connection, uint32_t events) {
    struct http *http = connection->http;
    struct http_fault fault;
    ssize_t n = recv(connection->fd, http->scratch, HTTP_REQUEST_MAX, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    int result = n > 0 ? judge(connection, (struct text) { http->scratch, (size_t)n }, &fault) : 0;
    connection->seen = n > 0 ? (size_t)n : 0;
    if (result == 1)
        http_serve_take(connection);
    else if (result < 0)
        refuse(connection, &fault);
    else if (n <= 0 || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) /* it will never be whole */
        http_connection_drop(connection);
}

static void on_connection(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct connection *connection = context;
    (void)source, (void)fd;
    if (connection->state == CONNECTION_ARRIVING)
        on_arriving(connection, events);
    else
        on_lingering(connection);
}

/* --- the listening socket --- */

static void add(struct http *http, int fd, const struct sockaddr_storage *peer, socklen_t length) {
    struct connection *connection = NULL;
    if (http->open < HTTP_CONNECTIONS_MAX || http_give_way(http))
        connection = http_connection_create(http, fd, peer, length);
    if (!connection) {
        atomic_fetch_add(&http->refused, 1);
        close(fd);
        return;
    }
    connection->deadline_ns = clock_monotonic_ns() + HTTP_ARRIVE_NS;
    http_connection_move(connection, &http->arriving, CONNECTION_ARRIVING);
    /* edge-triggered: looked-at bytes stay in the kernel's buffer and must not wake us again */
    if (loop_add_fd(http->loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_connection, connection, &connection->source) < 0)
        http_connection_drop(connection);
    set_clock(http);
}

void http_front_listen_again(struct loop_timer *timer, void *context) {
    struct http *http = context;
    (void)timer;
    loop_change_fd(http->listen_source, EPOLLIN);
}

/* Without descriptors accept fails before it looks whether anybody is there. */
static bool is_waiting(int fd) {
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    return poll(&wait, 1, 0) == 1;
}

void http_front_accept(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct http *http = context;
    (void)events;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t length = sizeof(peer);
        int accepted = accept4(fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            add(http, accepted, &peer, length);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN || !is_waiting(fd))
            break;
        /* out of descriptors or memory: whoever is idle gives way; where nobody is, the new ones wait */
        if (http_give_way(http)) {
            http_serve_run(http);
            continue;
        }
        loop_change_fd(source, 0);
        loop_set_timer(http->listen_clock, LISTEN_REST_NS);
        break;
    }
    http_serve_run(http); /* who gave way is closed */
}
