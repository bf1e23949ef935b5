/* verify_child.c - see verify.h: the process that checks one partition, from both sides. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/store/verify_private.h"

enum {
    OUT_FD = 3,
    CPU_SECONDS = 30,              /* and as many more as the size needs at */
    CPU_BYTES_A_SECOND = 10 << 20, /* which is a tenth of what a slow machine does */
    NICEST = 19,
    IO_CLASS_IDLE = 3 << 13, /* ioprio_set(2), which libc does not have */
    IO_WHO_PROCESS = 1,
    LINE_MAX_BYTES = 4096, /* of what a child may say */
};

struct verify_child {
    pid_t pid;
    int fd;
    struct buffer said; /* a line that is not whole yet */
    bool done;          /* it said so itself */
    bool unchecked;     /* likewise, that it could not look */
    struct verify_result result;
    char path[PARTITION_PATH_MAX];
};

/* --- the child --- */

/* However the file is damaged, it ends: a limit of processor time, and no core file of it. */
static void set_limits(const char *path) {
    struct stat status;
    struct rlimit cpu = { .rlim_cur = CPU_SECONDS }, core = { 0, 0 };
    if (stat(path, &status) == 0)
        cpu.rlim_cur = CPU_SECONDS + (rlim_t)status.st_size / CPU_BYTES_A_SECOND;
    cpu.rlim_max = cpu.rlim_cur + 1; /* at it comes SIGKILL, which is not told from somebody else's */
    (void)setrlimit(RLIMIT_CPU, &cpu);
    (void)setrlimit(RLIMIT_CORE, &core);
}

/* Nothing of the parent's is held: neither its files and locks nor what it does with signals. */
static void settle(int out, pid_t parent) {
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGXCPU };
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(out, OUT_FD) < 0)
        _exit(1);
    close_range(OUT_FD + 1, ~0U, 0);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        signal(signals[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Its hashes are as they were noted: then so is its verdict. */
static bool hashes_are_enough(struct verify_run *run, const char *path, struct error *error) {
    struct partition_note note;
    if (partition_sum_compare(path, &note, error) != 1 || note.verdict == PARTITION_UNREADABLE)
        return false;
    if (note.verdict != PARTITION_SOUND)
        verify_fault(run, note.why);
    run->result.verdict = note.verdict;
    run->result.hashed = true;
    return true;
}

static void check_partition(struct verify_run *run, const char *path, unsigned flags) {
    struct error error = { "" };
    struct partition_note note;
    if ((flags & VERIFY_QUICK) && hashes_are_enough(run, path, &error))
        return;
    verify_walk(run, path);
    if (!(flags & VERIFY_QUICK) && partition_sum_compare(path, &note, &error) == 0)
        verify_fault(run, error.text);
}

static void write_note(const struct verify_run *run, const char *path, const struct stat *checked) {
    const struct verify_result *result = &run->result;
    struct error error = { "" };
    int written = result->verdict == PARTITION_UNREADABLE
                      ? partition_sum_write_note(path, checked, result->verdict, result->faults, result->why, &error)
                      : partition_sum_write(path, checked, result->verdict, result->faults, result->why, &error);
    if (written < 0)
        fprintf(run->out, "note %s\n", error.text);
}

static void child_main(int out, pid_t parent, const char *path, unsigned flags) {
    settle(out, parent);
    set_limits(path);
    if (flags & VERIFY_GENTLE) {
        (void)!nice(NICEST);
        (void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_CLASS_IDLE);
    }
    struct verify_run run = { .out = fdopen(OUT_FD, "w") };
    if (!run.out)
        _exit(1);
    struct stat checked;
    bool there = stat(path, &checked) == 0; /* another file may take its place meanwhile */
    check_partition(&run, path, flags);
    if (run.unchecked) {
        fflush(run.out);
        _exit(0);
    }
    if ((flags & VERIFY_NOTE) && there)
        write_note(&run, path, &checked);
    const struct verify_result *result = &run.result;
    fprintf(run.out, "done %d %d %llu %llu %llu %llu %llu %llu %llu\n", (int)result->verdict, result->hashed,
            (unsigned long long)result->blocks, (unsigned long long)result->entries, (unsigned long long)result->spans,
            (unsigned long long)result->series, (unsigned long long)result->samples, (unsigned long long)result->first,
            (unsigned long long)result->next);
    fflush(run.out);
    _exit(0);
}

/* --- the parent --- */

int verify_child_start(const char *path, unsigned flags, struct verify_child **ret, struct error *error) {
    int ends[2];
    struct verify_child *child = calloc(1, sizeof(*child));
    if (!child)
        return error_set(error, -ENOMEM, "out of memory");
    if (pipe2(ends, O_CLOEXEC) < 0) {
        int code = errno;
        free(child);
        return error_set(error, -code, "%s: no pipe for a process to check it: %s", path, strerror(code));
    }
    fflush(NULL);
    pid_t parent = getpid();
    child->pid = fork();
    if (child->pid == 0)
        child_main(ends[1], parent, path, flags);
    int code = errno;
    close(ends[1]);
    if (child->pid < 0) {
        close(ends[0]);
        free(child);
        return error_set(error, -code, "%s: cannot start a process to check it: %s", path, strerror(code));
    }
    child->fd = ends[0];
    (void)fcntl(child->fd, F_SETFL, O_NONBLOCK);
    snprintf(child->path, sizeof(child->path), "%s", path);
    *ret = child;
    return 0;
}

int verify_child_fd(const struct verify_child *child) {
    return child->fd;
}

static void take_fault(struct verify_child *child, const char *line, verify_fault_function *tell, void *argument) {
    if (child->result.faults++ == 0)
        snprintf(child->result.why, sizeof(child->result.why), "%.*s", PARTITION_SUM_WHY - 1, line);
    if (tell)
        tell(argument, line);
}

static void take_unchecked(struct verify_child *child, const char *why) {
    if (!child->unchecked)
        snprintf(child->result.why, sizeof(child->result.why), "it could not be checked: %.150s", why);
    child->unchecked = true;
}

static void take_line(struct verify_child *child, const char *line, verify_fault_function *tell, void *argument) {
    unsigned long long blocks, entries, spans, series, samples, first, next;
    int verdict, hashed;
    struct verify_result *result = &child->result;
    if (strncmp(line, "fault ", 6) == 0) {
        take_fault(child, line + 6, tell, argument);
    } else if (strncmp(line, "unchecked ", 10) == 0) {
        take_unchecked(child, line + 10);
    } else if (sscanf(line, "done %d %d %llu %llu %llu %llu %llu %llu %llu", &verdict, &hashed, &blocks, &entries,
                      &spans, &series, &samples, &first, &next) == 9 &&
               verdict > PARTITION_UNCHECKED && verdict < PARTITION_VERDICTS) {
        result->verdict = (enum partition_verdict)verdict;
        result->hashed = hashed;
        result->blocks = blocks;
        result->entries = entries;
        result->spans = spans;
        result->series = series;
        result->samples = samples;
        result->first = first;
        result->next = next;
        child->done = true;
    }
}

static void take_lines(struct verify_child *child, verify_fault_function *tell, void *argument) {
    struct buffer *said = &child->said;
    size_t from = 0;
    for (char *end; from < said->length && (end = memchr(said->data + from, '\n', said->length - from));) {
        *end = '\0';
        take_line(child, said->data + from, tell, argument);
        from = (size_t)(end - said->data) + 1;
    }
    if (from > 0)
        memmove(said->data, said->data + from, said->length - from);
    said->length -= from;
    if (said->length > LINE_MAX_BYTES)
        said->length = 0;
}

/* How it ended. */
static int reap(struct verify_child *child) {
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    return status;
}

/* It did not say what it found. A signal that it brought upon itself (a fault that the guard does not catch, the limit of its processor time) is
 * the file's doing; not so where it could not begin, or was killed, as for want of memory. */
static void take_end(struct verify_child *child, int status, verify_fault_function *tell, void *argument) {
    struct verify_result *result = &child->result;
    if (!child->unchecked && WIFEXITED(status))
        take_unchecked(child, "the process for it could not begin");
    else if (!child->unchecked && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM))
        take_unchecked(child, "the process for it was killed");
    if (child->unchecked) {
        result->verdict = PARTITION_UNCHECKED;
    } else {
        take_fault(child, "damaged so that it could not be read to its end", tell, argument);
        result->verdict = PARTITION_UNREADABLE;
    }
    result->next = 0;
}

int verify_child_read(struct verify_child *child, verify_fault_function *tell, void *argument,
                      struct verify_result *ret) {
    char room[4096];
    ssize_t got;
    while ((got = read(child->fd, room, sizeof(room))) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0)
            buffer_append(&child->said, room, (size_t)got);
        take_lines(child, tell, argument);
    }
    if (got < 0 && errno == EAGAIN)
        return 1;
    int status = reap(child);
    if (!child->done)
        take_end(child, status, tell, argument);
    *ret = child->result;
    return 0;
}

void verify_child_stop(struct verify_child *child) {
    if (!child)
        return;
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        reap(child);
    }
    close(child->fd);
    buffer_finish(&child->said);
    free(child);
}

int verify_partition(const char *path, unsigned flags, verify_fault_function *tell, void *argument,
                     struct verify_result *ret, struct error *error) {
    struct verify_child *child;
    int result = verify_child_start(path, flags, &child, error);
    if (result < 0)
        return result;
    while (verify_child_read(child, tell, argument, ret) == 1) {
        struct pollfd wait = { .fd = child->fd, .events = POLLIN };
        (void)poll(&wait, 1, -1);
    }
    verify_child_stop(child);
    return 0;
}
