/* fault_bench.h - fault_apps under test: one that survives, one victim after the other, the collector's own code that reads, and the
 * account: calls accepted = entries stored, calls refused = losses told, each stream of entries once, whole, in order; counters
 * likewise. All of it ends the test when something is not as it must be. */
#ifndef TASKFORGE_TESTS_TORTURE_FAULT_BENCH_H
#define TASKFORGE_TESTS_TORTURE_FAULT_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/torture/fault_app.h"
#include "tests/torture/reader.h"

/* What was read of one app. */
struct seen {
    uint64_t next[STREAMS]; /* the number that must come next */
    uint64_t lost;
};

struct app {
    char service[16];
    pid_t pid;
    int in, out; /* of the survivor; the victim's out: who struck tells its pid there */
    struct fault_account *account;
    struct seen seen;
};

struct bench {
    const char *program;
    char directory[64];
    struct reader reader;
    bool reading, pausing; /* there is a collector; it does nothing for a while */
    struct app survivor, victim;
    char wish[64]; /* what was to happen last, for who reads what went wrong */
    uint64_t serial, entries, worst_ns;
};

/* A folder of its own with the smallest ring; nobody is there yet. Closing ends the survivor, if there is one, and judges it. */
void bench_open(struct bench *bench, const char *program);
void bench_close(struct bench *bench);

/* Begin to read; one turn of the reader, if there is one. */
void bench_read(struct bench *bench);
void bench_turn(struct bench *bench);

/* Start an app: its life ("victim", "survivor"), and what is to happen to it (TASKFORGE_FAULT; "": nothing). */
void bench_start(struct bench *bench, struct app *app, const char *life, const char *wish);
void app_forget(struct app *app); /* it has ended */

/* `size` bytes from an app, while the ring is read; false at the end of what it says. */
bool bench_wait(struct bench *bench, int fd, void *room, size_t size);
/* Until the process that a signal struck is dead, or has stopped. */
void bench_wait_struck(struct bench *bench, pid_t pid, bool stop);
/* Until the victim has ended; whether by SIGKILL. */
bool bench_victim_ended(struct bench *bench);

/* The survivor goes on, whoever is dead or stands still: no call is held up for 50 ms. Of the dead it takes over what they held, so that
 * nothing is refused. */
void bench_survive(struct bench *bench, bool dead);

/* Until all is read and given back but the survivor's slot and lane. */
void bench_settle(struct bench *bench);
/* The account of an app of which all was read. killed: the call that was cut short counts, or not, or as the point says. */
void bench_judge(const struct bench *bench, const struct app *app, bool killed, const char *point);

/* A victim to which nothing happens, to its end; how many points it passed. */
unsigned long bench_run_victim(struct bench *bench);

#endif
