/* output.c - see output.h. */
#include "exporter/tfctl/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITE_AT = 64 * 1024, ROWS_DEFAULT = 24, COLUMNS_DEFAULT = 80 };

void output_init(struct output *output, bool page) {
    struct winsize size;
    *output = (struct output) { .fd = STDOUT_FILENO, .rows = ROWS_DEFAULT, .columns = COLUMNS_DEFAULT };
    signal(SIGPIPE, SIG_IGN);
    output->terminal = isatty(STDOUT_FILENO);
    if (output->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        output->rows = size.ws_row;
        output->columns = size.ws_col;
    }
    output->may_page = page && output->terminal;
}

bool output_coloured(const struct output *output) {
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return output->terminal && !(none && none[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
}

static bool write_all(struct output *output) {
    size_t at = 0;
    while (at < output->buffer.length) {
        ssize_t written = write(output->fd, output->buffer.data + at, output->buffer.length - at);
        if (written >= 0) {
            at += (size_t)written;
        } else if (errno == EAGAIN) { /* somebody made our output non-blocking */
            struct pollfd wait = { .fd = output->fd, .events = POLLOUT };
            poll(&wait, 1, -1);
        } else if (errno == EPIPE) {
            output->ended = true;
            break;
        } else if (errno != EINTR) {
            output->failure = -errno;
            break;
        }
    }
    buffer_clear(&output->buffer);
    return !output->ended && output->failure == 0;
}

/* --- the pager --- */

/* Lines of the screen that the buffer takes, wraps included (escape sequences count as characters: a little early is fine). */
static bool too_long(struct output *output) {
    while (output->looked < output->buffer.length) {
        const char *start = output->buffer.data + output->looked;
        const char *end = memchr(start, '\n', output->buffer.length - output->looked);
        if (!end)
            break;
        output->lines += 1 + (unsigned)((size_t)(end - start) / output->columns);
        output->looked += (size_t)(end - start) + 1;
    }
    return output->lines >= output->rows;
}

static bool is_installed(const char *program) {
    const char *path = getenv("PATH");
    struct text rest = text_of(path ? path : "/usr/bin:/bin");
    while (rest.length > 0) {
        char file[4096];
        const char *colon = memchr(rest.data, ':', rest.length);
        size_t length = colon ? (size_t)(colon - rest.data) : rest.length;
        int written = snprintf(file, sizeof(file), "%.*s/%s", (int)length, rest.data, program);
        if (written > 0 && written < (int)sizeof(file) && access(file, X_OK) == 0)
            return true;
        rest.data += length + (colon ? 1 : 0);
        rest.length -= length + (colon ? 1 : 0);
    }
    return false;
}

/* A pager on our standard output; we write into its input. Without one we go on as we are. */
static void start_pager(struct output *output) {
    const char *command = getenv("PAGER");
    int ends[2];
    output->may_page = false;
    if (!command)
        command = is_installed("less") ? "less -R" : ""; /* nobody asked for one: without is fine */
    if (!command[0] || strcmp(command, "cat") == 0 || pipe(ends) < 0)
        return;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        signal(SIGPIPE, SIG_DFL);
        setenv("LESS", "R", 0); /* colours, whatever less is called by */
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return;
    }
    signal(SIGINT, SIG_IGN); /* the pager's, as long as it runs */
    output->pager = pid;
    output->fd = ends[1];
}

/* sh says 127 (no such command) and 126 (not executable) when there is no pager: what it should have shown is ours to show. */
static bool pager_was_missing(int status) {
    return WIFEXITED(status) && (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126);
}

static void wait_for_pager(struct output *output) {
    int status = 0;
    close(output->fd);
    output->fd = STDOUT_FILENO;
    while (waitpid(output->pager, &status, 0) < 0 && errno == EINTR)
        continue;
    output->pager = 0;
    if (pager_was_missing(status))
        output->failure = -ENOENT;
}

/* --- writing --- */

bool output_push(struct output *output) {
    if (output->ended || output->failure)
        return false;
    if (output->buffer.failed) {
        output->failure = -ENOMEM;
        return false;
    }
    if (output->may_page) {
        if (!too_long(output))
            return true;
        start_pager(output);
        return write_all(output);
    }
    return output->buffer.length < WRITE_AT || write_all(output);
}

bool output_flush(struct output *output) {
    output->may_page = false;
    return output_push(output) && write_all(output);
}

bool output_reader_gone(struct output *output) {
    struct pollfd look = { .fd = output->fd };
    if (poll(&look, 1, 0) > 0 && (look.revents & (POLLERR | POLLNVAL)))
        output->ended = true;
    return output->ended;
}

int output_finish(struct output *output, struct error *error) {
    bool paged = output->pager > 0;
    if (!output->ended && output->failure == 0)
        output_flush(output);
    if (paged)
        wait_for_pager(output);
    buffer_finish(&output->buffer);
    if (paged && output->failure == -ENOENT)
        return error_set(error, -ENOENT, "the pager \"%s\" cannot be run: change PAGER, or use --no-pager",
                         getenv("PAGER") ? getenv("PAGER") : "less -R");
    if (output->failure)
        return error_set(error, output->failure, "cannot write to standard output: %s", strerror(-output->failure));
    return 0;
}
