/* The table of connections: how many there are, in which order they give way. */
#include "exporter/http_private.h"

#include "common/base/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void list_remove(struct connection *connection) {
    struct connection_list *list = connection->list;
    if (!list)
        return;
    *(connection->previous ? &connection->previous->next : &list->first) = connection->next;
    *(connection->next ? &connection->next->previous : &list->last) = connection->previous;
    connection->list = NULL;
    connection->previous = connection->next = NULL;
}

void http_connection_move(struct connection *connection, struct connection_list *list, enum connection_state state) {
    list_remove(connection);
    connection->state = state;
    if (!list)
        return;
    connection->list = list;
    connection->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = connection;
    list->last = connection;
}

static void count_out(struct http *http) {
    http->open--;
    atomic_store(&http->open_now, http->open);
    if (http->stopping && http->open == 0)
        loop_stop(http->loop, 0);
}

struct connection *http_connection_create(struct http *http, int fd, const struct sockaddr_storage *peer,
                                          socklen_t length) {
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    *connection = (struct connection) { .http = http, .fd = fd, .peer = *peer, .peer_length = length };
    http->open++;
    atomic_store(&http->open_now, http->open);
    atomic_fetch_add(&http->connections, 1);
    return connection;
}

void http_pieces_release(struct http_pieces *pieces) {
    if (pieces->owner)
        pieces->release(pieces->owner);
    *pieces = (struct http_pieces) { 0 };
}

void http_exchange_destroy(struct exchange *exchange) {
    if (!exchange)
        return;
    buffer_finish(&exchange->body);
    buffer_finish(&exchange->answer.body);
    http_pieces_release(&exchange->answer.pieces);
    free(exchange->bytes);
    free(exchange);
}

void http_connection_drop(struct connection *connection) {
    struct http *http = connection->http;
    list_remove(connection);
    loop_remove_fd(connection->source);
    if (!connection->mhd && connection->fd >= 0)
        close(connection->fd);
    if (!connection->evicted)
        count_out(http);
    atomic_fetch_sub(&http->answers_bytes, connection->answer_bytes);
    http_exchange_destroy(connection->exchange);
    free(connection);
}

bool http_give_way(struct http *http) {
    struct connection *oldest = http->lingering.first  ? http->lingering.first
                                : http->arriving.first ? http->arriving.first
                                                       : http->answering.first;
    if (!oldest)
        return false;
    atomic_fetch_add(&http->evicted, 1);
    if (!oldest->mhd) {
        http_connection_drop(oldest);
        return true;
    }
    /* libmicrohttpd sees the end at its next turn and calls back; its answer is not in hand any more. */
    http_connection_move(oldest, NULL, oldest->state);
    shutdown(oldest->fd, SHUT_RDWR);
    oldest->evicted = true;
    atomic_fetch_sub(&http->answers_bytes, oldest->answer_bytes);
    oldest->answer_bytes = 0;
    count_out(http);
    return true;
}

void http_peer_name(const struct connection *connection, char *out, size_t size) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (connection->peer.ss_family == AF_INET) {
        struct sockaddr_in address;
        memcpy(&address, &connection->peer, sizeof(address));
        inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
        snprintf(out, size, "%s:%u", host, (unsigned)ntohs(address.sin_port));
    } else {
        struct sockaddr_in6 address;
        memcpy(&address, &connection->peer, sizeof(address));
        inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%u", host, (unsigned)ntohs(address.sin6_port));
    }
}
