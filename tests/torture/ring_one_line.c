/* ring_one_line ONE_LINE - processes that log one line and end, 500 of them (TASKFORGE_LONG=1: 10,000), four at a time: each line is read
 * once, nothing is lost, and in the end nobody has a slot or a lane. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/reader.h"
#include "tests/torture/ring_lib.h"

extern char **environ;

enum { AT_ONCE = 4 };

struct lines {
    uint64_t count, seen;
    unsigned char *times; /* each was read */
};

static void see(void *argument, const struct entry *entry) {
    struct lines *lines = argument;
    char text[24];
    if (text_is(entry->module, "crash")) /* that it was killed */
        return;
    require(!text_is(entry->service, "taskforge"), "\"%.*s\"", TEXT_FORMAT(entry->message)); /* a loss */
    snprintf(text, sizeof(text), "%.*s", TEXT_FORMAT(entry->message));
    uint64_t number = strtoull(text, NULL, 10);
    require(number < lines->count, "\"%s\"", text);
    require(lines->times[number]++ == 0, "line %s is there twice", text);
    lines->seen++;
}

static pid_t start(const char *program, uint64_t number) {
    char text[24];
    char *const arguments[] = { (char *)program, text, NULL };
    pid_t pid;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    int result = posix_spawn(&pid, program, NULL, NULL, arguments, environ);
    require(result == 0, "%s: %s", program, strerror(result));
    return pid;
}

static void end(pid_t pid) {
    int status;
    require(waitpid(pid, &status, 0) == pid, "%s", strerror(errno));
    require(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL), "an app ended with %x", status);
}

int main(int argc, char **argv) {
    char directory[64];
    struct reader reader;
    struct lines lines = { .count = torture_count(500, 10000) };
    pid_t running[AT_ONCE] = { 0 };
    require(argc == 2, "which program?");
    lines.times = calloc(lines.count, 1);
    torture_directory(directory);
    setenv("TASKFORGE_RUNTIME_DIR", directory, 1);
    reader_open(&reader, directory);
    for (uint64_t number = 0; number < lines.count + AT_ONCE; number++) {
        pid_t *place = &running[number % AT_ONCE];
        if (*place)
            end(*place);
        *place = number < lines.count ? start(argv[1], number) : 0;
        reader_turn(&reader, false, see, &lines);
    }
    for (int turn = 0; turn < 5; turn++) /* all have ended, and nothing is waited for */
        reader_turn(&reader, true, see, &lines);
    struct reader_taken taken = reader_taken(&reader);
    require(lines.seen == lines.count, "%llu of %llu lines", (unsigned long long)lines.seen,
            (unsigned long long)lines.count);
    require(taken.slots == 0 && taken.lanes == 0 && taken.overflow == 0,
            "%u slots, %u lanes and %u overflow lanes are taken", taken.slots, taken.lanes, taken.overflow);
    printf("%llu processes, each one's line was read once\n", (unsigned long long)lines.count);
    reader_close(&reader);
    torture_remove(directory);
    free(lines.times);
    return 0;
}
