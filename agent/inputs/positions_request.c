/* positions_request.c - ask the collector for an input's positions without blocking the loop. */
#include "agent/inputs/positions.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/process/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct positions_request {
    struct loop *loop;
    char *path, *line; /* the question, with its newline */
    char *input;
    positions_function *function;
    void *context;
    struct loop_timer *timer; /* the next try, or the end of patience with this one */
    struct loop_fd *source;
    int fd; /* -1: between two tries */
    size_t sent;
    struct buffer answer;
    uint64_t begun_ns; /* monotonic: when the first try was made */
    bool said;
};

static void drop(struct positions_request *request) {
    loop_remove_fd(request->source);
    request->source = NULL;
    if (request->fd >= 0)
        close(request->fd);
    request->fd = -1;
    request->sent = 0;
    buffer_clear(&request->answer);
}

static void try_again(struct positions_request *request, const char *why) {
    drop(request);
    /* Started side by side, the collector is a moment later than we are: that is not worth a line. */
    if (!request->said && clock_monotonic_ns() - request->begun_ns >= POSITIONS_PATIENCE_S * CLOCK_SECOND) {
        diag_info("input %s waits for the collector: %s", request->input, why);
        request->said = true;
    }
    loop_set_timer(request->timer, POSITIONS_RETRY_MS * CLOCK_MILLISECOND);
}

/* "ok\n" lines ".\n": 1 when the answer is whole, with its body; 0 when more must come; -EBADMSG, -EREMOTEIO. No line of
 * this body begins with '.', so that nothing has to be undone. */
static int answer_body(struct text answer, struct text *ret) {
    const struct text ok = TEXT_LITERAL("ok\n");
    if (answer.length < ok.length)
        return 0;
    if (!text_starts_with(answer, ok))
        return text_starts_with(answer, TEXT_LITERAL("err")) ? -EREMOTEIO : -EBADMSG;
    struct text body = { answer.data + ok.length, answer.length - ok.length };
    bool empty = text_is(body, ".\n");
    if (!empty && (body.length < 3 || memcmp(body.data + body.length - 3, "\n.\n", 3) != 0))
        return 0;
    body.length -= 2;
    *ret = body;
    return 1;
}

static void answered(struct positions_request *request, struct text body) {
    struct positions known = POSITIONS_EMPTY;
    struct ucred peer = { 0 };
    socklen_t size = sizeof(peer);
    if (positions_parse(body, &known) != 0) {
        try_again(request, "its answer makes no sense");
        return;
    }
    if (getsockopt(request->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        peer.pid = 0;
    drop(request);
    loop_rest_timer(request->timer);
    request->function(&known, peer.pid, request->context); /* may destroy the request */
    positions_finish(&known);
}

static void on_readable(struct positions_request *request) {
    struct text body;
    char bytes[16384];
    ssize_t got = recv(request->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        try_again(request, got < 0 ? strerror(errno) : "it closed the connection");
        return;
    }
    buffer_append(&request->answer, bytes, (size_t)got);
    if (request->answer.failed || request->answer.length > CONTROL_ANSWER_MAX) {
        try_again(request, "its answer is too long");
        return;
    }
    int result = answer_body(buffer_text(&request->answer), &body);
    if (result == 1)
        answered(request, body);
    else if (result == -EREMOTEIO && memchr(request->answer.data, '\n', request->answer.length))
        try_again(request, "it cannot answer yet");
    else if (result == -EBADMSG)
        try_again(request, "its answer makes no sense");
}

static void on_socket(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source;
    struct positions_request *request = context;
    size_t length = strlen(request->line);
    if (request->sent < length) {
        ssize_t sent = send(fd, request->line + request->sent, length - request->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            try_again(request, strerror(errno));
            return;
        }
        request->sent += sent > 0 ? (size_t)sent : 0;
        if (request->sent == length)
            loop_change_fd(request->source, EPOLLIN);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(request);
}

static void ask(struct positions_request *request) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, request->path, strlen(request->path));
    request->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (request->fd < 0 || connect(request->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        bool absent = errno == ENOENT || errno == ECONNREFUSED;
        try_again(request, absent ? "it does not run yet" : strerror(errno));
        return;
    }
    int result = loop_add_fd(request->loop, request->fd, EPOLLOUT, on_socket, request, &request->source);
    if (result != 0) {
        try_again(request, strerror(-result));
        return;
    }
    loop_set_timer(request->timer, POSITIONS_ANSWER_S * CLOCK_SECOND);
}

static void on_timer(struct loop_timer *timer, void *context) {
    (void)timer;
    struct positions_request *request = context;
    if (request->fd >= 0)
        try_again(request, "it does not answer");
    else
        ask(request);
}

int positions_ask(struct loop *loop, const char *socket_path, const char *input, positions_function *function,
                  void *context, struct positions_request **ret, struct error *error) {
    if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(error, -ENAMETOOLONG, "%s: too long for the name of a socket", socket_path);
    struct positions_request *request = calloc(1, sizeof(*request));
    if (!request)
        return error_set(error, -ENOMEM, "out of memory");
    *request = (struct positions_request) {
        .loop = loop, .function = function, .context = context, .fd = -1, .begun_ns = clock_monotonic_ns()
    };
    request->path = strdup(socket_path);
    request->input = strdup(input);
    int result = asprintf(&request->line, "positions %s\n", input) < 0 ? -ENOMEM : 0;
    if (result != 0)
        request->line = NULL;
    if (result == 0 && request->path && request->input)
        result = loop_add_timer(loop, on_timer, request, &request->timer);
    else
        result = -ENOMEM;
    if (result != 0) {
        positions_request_destroy(request);
        return error_set(error, result, "cannot ask for positions: %s", strerror(-result));
    }
    loop_set_timer(request->timer, 0);
    *ret = request;
    return 0;
}

void positions_request_destroy(struct positions_request *request) {
    if (!request)
        return;
    drop(request);
    loop_remove_timer(request->timer);
    buffer_finish(&request->answer);
    free(request->path);
    free(request->line);
    free(request->input);
    free(request);
}
