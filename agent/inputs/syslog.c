/* syslog.c - syslog datagrams on a unix socket. A sender never waits for us: what finds no room in the ring is lost, and
 * counted. Our own programs' messages are refused by who sent them, as the kernel says. */
#include "agent/inputs/deliver.h"
#include "agent/inputs/inputs.h"
#include "agent/inputs/parse_syslog.h"
#include "common/base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    DATAGRAM_MAX = 64 * 1024,
    DATAGRAMS_PER_ROUND = 256,
    RECEIVE_BUFFER = 4 * 1024 * 1024,
    SOCKET_MODE = 0666,
};

struct syslog_input {
    struct input input;
    int fd;
    struct loop_fd *source;
    dev_t device; /* of the socket we made, so that another's is never removed */
    ino_t inode;
    char *buffer;
    struct parse_scratch scratch;
};

static struct syslog_input *syslog_of(struct input *input) {
    return (struct syslog_input *)input;
}

/* Whether the sender is a program of ours: we ourselves, or what says it is and is (its tag and its name in /proc). A sender that has
 * ended meanwhile is none: our programs that could feed on what they say go on running. */
static bool is_own(pid_t sender, const struct parsed *parsed) {
    char path[64], name[32] = "";
    if (sender == getpid())
        return true;
    if (sender <= 0 || !text_starts_with(parsed->entry.service, TEXT_LITERAL("taskforge-")))
        return false;
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)sender);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, name, sizeof(name) - 1) : -1;
    if (fd >= 0)
        close(fd);
    return got > 0 && text_starts_with((struct text) { name, (size_t)got }, TEXT_LITERAL("taskforge-"));
}

static void take(struct syslog_input *self, struct text datagram, bool cut, pid_t sender) {
    struct input_counters *counters = &self->input.counters;
    struct parsed parsed;
    uint64_t now_ns = clock_real_ns();
    counters->lines++;
    counters->bytes += datagram.length;
    counters->cut += cut;
    if (parse_syslog(datagram, now_ns, &self->scratch, &parsed) != 0) {
        counters->invalid[INPUT_INVALID_EMPTY]++;
        return;
    }
    if (is_own(sender, &parsed)) {
        counters->own++;
        return;
    }
    struct deliver_names names = { TEXT_EMPTY, TEXT_LITERAL("syslog"), TEXT_LITERAL("syslog"), TEXT_LITERAL("syslog") };
    deliver_fill(&parsed, &names, now_ns);
    parsed.repaired |= cut ? ENTRY_REPAIR_CUT : 0;
    if (deliver(&self->input, &parsed, &self->scratch, NULL) == -EAGAIN) {
        counters->held--; /* as deliver counted it */
        counters->lost++;
        self->input.context->outlet->count_loss(self->input.context->outlet->context, parsed.entry.level, 1);
    }
}

static pid_t sender_of(struct msghdr *message) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(part), sizeof(who));
            return who.pid;
        }
    return 0;
}

/* One datagram; false when there is none. */
static bool receive(struct syslog_input *self) {
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = { self->buffer, DATAGRAM_MAX };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    ssize_t got = recvmsg(self->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        int code = errno;
        if (code != EAGAIN && code != EINTR)
            input_count_error(&self->input, -code);
        return code == EINTR;
    }
    take(self, (struct text) { self->buffer, (size_t)got }, (message.msg_flags & MSG_TRUNC) != 0, sender_of(&message));
    return true;
}

static void on_readable(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source;
    (void)fd;
    (void)events;
    for (int count = 0; count < DATAGRAMS_PER_ROUND && receive(context); count++)
        ;
}

/* A socket that is left over and that nobody listens on is removed; anything else at that path is not ours to touch. */
static int remove_stale(const char *path, const struct sockaddr_un *address, struct error *error) {
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? 0 : error_set(error, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, -EEXIST, "%s is there and is no socket: give the syslog input another path", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    bool alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED;
    close(fd);
    if (alive)
        return error_set(error, -EADDRINUSE, "%s: another process listens there", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(error, -errno, "%s: cannot remove what an earlier run left: %s", path, strerror(errno));
    return 0;
}

static int listen_at(struct syslog_input *self, const char *path, struct error *error) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat status;
    int yes = 1, size = RECEIVE_BUFFER;
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(error, -ENAMETOOLONG, "%s: too long for the name of a socket (%zu bytes at most)", path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    int result = remove_stale(path, &address, error);
    if (result != 0)
        return result;
    self->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* as much as is allowed */
    if (setsockopt(self->fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0 ||
        bind(self->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return error_set(error, -errno, "%s: cannot listen there: %s", path, strerror(errno));
    if (lstat(path, &status) != 0 || chmod(path, SOCKET_MODE) != 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    self->device = status.st_dev;
    self->inode = status.st_ino;
    return 0;
}

static void destroy(struct input *input) {
    struct syslog_input *self = syslog_of(input);
    struct stat status;
    loop_remove_fd(self->source);
    if (self->fd >= 0)
        close(self->fd);
    if (self->inode != 0 && lstat(input->config->listen, &status) == 0 && status.st_dev == self->device &&
        status.st_ino == self->inode)
        unlink(input->config->listen);
    parse_scratch_finish(&self->scratch);
    free(self->buffer);
    free(self);
}

static int create(const struct config_input *config, const struct input_context *context, struct input **ret,
                  struct error *error) {
    struct syslog_input *self = calloc(1, sizeof(*self));
    char *buffer = malloc(DATAGRAM_MAX);
    if (!self || !buffer) {
        free(self);
        free(buffer);
        return error_set(error, -ENOMEM, "input %s: out of memory", config->name);
    }
    self->fd = -1;
    self->buffer = buffer;
    input_init(&self->input, &input_syslog, config, context);
    *ret = &self->input;
    return 0;
}

static int start(struct input *input, const struct positions *known, struct error *error) {
    (void)known;
    struct syslog_input *self = syslog_of(input);
    int result = listen_at(self, input->config->listen, error);
    if (result == 0) {
        result = loop_add_fd(input->context->loop, self->fd, EPOLLIN, on_readable, self, &self->source);
        if (result != 0)
            error_set(error, result, "%s: %s", input->config->listen, strerror(-result));
    }
    return result == 0 ? 0 : error_prefix(error, result, "input %s", input->config->name);
}

/* What stands in the socket was sent before we were asked to stop. */
static bool finish(struct input *input) {
    struct syslog_input *self = syslog_of(input);
    for (int count = 0; self->fd >= 0 && count < DATAGRAMS_PER_ROUND; count++)
        if (!receive(self))
            return true;
    return self->fd < 0;
}

const struct input_type input_syslog = {
    .type = CONFIG_INPUT_SYSLOG,
    .name = "syslog",
    .create = create,
    .start = start,
    .finish = finish,
    .destroy = destroy,
};
