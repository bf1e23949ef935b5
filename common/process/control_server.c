/* The serving half of control.h. */
#include "common/process/control.h"

#include "common/base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_CHUNK = 4096, LISTEN_BACKLOG = 32, SENTENCE_SIZE = 1024, PEER_GROUPS_MAX = 4096 };
#define ACCEPT_AGAIN_NS (100 * CLOCK_MILLISECOND)

enum state {
    STATE_NEW,
    STATE_READING,   /* a request is awaited */
    STATE_ANSWERING, /* a handler has it */
    STATE_WRITING,   /* the peer is to take the answer */
};

struct connection {
    struct control *control;
    int fd;
    struct loop_fd *source;
    struct loop_timer *timer;
    struct ucred peer;
    enum state state;
    struct buffer in;
    struct buffer out;
    size_t written; /* of out */
    struct control_call *call;
    bool serving;  /* inside a handler's call: answers are sent afterwards */
    bool at_end;   /* the peer will send no more */
    bool last_one; /* close once out is written */
};

struct control_call {
    struct connection *connection; /* NULL: the peer has gone */
    struct ucred peer;
    struct buffer body;
};

struct control {
    struct loop *loop;
    const char *path;
    int fd;
    struct loop_fd *source;
    struct loop_timer *resume; /* accepting again after the process ran out of descriptors */
    const struct control_verb *verbs;
    size_t verb_count;
    void *context;
    dev_t device; /* of the socket that we made: only that one is removed */
    ino_t inode;
    struct connection *connections[CONTROL_CONNECTIONS_MAX];
    size_t connection_count;
};

static void serve(struct connection *connection);

/* --- a connection's end --- */

static void close_connection(struct connection *connection) {
    struct control *control = connection->control;

    check(!connection->serving);
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        if (control->connections[i] == connection)
            control->connections[i] = NULL;
    if (control->connection_count-- == CONTROL_CONNECTIONS_MAX && control->source)
        loop_change_fd(control->source, EPOLLIN); /* there is room again */
    if (connection->call)
        connection->call->connection = NULL;
    loop_remove_fd(connection->source);
    loop_remove_timer(connection->timer);
    close(connection->fd);
    buffer_finish(&connection->in);
    buffer_finish(&connection->out);
    free(connection);
}

static void too_slow(struct loop_timer *timer, void *context) {
    (void)timer;
    close_connection(context);
}

/* --- answers --- */

struct ucred control_peer(const struct control_call *call) {
    return call->peer;
}

bool control_peer_is_in(const struct control_call *call, gid_t group) {
    gid_t groups[PEER_GROUPS_MAX];
    socklen_t size = sizeof(groups);

    if (!call->connection)
        return false;
    if (call->peer.gid == group)
        return true;
    if (getsockopt(call->connection->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false; /* more than any user has here, or an old kernel */
    for (size_t i = 0; i < size / sizeof(groups[0]); i++)
        if (groups[i] == group)
            return true;
    return false;
}

void control_add_text(struct control_call *call, struct text text) {
    while (text.length > 0 && call->connection && call->body.length <= CONTROL_ANSWER_MAX) {
        const char *end = memchr(text.data, '\n', text.length);
        size_t length = end ? (size_t)(end - text.data) : text.length;

        if (text.data[0] == '.')
            buffer_append_char(&call->body, '.');
        buffer_append(&call->body, text.data, length);
        buffer_append_char(&call->body, '\n');
        text.data += length + (end != NULL);
        text.length -= length + (end != NULL);
    }
}

void control_add(struct control_call *call, const char *format, ...) {
    va_list arguments;
    char *text = NULL;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        call->body.failed = true;
        return;
    }
    if (length == 0) /* an empty line is a line */
        buffer_append_char(&call->body, '\n');
    control_add_text(call, (struct text) { text, (size_t)length });
    free(text);
}

/* Hand the answer over and end the call. `sentence` NULL: it went well. */
static void finish(struct control_call *call, const char *sentence) {
    struct connection *connection = call->connection;

    if (connection) {
        struct buffer *out = &connection->out;

        if (!sentence && call->body.length > CONTROL_ANSWER_MAX)
            sentence = "the answer is too large";
        if (!sentence && call->body.failed)
            sentence = "out of memory";
        if (sentence)
            buffer_append_format(out, "error %s\n", sentence);
        else {
            buffer_append_string(out, "ok\n");
            buffer_append_text(out, buffer_text(&call->body));
        }
        buffer_append_string(out, ".\n");
        connection->call = NULL;
    }
    buffer_finish(&call->body);
    free(call);
    if (connection && !connection->serving)
        serve(connection);
}

void control_done(struct control_call *call) {
    finish(call, NULL);
}

void control_fail(struct control_call *call, const char *format, ...) {
    char sentence[SENTENCE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    for (char *c = sentence; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = '?'; /* one line */
    finish(call, sentence);
}

/* --- requests --- */

struct text control_word(struct text *arguments) {
    struct text word, rest = text_trim(*arguments);
    const char *space = rest.length ? memchr(rest.data, ' ', rest.length) : NULL;

    word = (struct text) { rest.data, space ? (size_t)(space - rest.data) : rest.length };
    *arguments = text_trim((struct text) { rest.data + word.length, rest.length - word.length });
    return word;
}

static void answer_help(struct control *control, struct control_call *call) {
    control_add(call, "help");
    for (size_t i = 0; i < control->verb_count; i++) {
        const struct control_verb *verb = &control->verbs[i];

        control_add(call, "%s%s%s", verb->name, verb->usage && *verb->usage ? " " : "", verb->usage ? verb->usage : "");
    }
    control_done(call);
}

static void dispatch(struct control *control, struct control_call *call, struct text line) {
    struct text verb = control_word(&line);

    if (text_is(verb, "help")) {
        answer_help(control, call);
        return;
    }
    for (size_t i = 0; i < control->verb_count; i++)
        if (text_is(verb, control->verbs[i].name)) {
            control->verbs[i].function(call, line, control->context);
            return;
        }
    control_fail(call, "unknown request \"%.*s\"; ask for help", (int)(verb.length < 40 ? verb.length : 40),
                 verb.length ? verb.data : "");
}

/* Begin to answer one line. -ENOMEM; -EINVAL when it is no text. */
static int begin_call(struct connection *connection, struct text line) {
    struct control_call *call;

    if (!text_utf8_valid(line) || memchr(line.data, '\0', line.length))
        return -EINVAL;
    call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->connection = connection;
    call->peer = connection->peer;
    connection->call = call;
    connection->state = STATE_NEW; /* each request has the whole time */
    connection->serving = true;
    dispatch(connection->control, call, line);
    connection->serving = false;
    return 0;
}

static void refuse(struct connection *connection, const char *sentence) {
    buffer_append_format(&connection->out, "error %s\n.\n", sentence);
    connection->last_one = true;
}

/* Take the next whole line off the input. False: there is none. */
static bool take_line(struct connection *connection) {
    struct buffer *in = &connection->in;
    const char *end = in->length ? memchr(in->data, '\n', in->length) : NULL;
    struct text line;
    int r;

    if (!end) {
        if (in->length <= CONTROL_LINE_MAX)
            return false;
        refuse(connection, "the request is too long");
        return true;
    }
    line = (struct text) { in->data, (size_t)(end - in->data) };
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    r = begin_call(connection, line);
    if (r < 0)
        refuse(connection, r == -EINVAL ? "the request is not valid UTF-8 text" : "out of memory");
    buffer_consume(in, (size_t)(end - in->data) + 1);
    return true;
}

/* --- bytes in and out --- */

static int write_some(struct connection *connection) {
    struct buffer *out = &connection->out;

    if (out->failed)
        return -ENOMEM;
    while (connection->written < out->length) {
        ssize_t n = send(connection->fd, out->data + connection->written, out->length - connection->written,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        connection->written += (size_t)n;
    }
    buffer_finish(out); /* an answer may have been large */
    connection->written = 0;
    return 0;
}

/* At most one request's length is held; the rest stays with the kernel. */
static int read_some(struct connection *connection) {
    struct buffer *in = &connection->in;
    ssize_t n;

    if (!buffer_reserve(in, READ_CHUNK))
        return -ENOMEM;
    n = recv(connection->fd, in->data + in->length, READ_CHUNK, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
    in->length += (size_t)n;
    connection->at_end = n == 0;
    return 0;
}

/* Wait for what the state asks for; each state's time begins when it is entered, not with each byte. */
static void watch(struct connection *connection) {
    static const uint32_t events[] = { [STATE_READING] = EPOLLIN, [STATE_ANSWERING] = 0, [STATE_WRITING] = EPOLLOUT };
    enum state state = connection->out.length > 0 ? STATE_WRITING : connection->call ? STATE_ANSWERING : STATE_READING;

    if (state == connection->state)
        return;
    connection->state = state;
    loop_change_fd(connection->source, events[state]);
    if (state == STATE_ANSWERING)
        loop_rest_timer(connection->timer);
    else
        loop_set_timer(connection->timer, CONTROL_TIMEOUT_NS);
}

/* Do all that can be done now: write, then answer the next line, and so on. The connection may be gone afterwards. */
static void serve(struct connection *connection) {
    for (;;) {
        bool ended;

        if (write_some(connection) < 0) {
            close_connection(connection);
            return;
        }
        if (connection->out.length > 0 || (connection->call && !connection->last_one))
            break;
        ended = connection->last_one || (!take_line(connection) && connection->at_end);
        if (ended) {
            close_connection(connection);
            return;
        }
        if (connection->out.length == 0 && !connection->call)
            break;
    }
    watch(connection);
}

static void on_connection(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct connection *connection = context;

    (void)source, (void)fd;
    if ((events & EPOLLIN) && connection->state == STATE_READING) {
        if (read_some(connection) < 0) {
            close_connection(connection);
            return;
        }
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        close_connection(connection);
        return;
    }
    serve(connection);
}

/* --- accepting --- */

static int add_connection(struct control *control, int fd) {
    struct connection *connection = calloc(1, sizeof(*connection));
    socklen_t length = sizeof(connection->peer);
    int r = -ENOMEM;

    if (!connection)
        return -ENOMEM;
    connection->control = control;
    connection->fd = fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &connection->peer, &length) == 0)
        r = loop_add_timer(control->loop, too_slow, connection, &connection->timer);
    if (r == 0)
        r = loop_add_fd(control->loop, fd, 0, on_connection, connection, &connection->source);
    if (r < 0) {
        loop_remove_timer(connection->timer);
        free(connection);
        return r;
    }
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        if (!control->connections[i]) {
            control->connections[i] = connection;
            break;
        }
    if (++control->connection_count == CONTROL_CONNECTIONS_MAX)
        loop_change_fd(control->source, 0); /* the others wait in the backlog */
    watch(connection);
    return 0;
}

static void on_accept(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct control *control = context;

    (void)source, (void)events;
    while (control->connection_count < CONTROL_CONNECTIONS_MAX) {
        int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (peer < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            loop_change_fd(control->source, 0);
            loop_set_timer(control->resume, ACCEPT_AGAIN_NS);
        }
        if (peer < 0)
            return;
        if (add_connection(control, peer) < 0)
            close(peer);
    }
}

static void on_resume(struct loop_timer *timer, void *context) {
    struct control *control = context;

    (void)timer;
    if (control->connection_count < CONTROL_CONNECTIONS_MAX)
        loop_change_fd(control->source, EPOLLIN);
}

/* --- listening --- */

/* Clear the way for a new socket: a dead one is removed, a living one and anything else are not. */
static int clear_place(const struct sockaddr_un *address, struct error *error) {
    const char *path = address->sun_path;
    struct stat status;
    int fd, r;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, -EEXIST, "%s is in the way and is no socket; remove it", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    close(fd);
    if (r == 0 || r == -EAGAIN)
        return error_set(error, -EADDRINUSE, "another process already listens at %s; stop that one first", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set(error, -errno, "cannot remove the left-over socket %s: %s", path, strerror(errno));
    return 0;
}

/* A listening descriptor, or an error. The mode is set before the name appears, and again past the umask. */
static int open_listener(struct control *control, mode_t mode, struct error *error) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat status;
    int fd, r;

    if (strlen(control->path) >= sizeof(address.sun_path))
        return error_set(error, -ENAMETOOLONG, "%s is too long for a socket's path", control->path);
    strcpy(address.sun_path, control->path);
    r = clear_place(&address, error);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(control->path, mode) < 0 || stat(control->path, &status) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        r = error_set(error, -errno, "cannot listen at %s: %s", control->path, strerror(errno));
        close(fd);
        return r;
    }
    control->device = status.st_dev;
    control->inode = status.st_ino;
    return fd;
}

int control_listen(struct loop *loop, const char *path, mode_t mode, const struct control_verb *verbs,
                   size_t verb_count, void *context, struct control **ret, struct error *error) {
    struct control *control = calloc(1, sizeof(*control));
    int r;

    if (!control)
        return error_set(error, -ENOMEM, "out of memory");
    *control = (struct control) {
        .loop = loop, .path = path, .fd = -1, .verbs = verbs, .verb_count = verb_count, .context = context
    };
    r = open_listener(control, mode, error);
    if (r < 0)
        goto fail;
    control->fd = r;
    r = loop_add_timer(loop, on_resume, control, &control->resume);
    if (r == 0)
        r = loop_add_fd(loop, control->fd, EPOLLIN, on_accept, control, &control->source);
    if (r < 0) {
        error_set(error, r, "cannot watch %s: %s", path, strerror(-r));
        goto fail;
    }
    *ret = control;
    return 0;
fail:
    control_destroy(control);
    return r;
}

void control_destroy(struct control *control) {
    struct stat status;

    if (!control)
        return;
    loop_remove_fd(control->source);
    control->source = NULL;
    loop_remove_timer(control->resume);
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        if (control->connections[i])
            close_connection(control->connections[i]);
    if (control->fd >= 0) {
        close(control->fd);
        if (lstat(control->path, &status) == 0 && status.st_dev == control->device && status.st_ino == control->inode)
            unlink(control->path);
    }
    free(control);
}
