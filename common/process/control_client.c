/* The asking half of control.h. */
#include "common/process/control.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_SECONDS = 5, READ_CHUNK = 4096 };

int control_connect(const char *path, struct error *error) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = CONNECT_SECONDS };
    int fd, code;

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(error, -ENAMETOOLONG, "%s is too long for a socket's path", path);
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    code = -errno;
    close(fd);
    switch (-code) {
    case ENOENT:
    case ECONNREFUSED:
        return error_set(error, code, "nobody listens at %s; is the process running?", path);
    case EACCES:
        return error_set(error, code, "%s: permission denied; who may ask joins the group taskforge", path);
    case EAGAIN:
        return error_set(error, -ETIMEDOUT, "nobody answers at %s", path);
    default:
        return error_set(error, code, "cannot connect to %s: %s", path, strerror(-code));
    }
}

/* Until fd is ready, or the deadline. */
static int wait_for(int fd, short events, uint64_t deadline_ns) {
    for (;;) {
        struct pollfd ready = { .fd = fd, .events = events };
        uint64_t now = clock_monotonic_ns();
        uint64_t ms = now < deadline_ns ? (deadline_ns - now + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND : 0;
        int n = poll(&ready, 1, ms > INT_MAX ? INT_MAX : (int)ms);

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && ms <= INT_MAX)
            return -ETIMEDOUT;
    }
}

static int send_all(int fd, struct text text, uint64_t deadline_ns) {
    while (text.length > 0) {
        ssize_t n = send(fd, text.data, text.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        int r = 0;

        if (n >= 0) {
            text.data += n;
            text.length -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK)
            r = wait_for(fd, POLLOUT, deadline_ns);
        else if (errno != EINTR)
            r = -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

struct answer {
    struct buffer bytes; /* not yet cut into lines */
    bool begun;          /* the first line has come */
    bool failed;         /* and it was an error */
    bool ended;
};

/* One line of the answer. */
static int take_line(struct answer *answer, struct text line, struct buffer *body, struct error *error) {
    if (!answer->begun) {
        answer->begun = true;
        answer->failed = text_starts_with(line, TEXT_LITERAL("error "));
        if (answer->failed)
            return error_set(error, 0, "%.*s", (int)line.length - 6, line.data + 6);
        return text_is(line, "ok") ? 0 : -EPROTO;
    }
    if (text_is(line, ".")) {
        answer->ended = true;
        return 0;
    }
    if (text_starts_with(line, TEXT_LITERAL(".")))
        line = (struct text) { line.data + 1, line.length - 1 };
    buffer_append_text(body, line);
    buffer_append_char(body, '\n');
    return body->failed ? -ENOMEM : body->length > CONTROL_ANSWER_MAX ? -EFBIG : 0;
}

static int take_lines(struct answer *answer, struct buffer *body, struct error *error) {
    size_t taken = 0;
    int r = 0;

    while (r == 0 && !answer->ended && taken < answer->bytes.length) {
        const char *start = answer->bytes.data + taken;
        const char *end = memchr(start, '\n', answer->bytes.length - taken);

        if (!end)
            break;
        r = take_line(answer, (struct text) { start, (size_t)(end - start) }, body, error);
        taken += (size_t)(end - start) + 1;
    }
    buffer_consume(&answer->bytes, taken);
    if (r == 0 && (answer->bytes.length > CONTROL_ANSWER_MAX || (answer->ended && answer->bytes.length > 0)))
        return -EPROTO;
    return r;
}

static int receive(int fd, struct answer *answer, uint64_t deadline_ns) {
    ssize_t n;
    int r;

    if (!buffer_reserve(&answer->bytes, READ_CHUNK))
        return -ENOMEM;
    n = recv(fd, answer->bytes.data + answer->bytes.length, READ_CHUNK, MSG_DONTWAIT);
    if (n == 0)
        return -ECONNRESET;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        r = wait_for(fd, POLLIN, deadline_ns);
        return r;
    }
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    answer->bytes.length += (size_t)n;
    return 0;
}

static int explain(struct error *error, int code) {
    switch (-code) {
    case ETIMEDOUT:
        return error_set(error, code, "no answer in time");
    case ECONNRESET:
    case EPIPE:
        return error_set(error, code, "the other side closed the connection before it had answered");
    case EPROTO:
        return error_set(error, code, "the other side does not speak this protocol");
    case EFBIG:
        return error_set(error, code, "the answer is too large");
    default:
        return error_set(error, code, "asking failed: %s", strerror(-code));
    }
}

int control_request(int fd, struct text request, uint64_t deadline_monotonic_ns, struct buffer *body,
                    struct error *error) {
    struct answer answer = { 0 };
    int r;

    if (request.length == 0 || request.length > CONTROL_LINE_MAX || memchr(request.data, '\n', request.length))
        return error_set(error, -EINVAL, "a request is one line of at most %d bytes", CONTROL_LINE_MAX);
    r = send_all(fd, request, deadline_monotonic_ns);
    if (r == 0)
        r = send_all(fd, TEXT_LITERAL("\n"), deadline_monotonic_ns);
    while (r == 0 && !answer.ended) {
        r = receive(fd, &answer, deadline_monotonic_ns);
        if (r == 0)
            r = take_lines(&answer, body, error);
    }
    buffer_finish(&answer.bytes);
    if (r < 0)
        return explain(error, r);
    return answer.failed ? -EREMOTEIO : 0;
}
