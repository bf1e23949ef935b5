/* The socket listened on. */
#include "exporter/http_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

enum { BACKLOG = 1024, SEND_ROOM = 128 * 1024 };

static unsigned port_of(const struct sockaddr_storage *address) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->ss_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return ntohs(v4.sin_port);
    }
    memcpy(&v6, address, sizeof(v6));
    return ntohs(v6.sin6_port);
}

static int explain(const char *listen_on, int code, struct error *error) {
    switch (-code) {
    case EADDRINUSE:
        return error_set(error, code,
                         "cannot listen on %s: the port is in use; stop what holds it, or set exporter.listen",
                         listen_on);
    case EADDRNOTAVAIL:
        return error_set(error, code, "cannot listen on %s: this host does not have that address; set exporter.listen",
                         listen_on);
    case EACCES:
        return error_set(error, code,
                         "cannot listen on %s: no permission for that port; set exporter.listen to one above 1023",
                         listen_on);
    default:
        return error_set(error, code, "cannot listen on %s: %s", listen_on, strerror(-code));
    }
}

int http_listen(const struct config_exporter *config, const struct config_endpoint *endpoint, unsigned *ret_port,
                struct error *error) {
    const int on = 1;
    const int in = 2 * HTTP_REQUEST_MAX; /* a whole request waits in the kernel until it is judged */
    const int out = SEND_ROOM;           /* else the kernel would keep megabytes for each slow reader */
    struct sockaddr_storage bound = { 0 };
    socklen_t length = sizeof(bound);
    int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return explain(config->listen, -errno, error);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof(in)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out)) < 0 ||
        bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) < 0) {
        int result = explain(config->listen, -errno, error);
        close(fd);
        return result;
    }
    *ret_port = port_of(&bound);
    return fd;
}
