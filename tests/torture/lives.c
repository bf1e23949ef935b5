#include "tests/torture/lives.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/ring_lib.h"

#define PATIENCE_NS (60 * CLOCK_SECOND)

enum { TURNS_OF_LIFE = 60 };

/* --- reading --- */

static struct tally *tally_of(struct lives *lives, struct text service) {
    for (size_t i = 0; i < lives->count; i++)
        if (text_is(service, lives->tallies[i].service))
            return &lives->tallies[i];
    require(lives->count < SERVICES_MAX, "too many services");
    struct tally *tally = &lives->tallies[lives->count++];
    snprintf(tally->service, sizeof(tally->service), "%.*s", TEXT_FORMAT(service));
    return tally;
}

static void see(void *argument, const struct entry *entry) {
    char head[64];
    unsigned stream;
    unsigned long long number;
    if (text_is(entry->module, "crash")) /* that it was killed */
        return;
    struct tally *tally = tally_of(argument, entry->service);
    snprintf(head, sizeof(head), "%.*s", TEXT_FORMAT(entry->message));
    require(sscanf(head, "%u %llu", &stream, &number) == 2 && stream < STREAMS_MAX, "%s: \"%s\"", tally->service, head);
    require(number == tally->next[stream], "%s, stream %u: %llu where %llu comes next", tally->service, stream, number,
            (unsigned long long)tally->next[stream]);
    tally->next[stream]++;
}

void lives_turn(struct lives *lives) {
    reader_turn(&lives->reader, false, see, lives);
}

/* While nobody writes: nothing is waited for, neither what is to come nor news of who was killed. */
static void turn_whole(struct lives *lives) {
    reader_turn(&lives->reader, true, see, lives);
}

static uint64_t seen(struct lives *lives, const char *service) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        sum += tally_of(lives, text_of(service))->next[i];
    return sum;
}

void lives_lines(struct lives *lives, const char *service, uint64_t lines) {
    for (uint64_t end = clock_monotonic_ns() + PATIENCE_NS; seen(lives, service) < lines;) {
        require(clock_monotonic_ns() < end, "%s: %llu of %llu lines", service, (unsigned long long)seen(lives, service),
                (unsigned long long)lines);
        lives_turn(lives);
    }
    lives_turn(lives);
    require(seen(lives, service) == lines, "%s: %llu lines, not %llu", service,
            (unsigned long long)seen(lives, service), (unsigned long long)lines);
}

void lives_slots(struct lives *lives, uint32_t slots) {
    for (uint64_t end = clock_monotonic_ns() + PATIENCE_NS; reader_taken(&lives->reader).slots != slots;) {
        require(clock_monotonic_ns() < end, "%u slots are taken, not %u", reader_taken(&lives->reader).slots, slots);
        turn_whole(lives);
    }
    require(slots > 0 || reader_taken(&lives->reader).lanes == 0, "lanes are taken");
}

/* Whoever lives keeps what he has, however often it is looked at. */
void lives_stay(struct lives *lives, uint32_t slots) {
    for (int i = 0; i < TURNS_OF_LIFE; i++)
        lives_turn(lives);
    require(reader_taken(&lives->reader).slots == slots, "%u slots are taken, not %u",
            reader_taken(&lives->reader).slots, slots);
}

void lives_open(struct lives *lives) {
    memset(lives, 0, sizeof(*lives));
    torture_directory(lives->directory);
    reader_open(&lives->reader, lives->directory);
}

void lives_close(struct lives *lives) {
    lives_slots(lives, 0);
    reader_close(&lives->reader);
    torture_remove(lives->directory);
}

/* --- apps: each does what it is to do at each byte it is sent, and sends one when it is done --- */

tf_client *life_client(const char *directory, const char *service) {
    struct tf_options options = TF_OPTIONS_INIT;
    tf_client *client;
    options.runtime_dir = directory;
    options.policy = TF_POLICY_WAIT;
    options.wait_ns = 60 * CLOCK_SECOND;
    require(tf_open(service, &options, &client) == 0, "%s", tf_last_error());
    return client;
}

void life_log(tf_client *client, unsigned stream, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++)
        require(tf_logf(client, TF_LEVEL_INFO, NULL, "live", "%u %u", stream, i) == 0, "%s", tf_last_error());
}

/* Tell that it is done, and wait for what is next. */
void life_step(struct life *self) {
    char byte = 'x';
    if (write(self->out, &byte, 1) != 1 || read(self->in, &byte, 1) != 1)
        _exit(0);
}

void life_start(const struct lives *lives, struct life *app, const char *service, life_function *life) {
    int in[2], out[2];
    require(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "%s", strerror(errno));
    app->pid = torture_fork();
    if (app->pid == 0) {
        struct life self = { .in = in[0], .out = out[1] };
        close(in[1]);
        close(out[0]);
        life(life_client(lives->directory, service), &self);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    app->in = in[1];
    app->out = out[0];
}

/* Until it has done its step, while the ring is read. */
void life_await(struct lives *lives, const struct life *app) {
    struct pollfd done = { .fd = app->out, .events = POLLIN };
    char byte;
    for (uint64_t end = clock_monotonic_ns() + PATIENCE_NS; poll(&done, 1, 1) == 0;) {
        require(clock_monotonic_ns() < end, "an app does not go on");
        lives_turn(lives);
    }
    require(read(app->out, &byte, 1) == 1, "an app ended");
}

void life_next(struct lives *lives, const struct life *app) {
    require(write(app->in, "x", 1) == 1, "%s", strerror(errno));
    life_await(lives, app);
}

void life_end(struct life *app) {
    kill(app->pid, SIGKILL);
    waitpid(app->pid, NULL, 0);
    close(app->in);
    close(app->out);
}
