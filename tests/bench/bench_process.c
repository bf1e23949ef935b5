/* bench_process - what logging adds to a process that opens, logs one line and ends: each pair of programs is started in turn by
 * posix_spawn (which is vfork and exec), and waited for.
 *
 *     bench_process RUNS NAME PROGRAM BASELINE [NAME PROGRAM BASELINE]...
 *
 * Prints microseconds from the start to the end that is seen, for program and baseline: mean and median, and the difference of
 * the means. All on one processor, so that the collector has another. Those whose line was lost are counted; run_process.py looks
 * whether the others are there.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "tests/bench/timing.h"
#include "tests/torture/ring_lib.h"

extern char **environ;

enum { WARM_UP = 20, LOST = 3 /* what one_line ends with when its line found no room */ };

static size_t lines, lost;

static double run_once(char *program) {
    char *argv[] = { program, NULL };
    pid_t child;
    int status = 0;
    uint64_t begin = clock_monotonic_ns();
    int result = posix_spawn(&child, program, NULL, NULL, argv, environ);
    require(result == 0, "%s: %s", program, strerror(result));
    require(waitpid(child, &status, 0) == child, "%s", program);
    uint64_t took = clock_monotonic_ns() - begin;
    require(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == LOST), "%s ended with %#x",
            program, (unsigned)status);
    lost += WEXITSTATUS(status) == LOST;
    return (double)took / 1000;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

static void measure(size_t runs, char *name, char *program, char *baseline) {
    char *programs[] = { program, baseline };
    double *took[2] = { calloc(runs, sizeof(double)), calloc(runs, sizeof(double)) };
    check(took[0] && took[1]);
    for (size_t i = 0; i < runs + WARM_UP; i++)
        for (size_t which = 0; which < 2; which++)
            took[which][i < WARM_UP ? 0 : i - WARM_UP] = run_once(programs[which]);
    lines += runs + WARM_UP;
    double means[2] = { mean(took[0], runs), mean(took[1], runs) };
    for (size_t which = 0; which < 2; which++)
        qsort(took[which], runs, sizeof(double), ascending);
    double medians[2] = { took[0][runs / 2], took[1][runs / 2] };
    printf("%-32s %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f\n", name, means[0], means[1], means[0] - means[1], medians[0],
           medians[1], medians[0] - medians[1]);
    fflush(stdout);
    free(took[0]);
    free(took[1]);
}

int main(int argc, char **argv) {
    size_t runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (runs == 0 || argc < 5 || argc % 3 != 2)
        return 2;
    timed_pin(1);
    printf("%-32s %8s %8s %8s %8s %8s %8s\n", "us a process", "mean", "without", "adds", "median", "without", "adds");
    for (int i = 2; i < argc; i += 3)
        measure(runs, argv[i], argv[i + 1], argv[i + 2]);
    printf("lines: %zu, lost: %zu\n", lines, lost);
    return 0;
}
