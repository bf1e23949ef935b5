#include "tests/bench/timing.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"

enum { TICKS_MAX = 1 << 21 }; /* of a single call; what took longer counts as this */

struct singles {
    uint64_t count;
    uint32_t cost[TICKS_MAX]; /* by ticks: how many calls */
};

struct measured {
    double *batches; /* ns a call */
    struct singles *singles;
};

static void call_nothing(unsigned i) {
    __asm__ volatile("" : : "r"(i) : "memory");
}

/* Not before what stands before it is done, and nothing behind it begins earlier. */
static inline uint64_t ticks_in_order(void) {
#if defined(__x86_64__)
    unsigned low, high;
    __asm__ volatile("rdtscp\n\tlfence" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (uint64_t)high << 32 | low;
#else
    return clock_monotonic_ns();
#endif
}

static double ns_for_tick(void) {
    uint64_t ns = clock_monotonic_ns(), ticks = ticks_in_order(), now;
    while ((now = clock_monotonic_ns()) - ns < 50 * CLOCK_MILLISECOND)
        ;
    return (double)(now - ns) / (double)(ticks_in_order() - ticks);
}

struct timed_rounds timed_rounds(void) {
    return getenv("TASKFORGE_BENCH_QUICK") ? (struct timed_rounds) { 100, 100 } : (struct timed_rounds) { 400, 1000 };
}

/* --- a turn --- */

static void begin_turn(const struct timed *row) {
    if (row->before)
        row->before();
    for (unsigned i = 0; i < TIMED_WARM_UP; i++)
        row->call(i);
}

static void end_turn(const struct timed *row) {
    if (row->after)
        row->after();
}

static double batch(const struct timed *row) {
    begin_turn(row);
    timed_call *call = row->call;
    uint64_t begin = clock_monotonic_ns();
    for (unsigned i = 0; i < TIMED_BATCH; i++)
        call(i);
    uint64_t end = clock_monotonic_ns();
    end_turn(row);
    return (double)(end - begin) / TIMED_BATCH;
}

static void singles(const struct timed *row, struct singles *singles) {
    begin_turn(row);
    for (unsigned i = 0; i < TIMED_BATCH; i++) {
        uint64_t begin = ticks_in_order();
        row->call(i);
        uint64_t cost = ticks_in_order() - begin;
        singles->cost[cost < TICKS_MAX ? cost : TICKS_MAX - 1]++;
    }
    singles->count += TIMED_BATCH;
    end_turn(row);
}

/* --- all of them --- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b) {
    while (b > 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* By how much the counter goes on at once: one, on some processors some dozen. */
static uint64_t step_of(const struct singles *singles) {
    uint64_t step = 0;
    for (uint64_t ticks = 1; ticks < TICKS_MAX - 1; ticks++)
        if (singles->cost[ticks] > 0)
            step = greatest_divisor(step, ticks);
    return step ? step : 1;
}

/* Where the counter goes on in steps, calls of one length fall into two of them, the more into the nearer one: inside a
 * step the share says where between. */
static double ticks_at(const struct singles *singles, double share) {
    double wanted = (double)singles->count * share, step = (double)step_of(singles), seen = 0;
    uint64_t ticks = 0;
    while (ticks < TICKS_MAX - 1 && seen + singles->cost[ticks] <= wanted)
        seen += singles->cost[ticks++];
    return (double)ticks + step * ((wanted - seen) / singles->cost[ticks] - 0.5);
}

static double without(double value, double cost) {
    return value > cost ? value - cost : 0;
}

static struct figures figures_of(const struct measured *measured, unsigned batches, double tick,
                                 const struct figures *nothing) {
    qsort(measured->batches, batches, sizeof(double), ascending);
    return (struct figures) {
        .mean = without(measured->batches[batches / 2], nothing->mean),
        .best = without(measured->batches[0], nothing->best),
        .p50 = without(ticks_at(measured->singles, 0.5) * tick, nothing->p50),
        .p99 = without(ticks_at(measured->singles, 0.99) * tick, nothing->p50),
        .p999 = without(ticks_at(measured->singles, 0.999) * tick, nothing->p50),
    };
}

void timed_run(struct timed *rows, size_t count, struct timed_rounds rounds) {
    const struct timed nothing = { .call = call_nothing };
    struct measured *measured = calloc(count + 1, sizeof(*measured));
    check(measured);
    for (size_t i = 0; i <= count; i++) { /* the last is `nothing` */
        measured[i].batches = calloc(rounds.batches, sizeof(double));
        measured[i].singles = calloc(1, sizeof(struct singles));
        check(measured[i].batches && measured[i].singles);
    }
    for (unsigned round = 0; round < rounds.batches; round++)
        for (size_t i = 0; i <= count; i++)
            measured[i].batches[round] = batch(i < count ? &rows[i] : &nothing);
    for (unsigned round = 0; round < rounds.singles; round++)
        for (size_t i = 0; i <= count; i++)
            singles(i < count ? &rows[i] : &nothing, measured[i].singles);
    double tick = ns_for_tick();
    const struct figures none = { 0 };
    const struct figures empty = figures_of(&measured[count], rounds.batches, tick, &none);
    for (size_t i = 0; i < count; i++)
        rows[i].figures = figures_of(&measured[i], rounds.batches, tick, &empty);
    for (size_t i = 0; i <= count; i++) {
        free(measured[i].batches);
        free(measured[i].singles);
    }
    free(measured);
}

/* --- printing --- */

void timed_print_head(void) {
    printf("%-48s  %-8s  %7s  %7s  %7s  %7s  %7s  %7s  %7s\n", "ns a call", "lanes", "mean", "best", "p50", "p99",
           "p99.9", "x floor", "bytes");
}

void timed_print(const struct timed *rows, size_t count, const char *variant, double floor) {
    for (size_t i = 0; i < count; i++) {
        const struct figures *figures = &rows[i].figures;
        printf("%-48s  %-8s  %7.1f  %7.1f  %7.1f  %7.1f  %7.1f  %7.2f  %7.0f\n", rows[i].name, variant, figures->mean,
               figures->best, figures->p50, figures->p99, figures->p999, floor > 0 ? figures->mean / floor : 0,
               rows[i].bytes);
    }
    fflush(stdout);
}

/* --- the machine --- */

void timed_pause(uint64_t ns) {
    uint64_t begin = clock_monotonic_ns();
    while (clock_monotonic_ns() - begin < ns)
        ;
}

int timed_pin(int last) {
    cpu_set_t allowed, one;
    int found = -1, count = 0;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        count++;
        if (last || found < 0)
            found = cpu;
    }
    CPU_ZERO(&one);
    CPU_SET(found, &one);
    return count > 1 && sched_setaffinity(0, sizeof(one), &one) == 0;
}
