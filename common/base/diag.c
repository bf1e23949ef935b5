/* diag.c - one line on stderr, in one write. */
#include "common/base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"

enum { DIAG_LINE_MAX = 4096 }; /* below PIPE_BUF: lines of several processes on one pipe do not mix */

static const char *program_name = "taskforge";
static bool to_journal;

/* JOURNAL_STREAM is inherited also by children whose stderr goes elsewhere: it names the file it is about. */
static bool stderr_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

void diag_open(const char *program) {
    program_name = program;
    to_journal = stderr_is_journal();
}

__attribute__((format(printf, 3, 0))) static void say(const char *priority, const char *label, const char *format,
                                                      va_list arguments) {
    char line[DIAG_LINE_MAX];
    int begin = snprintf(line, sizeof(line), "%s%s: %s", to_journal ? priority : "", program_name, label);
    if (begin < 0 || begin >= DIAG_LINE_MAX - 1)
        return;
    size_t room = sizeof(line) - (size_t)begin - 1; /* one byte stays for the newline */
    int length = vsnprintf(line + begin, room, format, arguments);
    if (length < 0)
        return;
    size_t size = (size_t)length >= room ? room - 1 : (size_t)length;
    text_blank_controls(line + begin, size);
    size += (size_t)begin;
    line[size++] = '\n';
    while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
        ;
}

void diag_error(const char *format, ...) {
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    say("<3>", "", format, arguments);
    va_end(arguments);
    errno = saved;
}

void diag_warn(const char *format, ...) {
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    say("<4>", "warning: ", format, arguments);
    va_end(arguments);
    errno = saved;
}

void diag_info(const char *format, ...) {
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    say("<6>", "", format, arguments);
    va_end(arguments);
    errno = saved;
}
