/* lives.h - apps that do one step after the other, and the collector's own code that reads what they write: entries "STREAM NUMBER", of each
 * stream once and in order from 0. All of it ends the test when something is not as it must be. */
#ifndef TASKFORGE_TESTS_TORTURE_LIVES_H
#define TASKFORGE_TESTS_TORTURE_LIVES_H

#include <sys/types.h>

#include "agent/client/taskforge.h"
#include "tests/torture/reader.h"

enum { SERVICES_MAX = 32, STREAMS_MAX = 64 };

struct tally {
    char service[16];
    uint64_t next[STREAMS_MAX]; /* the number that must come next, from 0 */
};

struct lives {
    char directory[64];
    struct reader reader;
    struct tally tallies[SERVICES_MAX];
    size_t count;
};

/* A folder of its own, and a reader; closing waits until nobody has a slot. */
void lives_open(struct lives *lives);
void lives_close(struct lives *lives);
void lives_turn(struct lives *lives);

/* Until so many lines of a service were read; more there must not be. */
void lives_lines(struct lives *lives, const char *service, uint64_t lines);
/* Until so many slots are taken. And whether they stay taken, however often they are looked at. */
void lives_slots(struct lives *lives, uint32_t slots);
void lives_stay(struct lives *lives, uint32_t slots);

/* --- apps: each does what it is to do at each byte it is sent, and sends one when it is done --- */

struct life {
    pid_t pid;
    int in, out;
};
typedef void life_function(tf_client *client, struct life *self);

void life_start(const struct lives *lives, struct life *life, const char *service, life_function *function);
void life_await(struct lives *lives, const struct life *life); /* until it has done its step, while the ring is read */
void life_next(struct lives *lives, const struct life *life);  /* let it do the next, and wait for that */
void life_end(struct life *life);                              /* SIGKILL */

/* For its function: its client, which waits for room; lines; tell that a step is done, and wait for what is next. */
tf_client *life_client(const char *directory, const char *service);
void life_log(tf_client *client, unsigned stream, unsigned from, unsigned to);
void life_step(struct life *self);

#endif
