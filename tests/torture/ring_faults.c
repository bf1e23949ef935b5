/* A process is killed, or stopped, between any two steps that others can see (common/shm/fault.h), while another goes on and the
 * collector's own code reads:
 *
 *   - no call of the other is held up for 50 ms, and it attaches and claims lanes and slots as ever;
 *   - of each process calls accepted = entries stored, calls refused = losses told, each stream of entries once, whole, in order; of
 *     one that was killed within a call that call counts, wholly, or not at all, and which of the two its last step says;
 *   - counters are exact likewise;
 *   - all lanes and slots of the dead come back.
 *
 *   ring_faults FAULT_APP [POINT]
 *
 * Each point once; then at random instants, 10,000 with TASKFORGE_LONG=1. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/torture/fault_bench.h"
#include "tests/torture/fault_names.h"
#include "tests/torture/ring_lib.h"

/* --- one victim --- */

/* False when the point was not passed. */
static bool strike(struct bench *bench, const char *point, unsigned long count, bool stop) {
    char wish[64];
    int32_t struck;
    snprintf(wish, sizeof(wish), "%s:%lu:%s", point, count, stop ? "stop" : "kill");
    bench_start(bench, &bench->victim, "victim", wish);
    bool passed = bench_wait(bench, bench->victim.out, &struck, sizeof(struck));
    if (!passed) {
        require(!bench_victim_ended(bench), "the victim was killed by somebody");
    } else {
        bench->pausing = true; /* so that it is not the collector who gives back what the dead held */
        bench_wait_struck(bench, struck, stop);
        if (!bench->survivor.pid)
            bench_start(bench, &bench->survivor, "survivor", "");
        bench_survive(bench, !stop);
        bench->pausing = false;
        bench_read(bench);
        bench_survive(bench, !stop);
        if (stop)
            require(kill(struck, SIGCONT) == 0, "%s", strerror(errno));
        bool killed = bench_victim_ended(bench);
        require(killed == (!stop && struck == bench->victim.pid), "the victim ended otherwise than it should");
    }
    bench_settle(bench);
    bench_judge(bench, &bench->victim, passed && !stop, point);
    app_forget(&bench->victim);
    return passed;
}

static void in_a_new_ring(const char *program, const char *point, bool stop, struct bench *sums) {
    struct bench bench;
    bench_open(&bench, program);
    require(strike(&bench, point, 1, stop), "%s was not passed", point);
    bench_close(&bench);
    sums->entries += bench.entries;
    sums->worst_ns = bench.worst_ns > sums->worst_ns ? bench.worst_ns : sums->worst_ns;
}

static bool is_of_a_new_ring(int point) {
#define FAULT_POINT_ONE(name, text) +1
    return point < 0 FAULT_POINTS_OF_A_NEW_RING(FAULT_POINT_ONE);
}

/* Which time of passing: a counter that is placed is grown by 0 before. */
static unsigned long pass_of(const char *point) {
    return strcmp(point, "counter_added") == 0 ? 2 : 1;
}

static void at_each_point(struct bench *bench, const char *only) {
    for (int point = 0; point < FAULT_COUNT; point++) {
        const char *name = fault_names[point];
        for (int stop = 0; stop < 2 && (!only || strcmp(only, name) == 0); stop++) {
            if (is_of_a_new_ring(point))
                in_a_new_ring(bench->program, name, stop, bench);
            else
                require(strike(bench, name, pass_of(name), stop), "%s was not passed", name);
        }
    }
}

static void at_random(struct bench *bench, uint64_t rounds) {
    unsigned long points = bench_run_victim(bench);
    uint64_t random = (uint64_t)getpid() * 7919 + 1, stops = 0, missed = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        bool stop = torture_random(&random) % 8 == 0;
        stops += stop;
        missed += !strike(bench, "any", 1 + torture_random(&random) % points, stop);
    }
    printf("%llu more at random, of them %llu stopped, %llu at their end before it\n", (unsigned long long)rounds,
           (unsigned long long)stops, (unsigned long long)missed);
    require(missed < rounds / 2 + 1, "too few were struck");
}

int main(int argc, char **argv) {
    static struct bench bench;
    require(argc >= 2, "which app?");
    signal(SIGPIPE, SIG_IGN);
    require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "%s", strerror(errno));
    bench_open(&bench, argv[1]);
    bench_read(&bench);
    bench_start(&bench, &bench.survivor, "survivor", "");
    bench_survive(&bench, true);
    at_each_point(&bench, argc > 2 ? argv[2] : NULL);
    printf("%d points, killed and stopped at each\n", FAULT_COUNT);
    if (argc == 2)
        at_random(&bench, torture_count(20, 10000));
    bench_close(&bench);
    printf("%llu entries, none missing; the longest call of who went on: %llu us\n", (unsigned long long)bench.entries,
           (unsigned long long)(bench.worst_ns / 1000));
    return 0;
}
