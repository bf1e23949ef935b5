/* tfrun - run a command and log its output. CONTRACT section 5. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/tools/lines.h"
#include "agent/tools/writer.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/model/pack.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };
enum { READ_SIZE = 65536, STREAMS = 2 };
#define HOLD_NS (5 * CLOCK_SECOND)

static const char help[] =
    "usage: tfrun [OPTION...] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Run COMMAND and log what it prints: each line of stdout as an entry of level info, each line of\n"
    "stderr of level warn (many programs tell their progress there), with {\"stream\":\"stdout\"} or\n"
    "\"stderr\" in the metadata. Death by a signal is logged as an error. stdin is COMMAND's own.\n"
    "\n"
    "  -s, --service SERVICE       default: the command's name\n"
    "  -m, --module MODULE         default: tfrun\n"
    "  -o, --operation OPERATION   default: output\n"
    "      --help, --version\n"
    "\n"
    "A full ring holds COMMAND back, each line for 5 seconds at most; then lines are dropped and counted\n"
    "until there is room again. Signals sent to tfrun are passed on. What a process that COMMAND left behind\n"
    "prints after COMMAND has ended is not logged.\n"
    "\n"
    "exit status: COMMAND's; 128 + N when signal N killed it; 127 not found; 126 cannot be run; 2 wrong usage\n"
    "environment: TASKFORGE_RUNTIME_DIR\n";

enum option_code { OPTION_HELP = 256, OPTION_VERSION };

static const struct option long_options[] = {
    { "service", required_argument, NULL, 's' },      { "module", required_argument, NULL, 'm' },
    { "operation", required_argument, NULL, 'o' },    { "help", no_argument, NULL, OPTION_HELP },
    { "version", no_argument, NULL, OPTION_VERSION }, { NULL, 0, NULL, 0 },
};

/* Passed on to the command. Not those that stop and continue, nor what a terminal sends to both anyway. */
static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM };

struct run;

struct stream {
    struct run *run;
    int fd; /* the pipe's reading end, -1 after its end */
    enum level level;
    struct lines lines;
    char metadata[32];
    size_t metadata_length;
};

struct run {
    struct entry entry; /* what all entries share */
    char service[ENTRY_NAME_BYTES + 1];
    char **command;
    struct writer writer;
    struct buffer scratch;
    struct stream streams[STREAMS]; /* stdout, stderr */
    int signals;
    pid_t child; /* 0 before the fork and after its end */
    pid_t ended; /* the same after its end */
    int status;  /* of waitpid */
};

/* --- arguments --- */

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct run *run) {
    int code;
    run->entry = (struct entry) { .module = TEXT_LITERAL("tfrun"), .operation = TEXT_LITERAL("output") };
    opterr = 0;
    while ((code = getopt_long(argc, argv, "+:s:m:o:h", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == 'h')
            return fputs(help, stdout) < 0;
        if (code == OPTION_VERSION)
            return puts("tfrun " TASKFORGE_VERSION) < 0;
        if (code == '?' || code == ':') {
            diag_error(code == ':' ? "option %s needs a value (tfrun --help)" : "unknown option %s (tfrun --help)",
                       argv[optind - 1]);
            return EXIT_USAGE;
        }
        *(code == 's'   ? &run->entry.service
          : code == 'm' ? &run->entry.module
                        : &run->entry.operation) = text_of(optarg);
    }
    run->command = argv + optind;
    if (optind == argc) {
        diag_error("expected a command: tfrun [-s SERVICE] -- COMMAND [ARGUMENT...]");
        return EXIT_USAGE;
    }
    struct error error = { "" };
    struct entry specimen = run->entry;
    specimen.message = TEXT_LITERAL("-");
    if (!specimen.service.data) /* the command's name is repaired, not refused */
        specimen.service = TEXT_LITERAL("-");
    if (entry_validate(&specimen, &error) < 0) {
        diag_error("%s", error.text);
        return EXIT_USAGE;
    }
    return -1;
}

/* --- entries --- */

static void write_line(void *argument, struct text line) {
    struct stream *stream = argument;
    struct entry entry = stream->run->entry;
    entry.level = stream->level;
    entry.message = line;
    entry.metadata = (struct text) { stream->metadata, stream->metadata_length };
    writer_put(&stream->run->writer, &entry, &stream->run->scratch);
}

/* The signal that killed the command, 0: none; the collector looks for signal, pid and core here. */
static void write_error(struct run *run, const char *operation, const char *message, int signal_number) {
    char metadata[64];
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    pack_map(&writer, signal_number ? 3 : 0);
    if (signal_number) {
        pack_text(&writer, TEXT_LITERAL("signal"));
        pack_int(&writer, signal_number);
        pack_text(&writer, TEXT_LITERAL("pid"));
        pack_int(&writer, run->ended);
        pack_text(&writer, TEXT_LITERAL("core"));
        pack_bool(&writer, WCOREDUMP(run->status));
    }
    struct entry entry = run->entry;
    entry.level = LEVEL_ERROR;
    entry.operation = text_of(operation);
    entry.message = text_of(message);
    entry.metadata = (struct text) { metadata, writer.length };
    writer_put(&run->writer, &entry, &run->scratch);
}

/* --- the command --- */

static void signal_set(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < COUNT_OF(forwarded); i++)
        sigaddset(set, forwarded[i]);
}

/* In the child: never returns. What stands in the way goes through the pipe `tell`, which a successful exec closes. */
static _Noreturn void become(char **command, const int pipes[STREAMS], const sigset_t *mask, int tell) {
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (dup2(pipes[0], STDOUT_FILENO) >= 0 && dup2(pipes[1], STDERR_FILENO) >= 0)
        execvp(command[0], command);
    int error = errno;
    ssize_t ignored = write(tell, &error, sizeof(error));
    (void)ignored;
    _exit(EXIT_NOT_FOUND);
}

static void close_all(const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Start it: 0, or -errno of what stood in the way. */
static int start(struct run *run) {
    int out[2] = { -1, -1 }, err[2] = { -1, -1 }, tell[2] = { -1, -1 };
    sigset_t set, before;
    signal_set(&set);
    signal(SIGCHLD, SIG_DFL);              /* or, if it was ignored, the command's end would pass unseen */
    sigprocmask(SIG_BLOCK, &set, &before); /* before the fork: none is missed */
    run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int r = 0;
    if (run->signals < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || pipe2(tell, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0 && (run->child = fork()) < 0) {
        r = -errno;
        run->child = 0;
    }
    if (r < 0) {
        const int all[] = { out[0], out[1], err[0], err[1], tell[0], tell[1] };
        close_all(all, COUNT_OF(all));
        return r;
    }
    if (run->child == 0)
        become(run->command, (const int[]) { out[1], err[1] }, &before, tell[1]);
    const int theirs[] = { out[1], err[1], tell[1] };
    close_all(theirs, COUNT_OF(theirs));
    run->streams[0].fd = out[0];
    run->streams[1].fd = err[0];
    int error = 0;
    ssize_t told;
    while ((told = read(tell[0], &error, sizeof(error))) < 0 && errno == EINTR)
        continue;
    close(tell[0]);
    return told == sizeof(error) ? -error : 0;
}

static void reap(struct run *run) {
    int status;
    if (run->child > 0 && waitpid(run->child, &status, WNOHANG) == run->child) {
        run->status = status;
        run->ended = run->child;
        run->child = 0;
    }
}

/* Also while a line waits for room, so that a full ring delays no signal. */
static void handle_signals(void *argument) {
    struct run *run = argument;
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(run);
        else if (run->child > 0 && info.ssi_code != SI_KERNEL) /* the terminal's went to its whole group */
            kill(run->child, (int)info.ssi_signo);
    }
}

/* One read; false when there was nothing (now, or ever again). */
static bool read_stream(struct stream *stream) {
    static char bytes[READ_SIZE];
    if (stream->fd < 0)
        return false;
    ssize_t count = read(stream->fd, bytes, sizeof(bytes));
    if (count > 0 && lines_feed(&stream->lines, bytes, (size_t)count) < 0)
        stream->run->writer.lost++;
    if (count > 0 || (count < 0 && errno == EINTR))
        return true;
    if (count == 0 || errno != EAGAIN) {
        close(stream->fd);
        stream->fd = -1;
    }
    return false;
}

static void follow(struct run *run) {
    for (size_t i = 0; i < STREAMS; i++)
        if (run->streams[i].fd >= 0)
            fcntl(run->streams[i].fd, F_SETFL, O_NONBLOCK);
    while (run->child > 0) {
        struct pollfd polled[STREAMS + 1] = { { .fd = run->streams[0].fd, .events = POLLIN },
                                              { .fd = run->streams[1].fd, .events = POLLIN },
                                              { .fd = run->signals, .events = POLLIN } };
        if (poll(polled, COUNT_OF(polled), -1) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < STREAMS; i++)
            read_stream(&run->streams[i]);
        handle_signals(run);
    }
    for (size_t i = 0; i < STREAMS; i++) { /* what it wrote before its end is in the pipes */
        while (read_stream(&run->streams[i]))
            continue;
        lines_end(&run->streams[i].lines);
    }
}

/* --- the whole --- */

static int conclude(struct run *run) {
    if (WIFEXITED(run->status))
        return WEXITSTATUS(run->status);
    int number = WTERMSIG(run->status);
    char message[256];
    snprintf(message, sizeof(message), "%.150s was killed by signal %d (%s)%s", run->command[0], number,
             strsignal(number), WCOREDUMP(run->status) ? ", core dumped" : "");
    write_error(run, "exit", message, number);
    return EXIT_SIGNAL + number;
}

static int cannot_start(struct run *run, int r) {
    char message[256];
    snprintf(message, sizeof(message), "%.150s cannot be run: %s", run->command[0], strerror(-r));
    diag_error("%s", message);
    write_error(run, "start", message, 0);
    return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int open_writer(struct run *run) {
    struct buffer scratch = BUFFER_EMPTY;
    struct error error = { "" };
    char *name = strdup(run->command[0]);
    if (!run->entry.service.data && name)
        run->entry.service = text_of(basename(name));
    struct entry specimen = run->entry;
    specimen.message = TEXT_LITERAL("-");
    int r = name ? entry_repair(&specimen, 0, &scratch) : -ENOMEM;
    if (r >= 0) {
        snprintf(run->service, sizeof(run->service), "%.*s", TEXT_FORMAT(specimen.service));
        run->entry.service = text_of(run->service);
        r = writer_open(&run->writer, run->service, &error);
    }
    if (r < 0)
        diag_error("%s", error.text[0] ? error.text : strerror(-r));
    buffer_finish(&scratch);
    free(name);
    return r < 0 ? r : 0;
}

static void stream_init(struct run *run, size_t index, enum level level, const char *name) {
    struct stream *stream = &run->streams[index];
    *stream = (struct stream) { .run = run, .fd = -1, .level = level };
    struct pack_writer writer = { .data = stream->metadata, .capacity = sizeof(stream->metadata) };
    pack_map(&writer, 1);
    pack_text(&writer, TEXT_LITERAL("stream"));
    pack_text(&writer, text_of(name));
    stream->metadata_length = writer.length;
    lines_init(&stream->lines, write_line, stream);
}

/* A closed stdin, stdout or stderr must not become one of our pipes. */
static void occupy_standard_descriptors(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static int run_command(struct run *run) {
    run->writer = (struct writer) { .wait_ns = HOLD_NS, .idle = handle_signals, .argument = run };
    run->signals = -1;
    if (open_writer(run) < 0)
        return EXIT_FAULT;
    stream_init(run, 0, LEVEL_INFO, "stdout");
    stream_init(run, 1, LEVEL_WARN, "stderr");
    int r = start(run), status;
    if (r < 0) {
        if (run->child > 0)
            waitpid(run->child, NULL, 0);
        status = cannot_start(run, r);
    } else {
        follow(run);
        status = conclude(run);
    }
    writer_tell_losses(&run->writer, "lines");
    writer_close(&run->writer);
    for (size_t i = 0; i < STREAMS; i++)
        lines_finish(&run->streams[i].lines);
    buffer_finish(&run->scratch);
    return status;
}

int main(int argc, char **argv) {
    static struct run run;
    occupy_standard_descriptors();
    diag_open("tfrun");
    int status = parse_arguments(argc, argv, &run);
    return status < 0 ? run_command(&run) : status;
}
